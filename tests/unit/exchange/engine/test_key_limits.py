"""Limits of session keys, and keys that their owner ends at once."""

from typing import Any

import pytest

from exchange.domain.commands import ChainRequestKind, SessionOpen, SignedAmend
from exchange.domain.events import CommandRefused, OrderClosed, OrderRefused, SessionClosed, SessionKeySet
from exchange.domain.ids import order_number
from exchange.domain.limits import MAX_KEY_LIMIT_ENTRIES, MAX_SESSION_KEYS_PER_OWNER
from exchange.domain.quotes import MassQuote, QuoteLine, SetMmpConfig
from exchange.domain.result_codes import CloseReason, ResultCode
from exchange.domain.safeguards import KeyLimits, RevokeKey, SessionKeyLimited, SetKeyLimits
from tests.unit.exchange.engine.world import BUY, CALL, E6, PERP, PUT, SECOND_NS, SELL, World, owner, refusal

KEY = b"\x05" * 20
LIFE_S = 7_200
TRADE_ALL = 1 << 2


def world_with_key(limits: KeyLimits | None = None, **fields: Any) -> World:
    """An open market in which account 2 has a session key."""
    world = World().open()
    if limits is not None:
        world.run(SetKeyLimits(owner=owner(2), key=KEY, limits=limits))
    values = {"scopes": TRADE_ALL, "valid_to_s": world.now_ns // SECOND_NS + LIFE_S} | fields
    world.request(ChainRequestKind.SET_KEY, 2, owner=owner(2), key=KEY, **values)
    return world


ORDERS: list[tuple[str, KeyLimits, dict[str, Any], ResultCode]] = [
    ("no limit", KeyLimits(), {}, ResultCode.OK),
    ("another instrument", KeyLimits(instruments=(CALL,)), {}, ResultCode.SCOPE_MISSING),
    ("another underlying", KeyLimits(underlyings=("ETH",)), {}, ResultCode.SCOPE_MISSING),
    ("its instrument", KeyLimits(instruments=(CALL, PERP)), {}, ResultCode.OK),
    ("its underlying", KeyLimits(instruments=(PUT,), underlyings=("BTC",)), {}, ResultCode.OK),
    ("worth as much as allowed", KeyLimits(max_notional_e6=600 * E6), {}, ResultCode.OK),
    ("worth a millionth more", KeyLimits(max_notional_e6=600 * E6 - 1), {}, ResultCode.KEY_NOTIONAL_EXCEEDED),
    (
        "instrument before worth",
        KeyLimits(instruments=(CALL,), max_notional_e6=1),
        {},
        ResultCode.SCOPE_MISSING,
    ),
    ("life before limits", KeyLimits(max_notional_e6=1), {"life_s": LIFE_S + 60}, ResultCode.ACTION_OUTLIVES_KEY),
]


@pytest.mark.parametrize(("limits", "given", "code"), [row[1:] for row in ORDERS], ids=[row[0] for row in ORDERS])
def test_orders_of_a_limited_key(limits: KeyLimits, given: dict[str, Any], code: ResultCode) -> None:
    """Ten lots of the perpetual are worth 600 USDC at the index, whatever their limit price says."""
    world = world_with_key(limits)
    expiry_s = world.now_ns // SECOND_NS + given.get("life_s", 600)
    assert refusal(world.place(2, SELL, 700_000, 10, signer=KEY, expiry_s=expiry_s)) is code
    assert refusal(world.place(2, SELL, 700_000, 10)) is ResultCode.OK


def test_worth_is_rounded_up_and_counts_the_index_not_the_price() -> None:
    """A sale at one tick is worth as much as one at the index."""
    world = world_with_key(KeyLimits(max_notional_e6=60 * E6))
    assert refusal(world.place(2, SELL, 700_000, 1, signer=KEY)) is ResultCode.OK
    world.prices(60_001)
    assert refusal(world.place(2, SELL, 700_000, 1, signer=KEY)) is ResultCode.KEY_NOTIONAL_EXCEEDED


def test_an_amendment_is_limited_like_an_order() -> None:
    """A signed amendment to more than the key may trade leaves the order as it was."""
    world = world_with_key(KeyLimits(max_notional_e6=600 * E6))
    world.place(2, SELL, 700_000, 10, signer=KEY)
    number = order_number(sequence=world.state.sequence)
    larger = world.order(2, SELL, 700_000, 11, signer=KEY)
    events = world.run(SignedAmend(target_order=number, order=larger))
    assert refusal(events) is ResultCode.KEY_NOTIONAL_EXCEEDED
    assert world.state.open_orders[number].quantity_lots == 10


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        (KeyLimits(instruments=(CALL,)), ResultCode.SCOPE_MISSING),
        (KeyLimits(max_notional_e6=1_000 * E6), ResultCode.KEY_NOTIONAL_EXCEEDED),
        (KeyLimits(instruments=(CALL, PUT), max_notional_e6=1_200 * E6), ResultCode.OK),
    ],
)
def test_every_line_of_a_mass_quote_is_limited(limits: KeyLimits, code: ResultCode) -> None:
    """One line outside the limits refuses the call, before its nonce is spent."""
    world = world_with_key(limits)
    world.run(SessionOpen(owner=owner(2), signer=KEY))
    world.run(
        SetMmpConfig(
            subaccount=2, mmp_group=1, underlying="BTC", lot_e9=10_000_000, interval_ns=0, frozen_ns=0, quantity_lots=9
        )
    )
    nonce = world.now_ns + 1
    call = MassQuote(
        subaccount=2,
        mmp_group=1,
        lines=(QuoteLine(CALL, 1_000, 1, 3_000, 1), QuoteLine(PUT, 500, 2, 3_000, 1)),
        nonce=nonce,
        expiry_s=world.now_ns // SECOND_NS + 600,
        signer=KEY,
        max_fee_e18=10**20,
        session=1,
        digest=b"\x07" * 32,
        signature=b"\x08" * 65,
    )
    refused = [event for event in world.run(call) if isinstance(event, OrderRefused)]
    assert [event.code for event in refused] == ([code] if code else [])
    assert (world.state.nonces.find(owner(2), KEY, nonce) is None) is bool(code)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"owner": owner(99)}, ResultCode.ACCOUNT_NOT_FOUND),
        ({"owner": b""}, ResultCode.ACCOUNT_NOT_FOUND),
        ({"limits": KeyLimits(max_notional_e6=-1)}, ResultCode.PARAMETER_INVALID),
        ({"limits": KeyLimits(instruments=(1,) * (MAX_KEY_LIMIT_ENTRIES + 1))}, ResultCode.PARAMETER_INVALID),
        ({"limits": KeyLimits(label="l" * 65)}, ResultCode.PARAMETER_INVALID),
    ],
)
def test_refused_limits(change: dict[str, Any], code: ResultCode) -> None:
    """No wallet, or numbers out of range: nothing is kept."""
    world = world_with_key()
    command = SetKeyLimits(**({"owner": owner(2), "key": KEY, "limits": KeyLimits()} | change))
    assert world.run(command) == [CommandRefused(code=code)]
    assert not world.state.key_limits


