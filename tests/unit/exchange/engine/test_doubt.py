"""A price that few venues agree on raises initial margin, and nothing else (risk.md 3.1, 7.4)."""

import pytest

from exchange.domain.commands import (
    ChainRequestKind,
    ExpiryRow,
    MarkRow,
    OrderFlag,
    Place,
    SetPrices,
    Side,
    UnderlyingRow,
)
from exchange.domain.events import OrderClosed, RequestApplied
from exchange.domain.liquidations import LiquidationStarted
from exchange.domain.result_codes import CloseReason, ResultCode
from exchange.domain.views import GetAccount, PreviewOrder, PreviewView, SimulateAccount
from exchange.engine.margin import worst_margin_e18
from exchange.engine.queries import answer
from exchange.engine.snapshot import dump, load
from exchange.engine.valuation import value_account
from matching_core import OrderBook
from tests.unit.exchange.engine.liquidating import of
from tests.unit.exchange.engine.world import BUY, CALL, E6, EXPIRY_S, PERP, PUT, SELL, World, refusal

E9 = 10**9
HALF, THRESHOLD = 500_000, 550_000


def sure_by(world: World, confidence_ppm: int) -> None:
    """A round at the known prices with this confidence."""
    world.round += 1
    world.run(
        SetPrices(
            round=world.round,
            underlyings=(UnderlyingRow("BTC", 60_000 * E9, confidence_ppm),),
            expiries=(ExpiryRow("BTC", EXPIRY_S, 60_000 * E9),),
            marks=(MarkRow(PERP, 60_000 * E9), MarkRow(CALL, 1_500 * E9), MarkRow(PUT, 800 * E9)),
        )
    )


def needed(world: World, account: int) -> tuple[int, int]:
    """Initial and maintenance requirement of the positions."""
    found = value_account(world.state, world.state.accounts[account]).requirement
    return found.initial_e6, found.maintenance_e6


@pytest.mark.parametrize(("confidence_ppm", "add_on"), [(10**6, 0), (THRESHOLD, 0), (549_999, 27_000.06), (0, 60_000)])
def test_what_is_missing_to_certainty_is_asked_for_on_the_notional(confidence_ppm: int, add_on: float) -> None:
    """(1 - c) x 60,000 x one unit long, below 0.55 alone; maintenance stays."""
    world = World().open()
    world.place(3, SELL, 600_000, 1_000)
    world.place(2, BUY, 600_000, 1_000)
    sure, maintenance = needed(world, 2)
    sure_by(world, confidence_ppm)
    assert needed(world, 2) == (sure + round(add_on * E6), maintenance)


def test_short_options_ask_for_more_and_long_ones_do_not() -> None:
    """Half of the index on 0.1 calls sold."""
    world = World().open()
    world.place(3, SELL, 1_500, 10, CALL)
    world.place(2, BUY, 1_500, 10, CALL)
    before = [needed(world, account) for account in (2, 3)]
    sure_by(world, HALF)
    (long_initial, long_maintenance), (initial, maintenance) = before
    assert needed(world, 2) == (long_initial, long_maintenance)
    assert needed(world, 3) == (initial + 3_000 * E6, maintenance)


@pytest.mark.parametrize(
    ("side", "price_ticks", "lots", "instrument"),
    [(BUY, 600_000, 3_200, PERP), (SELL, 600_000, 3_200, PERP), (SELL, 1_500, 320, CALL)],
)
def test_an_order_needs_it_before_it_fills(side: Side, price_ticks: int, lots: int, instrument: int) -> None:
    """100,000 USDC carry it at a sure price and not at half of one; a preview says so too."""
    world = World().open()
    place = world.order(2, side, price_ticks, lots, instrument)
    for confidence_ppm, code in ((HALF, ResultCode.INSUFFICIENT_MARGIN), (10**6, ResultCode.OK)):
        sure_by(world, confidence_ppm)
        place = world.order(2, side, price_ticks, lots, instrument)
        view = answer(world.state, PreviewOrder(place=place))
        assert isinstance(view, PreviewView)
        assert view.code is code
        assert refusal(world.run(place)) is code


