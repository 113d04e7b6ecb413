"""The desk of requests for quotes: refusals, the best quote, what ends and when, bounds."""

from typing import Any

import pytest

from exchange.domain.blocks import BlockLeg, BlockSide
from exchange.domain.limits import MAX_BLOCK_LEGS, NONCE_WINDOW_NS
from exchange.gateway.rfq_desk import (
    AskedLeg,
    Desk,
    DeskFault,
    DeskLimits,
    DeskRefused,
    EndReason,
    Quote,
    Rfq,
    Status,
)
from tests.unit.exchange.engine.world import CALL, E6, PERP, SECOND_NS, START_S, instruments, owner

NOW = START_S * SECOND_NS
TAKER, MAKER, OTHER = 2, 3, 4
ASKED = (AskedLeg(CALL, 10), AskedLeg(PERP, -30))
"""A tenth of a call bought, 0.03 BTC sold."""
ROWS = {row.instrument_id: row for row in instruments()}


def half(account: int = MAKER, **fields: Any) -> BlockSide:
    """What a maker signed; the desk reads its times alone."""
    values = {"nonce": NOW, "expiry_s": START_S + 10_000, "signer": owner(account), "max_fee": bytes(16), **fields}
    return BlockSide(subaccount=account, **values)


def legs(call: int = 1_500, perp: int = 600_000, sign: int = -1, size: int = 10) -> tuple[BlockLeg, ...]:
    """Prices for the legs that were asked for; by default the maker sells them."""
    return BlockLeg(CALL, call, sign * size), BlockLeg(PERP, perp, -sign * 3 * size)


def asked(desk: Desk, account: int = TAKER, **fields: Any) -> Rfq:
    """A request for these legs."""
    return desk.request(account, owner(account), fields.pop("legs", ASKED), fields.pop("now_ns", NOW), **fields)


def quoted(desk: Desk, rfq: int, account: int = MAKER, **fields: Any) -> Quote:
    """A quote of an account's owner."""
    signed = fields.pop("half", None) or half(account)
    return desk.quote(
        rfq, fields.pop("owner", owner(account)), signed, fields.pop("legs", legs()), ROWS, fields.pop("now_ns", NOW),
        **fields,
    )  # fmt: skip


def refusal(call: Any, *values: Any, **fields: Any) -> DeskFault:
    """Why a call was refused; the desk says of nothing that it changed."""
    desk: Desk = getattr(call, "__self__", None) or values[0]
    desk.drain()
    with pytest.raises(DeskRefused) as caught:
        call(*values, **fields)
    assert desk.drain() == []
    return caught.value.fault


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"legs": ()}, DeskFault.LEGS_COUNT),
        ({"legs": tuple(AskedLeg(n, 1) for n in range(MAX_BLOCK_LEGS + 1))}, DeskFault.LEGS_COUNT),
        ({"legs": (AskedLeg(PERP, 1), AskedLeg(PERP, -1))}, DeskFault.LEGS_NOT_UNIQUE),
    ],
)
def test_requests_that_no_quote_could_answer_are_refused(fields: dict[str, Any], fault: DeskFault) -> None:
    """None, too many, the same twice."""
    assert refusal(asked, Desk(), **fields) is fault


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"owner": owner(TAKER)}, DeskFault.OWN_REQUEST),
        ({"account": 9}, DeskFault.NOT_INVITED),
        ({"legs": legs()[:1]}, DeskFault.LEGS_DIFFER),
        ({"legs": legs()[::-1]}, DeskFault.LEGS_DIFFER),
        ({"legs": legs(size=9)}, DeskFault.LEGS_DIFFER),
        ({"legs": (legs()[0], BlockLeg(PERP, 600_000, -30))}, DeskFault.LEGS_DIFFER),
        ({"legs": legs(call=1_501)}, DeskFault.COST_OUT_OF_RANGE),
        ({"legs": legs(call=1_489)}, DeskFault.COST_OUT_OF_RANGE),
        ({"replaces": 77}, DeskFault.UNKNOWN_QUOTE),
    ],
)
def test_quotes_that_do_not_answer_the_request_are_refused(fields: dict[str, Any], fault: DeskFault) -> None:
    """Own ones, uninvited ones, other legs, a cost outside what the taker named, one in the place of none."""
    desk = Desk()
    bounds = {"minimum_cost_e6": -1_651 * E6, "maximum_cost_e6": -1_650 * E6}
    row = asked(desk, counterparties=frozenset((owner(MAKER), owner(TAKER))), **bounds)
    assert refusal(quoted, desk, row.number, **fields) is fault
    assert quoted(desk, row.number).taker_pays_e6 == -1_650 * E6


