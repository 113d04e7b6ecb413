"""Mass quotes: refused as a whole or side by side, replaced, kept, pulled; one reserve per group."""

from typing import Any

import pytest

from exchange.domain.commands import (
    Amend,
    CancelMany,
    ChainRequestKind,
    OrderFlag,
    SessionClose,
    SessionOpen,
    SignedAmend,
    Trigger,
    TriggerKind,
)
from exchange.domain.events import BookLevel, OrderAmended, OrderClosed
from exchange.domain.ids import order_number
from exchange.domain.limits import MAX_QUOTE_LINES
from exchange.domain.quote_events import MassQuoted
from exchange.domain.result_codes import CloseReason, ResultCode
from exchange.domain.views import GetAccount
from exchange.engine.config import EngineConfig
from exchange.engine.queries import answer
from exchange.engine.snapshot import dump, load
from exchange.engine.state_hash import state_hash
from tests.unit.exchange.engine.quoting import (
    GROUP,
    MAKER,
    PERP_LOT_E9,
    QuoteWorld,
    closed,
    code_of,
    kept,
    placed,
    refused,
)
from tests.unit.exchange.engine.world import BUY, CALL, E6, PERP, PUT, SECOND_NS, SELL, owner, refusal, trades

KEY = b"\x77" * 20
LINE = (CALL, 1_000, 10, 2_000, 10)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"subaccount": 99}, ResultCode.SUBACCOUNT_NOT_FOUND),
        ({"signer": KEY}, ResultCode.SIGNER_UNKNOWN),
        ({"session": 9}, ResultCode.SESSION_MISSING),
        ({"expiry_s": 1}, ResultCode.BAD_SIGNATURE_EXPIRY),
        ({"nonce": 1}, ResultCode.NONCE_OUTSIDE_WINDOW),
        ({"mmp_group": 8}, ResultCode.MMP_PRECONDITION),
        ({"session": 0}, ResultCode.MMP_PRECONDITION),
    ],
)
def test_a_call_without_authority_or_group_is_refused_whole(fields: dict[str, Any], expected: ResultCode) -> None:
    """Authority, life and nonce as of an order; then the group, and a session that cancels on disconnect."""
    world = QuoteWorld().open_maker()
    events = world.quote(LINE, **fields)
    assert code_of(events) is expected
    assert len(events) == 1


def test_lines_are_one_to_64_and_each_of_another_instrument() -> None:
    """Nothing, too many, or the same instrument twice is no mass quote."""
    world = QuoteWorld().open_maker()
    many = [(100 + number, 1, 1, 2, 1) for number in range(MAX_QUOTE_LINES + 1)]
    for lines in ([], [LINE, LINE], many):
        assert code_of(world.quote(*lines)) is ResultCode.PARAMETER_INVALID


def test_a_key_needs_the_scope_of_every_kind_of_line() -> None:
    """A key for options may not quote the perpetual beside them."""
    world = QuoteWorld().open_maker()
    life_s = world.now_ns // SECOND_NS + 9_000
    world.request(ChainRequestKind.SET_KEY, MAKER, owner=owner(MAKER), key=KEY, valid_to_s=life_s, scopes=1 << 6)
    assert code_of(world.quote(LINE, (PERP, 1, 1, 2, 1), signer=KEY)) is ResultCode.SCOPE_MISSING
    assert len(placed(world.quote(LINE, signer=KEY))) == 2


def test_a_group_without_a_quantity_limit_takes_no_quotes() -> None:
    """Nothing would bound what its quotes reserve."""
    world = QuoteWorld().open_maker(quantity_lots=0, count=5)
    assert code_of(world.quote(LINE)) is ResultCode.MMP_PRECONDITION


def test_a_call_that_was_refused_behind_its_nonce_has_spent_it() -> None:
    """The same signature cannot come again, for whatever reason it failed."""
    world = QuoteWorld().open_maker()
    call = world.call(LINE, session=0)
    assert code_of(world.run(call)) is ResultCode.MMP_PRECONDITION
    assert code_of(world.run(call)) is ResultCode.NONCE_USED


