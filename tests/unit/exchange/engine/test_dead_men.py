"""Dead-man timers and wallets whose orders end with their sessions."""

from typing import Any

import pytest

from exchange.domain.commands import OrderFlag, PriceSource, SessionClose, SessionOpen, Trigger, TriggerKind
from exchange.domain.events import CommandRefused, Event, OrderClosed
from exchange.domain.limits import MAX_DEAD_MAN_MS, MIN_DEAD_MAN_MS
from exchange.domain.result_codes import CloseReason, ResultCode
from exchange.domain.safeguards import CancelAllAfter, DeadManSet, DisconnectRuleSet, SetDisconnectRule
from tests.unit.exchange.engine.world import BUY, SELL, World, owner

STOP = Trigger(kind=TriggerKind.STOP, source=PriceSource.MARK, price_e9=50_000 * 10**9)


def reasons(events: list[Event]) -> list[CloseReason]:
    """Why orders ended."""
    return [event.reason for event in events if isinstance(event, OrderClosed)]


def protected_world() -> World:
    """Account 2 is long, quotes once, and has a reduce-only stop."""
    world = World().open()
    world.place(2, BUY, 600_000, 10)
    world.place(3, SELL, 600_000, 10)
    world.place(2, BUY, 500_000, 1)
    world.place(2, SELL, 400_000, 10, flags=OrderFlag.REDUCE_ONLY, trigger=STOP)
    return world


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"subaccount": 99}, ResultCode.SUBACCOUNT_NOT_FOUND),
        ({"subaccount": 0}, ResultCode.SUBACCOUNT_NOT_FOUND),
        ({"timeout_ms": MIN_DEAD_MAN_MS - 1}, ResultCode.PARAMETER_INVALID),
        ({"timeout_ms": MAX_DEAD_MAN_MS + 1}, ResultCode.PARAMETER_INVALID),
        ({"timeout_ms": -1}, ResultCode.PARAMETER_INVALID),
    ],
)
def test_refused_timers(fields: dict[str, int], code: ResultCode) -> None:
    """A wrong account or time arms nothing."""
    world = World().open()
    (event,) = world.run(CancelAllAfter(**({"subaccount": 2, "timeout_ms": 1_000} | fields)))
    assert isinstance(event, CommandRefused)
    assert (event.code, world.state.dead_men) == (code, {})


def test_a_timer_fires_once_on_journal_time() -> None:
    """Not before its deadline, then all orders of the subaccount go, other accounts' stay."""
    world = World().open()
    for account in (2, 2, 3):
        world.place(account, BUY, 500_000, 1)
    world.clock(0)  # after new prices a Clock is due anyway
    armed = world.run(CancelAllAfter(subaccount=2, timeout_ms=5_000))
    assert armed == [DeadManSet(subaccount=2, deadline_ns=world.now_ns + 5 * 10**9)]
    assert world.state.next_deadline_ns() == world.now_ns + 5 * 10**9
    assert reasons(world.clock(4)) == []
    events = world.clock(1)
    assert reasons(events) == [CloseReason.DEAD_MAN_TIMER] * 2
    assert DeadManSet(subaccount=2, deadline_ns=0, has_fired=True) in events
    world.place(2, BUY, 500_000, 1)
    assert reasons(world.clock(6)) == []
    assert len(world.state.open_orders) == 2


def test_arming_again_moves_the_deadline_and_zero_disarms() -> None:
    """A client that lives keeps its orders; one that says so needs no timer."""
    world = World().open()
    world.place(2, BUY, 500_000, 1)
    for _ in range(3):
        world.run(CancelAllAfter(subaccount=2, timeout_ms=2_000))
        assert reasons(world.clock(1)) == []
    disarmed = world.run(CancelAllAfter(subaccount=2, timeout_ms=0))
    assert disarmed == [DeadManSet(subaccount=2, deadline_ns=0)]
    assert reasons(world.clock(3)) == []
    assert world.run(CancelAllAfter(subaccount=2, timeout_ms=0)) == disarmed


def test_timers_fire_by_deadline_then_account() -> None:
    """Two accounts that fall silent in one Clock fire in the order of their deadlines."""
    world = World().open()
    for account, timeout_ms in ((4, 2_000), (3, 1_000), (2, 2_000)):
        world.run(CancelAllAfter(subaccount=account, timeout_ms=timeout_ms))
    fired = [event.subaccount for event in world.clock(5) if isinstance(event, DeadManSet)]
    assert fired == [3, 4, 2]


@pytest.mark.parametrize(("spares", "left"), [(False, 0), (True, 1)])
def test_a_timer_may_spare_what_protects_a_position(spares: bool, left: int) -> None:
    """Reduce-only orders that wait for their trigger stay, when the owner asked for it."""
    world = protected_world()
    world.run(CancelAllAfter(subaccount=2, timeout_ms=1_000, spares_reduce_only=spares))
    assert reasons(world.clock(1)) == [CloseReason.DEAD_MAN_TIMER] * (2 - left)
    assert (len(world.state.open_orders), len(world.state.waiting_orders)) == (0, left)


@pytest.mark.parametrize("bad", [owner(99), b""])
def test_a_rule_needs_a_wallet(bad: bytes) -> None:
    """An owner without an account has nothing to cancel."""
    world = World().open()
    (event,) = world.run(SetDisconnectRule(owner=bad, is_enabled=True))
    assert isinstance(event, CommandRefused)
    assert event.code is ResultCode.ACCOUNT_NOT_FOUND


RULES: list[tuple[str, dict[str, Any], bool, int]] = [
    ("on, dropped: all but the one told to stay", {"is_enabled": True}, False, 3),
    ("on, logged out: none", {"is_enabled": True}, True, 0),
    ("off: the session's own", {"is_enabled": False}, False, 1),
    ("on, stops spared", {"is_enabled": True, "spares_reduce_only": True}, False, 2),
]


@pytest.mark.parametrize(("rule", "logs_out", "canceled"), [row[1:] for row in RULES], ids=[row[0] for row in RULES])
def test_a_wallets_rule(rule: dict[str, Any], logs_out: bool, canceled: int) -> None:
    """The end of any session takes the wallet's orders along; an order's own word comes before the rule."""
    world = protected_world()
    world.run(SetDisconnectRule(owner=owner(2), is_enabled=True))
    told = world.run(SetDisconnectRule(owner=owner(2), **rule))
    assert told == [
        DisconnectRuleSet(
            owner=owner(2), is_enabled=rule["is_enabled"], spares_reduce_only=rule.get("spares_reduce_only", False)
        )
    ]
    world.run(SessionOpen(owner=owner(2), signer=owner(2)))
    world.place(2, BUY, 500_000, 1, session=1, flags=OrderFlag.CANCEL_ON_DISCONNECT)
    world.place(2, BUY, 500_000, 1, session=1, flags=OrderFlag.KEEP_ON_DISCONNECT)
    world.place(3, BUY, 500_000, 1)
    events = world.run(SessionClose(session=1, logged_out=logs_out))
    assert reasons(events) == [CloseReason.CANCEL_ON_DISCONNECT] * canceled
