"""Expiry: the index averaged over the last half hour, options paid in cash to the unit, nothing delisted while held."""

from typing import Any

import msgspec
import pytest

from exchange.domain.commands import (
    ChainRequestKind,
    ExpiryRow,
    ListInstrument,
    MarkRow,
    SetPrices,
    UnderlyingRow,
)
from exchange.domain.events import BatchClosed, CommandRefused, Event, OrderClosed
from exchange.domain.ids import CLEARING_ACCOUNT
from exchange.domain.packing import pack_command, unpack_commands
from exchange.domain.result_codes import CloseReason, ResultCode
from exchange.domain.rounds import (
    DelistInstrument,
    ExpirySettled,
    FundingPaid,
    FundingRow,
    InstrumentDelisted,
    InstrumentSettled,
    OracleRound,
    PositionExpired,
    SettlementRow,
)
from exchange.domain.views import ExpiryView, GetExpiries, GetInstruments, GetSummary, SummaryView
from exchange.engine import expiry as expiry_module
from exchange.engine.config import EngineConfig
from exchange.engine.queries import answer
from exchange.engine.snapshot import dump, load
from exchange.engine.state_hash import state_hash
from matching_core import OrderBook
from tests.unit.exchange.engine.world import BUY, CALL, E6, PERP, PUT, SECOND_NS, SELL, START_S, World, instruments

E9 = 10**9
END_S = START_S + 100
NEAR_CALL, NEAR_PUT = 4, 5
WINDOW_S = 10
CONFIG = EngineConfig(settlement_window_ns=WINDOW_S * SECOND_NS)
NEAR = {NEAR_CALL: (1, 59_000), NEAR_PUT: (2, 62_000)}
"""A call struck at 59,000 and a put struck at 62,000 that end after 100 s; lots of 0.01."""


def near(number: int) -> ListInstrument:
    """Listing of a near option."""
    like, strike = NEAR[number]
    changes = {"instrument_id": number, "name": f"NEAR-{number}", "expiry_s": END_S, "strike_e9": strike * E9}
    return ListInstrument(instrument=msgspec.structs.replace(instruments()[like], **changes))


def opened(config: EngineConfig = CONFIG, *, accounts: int = 4) -> World:
    """A small market with the near options, priced."""
    world = World(config=config).open(accounts=accounts)
    for number in NEAR:
        world.run(near(number))
    index(world, 60_000, marks=(MarkRow(NEAR_CALL, 1_500 * E9), MarkRow(NEAR_PUT, 2_500 * E9)))
    return world


def held(config: EngineConfig = CONFIG) -> World:
    """Account 2 holds 10 calls and 3 puts, 3 wrote the calls, 4 the puts."""
    world = opened(config)
    for number, lots, writer, price in ((NEAR_CALL, 10, 3, 1_500), (NEAR_PUT, 3, 4, 2_500)):
        world.place(2, BUY, price, lots, number)
        world.place(writer, SELL, price, lots, number)
    world.run_cut()
    return world


def index(world: World, price: int, *, at_s: float = 0, marks: tuple[MarkRow, ...] = ()) -> list[Event]:
    """A round of prices with this index, at a second behind the start (0: a millisecond later)."""
    world.round += 1
    after_ns = int(at_s * SECOND_NS) + START_S * SECOND_NS - world.now_ns if at_s else 1_000_000
    rows = (UnderlyingRow("BTC", price * E9),)
    return world.run(SetPrices(round=world.round, underlyings=rows, marks=marks), after_ns=after_ns)


def settle(world: World, price: int = 0, *, at_s: float = 0, expiry_s: int = END_S) -> list[Event]:
    """An oracle round, with governance's price where one is given."""
    rows = (SettlementRow("BTC", expiry_s, price * E9),) if price else ()
    after_ns = int(at_s * SECOND_NS) + START_S * SECOND_NS - world.now_ns if at_s else 1_000_000
    return world.run(OracleRound(round=world.state.oracle_round + 1, settlements=rows), after_ns=after_ns)


def end_orders(world: World, at_s: int = 100) -> list[Event]:
    """The Clock within a second behind a time, which ends the orders of what expired."""
    seconds = START_S + at_s - world.now_ns / SECOND_NS
    return world.clock(int(seconds) + 1)


def of(events: list[Event], kind: type) -> list[Any]:
    """The events of one kind."""
    return [event for event in events if isinstance(event, kind)]