@pytest.mark.parametrize(
    ("instrument", "held", "buys", "sells", "exposed"),
    [
        (PERP, 0, 0, 0, 0),
        (PERP, 0, 3, 2, 3),
        (PERP, 5, 0, 9, 5),
        (PERP, 5, 0, 12, 7),
        (PERP, 5, 3, 0, 8),
        (PERP, -5, 12, 0, 7),
        (PERP, -5, 0, 3, 8),
        (CALL, 0, 5, 0, 0),
        (CALL, 5, 0, 2, 0),
        (CALL, 5, 0, 8, 3),
        (CALL, -2, 0, 1, 3),
    ],
)
def test_what_may_be_held_is_exposed(instrument: int, held: int, buys: int, sells: int, exposed: int) -> None:
    """The larger side of a perpetual, all options that would be short; half of the index on each unit of it."""
    world = World().open()
    listed = world.state.instruments[instrument]
    price = 600_000 if instrument == PERP else 1_500
    if held:
        world.place(3, SELL if held > 0 else BUY, price, abs(held), instrument)
        world.place(2, BUY if held > 0 else SELL, price, abs(held), instrument)
    if not buys and not sells:
        world.place(2, BUY, price - 10, 1, instrument)
        world.cancel(2, max(world.state.account_orders[2]))
    for side, lots, at in ((BUY, buys, price - 100), (SELL, sells, price + 100)):
        if lots:
            world.place(2, side, at, lots, instrument)
    account = world.state.accounts[2]
    before = worst_margin_e18(world.state, account)
    sure_by(world, HALF)
    assert before - worst_margin_e18(world.state, account) == exposed * listed.lot_e9 * 30_000 * 10**9


def test_whoever_reduces_may_do_it_in_any_doubt() -> None:
    """The other side of a position that its account could not open now."""
    world = World().open()
    world.place(3, SELL, 600_000, 4_000)
    world.place(2, BUY, 600_000, 4_000)
    sure_by(world, 0)
    assert refusal(world.place(2, SELL, 600_000, 1_000, flags=OrderFlag.REDUCE_ONLY)) is ResultCode.OK
    assert refusal(world.place(2, SELL, 600_000, 1_000)) is ResultCode.OK
    assert refusal(world.place(2, BUY, 600_000, 1)) is ResultCode.INSUFFICIENT_MARGIN


def test_orders_that_add_risk_go_and_nobody_is_liquidated() -> None:
    """Below initial margin by doubt alone: what would open more is canceled, the position stays."""
    world = World().open()
    world.place(3, SELL, 600_000, 2_000)
    world.place(2, BUY, 600_000, 2_000)
    world.place(2, BUY, 500_000, 100)
    sure_by(world, 0)
    events = world.clock()
    assert [(row.subaccount, row.reason) for row in of(events, OrderClosed)] == [(2, CloseReason.INSUFFICIENT_MARGIN)]
    assert of(events, LiquidationStarted) == []


def test_a_withdrawal_does_not_know_of_it() -> None:
    """The chain would call a refusal fraud: what is approved is the same in any doubt."""
    approved = []
    for confidence_ppm in (10**6, 0):
        world = World().open()
        world.place(3, SELL, 600_000, 1_000)
        world.place(2, BUY, 600_000, 1_000)
        sure_by(world, confidence_ppm)
        world.run_cut()
        (applied,) = of(world.request(ChainRequestKind.WITHDRAW, 2, amount_e6=10**6 * E6), RequestApplied)
        approved.append(applied.approved_e6)
    assert approved[0] == approved[1] > 0


def test_simulations_and_restarts_know_it() -> None:
    """The confidence is among the inputs of a simulation, and comes back with the state."""
    world = World().open()
    world.place(3, SELL, 600_000, 1_000)
    world.place(2, BUY, 600_000, 1_000)
    sure_by(world, HALF)
    view = answer(world.state, SimulateAccount(subaccount=2))
    assert view.portfolio["markets"][0]["confidence_e9"] == HALF * 1_000  # type: ignore[union-attr]
    assert view.initial_requirement_e6 == needed(world, 2)[0]  # type: ignore[union-attr]
    again = load(dump(world.state), OrderBook, world.state.config, type(world.state))
    assert answer(again, GetAccount(subaccount=2)) == answer(world.state, GetAccount(subaccount=2))
    place: Place = world.order(2, BUY, 600_000, 2_000)
    assert answer(again, PreviewOrder(place=place)) == answer(world.state, PreviewOrder(place=place))
