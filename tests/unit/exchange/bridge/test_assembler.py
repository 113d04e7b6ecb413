"""The fold from events to batch inputs: what contradicts itself is refused, what is saved goes on the same."""

import msgspec
import pytest

from exchange.app.verify import ledger_of
from exchange.bridge.assembler import BadEvents, BatchAssembler
from exchange.domain.auctions import Phase, SetPhase
from exchange.domain.commands import BatchCut, SignedAmend
from exchange.domain.events import BatchClosed, InstrumentListed, OrderAccepted, Trade
from exchange.domain.packing import CommandEvents
from exchange.domain.rounds import FundingRow, OracleRound
from exchange.engine.config import EngineConfig
from settlement.protocol.batch import build_batch
from settlement.protocol.keccak import keccak256
from settlement.protocol.ledger import LedgerState
from settlement.protocol.oracle import MarkRow
from settlement.protocol.orders import OrderKind
from tests.fakes.recorded_market import traded_market
from tests.unit.exchange.engine.quoting import QuoteWorld
from tests.unit.exchange.engine.world import BUY, CALL, E6, PERP, PUT, SECOND_NS, SELL, World


@pytest.fixture(scope="module")
def history():
    """Events of three batches."""
    return traded_market().history


def _all(assembler, history):
    return [batch for item in history for batch in assembler.take(item)]


def _without(history, kind):
    return [
        CommandEvents(item.sequence, item.timestamp_ns, [event for event in item.events if not isinstance(event, kind)])
        for item in history
    ]


def test_sequence_that_goes_back_is_refused(history):
    """The same command twice is a broken stream."""
    assembler = BatchAssembler()
    list(assembler.take(history[0]))
    with pytest.raises(BadEvents, match="come after"):
        list(assembler.take(history[0]))


@pytest.mark.parametrize("kind", [InstrumentListed, OrderAccepted])
def test_trade_of_something_unknown_is_refused(history, kind):
    """A fill needs its instrument's unit and its orders' digests."""
    with pytest.raises(BadEvents, match="no event introduced"):
        _all(BatchAssembler(), _without(history, kind))


def test_lost_trade_is_refused_at_the_end_of_its_batch(history):
    """The engine's count of fills is compared."""
    with pytest.raises(BadEvents, match="with 3 fills was closed; expected batch 2 with 0"):
        _all(BatchAssembler(), _without(history, Trade))


def test_batch_out_of_order_is_refused(history):
    """A batch number that was skipped."""
    place = next(at for at, item in enumerate(history) if any(isinstance(event, BatchClosed) for event in item.events))
    item = history[place]
    events = [
        msgspec.structs.replace(event, batch=2) if isinstance(event, BatchClosed) else event for event in item.events
    ]
    altered = [*history[:place], CommandEvents(item.sequence, item.timestamp_ns, events)]
    with pytest.raises(BadEvents, match=r"batch 2 .* expected batch 1"):
        _all(BatchAssembler(), altered)


@pytest.mark.parametrize("saved", [b"", b"\x00", msgspec.msgpack.encode([9, 0, 1, [], [], [], []])])
def test_bytes_of_another_format_are_refused(saved):
    """Damage and other versions."""
    with pytest.raises(BadEvents, match="saved assembler"):
        BatchAssembler.load(saved)


def test_dump_and_load_at_every_command_give_the_same_batches(history):
    """A restart between any two commands changes nothing."""
    assembler, batches = BatchAssembler(), []
    for item in history:
        assembler = BatchAssembler.load(assembler.dump())
        batches += assembler.take(item)
    assert batches == _all(BatchAssembler(), history)
    assert [batch.input.seq for batch in batches] == [1, 2, 3]


def test_ranges_follow_each_other(history):
    """No command is in two batches or in none."""
    batches = _all(BatchAssembler(), history)
    assert batches[0].first_sequence == 1
    assert [batch.first_sequence for batch in batches[1:]] == [batch.last_sequence + 1 for batch in batches[:-1]]


