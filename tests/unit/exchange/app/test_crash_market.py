"""A small market that crashes: the same for the same seed, and every loss is somebody's."""

import functools

import pytest

from exchange.app.crash_market import CrashMarket, MakerPlan, draw_holders
from exchange.app.crash_path import path_of
from exchange.app.crash_report import ENGINES
from exchange.domain.ids import FUND_ACCOUNT
from exchange.engine.snapshot import dump
from exchange.engine.valuation import value_account
from tests.unit.exchange.app.test_crash_path import depth, price, rows

PATH = path_of(
    rows(
        step_s=2,
        noise_ppm=200,
        price=[price(0, 60_000), price(60, 59_500), price(240, 50_000), price(300, 53_000)],
        depth=[depth(0, 1_000_000), depth(120, 50_000)],
    )
)


@functools.cache
def crashed(engine, seed=1):
    """A market of 40 accounts at the end of the path, and the digest of its events."""
    market = CrashMarket(PATH, ENGINES[engine], accounts=40, seed=seed)
    return market, market.run(lambda *_: None)


def test_holders_come_from_the_seed_and_dare_no_more_than_the_rules_allow():
    """Seven tenths are long; nobody has more than twenty times his money."""
    holders = draw_holders(3, 100, 60_000 * 10**9)
    assert holders == draw_holders(3, 100, 60_000 * 10**9) != draw_holders(4, 100, 60_000 * 10**9)
    assert sum(row.lots > 0 for row in holders) == 70
    assert all(2_000 * 10**6 <= row.deposit_e6 <= 500_000 * 10**6 for row in holders)
    assert all(abs(row.lots) * 60 * 10**6 <= 20 * row.deposit_e6 for row in holders)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_same_seed_gives_the_same_events(engine):
    """Two runs in one process, byte for byte; another seed gives others."""
    again = CrashMarket(PATH, ENGINES[engine], accounts=40, seed=1)
    assert again.run(lambda *_: None) == crashed(engine)[1]
    assert crashed(engine, 2)[1] != crashed(engine)[1]


def test_engines_differ_in_nothing_but_the_rules():
    """Deposits and positions before the first step are the same; what happens then is not."""
    first, second = (dump(CrashMarket(PATH, rules, accounts=40, seed=1).state) for rules in ENGINES.values())
    assert first == second
    assert crashed("fixed")[1] != crashed("adaptive")[1]


@pytest.mark.parametrize("engine", ENGINES)
def test_figures_agree_with_the_accounts(engine):
    """What the fund lost and won, who is empty, and that nobody is still below zero, added up anew."""
    market, _ = crashed(engine)
    costs, state = market.tally.costs, market.state
    assert costs.liquidated >= costs.bankrupt > 0
    assert costs.book_lots > 0
    assert costs.shared_lots > 0
    assert costs.fund_e6 > 0
    owed_e6 = sum(max(0, -value_account(state, row).equity_e6) for row in state.accounts.values())
    assert costs.owed_e6 == owed_e6
    cash_e6 = sum(row.ledger_cash_e6 for row in state.accounts.values())
    assert cash_e6 == state.collateral_e6
    fees_e6 = state.accounts[FUND_ACCOUNT].ledger_cash_e6 + costs.fund_e6
    assert fees_e6 >= costs.fee_e6
    assert 0 <= costs.equity_after_e6 < costs.equity_before_e6


def test_a_deeper_book_sells_more_and_shares_less():
    """The plan of the makers is an assumption one can turn."""
    deep = CrashMarket(PATH, ENGINES["fixed"], accounts=40, seed=1, makers=MakerPlan(depth_ppm=500_000, refill_s=10))
    deep.run(lambda *_: None)
    thin = crashed("fixed")[0].tally.costs
    assert deep.tally.costs.book_lots > thin.book_lots
    assert deep.tally.costs.shared_lots < thin.shared_lots


def test_progress_is_told_each_minute():
    """Seconds that are done, and all of them."""
    told = []
    CrashMarket(PATH, ENGINES["fixed"], accounts=10, seed=1).run(lambda *row: told.append(row))
    assert told == [(second, 300) for second in (0, 60, 120, 180, 240, 300)]