def test_the_reserve_of_the_group_is_checked_once_for_all_lines() -> None:
    """Limit x index x 15 %: 100 lots of 0.01 BTC at 60,000 reserve 9,000 USDC, whatever the quotes say."""
    world = QuoteWorld().open_maker()
    world.deposit(9, 8_999 * E6)
    world.deposit(10, 9_000 * E6)
    for account, expected in ((9, ResultCode.INSUFFICIENT_MARGIN), (10, ResultCode.OK)):
        world.config(subaccount=account)
        lines = (CALL, 1, 90_000, 900_000, 90_000), (PUT, 1, 90_000, 900_000, 90_000)
        session = open_session(world, account)
        assert code_of(world.quote(*lines, subaccount=account, session=session)) is expected


def open_session(world: QuoteWorld, account: int) -> int:
    """A session of another account."""
    world.run(SessionOpen(owner=owner(account), signer=owner(account)))
    return world.state.session_count


def test_what_quotes_reserve_is_missing_for_other_orders_until_they_are_gone() -> None:
    """The reserve counts while one quote rests, in checks and in the account's view."""
    world = QuoteWorld().open_maker()
    before = answer(world.state, GetAccount(subaccount=MAKER))
    world.quote(LINE)
    during = answer(world.state, GetAccount(subaccount=MAKER))
    assert during.open_orders_requirement_e6 - before.open_orders_requirement_e6 == 9_000 * E6
    # One BTC of calls at 94,000, and 18 of fees, leave less than 9,000 of 100,000 USDC.
    assert refusal(world.place(MAKER, BUY, 94_000, 100, CALL)) is ResultCode.INSUFFICIENT_MARGIN
    world.quote((CALL, 0, 0, 0, 0))
    assert refusal(world.place(MAKER, BUY, 94_000, 100, CALL)) is ResultCode.OK


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ((99, 1, 1, 2, 1), [(0, ResultCode.INSTRUMENT_NOT_FOUND), (1, ResultCode.INSTRUMENT_NOT_FOUND)]),
        ((CALL, 0, 1, 2_000, 1), [(0, ResultCode.BAD_PRICE)]),
        ((CALL, 1_000, 1, 1_000_001, 1), [(1, ResultCode.BAD_PRICE)]),
        ((CALL, 1_000, 1_000_001, 2_000, 1), [(0, ResultCode.BAD_AMOUNT)]),
        ((CALL, 2_000, 1, 2_000, 1), [(0, ResultCode.BAD_PRICE), (1, ResultCode.BAD_PRICE)]),
        ((PERP, 1, 1, 900_000, 1), [(0, ResultCode.MMP_PRECONDITION), (1, ResultCode.MMP_PRECONDITION)]),
        ((PUT, 800, 1, 1_000, 1), [(0, ResultCode.POST_ONLY_WOULD_CROSS)]),
    ],
)
def test_a_bad_side_is_refused_alone(line: tuple[int, ...], expected: list[tuple[int, ResultCode]]) -> None:
    """Other sides of the call rest: those of the same line, and of the next ones."""
    world = QuoteWorld().open_maker()
    world.place(3, SELL, 800, 5, PUT)
    events = world.quote(line, LINE if line[0] != CALL else (PUT, 1, 1, 0, 0))
    assert refused(events) == expected
    assert len(placed(events)) + len(expected) == (4 if line[0] != CALL else 3)