def test_closed_orders_are_forgotten(history):
    """Only orders that may still fill are remembered."""
    assembler = BatchAssembler()
    _all(assembler, history)
    assert not assembler.has_open_content
    assert assembler._refs == {}


def test_a_batch_that_begins_with_other_values_names_the_next_round():
    """Engine rounds that no batch begins with have no number, and equal values keep theirs, over restarts too."""
    world = World().open()
    assembler = BatchAssembler.resume(
        sequence=world.state.sequence, next_batch=world.state.batch.number, units={PERP: 100_000}, refs={}
    )
    batches = []

    def run(command, *, after_ns=1_000_000):
        nonlocal assembler
        item = CommandEvents(world.state.sequence + 1, world.now_ns, world.run(command, after_ns=after_ns))
        assembler = BatchAssembler.load(assembler.dump())
        batches.extend(assembler.take(item))

    def trade():
        run(world.order(2, BUY, 600_000, 1, digest=world.now_ns.to_bytes(32, "big")))
        run(world.order(3, SELL, 600_000, 1, digest=world.now_ns.to_bytes(32, "big")))

    trade()
    run(OracleRound(round=1, funding=(FundingRow(PERP, 28_800_000),)))
    run(OracleRound(round=2), after_ns=2 * SECOND_NS)
    run(OracleRound(round=3), after_ns=SECOND_NS)
    trade()
    run(BatchCut())
    trade()
    run(OracleRound(round=4), after_ns=SECOND_NS)
    trade()
    run(BatchCut())
    openings = [batch.input.opening for batch in batches]
    assert [opening.round_number for opening in openings] == [0, 1, 1, 2]
    assert [opening.rows.get(PERP, MarkRow()).fund_index for opening in openings][:3] == [0, 180_000_000, 180_000_000]
    assert openings[3].rows[PERP].fund_index > 180_000_000


def test_fills_of_quotes_belong_to_their_call_line_and_side():
    """A leaf of its own kind, whose reference anyone can derive from the signed call; also over a restart."""
    world = QuoteWorld().open_maker()
    events = []

    def run(command):
        events.append(CommandEvents(world.state.sequence + 1, world.now_ns, world.run(command)))

    run(world.call((PUT, 700, 5, 900, 5), (CALL, 1_000, 10, 2_000, 10), digest=b"\x0d" * 32))
    run(world.order(3, BUY, 2_000, 4, CALL, digest=b"\x02" * 32))
    run(world.order(3, SELL, 1_000, 6, CALL, digest=b"\x03" * 32))
    run(BatchCut())
    assembler = BatchAssembler.resume(
        sequence=events[0].sequence - 1, next_batch=world.state.batch.number - 1, units={CALL: 10_000}, refs={}
    )
    batches = []
    for item in events:
        assembler = BatchAssembler.load(assembler.dump())
        batches += assembler.take(item)
    rows = {(row.kind, row.ref): row.position_lots for row in batches[0].input.order_fills}
    assert rows == {
        (OrderKind.QUOTE, keccak256(b"\x0d" * 32 + b"\x01\x01")): -4,
        (OrderKind.QUOTE, keccak256(b"\x0d" * 32 + b"\x01\x00")): 6,
        (OrderKind.ORDER, b"\x02" * 32): 4,
        (OrderKind.ORDER, b"\x03" * 32): -6,
    }


def test_fills_behind_a_signed_amendment_belong_to_its_digest():
    """The order's number stays, the reference of its fills changes from there on, also over a restart."""
    world = World().open()
    events = []

    def run(command):
        events.append(CommandEvents(world.state.sequence + 1, world.now_ns, world.run(command)))
        return events[-1].events

    number = run(world.order(2, BUY, 600_000, 10, digest=b"\x01" * 32))[0].order
    run(world.order(3, SELL, 600_000, 4, digest=b"\x02" * 32))
    run(SignedAmend(target_order=number, order=world.order(2, BUY, 600_010, 10, digest=b"\x03" * 32)))
    run(world.order(3, SELL, 600_000, 6, digest=b"\x04" * 32))
    run(BatchCut())
    assembler = BatchAssembler.resume(
        sequence=events[0].sequence - 1, next_batch=world.state.batch.number - 1, units={PERP: 100}, refs={}
    )
    batches = []
    for item in events:
        assembler = BatchAssembler.load(assembler.dump())
        batches += assembler.take(item)
    assert [(fill.quantity_lots, fill.buyer_ref) for fill in batches[0].input.fills] == [
        (4, b"\x01" * 32),
        (6, b"\x03" * 32),
    ]


