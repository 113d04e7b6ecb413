"""The checker of `chaos kill9` sees what it is there to see: each planted fault is one finding of its kind."""

from collections import Counter

import msgspec
import pytest

from exchange.app.chaos_check import Findings, check_history, replay_story
from exchange.app.chaos_history import Entry, EntryState, History, Kind
from exchange.app.chaos_settlement import ChainCopy, check_settlement
from exchange.app.verify import recompute_batch
from exchange.domain.commands import Cancel, Side
from exchange.journal.disk import RealDisk
from exchange.wire.order_shapes import OrderShapes
from exchange.wire.venue import VenueInfo
from matching_core import OrderBook
from settlement.onchain.posted import PostedBatch
from tests.fakes.recorded_market import RecordedMarket, write_journal

BASE = 1_000_000
ACCOUNTS = {BASE + account: account for account in (2, 3, 4)}
VENUE = VenueInfo.for_chain(chain_id=5, settlement_contract=b"\x66" * 20, subaccount_base=BASE)


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    """A journal with one filled, one partly filled and canceled, and one open order."""
    market = RecordedMarket()
    market.open()
    market.place(3, Side.SELL, 600_000, 10, client_order_id="maker")
    market.place(2, Side.BUY, 600_000, 4, client_order_id="taker")
    market.run(Cancel(subaccount=3, client_order_id="maker"))
    market.place(4, Side.BUY, 590_000, 1, client_order_id="open")
    market.run_cut()
    disk = RealDisk(tmp_path_factory.mktemp("journal"))
    write_journal(disk, market.steps)
    return disk


@pytest.fixture
def story(disk):
    """A fresh replay."""
    findings = Findings()
    story = replay_story(disk, OrderShapes(VENUE), findings)
    assert findings.is_clean
    return story


def _states(story, account, name):
    (order_id,) = story.by_client_id[account, name]
    return [msgspec.json.decode(form) for form in story.versions[order_id]]


@pytest.fixture
def history(story):
    """What honest clients were told."""
    maker, taker = _states(story, 3, "maker"), _states(story, 2, "taker")
    (fill_id,) = story.order_fills[taker[0]["order_id"]]
    fill = msgspec.json.decode(story.fills[fill_id]) | {"batch_status": None, "tx_hash": None}
    history = History()
    history.entries = [
        _entry(3, Kind.PLACE, "maker", {"order": maker[0], "trades": []}),
        _entry(2, Kind.PLACE, "taker", {"order": taker[0], "trades": [fill]}),
        _entry(3, Kind.CANCEL, "", maker[-1]),
        _entry(4, Kind.PLACE, "refused", None, EntryState.REFUSED),
    ]
    history.streamed_trades = [fill]
    history.streamed_orders = [*maker, *taker]
    history.open_orders = {BASE + 4: _states(story, 4, "open"), BASE + 3: []}
    return history


def _entry(account, kind, name, reply, state=EntryState.OK):
    return Entry(subaccount_id=BASE + account, kind=kind, client_order_id=name, state=state, reply=reply)


def _counts(findings):
    return len(findings.lost), len(findings.duplicated), len(findings.different)


def _lose_order(history, story):
    del story.by_client_id[2, "taker"]


def _lose_cancel(history, story):
    story.versions[history.entries[2].reply["order_id"]].pop()
    history.streamed_orders.clear()


def _lose_fill(history, story):
    history.streamed_trades.clear()
    story.fills.clear()


def _double_order(history, story):
    story.by_client_id[2, "taker"] *= 2


def _double_trade(history, story):
    story.repeated_trades.append(1)


def _double_stream(history, story):
    history.streamed_trades *= 2


def _alter_fill(history, story):
    history.streamed_trades[0] = history.streamed_trades[0] | {"trade_fee": "0"}


def _accept_refused(history, story):
    history.entries[3].client_order_id = "open"


def _go_back(history, story):
    history.streamed_orders = history.streamed_orders[:2][::-1]


def _lose_open(history, story):
    history.open_orders[BASE + 4] = []


@pytest.mark.parametrize(
    ("plant", "counts"),
    [
        (_lose_order, (1, 0, 0)),
        (_lose_cancel, (1, 0, 0)),
        (_lose_fill, (1, 0, 0)),
        (_double_order, (0, 1, 0)),
        (_double_trade, (0, 1, 0)),
        (_double_stream, (0, 1, 0)),
        (_alter_fill, (0, 0, 1)),
        (_accept_refused, (0, 0, 1)),
        (_go_back, (0, 0, 1)),
        (_lose_open, (0, 0, 1)),
    ],
)
def test_planted_fault_is_found(history, story, plant, counts):
    """One finding, of its kind."""
    plant(history, story)
    assert _counts(check_history(history, story, ACCOUNTS)) == counts


def test_kept_promises_give_no_finding(history, story):
    """Nothing is found where nothing is wrong."""
    assert check_history(history, story, ACCOUNTS).is_clean


@pytest.fixture
def chain(disk):
    """Both batches as they should be on chain."""
    copy = ChainCopy()
    for seq in (1, 2):
        batch = recompute_batch(disk, seq, OrderBook).batch
        copy.posts[seq] = 1
        copy.batches[seq] = PostedBatch(
            seq=seq, header=batch.header, h=batch.h, data=batch.data, new_root=batch.new_root,
            orders_root=batch.orders_root, tx_hash=bytes(32), gas_used=1, block_number=1,
        )  # fmt: skip
    return copy


def test_missing_batch_is_lost_and_its_sums_differ(story, chain):
    """A batch that never reached the chain."""
    del chain.batches[2]
    findings = Findings()
    check_settlement(story, chain, findings)
    assert findings.lost == ["batch 2 of the journal is not on chain"]
    assert any("trades 4, chain 0" in line for line in findings.different)


def test_batch_posted_twice_is_duplicated(story, chain):
    """The same seq in two events."""
    chain.posts = Counter({1: 1, 2: 2})
    findings = Findings()
    check_settlement(story, chain, findings)
    assert _counts(findings) == (0, 1, 0)


def test_settled_journal_gives_no_finding(story, chain):
    """Sums, ranges and roots agree."""
    findings = Findings()
    check_settlement(story, chain, findings)
    assert findings.is_clean
