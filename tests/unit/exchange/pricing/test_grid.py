"""The grid: compiled and plain give the same integers, invalid rows are named, values are Black-76 of the shock."""

import math
from array import array
from random import Random

import pytest

from exchange.pricing import grid
from exchange.pricing.black76 import Option, price
from exchange.pricing.grid import Contract, ExpiryState, ScenarioGrid, scenario_prices
from exchange.pricing.scenarios import ForwardParts, ShockParameters, plan_columns
from exchange.risk.portfolio_parameters import PortfolioParameters

PLAN = plan_columns(PortfolioParameters())
SHOCKS = ShockParameters(width_scale=-0.1)


@pytest.fixture(params=["compiled", "plain"])
def either(request, monkeypatch):
    """Run a test on both twins."""
    if request.param == "compiled" and not grid.COMPILED:
        pytest.skip("exchange.pricing._kernel is not built: make build")
    monkeypatch.setattr(grid, "COMPILED", request.param == "compiled")


def world(seed, rows):
    """A drawn underlying: contracts of six expiries, one of them expired and one within its last half hour."""
    source = Random(seed)
    expiries = [
        ExpiryState(forward=ForwardParts.free(60_000.0), years=0.0),
        ExpiryState(forward=ForwardParts(fixed=20_000.0, moving=40_100.0), years=0.3 / 8_760),
        *(
            ExpiryState(
                forward=ForwardParts.free(60_000.0 * math.exp(0.05 * years)),
                years=years,
                discount=math.exp(-0.05 * years),
            )
            for years in (1 / 365, MONTH, 0.5, 2.0)
        ),
    ]
    contracts, volatilities = [], array("d")
    for row in range(rows):
        place = row * len(expiries) // rows
        reach = 0.6 * math.sqrt(max(expiries[place].years, 1e-4))
        strike = round(60_000 * math.exp(source.uniform(-3, 3) * reach))
        contracts.append(Contract(is_call=source.random() < 0.5, strike=float(strike), expiry=place))
        volatilities.append(source.uniform(0.05, 2.0))
    return contracts, expiries, volatilities


MONTH = 30 / 365


def one_cell(**changes):
    """A grid of one contract, refreshed; keyword arguments replace its numbers."""
    numbers = {"strike": 60_000.0, "volatility": 0.5, "forward": 60_000.0, "years": 0.1, "discount": 1.0} | changes
    made = ScenarioGrid(
        [Contract(is_call=True, strike=numbers["strike"], expiry=numbers.get("expiry", 0))], PLAN, SHOCKS
    )
    state = ExpiryState(
        forward=ForwardParts.free(numbers["forward"]), years=numbers["years"], discount=numbers["discount"]
    )
    made.refresh(volatilities=array("d", [numbers["volatility"]]), expiries=[state])
    return made


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
@pytest.mark.parametrize("field", ["strike", "volatility", "forward", "years", "discount"])
def test_a_contract_without_a_price_is_named(either, field, value):
    """No cell is made of an invalid number."""
    with pytest.raises(ValueError, match="has no price"):
        one_cell(**{field: value})


def test_a_failed_refresh_leaves_the_last_good_cells(either):
    """Nor does a good one change the cells that somebody still reads."""
    made = one_cell()
    before, copy = made.cells, list(made.cells)
    states = [ExpiryState(forward=ForwardParts.free(forward), years=0.1) for forward in (math.nan, 61_000.0)]
    with pytest.raises(ValueError, match="has no price"):
        made.refresh(volatilities=array("d", [0.5]), expiries=states[:1])
    assert made.cells is before
    made.refresh(volatilities=array("d", [0.5]), expiries=states[1:])
    assert list(before) == copy != list(made.cells)


def test_values_that_do_not_fit_are_refused(either):
    """Nine million USDC per unit is the last one that is exact; the tail scenario is six times the forward."""
    assert max(one_cell(forward=1.4e6, strike=1.0).row(0)) <= 9e15
    with pytest.raises(ValueError, match="has no price"):
        one_cell(forward=1.6e6, strike=1.0)


