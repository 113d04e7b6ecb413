"""M6 bytes per resting order, M7 `submit(bytes) -> bytes` by batch, M8 against a Python engine from PyPI.

M7's goals were set where the floor takes 9.3 ns and are scaled by this machine's; `absolute_target` keeps the form of
the design. M8's peer takes one call per order, as its users do, and must report the same trades.
"""

import statistics
import time
from hashlib import sha256

import pytest

import matching_core
from bench.core_world import FLOOR_NS, ROUNDS, available, floor_ns, matched, pinned
from bench.harness import in_turns, record_goal, sized
from bench.native_build import core_replay
from bench.record_file import CANCEL, MODIFY, RECORD, survey
from bench.replay import BATCH, Replay, batches
from bench.reports import listed_book, match, submit_all
from matching_core import OrderBook

pytestmark = pytest.mark.skipif(not matching_core.COMPILED, reason="matching_core._order_book is not built: make build")

M7_TARGETS = {64: 25.0, 1: 6.0}
PEER_RECORDS = sized(small=3_000, full=30_000)


@pytest.mark.goal("M6")
def test_bytes_per_resting_order(benchmark):
    """Orders, cold records, levels and trie at the end of W2."""
    available(core_replay)
    workload = matched("W2")
    book = workload.book()
    core_replay().replay_ns(book, workload.report.commands)
    assert book.state_hash() == workload.report.state_hash
    parts = core_replay().resting_bytes(book)
    per_order = {name: round(size / book.resting_count, 1) for name, size in parts.items()}
    record_goal(
        benchmark, "M6", value=round(sum(parts.values()) / book.resting_count, 1), unit="bytes per resting order",
        target=80, at_least=False, result_hash=workload.report.digest, parts=per_order,
    )  # fmt: skip
    benchmark.pedantic(lambda: core_replay().resting_bytes(book), rounds=1, iterations=1)


@pytest.mark.goal("M7-64", "M7-1")
@pytest.mark.parametrize("batch", M7_TARGETS)
def test_submit(benchmark, batch):
    """W1 through Python, events as bytes."""
    available(core_replay)
    workload = matched("W1")
    pieces = batches(workload.report.commands, batch)

    def run():
        return submit_all(workload.book(), pieces, workload.report.state_hash)

    with pinned():
        seconds = statistics.median(run() for _ in range(ROUNDS))
    value, scale = workload.survey.count / seconds / 1e6, floor_ns() / FLOOR_NS
    record_goal(
        benchmark, f"M7-{batch}", value=round(value, 2), unit="M commands/s",
        target=round(M7_TARGETS[batch] / scale, 2), result_hash=workload.report.digest,
        absolute_target=M7_TARGETS[batch], at_the_design_floor=round(value * scale, 2),
    )  # fmt: skip
    benchmark.pedantic(run, rounds=1, iterations=1)


@pytest.mark.goal("M8")
def test_python_engine(benchmark):
    """W1's first records; the peer in one call per record, ours in batches of 256."""
    peer = pytest.importorskip("lightmatchingengine.lightmatchingengine", reason="lightmatchingengine is not installed")
    records = matched("W1").records[: PEER_RECORDS * RECORD.size]
    found = survey(records)
    report = match(records, found, OrderBook)
    expected = _trades(records, found)
    pieces = batches(report.commands, BATCH)

    def run_peer():
        seconds, trades = _peer_run(peer, records)
        assert trades == expected
        return seconds

    works = {"peer": run_peer, "core": lambda: submit_all(listed_book(OrderBook, found), pieces, report.state_hash)}
    with pinned():
        seconds = in_turns(works, rounds=ROUNDS)
    ratio = seconds["peer"] / seconds["core"]
    record_goal(
        benchmark, "M8", value=round(ratio), unit="x lightmatchingengine", target=100,
        result_hash=sha256(repr(expected).encode()).hexdigest(), reference=round(found.count / seconds["peer"]),
        ratio=round(ratio, 1), commands_per_s=round(found.count / seconds["core"]),
    )  # fmt: skip
    benchmark.pedantic(works["core"], rounds=1, iterations=1)


def _trades(records, found):
    """(price, quantity, maker id) of every trade, in match order."""
    lines = Replay(listed_book(OrderBook, found), found).lines(records)
    trades = [line.split(",") for some in lines for line in some if line.startswith("1,")]
    return [(int(price), int(quantity), int(maker)) for _, _, price, quantity, maker, _ in trades]


def _peer_run(peer, records):
    """Seconds of the peer's calls, and its trades; a modify is a cancel and a new order under another id."""
    engine, rows = peer.LightMatchingEngine(), list(RECORD.iter_unpack(records))
    ours, theirs, answers = {}, {}, []
    start = time.thread_time()
    for kind, side, ioc, _, quantity, _, order_id, price, _ in rows:
        if kind in (CANCEL, MODIFY):
            engine.cancel_order(theirs[order_id], "W1")
        if kind != CANCEL:
            order, trades = engine.add_order("W1", price, quantity, side + 1)
            theirs[order_id] = order.order_id
            ours[order.order_id] = order_id
            answers.append((side + 1, trades))
            if ioc and order.leaves_qty:
                engine.cancel_order(order.order_id, "W1")
    seconds = time.thread_time() - start
    makers = [trade for taker_side, trades in answers for trade in trades if trade.trade_side != taker_side]
    return seconds, [(trade.trade_price, trade.trade_qty, ours[trade.order_id]) for trade in makers]