POOR = ResultCode.INSUFFICIENT_MARGIN


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ((CALL, 9_001, 1, 40_000, 1), [(0, POOR)]),
        ((CALL, 9_000, 1, 40_000, 1), []),
        ((CALL, 100, 1, 30_999, 1), [(1, POOR)]),
        ((CALL, 100, 1, 31_000, 1), []),
        ((PERP, 666_001, 1, 700_000, 1), [(0, POOR)]),
        ((PERP, 666_000, 1, 700_000, 1), []),
        ((PERP, 500_000, 1, 533_999, 1), [(1, POOR)]),
        ((PERP, 500_000, 1, 534_000, 1), []),
    ],
)
def test_a_side_that_costs_more_than_its_group_reserves_is_refused(
    line: tuple[int, ...], expected: list[tuple[int, ResultCode]]
) -> None:
    """15 % of 60,000: a bid for an option all of its price, an ask below its mark, a perpetual 11 % off its mark."""
    world = QuoteWorld().open_maker(lot_e9=PERP_LOT_E9) if line[0] == PERP else QuoteWorld().open_maker()
    world.prices(call=40_000)
    assert refused(world.quote(line)) == expected


def test_a_fill_of_a_dear_quote_leaves_what_was_reserved() -> None:
    """At the dearest bid that is taken the maker pays what his group reserved, and the fee."""
    world = QuoteWorld().open_maker(quantity_lots=100)
    world.prices(call=40_000)
    before_e6 = world.state.accounts[MAKER].ledger_cash_e6
    assert placed(world.quote((CALL, 9_000, 100, 40_000, 0)))
    assert trades(world.place(4, SELL, 9_000, 100, CALL))
    fee_e6 = before_e6 - 9_000 * E6 - world.state.accounts[MAKER].ledger_cash_e6
    assert 0 <= fee_e6 <= 18 * E6


def test_a_side_refused_by_the_checks_keeps_its_predecessor_one_refused_by_the_book_does_not() -> None:
    """A price off the scale changes nothing; a crossing one has pulled the old quote before the book saw it."""
    world = QuoteWorld().open_maker()
    world.quote(LINE)
    assert closed(world.quote((CALL, 0, 5, 0, 0))) == [(order_number(sequence=world.state.sequence - 1, line=1), 1)]
    assert len(world.state.open_orders) == 1
    world.place(3, SELL, 1_500, 5, CALL)
    events = world.quote((CALL, 1_500, 5, 0, 0))
    assert [reason for _, reason in closed(events)] == [CloseReason.REPLACED]
    assert refused(events) == [(0, ResultCode.POST_ONLY_WOULD_CROSS)]
    assert next(event for event in events if hasattr(event, "side") and hasattr(event, "code")).price_ticks == 1_500


def test_more_sides_than_open_orders_are_allowed_are_refused() -> None:
    """A side in place of another needs no room."""
    world = QuoteWorld(config=EngineConfig(open_orders_max=3)).open_maker()
    events = world.quote(LINE, (PUT, 1, 1, 900, 1))
    assert refused(events) == [(3, ResultCode.TOO_MANY_OPEN_ORDERS)]
    assert refused(world.quote((CALL, 1_001, 10, 2_001, 10))) == []


def test_quotes_count_for_the_positions_they_may_open() -> None:
    """The second instrument is one too many, by a quote as by an order."""
    world = QuoteWorld(config=EngineConfig(positions_max=1)).open_maker()
    events = world.quote(LINE, (PUT, 1, 1, 900, 1))
    assert [code for _, code in refused(events)] == [ResultCode.TOO_MANY_POSITIONS] * 2
    assert refusal(world.place(MAKER, BUY, 1, 1, PUT)) is ResultCode.TOO_MANY_POSITIONS


def test_an_unsigned_call_pulls_and_shrinks_but_places_nothing() -> None:
    """What makes less of a signed quote needs no new signature."""
    world = QuoteWorld().open_maker()
    world.quote(LINE, (PUT, 700, 10, 900, 10))
    unsigned = {"signer": b"", "digest": b"", "signature": b"", "session": 0, "nonce": 0, "expiry_s": 0}
    events = world.quote((CALL, 1_000, 4, 0, 0), (PUT, 700, 11, 901, 10), **unsigned)
    assert kept(events) == [0]
    assert refused(events) == [(2, ResultCode.SIGNER_UNKNOWN), (3, ResultCode.SIGNER_UNKNOWN)]
    assert len(world.state.open_orders) == 3


