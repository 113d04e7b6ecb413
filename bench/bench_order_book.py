"""B1: commands/s of both books on W1, through the engine's interface (one command per submit) and in batches of 256.

The workload's commands are packed beforehand; handles are deterministic, so both books take the same bytes. Events and
final state of both are compared before anything is timed, and the state after each run. Runs of the two books are
interleaved and their medians compared, so that a slow phase of the machine hits both. `SIZE=small`: 20,000.
"""

from itertools import islice

import pytest

import matching_core
from bench import record_file
from bench.harness import in_turns, record_goal, sized
from bench.replay import BATCH, batches
from bench.reports import listed_book, match, submit_all
from bench.workloads import records
from matching_core import OrderBook, ReferenceOrderBook

RECORDS = sized(small=20_000, full=100_000)
ROUNDS = sized(small=3, full=5)
TARGET_RATIO = 10.0

pytestmark = pytest.mark.skipif(not matching_core.COMPILED, reason="matching_core._order_book is not built: make build")


@pytest.fixture(scope="module")
def matched():
    """The survey of W1's first records and the report of both books on them."""
    body = b"".join(islice(records("W1"), RECORDS))
    survey = record_file.survey(body)
    expected = match(body, survey, ReferenceOrderBook)
    assert match(body, survey, OrderBook) == expected
    return survey, expected


@pytest.mark.parametrize("batch", [1, BATCH], ids=["engine-interface", "batch-256"])
def test_both_books(benchmark, matched, batch):
    """Compiled against reference on the same pieces; the goal is set on one command per submit."""
    survey, report = matched
    pieces = batches(report.commands, batch)

    def run(book_class):
        return submit_all(listed_book(book_class, survey), pieces, report.state_hash)

    works = {"reference": lambda: run(ReferenceOrderBook), "compiled": lambda: run(OrderBook)}
    seconds = in_turns(works, rounds=ROUNDS)
    ratio = seconds["reference"] / seconds["compiled"]
    record_goal(
        benchmark,
        "B1" if batch == 1 else "B1-batch",
        value=round(ratio, 1),
        unit="x the reference",
        target=TARGET_RATIO,
        result_hash=report.digest,
        reference=round(survey.count / seconds["reference"]),
        ratio=round(ratio, 1),
        commands_per_s=round(survey.count / seconds["compiled"]),
        commands=survey.count,
    )
    benchmark.pedantic(lambda: run(OrderBook), rounds=1, iterations=1)
