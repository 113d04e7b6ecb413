"""Portfolio Margin on a price that few venues agree on: initial margin rises, and nothing else (risk.md 8.3)."""

import pytest

from exchange.domain.commands import ChainRequestKind, Side
from exchange.domain.events import RequestApplied
from exchange.domain.liquidations import LiquidationStarted
from exchange.domain.result_codes import ResultCode
from exchange.domain.views import PreviewOrder, SimulateAccount
from exchange.engine.portfolio_margin import scenario_portfolio
from exchange.engine.queries import answer
from exchange.risk.scenario_portfolio import required_e18
from tests.unit.exchange.engine.portfolios import PortfolioWorld
from tests.unit.exchange.engine.test_doubt import HALF, THRESHOLD, needed, sure_by
from tests.unit.exchange.engine.test_liquidation import of
from tests.unit.exchange.engine.world import BUY, CALL, E6, PERP, PUT, SELL, refusal

E18 = 10**18


def scenarios_e18(world: PortfolioWorld) -> tuple[int, int]:
    """What the scenarios alone ask of account 2: (initial, maintenance)."""
    (market,) = scenario_portfolio(world.state, world.state.accounts[2]).markets
    return required_e18(market, world.state.config.portfolio)


def chosen() -> PortfolioWorld:
    """A world in which account 2 has Portfolio Margin."""
    world = PortfolioWorld().open()
    assert world.choose(2) is ResultCode.OK
    return world


def test_orders_that_add_risk_are_refused_and_go_and_nobody_is_liquidated() -> None:
    """Below initial margin by doubt alone: no new order, old ones are canceled, positions stay and may shrink."""
    world = chosen()
    world.hold(2, PERP, 2_000, 600_000)
    world.place(2, BUY, 500_000, 100)
    sure_by(world, 0)
    events = world.place(2, BUY, 500_000, 1)
    assert refusal(events) is ResultCode.INSUFFICIENT_MARGIN
    assert of(events, LiquidationStarted) == []
    assert of(world.clock(), LiquidationStarted) == []
    assert not world.state.account_orders[2]
    assert refusal(world.place(2, SELL, 600_000, 1_000)) is ResultCode.OK


@pytest.mark.parametrize(("confidence_ppm", "missing"), [(10**6, 0), (THRESHOLD, 0), (HALF, 0.5), (0, 1)])
def test_what_is_missing_to_certainty_is_asked_for_on_all_amounts(confidence_ppm: int, missing: float) -> None:
    """One unit of the perpetual, 0.1 calls short and 0.2 puts long, at 60,000; maintenance stays."""
    world = chosen()
    world.hold(2, PERP, 1_000, 600_000)
    world.hold(2, CALL, -10, 1_500)
    world.hold(2, PUT, 20, 800)
    initial, maintenance = scenarios_e18(world)
    sure_by(world, confidence_ppm)
    assert scenarios_e18(world) == (initial + int(missing * 60_000 * 13) * E18 // 10, maintenance)


@pytest.mark.parametrize(
    ("side", "price_ticks", "lots", "instrument"),
    [(BUY, 600_000, 3_200, PERP), (SELL, 600_000, 3_200, PERP), (SELL, 1_500, 400, CALL), (BUY, 1_500, 400, CALL)],
)
def test_an_order_needs_it_before_it_fills(side: Side, price_ticks: int, lots: int, instrument: int) -> None:
    """100,000 USDC carry it at a sure price and not at half of one; a preview says so too."""
    world = chosen()
    for confidence_ppm, code in ((HALF, ResultCode.INSUFFICIENT_MARGIN), (10**6, ResultCode.OK)):
        sure_by(world, confidence_ppm)
        place = world.order(2, side, price_ticks, lots, instrument)
        assert answer(world.state, PreviewOrder(place=place)).code is code  # type: ignore[union-attr]
        assert refusal(world.run(place)) is code


@pytest.mark.parametrize(
    ("instrument", "side", "lots", "exposed"),
    [(PERP, BUY, 300, 300), (PERP, SELL, 300, 0), (PERP, SELL, 2_500, 500), (CALL, BUY, 10, 10), (CALL, SELL, 10, 10)],
)
def test_what_orders_may_add_is_exposed(instrument: int, side: Side, lots: int, exposed: int) -> None:
    """Perpetuals by what they may widen the position, options on either side; half of the index on each unit of it."""
    world = chosen()
    world.hold(2, PERP, 1_000, 600_000)
    listed = world.state.instruments[instrument]
    price = 600_000 if instrument == PERP else 1_500
    sure_by(world, HALF)
    world.place(2, side, price + (-100 if side is BUY else 100), lots, instrument)
    after, _ = scenarios_with_orders(world)
    sure_by(world, 10**6)
    sure, _ = scenarios_with_orders(world)
    held = 1_000 * world.state.instruments[PERP].lot_e9
    assert after - sure == (held + exposed * listed.lot_e9) * 30_000 * 10**9


def scenarios_with_orders(world: PortfolioWorld) -> tuple[int, int]:
    """As `scenarios_e18`, with the open orders."""
    orders = [
        (row.place.instrument, row.place.side is BUY, row.price_ticks, row.remaining_lots)
        for _, row in sorted(world.state.account_orders[2].items())
    ]
    (market,) = scenario_portfolio(world.state, world.state.accounts[2], orders=orders).markets
    return required_e18(market, world.state.config.portfolio)


def test_a_withdrawal_does_not_know_of_it() -> None:
    """The chain would call a refusal fraud: what is approved is the same in any doubt."""
    approved = []
    for confidence_ppm in (10**6, 0):
        world = chosen()
        world.hold(2, PERP, 1_000, 600_000)
        sure_by(world, confidence_ppm)
        world.run_cut()
        (applied,) = of(world.request(ChainRequestKind.WITHDRAW, 2, amount_e6=10**6 * E6), RequestApplied)
        approved.append(applied.approved_e6)
    assert approved[0] == approved[1] > 0


def test_simulations_know_it() -> None:
    """The confidence is among the inputs of a simulation, and its requirement is the account's own."""
    world = chosen()
    world.hold(2, PERP, 1_000, 600_000)
    sure_by(world, HALF)
    view = answer(world.state, SimulateAccount(subaccount=2))
    assert view.portfolio["markets"][0]["confidence_e9"] == HALF * 1_000  # type: ignore[union-attr]
    assert view.initial_requirement_e6 == needed(world, 2)[0]  # type: ignore[union-attr]