def test_fills_of_an_uncross_have_their_buyer_and_their_seller():
    """Nobody took, and both orders are leaves with the auction's price and the maker's fee."""
    world = World().open()
    assembler = BatchAssembler.resume(
        sequence=world.state.sequence, next_batch=world.state.batch.number, units={PERP: 100}, refs={}
    )
    batches = []
    for command in (
        SetPhase(instrument=PERP, phase=Phase.AUCTION, deadline_ns=world.now_ns + 60 * 10**9),
        world.order(3, SELL, 599_900, 10, digest=b"\x03" * 32),
        world.order(2, BUY, 600_100, 10, digest=b"\x02" * 32),
        SetPhase(instrument=PERP, phase=Phase.CONTINUOUS),
        BatchCut(),
    ):
        events = world.run(command)
        batches += assembler.take(CommandEvents(world.state.sequence, world.now_ns, events))
    (fill,) = batches[0].input.fills
    assert (fill.buyer, fill.seller, fill.buyer_ref, fill.seller_ref) == (2, 3, b"\x02" * 32, b"\x03" * 32)
    assert (fill.notional_e6, fill.buyer_fee_e6, fill.seller_fee_e6) == (600_000_000, 60_000, 60_000)


def test_a_liquidation_is_explained_by_leaves_that_nobody_signed():
    """An order, a deleveraging and a payment of the fund: settlement takes the batch, and the ledger is the engine."""
    world, events = liquidated()
    assembler, ledger = BatchAssembler(), LedgerState()
    leaves, rounds = [], []
    for item in events:
        assembler = BatchAssembler.load(assembler.dump())
        for batch in assembler.take(item):
            build_batch(ledger, batch.input)
            leaves += [(row.kind, row.account, row.ref[0]) for row in batch.input.order_fills]
            rounds.append((batch.input.opening.round_number, batch.input.opening.rows.get(PERP)))
    own = [row for row in leaves if row[0] is not OrderKind.ORDER]
    kinds = OrderKind
    assert own == [
        (kinds.LIQUIDATION, 2, kinds.LIQUIDATION),
        (kinds.ADL, 3, kinds.ADL),
        (kinds.LIQUIDATION, 2, kinds.ADL),
        (kinds.FUND, 2, kinds.FUND),
    ]
    # The first trade names its mark, and each batch with such leaves the very marks that they are judged by.
    assert rounds == [
        (1, MarkRow(mark_e6=60_000_000)),
        (2, MarkRow(mark_e6=58_100_000)),
        (3, MarkRow(mark_e6=55_000_000)),
    ]
    assert ledger.accounts == ledger_of(world.state, match_to_s=0).accounts


def liquidated():
    """Account 2 is closed on the book in part; then prices fall through it, the fund pays, account 3 gives up."""
    world, events = World(config=EngineConfig(short_move_ppm=900_000, long_move_ppm=900_000)), []
    run = world.run

    def listen(command, **fields):
        found = run(command, **fields)
        events.append(CommandEvents(world.state.sequence, world.now_ns, found))
        return found

    world.run = listen
    world.open(accounts=0)
    for account, amount in ((0, 500), (2, 3_000), (3, 10**6), (4, 10**6)):
        world.deposit(account, amount * E6)
    signed = iter(range(1, 9))

    def place(account, side, price, lots):
        world.place(account, side, price, lots, digest=next(signed).to_bytes(32, "little"))

    place(3, SELL, 600_000, 1_000)
    place(2, BUY, 600_000, 1_000)
    place(4, BUY, 580_990, 100)
    world.prices(58_100)
    world.clock()
    world.prices(55_000)
    world.clock(1)
    world.run_cut()
    return world, events