def test_a_quote_is_numbered_by_its_command_line_and_side() -> None:
    """2 * line + side is the last byte; the header of the call says what it was signed with."""
    world = QuoteWorld().open_maker()
    events = world.quote(LINE, (PUT, 700, 10, 900, 10))
    sequence = world.state.sequence
    assert [event.order for event in placed(events)] == [
        order_number(sequence=sequence, line=line) for line in range(4)
    ]
    (head,) = [event for event in events if isinstance(event, MassQuoted)]
    assert (head.mmp_group, head.digest) == (GROUP, b"\x0d" * 32)
    assert events[0] is head


def test_a_quote_takes_the_place_of_the_one_on_its_instrument_and_side() -> None:
    """Cancels first, then placements, in input order; nothing needs the old number."""
    world = QuoteWorld().open_maker()
    world.quote(LINE, (PUT, 700, 10, 900, 10))
    first = world.state.sequence
    events = world.quote((PUT, 701, 10, 901, 10), (CALL, 1_001, 10, 2_001, 10))
    old = [order_number(sequence=first, line=line) for line in range(4)]
    assert [number for number, _ in closed(events)] == [old[2], old[3], old[0], old[1]]
    assert [event.replaces for event in placed(events)] == [old[2], old[3], old[0], old[1]]
    kinds = [type(event) for event in events if not isinstance(event, BookLevel)]
    assert kinds == [MassQuoted] + [OrderClosed] * 4 + [type(placed(events)[0])] * 4


def test_an_equal_price_and_no_more_lots_keep_number_and_priority() -> None:
    """Unchanged: nothing but the answer; smaller: amended in place; larger: a new quote at the back."""
    world = QuoteWorld().open_maker()
    world.quote((CALL, 0, 0, 2_000, 10))
    world.place(3, SELL, 2_000, 10, CALL)
    assert [type(event) for event in world.quote((CALL, 0, 0, 2_000, 10))][1:] == [type(kept_event(world))]
    events = world.quote((CALL, 0, 0, 2_000, 6))
    assert [event.remaining_lots for event in events if isinstance(event, OrderAmended)] == [6]
    assert [trade.maker.subaccount for trade in trades(world.place(4, BUY, 2_000, 7, CALL))] == [MAKER, 3]
    world.quote((CALL, 0, 0, 2_000, 6))
    events = world.quote((CALL, 0, 0, 2_000, 7))
    assert len(placed(events)) == 1
    assert [trade.maker.subaccount for trade in trades(world.place(4, BUY, 2_000, 10, CALL))] == [3, MAKER]


def kept_event(world: QuoteWorld) -> object:
    """An event of a quote that stays."""
    return world.quote((CALL, 0, 0, 2_000, 10))[1]


def test_what_a_fill_left_may_be_kept() -> None:
    """The size of a line is what shall be open, not a total."""
    world = QuoteWorld().open_maker()
    world.quote((CALL, 0, 0, 2_000, 10))
    world.place(3, BUY, 2_000, 4, CALL)
    assert kept(world.quote((CALL, 0, 0, 2_000, 6))) == [1]
    assert len(placed(world.quote((CALL, 0, 0, 2_000, 7)))) == 1


def test_quotes_of_two_groups_stand_side_by_side() -> None:
    """One quote per side, instrument and group."""
    world = QuoteWorld().open_maker()
    world.config(mmp_group=8, lot_e9=PERP_LOT_E9)
    world.config(mmp_group=9)
    world.quote(LINE)
    assert len(placed(world.quote(LINE, mmp_group=9))) == 2
    assert len(placed(world.quote((PERP, 590_000, 5, 610_000, 5), mmp_group=8))) == 2
    assert len(world.state.open_orders) == 6