def averaged(*prices: tuple[float, int]) -> World:
    """A held market whose index had these prices at these seconds, just behind the expiry."""
    world = held()
    for at_s, price in prices:
        index(world, price, at_s=at_s)
    end_orders(world)
    return world


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (SettlementRow("ETH", END_S, E9), "no such chain"),
        (SettlementRow("BTC", END_S + 1, E9), "no such expiry"),
        (SettlementRow("BTC", END_S, 0), "no price"),
        (SettlementRow("BTC", END_S, 1 << 63), "a price beyond money"),
    ],
)
def test_a_settlement_row_that_fits_nothing_refuses_the_round(row: SettlementRow, why: str) -> None:
    """Nothing of the round happens."""
    world = averaged((50, 60_000))
    (event,) = world.run(OracleRound(round=1, settlements=(row,)))
    assert event == CommandRefused(code=ResultCode.PRICE_INVALID, detail=1), why
    assert world.state.oracle_round == 0


def test_governance_cannot_settle_early_nor_twice() -> None:
    """Before the end of the expiry, in one round twice, or once more, a row is refused."""
    world = held()
    assert of(settle(world, 60_000), CommandRefused)
    end_orders(world)
    row = SettlementRow("BTC", END_S, 60_000 * E9)
    assert of(world.run(OracleRound(round=1, settlements=(row, row))), CommandRefused)
    assert of(settle(world, 60_000), ExpirySettled)
    assert of(settle(world, 60_000), CommandRefused)


def test_governance_cannot_override_an_average() -> None:
    """Where the samples suffice, no other price is taken."""
    world = averaged(*((second, 60_000) for second in range(88, 101)))
    assert of(settle(world, 61_000), CommandRefused)
    (event,) = of(settle(world), ExpirySettled)
    assert event.price_e9 == 60_000 * E9


def test_without_samples_an_expiry_waits() -> None:
    """Until governance decides; its price is marked as disputed and as covered by nothing."""
    world = averaged((50, 60_000))
    assert of(settle(world), ExpirySettled) == []
    (event,) = of(settle(world, 60_500), ExpirySettled)
    assert event == ExpirySettled(
        underlying="BTC", expiry_s=END_S, price_e9=60_500 * E9, covered_ns=0, is_disputed=True
    )


def test_an_expiry_that_is_not_over_is_left_alone() -> None:
    """Rounds before it settle nothing."""
    world = held()
    index(world, 60_000, at_s=99)
    assert of(settle(world), ExpirySettled) == []


def test_each_price_counts_for_as_long_as_it_held() -> None:
    """61,000 for four seconds, 60,000 for six: 60,400; what came before the window or after the end counts nothing."""
    world = held()
    for at_s, price in ((82, 90_000), (90, 61_000), (94, 60_000)):
        index(world, price, at_s=at_s)
    index(world, 10_000, at_s=100)
    end_orders(world)
    (event,) = of(settle(world), ExpirySettled)
    assert event == ExpirySettled(
        underlying="BTC", expiry_s=END_S, price_e9=60_400 * E9, covered_ns=WINDOW_S * E9, is_disputed=False
    )


def test_a_window_with_a_gap_reaches_back_and_is_disputed() -> None:
    """A price holds ten seconds at most; with less than nine of ten covered, older samples are taken."""
    config = msgspec.structs.replace(CONFIG, index_life_ns=4 * SECOND_NS)
    world = held(config)
    for at_s, price in ((84, 59_000), (88, 60_000), (96, 61_000)):
        index(world, price, at_s=at_s)
    end_orders(world)
    (event,) = of(settle(world), ExpirySettled)
    # 61,000 for 4 s, a gap of 4, 60,000 for 4 s, and one second of 59,000.
    assert event.price_e9 == (61_000 * 4 + 60_000 * 4 + 59_000) * E9 // 9
    assert (event.covered_ns, event.is_disputed) == (9 * SECOND_NS, True)


def test_samples_are_kept_for_twice_the_window_only() -> None:
    """And for no expiry that is settled."""
    world = held()
    for second in range(1, 100):
        index(world, 60_000, at_s=second)
    rows = world.state.samples["BTC"]
    assert len(rows) == 19
    assert rows[0].end_ns > (END_S - 2 * WINDOW_S) * SECOND_NS
    end_orders(world)
    settle(world)
    index(world, 60_000)
    index(world, 60_000)
    assert world.state.samples["BTC"] == []


def test_orders_end_before_an_expiry_is_settled() -> None:
    """A round that comes ahead of the Clock leaves the expiry to the next one."""
    world = held()
    world.place(3, BUY, 1_000, 5, NEAR_CALL)
    for second in range(88, 100):
        index(world, 60_000, at_s=second)
    assert of(settle(world, at_s=101), ExpirySettled) == []
    (closed,) = of(world.clock(), OrderClosed)
    assert closed.reason is CloseReason.INSTRUMENT_EXPIRED
    assert of(settle(world), ExpirySettled)


