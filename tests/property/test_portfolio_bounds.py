"""The contract's lower bound stays below the maintenance requirement of Portfolio Margin, hedged or not."""

import random

import pytest

from exchange.risk.scenario_portfolio import portfolio_requirement
from settlement.protocol.linear_bounds import LARGE_CAP, BoundTerms, low_e6
from tests.unit.exchange.risk.test_scenario_portfolio import CONTRACTS, E9, OURS, SPOT, portfolio_of

LOT_E9 = 10**7
TERMS = BoundTerms(is_perpetual=True, lot_e18=LOT_E9 * E9, factor_class=LARGE_CAP)


@pytest.mark.parametrize("seed", range(4))
def test_an_account_at_its_requirement_is_above_the_floor(seed):
    """200 portfolios each of a perpetual and options that may hedge it: 3 % of contingencies against 1 %."""
    pick, tightest = random.Random(seed), 10**18
    for _ in range(200):
        options = {one: pick.randrange(-3, 4) * E9 for one in pick.sample(CONTRACTS, pick.randrange(5))}
        lots = pick.choice((-1, 1)) * pick.randrange(1, 400)
        needed = portfolio_requirement(portfolio_of(options, lots * LOT_E9), OURS).maintenance_e6
        low = low_e6(TERMS, lots, SPOT * 10**6 * LOT_E9 // E9)
        assert low <= needed
        tightest = min(tightest, needed * 100 // low)
    # Some hedge so well that little but the contingency is left.
    assert tightest < 1_200
