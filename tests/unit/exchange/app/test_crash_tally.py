"""Counting a crash from events by hand: signs of impact and haircut, either way."""

from exchange.app.crash_market import _INSTRUMENT
from exchange.app.crash_tally import Tally
from exchange.domain.commands import Side
from exchange.domain.events import FillSide, Trade
from exchange.domain.liquidations import Deleveraged, DeleveragedSide, FundPaid, LiquidationStage, LiquidationStarted

E9 = 10**9


def fill(order=0, account=2):
    """One party of a trade."""
    values = dict.fromkeys(FillSide.__struct_fields__, 0)
    return FillSide(**values | {"order": order, "subaccount": account, "fee_e6": 5})


def trade(side, price_ticks, *, line=128):
    """Three lots, at a mark of 100 USDC."""
    return Trade(
        trade=1, instrument=1, price_ticks=price_ticks, quantity_lots=3, taker_side=side, mark_e9=100 * E9,
        index_e9=100 * E9, maker=fill(), taker=fill(order=1 << 8 | line, account=7),
    )  # fmt: skip


def shared(lots, notional_e6):
    """A deleveraging at a mark of 100 USDC."""
    party = DeleveragedSide(**dict.fromkeys(DeleveragedSide.__struct_fields__, 0))
    return Deleveraged(
        trade=1, instrument=1, bankrupt_lots=lots, notional_e6=notional_e6, mark_e9=100 * E9, bankrupt=party,
        counterparty=party,
    )  # fmt: skip


def counted(*events):
    """Costs of these events."""
    tally = Tally(_INSTRUMENT)
    tally.take(list(events))
    return tally.costs


def test_orders_of_users_cost_no_liquidation_anything():
    """Their lots are taken from makers all the same."""
    tally = Tally(_INSTRUMENT)
    assert tally.take([trade(Side.SELL, 900, line=0)]) == {2: 3}
    assert tally.costs.book_lots == 0


def test_impact_is_what_a_fill_lost_against_the_mark():
    """Selling at 99 or buying at 101 loses 1 %; the average is over value, the worst over one fill."""
    costs = counted(trade(Side.SELL, 990), trade(Side.BUY, 1_010), trade(Side.SELL, 1_000))
    assert (costs.book_lots, costs.fee_e6) == (9, 15)
    assert costs.impact_e6 == 2 * 3 * 1_000
    assert costs.worst_impact_bps == 100


def test_a_fill_better_than_the_mark_counts_against_the_others():
    """Impact has a sign."""
    assert counted(trade(Side.SELL, 1_010)).impact_e6 == -3_000


def test_the_haircut_is_what_the_other_side_lost_against_the_mark():
    """Of a bankrupt long it buys above the mark, of a bankrupt short it sells below it."""
    assert counted(shared(-3, 330_000)).haircut_e6 == 30_000
    assert counted(shared(3, 270_000)).haircut_e6 == 30_000
    assert counted(shared(-3, 300_000)).haircut_e6 == 0
    assert counted(shared(3, 270_000)).shared_e6 == 300_000


def test_payments_of_the_fund_add_up():
    """To bad debt."""
    paid = FundPaid(subaccount=7, account_seq=1, amount_e6=40, fund_cash_e6=0, ledger_cash_e6=0, cash_e6=0)
    assert counted(paid, paid).bad_debt_e6 == 80


def test_the_largest_gap_between_mark_and_index_is_kept():
    """Either way, in whole basis points."""
    tally = Tally(_INSTRUMENT)
    for mark in (99, 102, 101):
        tally.note_prices(100 * E9, mark * E9)
    assert tally.costs.mark_gap_bps == 200


def test_an_account_breaks_once():
    """However often its stage is told."""
    tally = Tally(_INSTRUMENT)
    stage = LiquidationStage.INSOLVENT
    event = LiquidationStarted(subaccount=7, account_seq=1, stage=stage, equity_e6=-1, maintenance_requirement_e6=1)
    tally.take([event, event])
    assert tally._broke == {7: None}