def test_limits_of_keys_to_come_are_bounded_with_the_keys() -> None:
    """Registered keys and those that only have limits share the owner's room."""
    world = world_with_key()
    for number in range(MAX_SESSION_KEYS_PER_OWNER - 1):
        key = number.to_bytes(20, "big")
        events = world.run(SetKeyLimits(owner=owner(2), key=key, limits=KeyLimits(label="x")))
        assert events == [SessionKeyLimited(owner=owner(2), key=key, limits=KeyLimits(label="x"))]
    late = SetKeyLimits(owner=owner(2), key=b"\x99" * 20, limits=KeyLimits())
    assert world.run(late) == [CommandRefused(code=ResultCode.TOO_MANY_SESSION_KEYS)]
    assert world.run(SetKeyLimits(owner=owner(2), key=KEY, limits=KeyLimits()))[0].limits == KeyLimits()


def test_a_revoked_key_ends_with_its_orders_and_sessions() -> None:
    """At once, for ever, and only once; limits cannot be set on it any more."""
    world = world_with_key()
    world.run(SessionOpen(owner=owner(2), signer=KEY))
    world.place(2, BUY, 500_000, 1, signer=KEY)
    world.place(2, BUY, 500_000, 1)
    closed, ended, known = world.run(RevokeKey(owner=owner(2), key=KEY))[:3]
    assert isinstance(closed, OrderClosed)
    assert closed.reason is CloseReason.SESSION_KEY_REVOKED
    assert isinstance(ended, SessionClosed)
    assert isinstance(known, SessionKeySet)
    assert (known.valid_to_s, known.request_index) == (world.now_ns // SECOND_NS, 0)
    assert refusal(world.place(2, BUY, 500_000, 1, signer=KEY)) is ResultCode.SESSION_KEY_EXPIRED
    assert world.run(RevokeKey(owner=owner(2), key=KEY)) == [CommandRefused(code=ResultCode.SESSION_KEY_EXPIRED)]
    limits = SetKeyLimits(owner=owner(2), key=KEY, limits=KeyLimits())
    assert world.run(limits) == [CommandRefused(code=ResultCode.SESSION_KEY_EXPIRED)]
    assert len(world.state.open_orders) == 1


def test_an_unknown_key_is_not_revoked() -> None:
    """There is nothing to end; a key on its way through the queue is revoked by the queue."""
    world = World().open()
    assert world.run(RevokeKey(owner=owner(2), key=KEY)) == [CommandRefused(code=ResultCode.SIGNER_UNKNOWN)]
