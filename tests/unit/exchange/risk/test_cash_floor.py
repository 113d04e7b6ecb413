"""The cash floor: what is refused, what it asks for by hand, and when it is above the scenarios."""

import msgspec
import pytest

from exchange.domain.money import ceil_div
from exchange.risk.cash_floor import CashFloor, floor_margin_e18, floor_of, venue_margin_e18, venue_requirement
from exchange.risk.open_orders import PerpetualExposure
from exchange.risk.parameters import LARGE_CAP_TIERS, MAJOR_TIERS
from exchange.risk.scenario_portfolio import portfolio_requirement, portfolio_value_e18
from tests.unit.exchange.risk.test_scenario_portfolio import CALL, E9, E12, E18, MONTH_S, OURS, PUT, portfolio_of

PRICE_E9 = 60_000 * E9


def perpetual(held: float, *, tiers=LARGE_CAP_TIERS, buys: float = 0, sells: float = 0, **fields: int):
    """A perpetual at 60,000 USDC with its orders."""
    sizes = {"position_e9": held, "buys_e9": buys, "sells_e9": sells}
    return PerpetualExposure(mark_e9=PRICE_E9, tiers=tiers, **{k: round(v * E9) for k, v in sizes.items()}, **fields)


def test_perpetuals_without_brackets_are_refused():
    """They would ask for nothing."""
    with pytest.raises(ValueError, match="brackets"):
        floor_of(portfolio_of({}, E9))


def test_cells_of_another_width_are_refused():
    """As `portfolio_requirement` refuses them."""
    row = portfolio_of({(MONTH_S, 60_000, CALL): E9})
    parameters = msgspec.structs.replace(OURS, scenarios=OURS.scenarios[:-1])
    with pytest.raises(ValueError, match="cells"):
        venue_requirement(row, parameters)


# (cash in USDC, floor, what is left in USDC)
BY_HAND = [
    ("nothing", 7, CashFloor(), 7),
    ("long 1 perpetual, paid", -60_000, CashFloor(perpetuals=(perpetual(1),)), -2_400),
    ("short 1 perpetual", 60_000, CashFloor(perpetuals=(perpetual(-1),)), -2_400),
    ("of a major", -60_000, CashFloor(perpetuals=(perpetual(1, tiers=MAJOR_TIERS),)), -6_000),
    ("the wider side", 0, CashFloor(perpetuals=(perpetual(0, buys=1, sells=2),)), -4_800),
    ("sells that close", -60_000, CashFloor(perpetuals=(perpetual(1, sells=1),)), -2_400),
    ("losses and fees", 0, CashFloor(perpetuals=(perpetual(0, loss_e18=E18, fees_e18=2 * E18),)), -3),
    ("a long option counts nothing", 5, CashFloor(options_e18=1_000 * E18), 5),
    ("a short one counts", 5, CashFloor(options_e18=-4 * E18), 1),
    ("bids are paid", 5, CashFloor(options_e18=1_000 * E18, premiums_e18=6 * E18), -1),
    ("losses against the mark", 5, CashFloor(options_e18=3 * E18, losses_e18=4 * E18), 4),
    ("losses of who holds no option", 5, CashFloor(losses_e18=4 * E18), 1),
    ("bids of who is short are charged once", 5, CashFloor(options_e18=-4 * E18, premiums_e18=2 * E18), 1),
    ("the lower of both", 5, CashFloor(options_e18=-4 * E18, premiums_e18=6 * E18), -1),
    ("fees of options", 5, CashFloor(options_e18=9 * E18, fees_e18=E18), 4),
]


@pytest.mark.parametrize(("_", "cash", "floor", "left"), BY_HAND, ids=[row[0] for row in BY_HAND])
def test_what_is_left_by_hand(_, cash, floor, left):
    """4 % of a large cap, 10 % of a major, options where they lower it."""
    assert floor_margin_e18(cash * 10**6, floor) == left * E18


def test_options_count_at_their_marks():
    """All of them in one sum, shorts against longs; perpetuals keep their brackets."""
    held = portfolio_of({(MONTH_S, 60_000, CALL): 2 * E9, (MONTH_S, 50_000, PUT): -E9}, E9, tiers=MAJOR_TIERS)
    options = [row for expiry in held.markets[0].expiries for row in expiry.options]
    assert len(options) == 2
    found = floor_of(held)
    assert (
        found.options_e18
        == sum(row.mark_e9 * row.amount_e9 for row in options)
        == portfolio_value_e18(
            msgspec.structs.replace(held, markets=(msgspec.structs.replace(held.markets[0], perpetuals=()),))
        )
    )
    assert found.perpetuals == (perpetual(1, tiers=MAJOR_TIERS),)


def test_nothing_is_lent_on_long_options():
    """A straddle of a month lends 4,984 by the scenarios; here it is worth nothing, and maintenance stays."""
    held = portfolio_of({(MONTH_S, 60_000, CALL): E9, (MONTH_S, 60_000, PUT): E9}, cash_e6=0)
    alone, asked = portfolio_requirement(held, OURS), venue_requirement(held, OURS)
    assert asked.maintenance_e6 == alone.maintenance_e6
    value_e6 = ceil_div(portfolio_value_e18(held), E12)
    assert alone.initial_e6 < value_e6 == asked.initial_e6
    initial_e18, _ = venue_margin_e18(held, OURS)
    assert initial_e18 == 0


def test_where_scenarios_ask_for_more_nothing_changes():
    """A perpetual of 60,000 needs 13,200 by scenarios, 2,400 by the floor."""
    held = portfolio_of({}, E9, cash_e6=-60_000 * 10**6, tiers=LARGE_CAP_TIERS)
    assert venue_requirement(held, OURS) == portfolio_requirement(held, OURS)
    assert venue_margin_e18(held, OURS)[0] == -13_200 * 10**6 * E12