def test_every_position_becomes_cash() -> None:
    """At 60,400 a call struck at 59,000 pays 1,400, a put struck at 62,000 pays 1,600; longs get what shorts pay."""
    world = averaged((90, 61_000), (94, 60_000))
    cash = {index: account.ledger_cash_e6 for index, account in world.state.accounts.items()}
    events = settle(world)
    assert [(event.instrument, event.value_e12, event.position_count) for event in of(events, InstrumentSettled)] == [
        (NEAR_CALL, 14 * 10**12, 2),
        (NEAR_PUT, 16 * 10**12, 2),
    ]
    paid = [
        (event.subaccount, event.instrument, event.position_lots, event.amount_e6)
        for event in of(events, PositionExpired)
    ]
    assert paid == [
        (2, NEAR_CALL, 10, 140 * E6),
        (2, NEAR_PUT, 3, 48 * E6),
        (3, NEAR_CALL, -10, -140 * E6),
        (4, NEAR_PUT, -3, -48 * E6),
    ]
    assert [event.realized_pnl_e6 for event in of(events, PositionExpired)] == [-10 * E6, -27 * E6, 10 * E6, 27 * E6]
    moved = {index: account.ledger_cash_e6 - cash[index] for index, account in world.state.accounts.items()}
    assert (moved[2], moved[3], moved[4], moved[CLEARING_ACCOUNT]) == (188 * E6, -140 * E6, -48 * E6, 0)
    assert all(number not in account.positions for account in world.state.accounts.values() for number in NEAR)


def test_a_payoff_that_is_no_whole_unit_rounds_against_both_sides() -> None:
    """The clearing account keeps what rounding leaves."""
    world = held()
    for at_s, price in ((90, 61_000), (97, 60_000)):
        index(world, price, at_s=at_s)
    rows = world.state.samples["BTC"]
    rows[-1] = msgspec.structs.replace(rows[-1], price=rows[-1].price + 123)
    end_orders(world)
    events = settle(world)
    (call, _) = of(events, InstrumentSettled)
    assert call.value_e12 % E6
    assert world.state.accounts[CLEARING_ACCOUNT].ledger_cash_e6 == 2
    assert sum(account.ledger_cash_e6 for account in world.state.accounts.values()) == world.state.collateral_e6


def test_options_out_of_the_money_pay_nothing() -> None:
    """They are gone all the same."""
    world = averaged((50, 60_000))
    events = settle(world, 58_000)
    assert [event.amount_e6 for event in of(events, PositionExpired) if event.instrument == NEAR_CALL] == [0, 0]
    assert world.state.position_sums[NEAR_CALL] == 0


def test_payoffs_begin_a_batch() -> None:
    """What was open is closed before the round; its accounts are not those of the payoffs."""
    world = averaged((50, 60_000))
    world.repeat_prices()
    world.place(4, BUY, 600_000, 10)
    world.place(5, SELL, 600_000, 10)
    events = settle(world, 60_000)
    assert isinstance(events[0], BatchClosed)
    assert len(of(events, BatchClosed)) == 1
    assert dict(world.state.batch.cash_e6) == {2: 0, 3: 0, 4: 0}


def test_a_batch_of_payoffs_alone_can_be_cut() -> None:
    """It has content, though no fill and no request."""
    world = averaged((50, 60_000))
    settle(world, 60_000)
    summary = answer(world.state, GetSummary())
    assert isinstance(summary, SummaryView)
    assert (summary.open_batch_fill_count, summary.open_batch_expired_count) == (0, 4)
    assert sorted(world.state.batch.cash_e6) == [2, 3, 4]
    assert isinstance(world.run_cut()[0], BatchClosed)


def test_payoffs_pass_no_cap_of_a_batch() -> None:
    """With place for two accounts the third holder opens another batch."""
    world = averaged((50, 60_000))
    world.state.config = msgspec.structs.replace(world.state.config, batch_accounts_max=2)
    kinds = [type(event) for event in settle(world, 60_000) if isinstance(event, BatchClosed | PositionExpired)]
    assert kinds == [PositionExpired] * 3 + [BatchClosed, PositionExpired]


