"""A preview says what the engine then does: the same refusal, the same fills, the same margin."""

import random
from typing import Any

import pytest

from exchange.domain.commands import OrderFlag, TimeInForce
from exchange.domain.events import OrderClosed
from exchange.domain.result_codes import OrderStatus, ResultCode
from exchange.domain.views import GetAccount, PreviewOrder, PreviewView
from exchange.engine.margin import worst_margin_e18
from exchange.engine.queries import answer
from exchange.engine.state_hash import state_hash
from tests.unit.exchange.engine.world import BUY, CALL, E6, PERP, PUT, SELL, World, refusal, trades

IOC, FOK = TimeInForce.IOC, TimeInForce.FOK
POST, REDUCE = OrderFlag.POST_ONLY, OrderFlag.REDUCE_ONLY


def preview(world: World, order: Any) -> PreviewView:
    """The engine's answer."""
    found = answer(world.state, PreviewOrder(place=order))
    assert isinstance(found, PreviewView)
    return found


def offered() -> World:
    """Account 3 offers 10 lots at 60,000 and 20 at 60,010."""
    world = World().open()
    world.place(3, SELL, 600_000, 10)
    world.place(3, SELL, 600_100, 20)
    return world


def test_an_unknown_account_has_no_preview() -> None:
    """As it has no orders."""
    world = World().open()
    assert answer(world.state, PreviewOrder(place=world.order(77, BUY, 600_000, 1))) is None


@pytest.mark.parametrize(
    ("terms", "code"),
    [
        ({"price_ticks": 0}, ResultCode.BAD_PRICE),
        ({"lots": 0}, ResultCode.BAD_AMOUNT),
        ({"instrument": 99}, ResultCode.INSTRUMENT_NOT_FOUND),
        ({"lots": 900_000}, ResultCode.INSUFFICIENT_MARGIN),
        ({"flags": REDUCE}, ResultCode.REDUCE_ONLY_REJECTED),
        ({"flags": POST}, ResultCode.POST_ONLY_WOULD_CROSS),
        ({"lots": 31, "time_in_force": FOK}, ResultCode.FOK_NOT_FILLED),
        ({"price_ticks": 599_000, "flags": OrderFlag.MARKET, "time_in_force": IOC}, ResultCode.NO_LIQUIDITY),
    ],
)
def test_a_refusal_is_foreseen(terms: dict[str, Any], code: ResultCode) -> None:
    """The code that the order itself then gets, and an account that stays as it is."""
    world = offered()
    given = {"price_ticks": 600_100, "lots": 5, "instrument": PERP} | terms
    order = world.order(2, BUY, given.pop("price_ticks"), given.pop("lots"), given.pop("instrument"), **given)
    shown = preview(world, order)
    assert (shown.code, shown.status, shown.fills) == (code, OrderStatus.REJECTED, ())
    assert shown.margin_after_e6 == shown.margin_e6
    assert refusal(world.run(order)) is code


def test_a_sweep_is_shown_by_price() -> None:
    """25 lots take 10 and 15; the fee is 3 bp of 60,000 for each, rounded up."""
    shown = preview(offered(), offered().order(2, BUY, 600_200, 25))
    assert shown.fills == ((600_000, 10), (600_100, 15))
    assert shown.status is OrderStatus.FILLED
    assert shown.fee_e6 == 180_000 + 270_000


def test_a_closing_order_shows_its_profit() -> None:
    """Ten lots bought at 60,000 and sold at 60,500: five dollars."""
    world = World().open()
    world.place(3, SELL, 600_000, 10)
    world.place(2, BUY, 600_000, 10)
    world.place(4, BUY, 605_000, 10)
    assert preview(world, world.order(2, SELL, 605_000, 10)).realized_pnl_e6 == 5 * E6


def test_a_question_changes_nothing() -> None:
    """The state's hash before and after a hundred previews."""
    world = offered()
    before = state_hash(world.state)
    for lots in range(1, 101):
        preview(world, world.order(2, BUY, 600_100, lots))
    assert state_hash(world.state) == before


@pytest.mark.parametrize("seed", range(6))
def test_the_order_does_what_its_preview_said(seed: int) -> None:
    """Refusal, fills by price, status, margin left: on random books of three instruments, poor and rich accounts."""
    rng = random.Random(seed)
    world = World().open(accounts=4, deposit=4_000 * E6)
    seen = dict.fromkeys((ResultCode.OK, ResultCode.INSUFFICIENT_MARGIN), 0)
    for step in range(250):
        if step % 40 == 0:
            world.prices(60_000 + rng.randrange(-300, 300))
            world.clock()  # whoever misses margin now loses orders before anything else happens
        order = _random_order(world, rng)
        if _would_meet_itself(world, order):
            continue
        shown = preview(world, order)
        events = world.run(order)
        seen[shown.code] = seen.get(shown.code, 0) + 1
        assert refusal(events) is shown.code, step
        _compare(world, order.subaccount, order.instrument, shown, events)
    assert min(seen.values()) > 0


def _random_order(world: World, rng: random.Random) -> Any:
    instrument, middle, lots = rng.choice([(PERP, 600_000, 60), (CALL, 1_500, 40), (PUT, 800, 40)])
    away = rng.randrange(-20, 20) * (100 if instrument == PERP else 1)
    life = rng.choice([TimeInForce.GTC, TimeInForce.GTC, IOC, FOK])
    # None that only reduces may rest: what it would be clipped to when it is met is what previews do not look at.
    flags = rng.choice([OrderFlag.NONE, REDUCE]) if life is not TimeInForce.GTC else OrderFlag.NONE
    account, side, size = rng.randrange(2, 6), rng.choice([BUY, SELL]), rng.randrange(1, lots)
    return world.order(account, side, middle + away, size, instrument, time_in_force=life, flags=flags)


def _would_meet_itself(world: World, order: Any) -> bool:
    """Self-trade prevention is what previews do not look at."""
    return any(
        other.place.instrument == order.instrument and other.place.side != order.side
        for other in world.state.account_orders[order.subaccount].values()
    )


def _compare(world: World, account: int, instrument: int, shown: PreviewView, events: list[Any]) -> None:
    by_price: dict[int, int] = {}
    fees = 0
    for trade in trades(events):
        by_price[trade.price_ticks] = by_price.get(trade.price_ticks, 0) + trade.quantity_lots
        fees += trade.taker.fee_e6
    assert tuple(by_price.items()) == shown.fills
    assert abs(fees - shown.fee_e6) <= len(trades(events))
    closed = [event for event in events if isinstance(event, OrderClosed) and event.subaccount == account]
    if shown.status is OrderStatus.CANCELED:
        assert [event.status for event in closed if event.order == closed[-1].order][-1] is OrderStatus.CANCELED
    account_now = answer(world.state, GetAccount(subaccount=account))
    ticks = {row.instrument: row.liquidation_ticks for row in account_now.positions}
    if shown.code is ResultCode.OK:
        assert abs(ticks.get(instrument, 0) - shown.liquidation_ticks) <= 1
    left_e6 = worst_margin_e18(world.state, world.state.accounts[account]) // 10**12
    assert abs(left_e6 - shown.margin_after_e6) <= len(trades(events)) + 1
