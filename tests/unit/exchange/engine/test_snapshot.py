"""Snapshots: everything that matters is in them, and what is in them comes back."""

import pytest

from exchange.domain.commands import ChainRequestKind, OrderFlag, SessionOpen
from exchange.domain.safeguards import CancelAllAfter, KeyLimits, SetDisconnectRule, SetKeyLimits
from exchange.engine.invariants import check_invariants
from exchange.engine.snapshot import SECTIONS, dump, load
from exchange.engine.state import InvariantViolated, State
from exchange.engine.state_hash import state_hash
from matching_core import ReferenceOrderBook
from tests.unit.exchange.engine.world import BUY, CALL, PERP, SECOND_NS, SELL, World, owner, trades


def busy_world() -> World:
    """Sessions, keys, positions, closed orders, a stranded reduce-only order, two orders on one level."""
    world = World().open()
    life_s = world.now_ns // SECOND_NS + 7_200
    world.request(ChainRequestKind.SET_KEY, 2, owner=owner(2), key=b"\x05" * 20, valid_to_s=life_s, scopes=4)
    limits = KeyLimits(instruments=(PERP,), underlyings=("BTC",), max_notional_e6=10**12, label="desk")
    for key in (b"\x05" * 20, b"\x06" * 20):
        world.run(SetKeyLimits(owner=owner(2), key=key, limits=limits))
    world.run(SetDisconnectRule(owner=owner(3), is_enabled=True, spares_reduce_only=True))
    world.run(CancelAllAfter(subaccount=3, timeout_ms=60_000))
    world.run(SessionOpen(owner=owner(2), signer=owner(2)))
    world.place(2, BUY, 600_000, 10, client_order_id="a", label="text")
    world.place(3, SELL, 600_000, 10)
    world.place(2, SELL, 650_000, 10, flags=OrderFlag.REDUCE_ONLY)
    world.place(4, BUY, 599_000, 10)
    world.place(2, SELL, 599_000, 10)
    world.place(2, BUY, 1_000, 5, CALL, session=1, flags=OrderFlag.CANCEL_ON_DISCONNECT)
    for account in (3, 4, 2):
        world.place(account, BUY, 590_000, 7)
    return world


def restored(world: World) -> State:
    """The world's state after a round trip."""
    return load(dump(world.state), ReferenceOrderBook, world.state.config)


def test_a_missing_section_is_an_error() -> None:
    """Nothing is guessed."""
    sections = dump(busy_world().state)
    del sections["orders"]
    with pytest.raises(KeyError):
        load(sections, ReferenceOrderBook)


def test_an_order_that_cannot_rest_is_an_error() -> None:
    """A crossed snapshot does not load."""
    world = World().open()
    world.place(2, BUY, 590_000, 7)
    world.place(3, SELL, 591_000, 7)
    order = next(iter(world.state.open_orders.values()))
    order.price_ticks = 592_000
    with pytest.raises(InvariantViolated, match="does not rest"):
        restored(world)


def test_round_trip_has_the_same_hash_and_sections() -> None:
    """Equal bytes, in the declared order of sections, and all invariants hold."""
    world = busy_world()
    state = restored(world)
    check_invariants(state)
    assert tuple(dump(state)) == SECTIONS
    assert dump(state) == dump(world.state)
    assert state_hash(state) == state_hash(world.state)


def test_restored_book_keeps_priority() -> None:
    """The first in line before the snapshot is the first behind it, and a stranded reduce-only order still rests."""
    world = busy_world()
    expected = [row[1:] for row in world.state.book.orders(PERP)]
    world.state = restored(world)
    assert [row[1:4] for row in world.state.book.orders(PERP)] == [row[:3] for row in expected]
    events = world.place(3, SELL, 590_000, 20, flags=OrderFlag.STP_CANCEL_MAKER)
    assert [trade.maker.subaccount for trade in trades(events)] == [4, 2]


@pytest.mark.parametrize("field", ["sequence", "trade_count", "session_count", "request_index", "collateral_e6"])
def test_every_counter_is_hashed(field: str) -> None:
    """A different counter is a different state."""
    world = busy_world()
    before = state_hash(world.state)
    setattr(world.state, field, getattr(world.state, field) + 1)
    assert state_hash(world.state) != before