def test_a_command_pays_whole_instruments_and_leaves_the_rest_to_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """With room for one position the put waits; the engine asks for a Clock at once."""
    monkeypatch.setattr(expiry_module, "MAX_EXPIRED_PER_COMMAND", 1)
    world = averaged((50, 60_000))
    assert [event.instrument for event in of(settle(world, 60_000), InstrumentSettled)] == [NEAR_CALL]
    assert world.state.next_deadline_ns() == world.now_ns
    again = load(dump(world.state), OrderBook, world.state.config, type(world.state))
    assert again.work_pending()
    first, *_ = events = world.clock()
    assert isinstance(first, BatchClosed)
    assert [event.instrument for event in of(events, InstrumentSettled)] == [NEAR_PUT]
    assert not world.state.work_pending()


def test_holders_pay_their_funding_with_it() -> None:
    """The batch lists them, so the ledger charges their perpetuals too; nobody else's."""
    world = held()
    world.place(2, BUY, 600_000, 100)
    world.place(5, SELL, 600_000, 100)
    world.run(OracleRound(round=1, funding=(FundingRow(PERP, 28_800_000),)))
    for at_s in (95, 96, 97):
        index(world, 60_000, at_s=at_s)
    end_orders(world)
    events = settle(world, 60_000)
    assert [event.subaccount for event in of(events, FundingPaid)] == [2]


def test_expired_positions_free_their_margin() -> None:
    """A writer can take out what the option had tied up."""
    world = averaged((50, 60_000))
    before = world.request(ChainRequestKind.WITHDRAW, 3, amount_e6=10**15)
    settle(world, 60_000)
    world.run_cut()
    after = world.request(ChainRequestKind.WITHDRAW, 3, amount_e6=10**15)
    assert before[-1].approved_e6 > 0  # type: ignore[union-attr]
    assert after[-1].approved_e6 > 0  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (99, ResultCode.INSTRUMENT_NOT_FOUND),
        (PERP, ResultCode.INSTRUMENT_LIVE),
        (CALL, ResultCode.INSTRUMENT_LIVE),
        (NEAR_PUT, ResultCode.OPEN_INTEREST),
    ],
)
def test_what_lives_or_is_held_is_not_delisted(number: int, code: ResultCode) -> None:
    """Unknown, live, then held: the first failing check answers."""
    world = averaged((50, 60_000))
    (event,) = world.run(DelistInstrument(instrument=number))
    assert event == CommandRefused(code=code, detail=number)


def test_an_expired_instrument_without_holders_is_delisted_once() -> None:
    """It leaves the list of instruments, over a restart too."""
    world = averaged((50, 60_000))
    settle(world, 60_000)
    assert world.run(DelistInstrument(instrument=NEAR_PUT)) == [InstrumentDelisted(instrument=NEAR_PUT)]
    (again,) = world.run(DelistInstrument(instrument=NEAR_PUT))
    assert again == CommandRefused(code=ResultCode.INSTRUMENT_NOT_FOUND, detail=NEAR_PUT)
    for state in (world.state, load(dump(world.state), OrderBook, world.state.config, type(world.state))):
        listed = answer(state, GetInstruments())
        assert isinstance(listed, tuple)
        assert [row.instrument_id for row in listed] == [CALL, PUT, NEAR_CALL, PERP]
        gone = answer(state, GetInstruments(is_delisted=True))
        assert isinstance(gone, tuple)
        assert [row.instrument_id for row in gone] == [NEAR_PUT]
        expected = ExpiryView(underlying="BTC", expiry_s=END_S, price_e9=60_000 * E9, is_paid=True)
        assert answer(state, GetExpiries()) == (expected,)


def test_a_snapshot_keeps_samples_and_settled_expiries() -> None:
    """Loaded before or after the settlement, the state goes on alike."""
    world = averaged((90, 61_000), (94, 60_000))
    for _ in range(2):
        again = load(dump(world.state), OrderBook, world.state.config, type(world.state))
        assert state_hash(again) == state_hash(world.state)
        other = World()
        other.state, other.now_ns = again, world.now_ns
        assert settle(other) == settle(world)
        assert state_hash(again) == state_hash(world.state)


@pytest.mark.parametrize(
    "command",
    [OracleRound(round=1, settlements=(SettlementRow("BTC", 5, 7),)), DelistInstrument(instrument=3)],
)
def test_the_commands_survive_their_packing(command: OracleRound | DelistInstrument) -> None:
    """Record and attachments give them back."""
    assert list(unpack_commands(*pack_command(command))) == [command]


def test_forwards_do_not_settle_anything() -> None:
    """The average is of the index."""
    world = averaged(*((second, 60_000) for second in range(88, 101)))
    world.round += 1
    world.run(SetPrices(round=world.round, expiries=(ExpiryRow("BTC", END_S, 70_000 * E9),)))
    (event,) = of(settle(world), ExpirySettled)
    assert event.price_e9 == 60_000 * E9