def test_quotes_end_with_their_session_and_by_group() -> None:
    """Cancel-on-disconnect is not an option of quotes; a cancel may name a group."""
    world = QuoteWorld().open_maker()
    world.quote(LINE)
    world.place(MAKER, BUY, 900, 1, CALL)
    events = world.run(CancelMany(subaccount=MAKER, mmp_group=GROUP))
    assert [reason for _, reason in closed(events)] == [CloseReason.USER_REQUEST] * 2
    world.quote(LINE)
    events = world.run(SessionClose(session=1))
    assert [reason for _, reason in closed(events)] == [CloseReason.CANCEL_ON_DISCONNECT] * 2
    assert len(world.state.open_orders) == 1


def test_only_a_mass_quote_changes_what_a_quote_was_signed_for() -> None:
    """Its size may be lowered by number; a signed amendment is another kind of signature."""
    world = QuoteWorld().open_maker()
    number = placed(world.quote(LINE))[0].order
    other = world.order(MAKER, BUY, 1_001, 10, CALL)
    assert code_of(world.run(SignedAmend(target_order=number, order=other))) is ResultCode.TRIGGER_NOT_REPLACEABLE
    events = world.run(Amend(subaccount=MAKER, order=number, quantity_lots=3))
    assert [event.remaining_lots for event in events if isinstance(event, OrderAmended)] == [3]


def test_an_order_cannot_pass_for_a_quote() -> None:
    """The flag is the engine's."""
    world = QuoteWorld().open_maker()
    flags = OrderFlag.MMP | OrderFlag.QUOTE
    assert refusal(world.place(MAKER, BUY, 1, 1, CALL, flags=flags, mmp_group=GROUP)) is ResultCode.MMP_PRECONDITION
    stop = Trigger(kind=TriggerKind.STOP, price_e9=50_000 * 10**9)
    waiting = world.place(MAKER, SELL, 1, 1, flags=flags, mmp_group=7, trigger=stop)
    assert refusal(waiting) is ResultCode.MMP_PRECONDITION


def test_a_quote_that_ended_without_a_fill_is_forgotten_one_with_a_fill_is_remembered() -> None:
    """Thousands of replaced quotes would push every other order out of memory."""
    world = QuoteWorld().open_maker()
    world.quote(LINE)
    world.place(3, BUY, 2_000, 4, CALL)
    first = world.state.sequence - 1
    world.quote((CALL, 1_001, 10, 2_001, 10))
    assert world.state.closed_orders.get(order_number(sequence=first, line=0)) is None
    assert world.state.closed_orders[order_number(sequence=first, line=1)].filled_lots == 4
    assert refusal(world.cancel(MAKER, order_number(sequence=first, line=0))) is ResultCode.ORDER_NOT_FOUND


def test_quotes_die_with_their_signature() -> None:
    """Kept ones with the one that made them."""
    world = QuoteWorld().open_maker()
    world.quote(LINE, expiry_s=world.now_ns // SECOND_NS + 20)
    world.quote(LINE)
    events = world.clock(21)
    assert [reason for _, reason in closed(events)] == [CloseReason.SIGNATURE_EXPIRED] * 2


def test_quotes_and_groups_survive_a_restore() -> None:
    """Same hash, and the next quote finds its predecessor, its place in line and its count."""
    world = QuoteWorld().open_maker()
    world.quote(LINE, (PUT, 700, 10, 900, 10))
    world.place(3, BUY, 2_000, 4, CALL)
    before = state_hash(world.state)
    state = load(dump(world.state), type(world.state.book), world.state.config, type(world.state))
    assert state_hash(state) == before
    world.state = state
    assert kept(world.quote((CALL, 1_000, 10, 2_000, 6))) == [0, 1]
    assert len(closed(world.quote((PUT, 0, 0, 0, 0)))) == 2