@pytest.mark.parametrize("parts", [(-1.0, 100.0), (100.0, -1.0), (math.nan, 1.0), (1.0, math.nan)])
def test_parts_of_a_forward_are_prices(either, parts):
    """Their sum alone would hide a negative one until a scenario moves it."""
    made = ScenarioGrid([Contract(is_call=True, strike=60.0, expiry=0)], PLAN, SHOCKS)
    state = ExpiryState(forward=ForwardParts(fixed=parts[0], moving=parts[1]), years=0.1)
    with pytest.raises(ValueError, match="has no price"):
        made.refresh(volatilities=array("d", [0.5]), expiries=[state])


@pytest.mark.parametrize("expiry", [-1, 1, 2**31 - 1])
def test_an_expiry_that_is_not_there_is_refused(either, expiry):
    """It would be somebody else's memory."""
    with pytest.raises(ValueError, match="has no price"):
        one_cell(expiry=expiry)


def test_another_number_of_volatilities_is_refused(either):
    """One for each contract."""
    made = ScenarioGrid([], PLAN, SHOCKS)
    with pytest.raises(ValueError, match="1 volatilities for 0 contracts"):
        made.refresh(volatilities=array("d", [0.5]), expiries=[])
    made.refresh(volatilities=array("d"), expiries=[])
    assert list(made.cells) == []


def test_values_are_black_76_of_the_shock(either):
    """Mark, basis and the scenarios without a volatility move, from the plain formula."""
    made = one_cell()
    row = made.row(0)
    for place, spot in ((PLAN.mark, 1.0), (PLAN.forward_up, 1.045), (PLAN.forward_down, 0.955)):
        option = Option(is_call=True, forward=60_000.0 * spot, strike=60_000.0, years=0.1)
        assert row[place] == round(price(option, 0.5) * 1e9)


def test_both_twins_give_the_same_cells():
    """600 contracts of six expiries, all columns, to the last unit but two; refreshed twice, the second counts."""
    if not grid.COMPILED:
        pytest.skip("exchange.pricing._kernel is not built: make build")
    contracts, expiries, volatilities = world("grid", 600)
    made = ScenarioGrid(contracts, PLAN, SHOCKS)
    made.refresh(volatilities=array("d", [0.5] * 600), expiries=expiries)
    made.refresh(volatilities=volatilities, expiries=expiries)
    for place, contract in enumerate(contracts):
        plain = scenario_prices(contract, volatilities[place], expiries[contract.expiry], PLAN.columns, SHOCKS)
        differences = [abs(cell - value * 1e9) for cell, value in zip(made.row(place), plain, strict=True)]
        assert max(differences) <= 2, contract


@pytest.mark.parametrize("forward", [1.0, 1.4e6])
def test_cells_far_from_the_money(either, forward):
    """Eleven deviations either side: one exponential for both tails, then nothing is left; as the plain formula."""
    reaches = [step / 8 * 0.5 * math.sqrt(0.1) for step in range(-88, 89)]
    contracts = [Contract(is_call=reach > 0, strike=forward * math.exp(reach), expiry=0) for reach in reaches]
    made = ScenarioGrid(contracts, PLAN, SHOCKS)
    state = ExpiryState(forward=ForwardParts.free(forward), years=0.1)
    made.refresh(volatilities=array("d", [0.5] * len(contracts)), expiries=[state])
    for place, contract in enumerate(contracts):
        plain = scenario_prices(contract, 0.5, state, PLAN.columns, SHOCKS)
        assert max(abs(cell - value * 1e9) for cell, value in zip(made.row(place), plain, strict=True)) <= 4


def test_forwards_that_are_averaged_do_not_move(either):
    """A fixed forward has the same value in every scenario once the time is over."""
    state = ExpiryState(forward=ForwardParts(fixed=61_000.0, moving=0.0), years=0.0)
    made = ScenarioGrid([Contract(is_call=True, strike=60_000.0, expiry=0)], PLAN, SHOCKS)
    made.refresh(volatilities=array("d", [0.5]), expiries=[state])
    assert set(made.row(0)) == {1_000 * 10**9}