def test_strangers_see_neither_requests_nor_quotes() -> None:
    """What is another subaccount's is unknown, as a number that never was."""
    desk = Desk()
    row, other = asked(desk), asked(desk, OTHER)
    quote = quoted(desk, row.number)
    assert refusal(desk.own_request, row.number, OTHER) is DeskFault.UNKNOWN_REQUEST
    assert refusal(desk.own_request, quote.number, TAKER) is DeskFault.UNKNOWN_REQUEST
    assert refusal(desk.own_quote, quote.number, TAKER) is DeskFault.UNKNOWN_QUOTE
    assert refusal(desk.begin, row.number, 99, TAKER) is DeskFault.UNKNOWN_QUOTE
    assert refusal(desk.begin, other.number, quote.number, OTHER) is DeskFault.OTHER_REQUEST
    assert refusal(desk.begin, row.number, quote.number, OTHER) is DeskFault.UNKNOWN_REQUEST
    assert refusal(quoted, desk, 99) is DeskFault.UNKNOWN_REQUEST
    assert refusal(quoted, desk, other.number, OTHER + 1, replaces=quote.number) is DeskFault.UNKNOWN_QUOTE
    assert refusal(quoted, desk, other.number, MAKER, replaces=quote.number) is DeskFault.OTHER_REQUEST


def test_what_is_open_is_bounded() -> None:
    """Requests in all and of a subaccount, quotes of a request and of a subaccount; what ends makes room."""
    desk = Desk(DeskLimits(open_requests=3, open_requests_of_subaccount=2))
    first, _ = asked(desk), asked(desk)
    assert refusal(asked, desk) is DeskFault.TOO_MANY
    asked(desk, OTHER)
    assert refusal(asked, desk, MAKER) is DeskFault.TOO_MANY
    desk.cancel(first, EndReason.USER_REQUEST, NOW)
    asked(desk)
    desk = Desk(DeskLimits(open_quotes_of_request=2, open_quotes_of_subaccount=1))
    row, more = asked(desk), asked(desk)
    mine = quoted(desk, row.number)
    assert refusal(quoted, desk, more.number) is DeskFault.TOO_MANY
    quoted(desk, row.number, OTHER)
    assert refusal(quoted, desk, row.number, OTHER + 1) is DeskFault.TOO_MANY
    assert quoted(desk, row.number, replaces=mine.number).number > mine.number
    desk = Desk(DeskLimits(remembered=3))
    rows = [asked(desk) for _ in range(5)]
    for row in rows:
        desk.cancel(row, EndReason.USER_REQUEST, NOW)
    assert [desk.find(row.number) is not None for row in rows] == [False, False, True, True, True]


def test_the_best_quote_costs_the_taker_least() -> None:
    """Who buys pays least, who sells gets most; of equal ones the older, and none of the wrong direction."""
    desk = Desk()
    row = asked(desk)
    assert desk.best(row.number, is_buy=True) is None
    dear, good = quoted(desk, row.number, legs=legs(call=1_510)), quoted(desk, row.number, OTHER, legs=legs(call=1_490))
    quoted(desk, row.number, 5, legs=legs(call=1_490))
    low, high = (quoted(desk, row.number, 6, legs=legs(call=call, sign=1)) for call in (1_400, 1_450))
    assert (dear.is_buy, low.is_buy) == (False, True)
    assert desk.best(row.number, is_buy=True) is good
    assert desk.best(row.number, is_buy=False) is high
    assert (good.taker_pays_e6, high.taker_pays_e6) == (-1_651 * E6, 1_655 * E6)


