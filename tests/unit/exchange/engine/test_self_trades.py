"""Own orders never trade: four modes, per order or by the account, within an account or across its owner's."""

from typing import Any

import pytest

from exchange.domain.commands import ChainRequestKind, OrderFlag, SetSelfTradePrevention, Trigger, TriggerKind
from exchange.domain.events import CommandRefused, Event, OrderClosed, SelfTradePreventionSet
from exchange.domain.result_codes import CloseReason, ResultCode
from exchange.engine.snapshot import dump, load
from exchange.engine.state_hash import state_hash
from matching_core import ReferenceOrderBook
from tests.unit.exchange.engine.world import BUY, E6, SELL, World, owner, refusal, trades

TAKER, MAKER = OrderFlag.NONE, OrderFlag.STP_CANCEL_MAKER
BOTH, DECREMENT = OrderFlag.STP_CANCEL_BOTH, OrderFlag.STP_DECREMENT_BOTH
ACCOUNT = OrderFlag.STP_ACCOUNT


def code(events: list[Event]) -> ResultCode:
    """Code of a refused command."""
    (event,) = events
    return event.code if isinstance(event, CommandRefused) else ResultCode.OK


def outcome(world: World, seller: int, **fields: Any) -> tuple[ResultCode, int, int]:
    """Refusal, orders that self-trade prevention ended, and lots left open after 5 met 8 of the buyer."""
    world.place(2, BUY, 600_000, 8)
    events = world.place(seller, SELL, 600_000, 5, **fields)
    assert trades(events) == []
    ends = [event for event in events if isinstance(event, OrderClosed)]
    assert {event.reason for event in ends} <= {CloseReason.SELF_TRADE_PREVENTION}
    return refusal(events), len(ends), sum(order.remaining_lots for order in world.state.open_orders.values())


@pytest.mark.parametrize(
    ("subaccount", "mode", "expected"),
    [
        (99, TAKER, ResultCode.SUBACCOUNT_NOT_FOUND),
        (0, TAKER, ResultCode.SUBACCOUNT_NOT_FOUND),
        (2, OrderFlag.POST_ONLY, ResultCode.PARAMETER_INVALID),
        (2, ACCOUNT, ResultCode.PARAMETER_INVALID),
    ],
)
def test_refusals(subaccount: int, mode: OrderFlag, expected: ResultCode) -> None:
    """Accounts of users and the four modes alone."""
    world = World().open()
    assert code(world.run(SetSelfTradePrevention(subaccount=subaccount, mode=mode))) is expected


@pytest.mark.parametrize("trigger", [None, Trigger(kind=TriggerKind.STOP, price_e9=70_000 * 10**9)])
def test_nothing_changes_while_an_order_lives(trigger: Trigger | None) -> None:
    """The core keeps what an order was placed with, and a restore must give it the same."""
    world = World().open()
    world.place(2, BUY, 500_000, 5, trigger=trigger)
    assert code(world.run(SetSelfTradePrevention(subaccount=2, mode=BOTH))) is ResultCode.ORDERS_OPEN


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (TAKER, (ResultCode.SELF_CROSSING, 0, 8)),
        (MAKER, (ResultCode.OK, 1, 5)),
        (BOTH, (ResultCode.OK, 2, 0)),
        (DECREMENT, (ResultCode.OK, 1, 3)),
    ],
)
@pytest.mark.parametrize("by_account", [False, True])
def test_the_four_modes(mode: OrderFlag, expected: tuple[ResultCode, int, int], *, by_account: bool) -> None:
    """Whether the order says it or leaves it to its account."""
    world = World().open()
    if by_account:
        assert SelfTradePreventionSet(subaccount=2, mode=mode, by_owner=False) in world.run(
            SetSelfTradePrevention(subaccount=2, mode=mode)
        )
    assert outcome(world, 2, flags=ACCOUNT if by_account else mode) == expected


def test_an_order_that_says_its_mode_wins_over_the_account() -> None:
    """The account's mode is for orders that leave it open."""
    world = World().open()
    world.run(SetSelfTradePrevention(subaccount=2, mode=BOTH))
    assert outcome(world, 2, flags=TAKER) == (ResultCode.SELF_CROSSING, 0, 8)


def joined(world: World, *accounts: int) -> None:
    """Let accounts count as one owner's."""
    for account in accounts:
        world.run(SetSelfTradePrevention(subaccount=account, by_owner=True))


def test_accounts_of_one_owner_trade_unless_both_joined() -> None:
    """One that joined alone still trades with the other; strangers that joined trade too."""
    for accounts, trades_count in (((2,), 1), ((2, 5), 0), ((2, 3), 1)):
        world = World().open()
        world.request(ChainRequestKind.DEPOSIT, 5, amount_e6=100_000 * E6, owner=owner(2))
        joined(world, *accounts)
        world.place(2, BUY, 600_000, 8)
        seller = 3 if accounts == (2, 3) else 5
        events = world.place(seller, SELL, 600_000, 5, signer=world.state.accounts[seller].owner)
        assert len(trades(events)) == trades_count
        assert (refusal(events) is ResultCode.SELF_CROSSING) == (trades_count == 0)


def test_mode_and_scope_survive_a_restore() -> None:
    """Also for an order that rests meanwhile."""
    world = World().open()
    world.request(ChainRequestKind.DEPOSIT, 5, amount_e6=100_000 * E6, owner=owner(2))
    joined(world, 2, 5)
    world.place(2, BUY, 600_000, 8)
    before = state_hash(world.state)
    world.state = load(dump(world.state), ReferenceOrderBook)
    assert state_hash(world.state) == before
    assert refusal(world.place(5, SELL, 600_000, 5, signer=owner(2))) is ResultCode.SELF_CROSSING
