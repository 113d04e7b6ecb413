"""B1: commands/s of both books on W1, through the engine's interface (one command per submit) and in batches of 256.

The workload's commands are packed beforehand; handles are deterministic, so both books take the same bytes. The events
of both are hashed and compared before anything is timed. Runs of the two books are interleaved and their medians
compared, so that a slow phase of the machine hits both. `SIZE=small` takes 20,000 commands.
"""

import os
import statistics
import time
from hashlib import sha256

import pytest

import matching_core
from bench.workloads import W1Generator
from matching_core import OrderBook, ReferenceOrderBook

COMMAND_COUNT = 20_000 if os.environ.get("SIZE") == "small" else 100_000
PRELOAD = 2_000 if os.environ.get("SIZE") == "small" else 10_000
ROUNDS = 3 if os.environ.get("SIZE") == "small" else 5
BATCH = 256
TARGET_RATIO = 10.0

pytestmark = pytest.mark.skipif(not matching_core.COMPILED, reason="matching_core._order_book is not built: make build")


@pytest.fixture(scope="module")
def commands():
    """The packed commands of W1's preload and first steps."""
    generator = W1Generator(steps=COMMAND_COUNT - PRELOAD, preload=PRELOAD)
    return [record.command for record in generator.records()]


def chunks_of(commands, batch):
    """Join commands into chunks of one submit each."""
    return [b"".join(commands[start : start + batch]) for start in range(0, len(commands), batch)]


def make_book(book_class):
    """Return an empty book with W1's instrument."""
    book = book_class()
    book.list_instrument(0, price_min_ticks=1, price_max_ticks=200_000)
    return book


def run(book_class, chunks):
    """Submit all chunks to a fresh book; return the seconds it took."""
    submit = make_book(book_class).submit
    start = time.perf_counter()
    for chunk in chunks:
        submit(chunk)
    return time.perf_counter() - start


def result_hash(book_class, chunks):
    """Return the hash of all events and of the final state."""
    book = make_book(book_class)
    digest = sha256()
    for chunk in chunks:
        digest.update(book.submit(chunk))
    digest.update(book.state_hash())
    return digest.hexdigest()


@pytest.mark.parametrize("batch", [1, BATCH], ids=["engine-interface", "batch-256"])
def test_both_books(benchmark, commands, batch):
    """Compiled against reference on the same chunks; the goal is set on one command per submit."""
    chunks = chunks_of(commands, batch)
    expected = result_hash(ReferenceOrderBook, chunks)
    assert expected == result_hash(OrderBook, chunks)
    rounds = [(run(ReferenceOrderBook, chunks), run(OrderBook, chunks)) for _ in range(ROUNDS)]
    reference_s, compiled_s = (statistics.median(column) for column in zip(*rounds, strict=True))
    ratio = reference_s / compiled_s
    benchmark.extra_info.update(
        goal="B1" if batch == 1 else "B1-batch",
        value=round(ratio, 1),
        unit="x the reference",
        target=TARGET_RATIO,
        met=ratio >= TARGET_RATIO,
        result_hash=expected,
        reference=round(len(commands) / reference_s),
        ratio=round(ratio, 1),
        commands_per_s=round(len(commands) / compiled_s),
        commands=len(commands),
    )
    benchmark.pedantic(run, args=(OrderBook, chunks), rounds=ROUNDS, warmup_rounds=1)