def test_an_executed_quote_ends_its_request_and_all_others() -> None:
    """While it is with the engine nobody takes it back, and nobody executes a second one."""
    desk = Desk()
    row = asked(desk)
    taken, left = quoted(desk, row.number), quoted(desk, row.number, OTHER)
    assert desk.begin(row.number, taken.number, TAKER) is taken
    assert refusal(desk.begin, row.number, left.number, TAKER) is DeskFault.EXECUTING
    assert refusal(desk.own_quote, taken.number, MAKER) is DeskFault.EXECUTING
    assert refusal(desk.own_request, row.number, TAKER) is DeskFault.EXECUTING
    assert desk.cancel_quotes([taken, left], EndReason.DISCONNECTED, NOW) == [left.number]
    desk.finish(row.number, NOW, is_filled=False)
    assert (row.status, taken.status) == (Status.OPEN, Status.OPEN)
    desk.begin(row.number, taken.number, TAKER)
    desk.drain()
    other = quoted(desk, row.number, OTHER)
    desk.finish(row.number, NOW + 1, is_filled=True)
    assert (row.status, taken.status) == (Status.FILLED, Status.FILLED)
    assert (other.status, other.reason) == (Status.CANCELLED, EndReason.REQUEST_ENDED)
    assert {changed.number for changed in desk.drain()} == {row.number, taken.number, other.number}
    assert refusal(desk.begin, row.number, taken.number, TAKER) is DeskFault.NOT_OPEN
    assert refusal(quoted, desk, row.number) is DeskFault.NOT_OPEN
    assert refusal(desk.own_quote, taken.number, MAKER) is DeskFault.NOT_OPEN


def test_a_replaced_quote_is_gone_and_told() -> None:
    """The old one ends for that reason, the new one stands."""
    desk = Desk()
    row = asked(desk)
    old = quoted(desk, row.number)
    new = quoted(desk, row.number, replaces=old.number, legs=legs(call=1_400))
    assert (old.status, old.reason, new.status) == (Status.CANCELLED, EndReason.REPLACED, Status.OPEN)
    assert desk.best(row.number, is_buy=True) is new
    assert refusal(desk.begin, row.number, old.number, TAKER) is DeskFault.NOT_OPEN


@pytest.mark.parametrize(
    ("fields", "life_ns"),
    [
        ({}, DeskLimits().life_ns),
        ({"expiry_s": START_S + 20}, 20 * SECOND_NS),
        ({"nonce": NOW - NONCE_WINDOW_NS + 5 * SECOND_NS}, 5 * SECOND_NS),
        ({"nonce": NOW // 10**6}, DeskLimits().life_ns),
    ],
)
def test_a_quote_ends_with_request_signature_or_nonce(fields: dict[str, Any], life_ns: int) -> None:
    """Whichever is first; a nonce of milliseconds is read as its time, too."""
    desk = Desk()
    row = asked(desk)
    quote = quoted(desk, row.number, half=half(**fields))
    desk.expire(NOW + life_ns - 1)
    assert quote.status is Status.OPEN
    desk.expire(NOW + life_ns)
    assert quote.status is Status.EXPIRED
    assert (row.status is Status.EXPIRED) == (life_ns == desk.limits.life_ns)


def test_what_is_with_the_engine_expires_behind_its_answer() -> None:
    """A request is not ended under an execution; the next look does."""
    desk = Desk()
    row = asked(desk)
    quote = quoted(desk, row.number)
    desk.begin(row.number, quote.number, TAKER)
    desk.expire(NOW + 10**13)
    assert (row.status, quote.status) == (Status.OPEN, Status.OPEN)
    desk.finish(row.number, NOW + 10**13, is_filled=False)
    desk.expire(NOW + 10**13)
    assert (row.status, quote.status) == (Status.EXPIRED, Status.EXPIRED)
