"""Portfolio Margin in the engine: what it refuses, what it charges, what it decides by, and that a restart keeps it."""

from typing import Any

import msgspec
import pytest

from exchange.domain.commands import ChainRequestKind, ListInstrument, MarkRow, OrderFlag, SetPrices, SignedAmend
from exchange.domain.events import OrderClosed, RequestApplied
from exchange.domain.instrument import Instrument
from exchange.domain.liquidations import LiquidationStarted
from exchange.domain.portfolio import ExpiryTrust, MarginKindSet, ScenarioRow, ScenariosSet, SetMarginKind
from exchange.domain.result_codes import ResultCode
from exchange.domain.views import AccountView, GetAccount
from exchange.engine.margin import worst_margin_e18
from exchange.engine.queries import answer
from exchange.engine.snapshot import dump, load
from exchange.engine.state_hash import state_hash
from exchange.engine.valuation import value_account
from matching_core import OrderBook, ReferenceOrderBook
from tests.unit.exchange.engine.portfolios import PM, SM, PortfolioWorld, command_refusal
from tests.unit.exchange.engine.world import BUY, CALL, E6, EXPIRY_S, PERP, PUT, SELL, instruments, refusal, trades

OK, POOR = ResultCode.OK, ResultCode.INSUFFICIENT_MARGIN


def left_e6(world: PortfolioWorld, account: int = 2) -> int:
    """Initial margin left behind the worst fill of everything open, rounded down."""
    return worst_margin_e18(world.state, world.state.accounts[account]) // 10**12


def view(world: PortfolioWorld, account: int = 2) -> AccountView:
    """What the account is shown."""
    found = answer(world.state, GetAccount(subaccount=account))
    assert isinstance(found, AccountView)
    return found


# Who may choose it.


def test_nobody_chooses_for_accounts_that_are_not_there() -> None:
    """Unknown ones, and the exchange's own."""
    world = PortfolioWorld().open()
    assert [world.choose(account) for account in (0, 1, 99)] == [ResultCode.SUBACCOUNT_NOT_FOUND] * 3


def test_an_account_needs_equity_to_choose_it() -> None:
    """10,000 USDC and no unit less (risk.md 8.4)."""
    world = PortfolioWorld().open(deposit=10_000 * E6)
    world.deposit(5, 10_000 * E6 - 1)
    assert world.choose(5) is POOR
    assert world.choose(2) is OK


def test_options_without_scenarios_bar_the_choice() -> None:
    """Whoever holds, or has an order on, an option that was never priced in scenarios."""
    world = PortfolioWorld()
    super(PortfolioWorld, world).open()
    world.scenario_round = 0
    world.place(2, BUY, 100, 1, CALL)
    assert world.choose(2) is ResultCode.INSTRUMENT_NOT_LIVE
    world.scenarios()
    assert world.choose(2) is OK


def test_a_choice_that_would_miss_margin_is_refused() -> None:
    """4 % of a perpetual is enough for the one kind, 22 % is what the other asks; nothing changes by the refusal."""
    world = PortfolioWorld().open(deposit=20_000 * E6)
    world.deposit(3, 10**12)
    world.run_cut()
    world.hold(2, PERP, 2_000, 600_000)
    before = state_hash(world.state), left_e6(world)
    assert world.choose(2) is POOR
    assert left_e6(world) == before[1]
    assert view(world).margin_kind is SM


def test_going_back_must_be_affordable_too() -> None:
    """A short strangle of 50/70k needs more from Standard Margin."""
    world = PortfolioWorld().open(deposit=13_000 * E6)
    world.deposit(3, 10**12)
    world.run_cut()
    assert world.choose(2) is OK
    world.strangle(2)
    assert world.state.accounts[2].lots(PUT) == -100
    assert world.choose(2, SM) is POOR
    world.run_cut()
    world.deposit(2, 10_000 * E6)
    assert world.choose(2, SM) is OK


def test_an_account_in_liquidation_cannot_choose() -> None:
    """What is being closed keeps its rules."""
    world = PortfolioWorld().open()
    world.state.accounts[2].is_in_liquidation = True
    world.checks = False
    assert world.choose(2) is ResultCode.IN_LIQUIDATION


def test_the_choice_is_an_event_and_can_be_repeated() -> None:
    """The same kind again is no error."""
    world = PortfolioWorld().open()
    command = SetMarginKind(subaccount=2, kind=PM)
    assert world.run(command) == world.run(command) == [MarginKindSet(subaccount=2, kind=PM)]
    assert view(world).margin_kind is PM


# Scenario prices.


def changed(row: ScenarioRow, **fields: Any) -> ScenarioRow:
    """A row with other fields."""
    return msgspec.structs.replace(row, **fields)


@pytest.mark.parametrize(
    "damage",
    [
        lambda command: {"underlying": "XRP"},
        lambda command: {"rows": (changed(command.rows[0], instrument=PERP),)},
        lambda command: {"rows": (changed(command.rows[0], instrument=77),)},
        lambda command: {"rows": (changed(command.rows[0], cells=command.rows[0].cells[:-8]),)},
        lambda command: {"rows": (changed(command.rows[0], cells=command.rows[0].cells[:-1]),)},
        lambda command: {"rows": (ScenarioRow.of(CALL, (-1, *command.rows[0].values()[1:])),)},
        lambda command: {"rows": (ScenarioRow.of(CALL, (9 * 10**15 + 1, *command.rows[0].values()[1:])),)},
        lambda command: {"expiries": (ExpiryTrust(EXPIRY_S, 2, 1, 0),)},
        lambda command: {"expiries": (ExpiryTrust(EXPIRY_S, -1, 1, 0),)},
        lambda command: {"expiries": (ExpiryTrust(EXPIRY_S, 1, 1 << 32, 0),)},
        lambda command: {"expiries": (ExpiryTrust(EXPIRY_S, 1, 1, -1),)},
    ],
)
def test_bad_scenarios_are_refused_whole(damage: Any) -> None:
    """Unknown underlying or option, a perpetual, too few cells, a price below 0 or above 9e6, a gain above a loss."""
    world = PortfolioWorld().open()
    good = world.scenario_command(70_000.0)
    before = dump(world.state)["portfolios"]
    events = world.run(msgspec.structs.replace(good, **damage(good)))
    assert command_refusal(events) is ResultCode.PRICE_INVALID
    assert dump(world.state)["portfolios"] == before


def test_a_round_must_rise() -> None:
    """The same number again is out of order."""
    world = PortfolioWorld().open()
    command = world.scenario_command()
    assert world.run(command) == [ScenariosSet(underlying="BTC", round=2, instruments=2)]
    assert command_refusal(world.run(command)) is ResultCode.PRICE_OUT_OF_ORDER


def test_an_expiry_without_trust_has_no_rows() -> None:
    """Cells alone say nothing of what a value counts for."""
    world = PortfolioWorld()
    super(PortfolioWorld, world).open()
    world.scenario_round = 0
    command = world.scenario_command()
    events = world.run(msgspec.structs.replace(command, expiries=()))
    assert command_refusal(events) is ResultCode.PRICE_INVALID


# What it refuses and takes.


def test_an_option_without_scenarios_is_not_live_for_it() -> None:
    """For an account with Standard Margin it is."""
    world = PortfolioWorld()
    super(PortfolioWorld, world).open()
    assert world.choose(2) is OK
    assert refusal(world.place(2, BUY, 1_000, 1, CALL)) is ResultCode.INSTRUMENT_NOT_LIVE
    assert refusal(world.place(3, BUY, 1_000, 1, CALL)) is OK
    assert refusal(world.place(2, BUY, 590_000, 1)) is OK


def test_old_scenarios_only_reduce() -> None:
    """Older than a mark may be: an option takes what closes, for accounts that are margined by them."""
    world = PortfolioWorld().open()
    world.choose(2)
    world.hold(2, CALL, 10, 1_500)
    world.later(61)
    assert refusal(world.place(2, BUY, 1_500, 1, CALL)) is ResultCode.MARKET_REDUCE_ONLY
    assert refusal(world.place(4, BUY, 1_500, 1, CALL)) is OK
    assert refusal(world.place(2, SELL, 1_600, 10, CALL)) is OK
    world.scenarios()
    assert refusal(world.place(2, BUY, 1_500, 1, CALL)) is OK


def test_a_perpetual_needs_a_fifth_and_more() -> None:
    """1 BTC at 60,000: 18 % and 4 % of contingencies are 13,200, and 18 of fees (risk.md 6)."""
    world = PortfolioWorld().open(deposit=13_218 * E6)
    world.choose(2)
    assert refusal(world.place(2, BUY, 600_000, 1_001)) is POOR
    assert refusal(world.place(2, BUY, 600_000, 1_000)) is OK
    assert left_e6(world) == 0
    assert refusal(world.place(2, BUY, 600_000, 1)) is POOR


def test_the_other_side_of_a_resting_order_is_free() -> None:
    """Buys and sells do not add up: in no scenario do both lose."""
    world = PortfolioWorld().open(deposit=13_300 * E6)
    world.choose(2)
    assert refusal(world.place(2, BUY, 599_000, 1_000)) is OK
    assert refusal(world.place(2, SELL, 601_000, 900)) is OK


def test_orders_that_only_reduce_reserve_nothing() -> None:
    """Before and behind them the same is left."""
    world = PortfolioWorld().open(deposit=20_000 * E6)
    world.choose(2)
    world.hold(2, PERP, 1_000, 600_000)
    before = left_e6(world)
    assert refusal(world.place(2, SELL, 650_000, 1_000, flags=OrderFlag.REDUCE_ONLY)) is OK
    assert left_e6(world) == before


def test_a_hedge_lowers_what_is_asked() -> None:
    """Short 70k calls and 0.3 perpetuals need less than the calls alone (risk.md 6)."""
    world = PortfolioWorld().open()
    world.choose(2)
    world.hold(2, CALL, -100, 1_500)
    alone = view(world).initial_requirement_e6
    world.hold(2, PERP, 300, 600_000)
    assert view(world).initial_requirement_e6 < alone


def test_below_the_requirement_only_reductions_pass() -> None:
    """A crash leaves less than is asked: nothing new, parts may be closed."""
    world = PortfolioWorld().open(deposit=15_000 * E6)
    world.deposit(3, 10**12)
    world.run_cut()
    world.choose(2)
    world.hold(2, PERP, 1_000, 600_000)
    world.prices(57_000)
    assert left_e6(world) < 0
    assert refusal(world.place(2, BUY, 500_000, 1)) is POOR
    assert refusal(world.place(2, SELL, 569_000, 1_001)) is POOR
    assert refusal(world.place(2, SELL, 569_000, 600)) is OK
    assert refusal(world.place(2, SELL, 569_000, 401)) is POOR
    assert refusal(world.place(2, SELL, 400_000, 10, flags=OrderFlag.REDUCE_ONLY)) is POOR
    assert refusal(world.place(2, SELL, 569_000, 10, flags=OrderFlag.REDUCE_ONLY)) is OK


def test_a_signed_amendment_is_checked_without_what_it_replaces() -> None:
    """The order's own charge is gone while its successor is judged: preview it by canceling."""
    world = PortfolioWorld().open(deposit=13_218 * E6)
    world.choose(2)
    events = world.place(2, BUY, 600_000, 1_000)
    number = next(event.order for event in events if hasattr(event, "order"))
    place = world.order(2, BUY, 600_000, 1_000)
    assert refusal(world.run(SignedAmend(target_order=number, order=place))) is OK
    larger = world.order(2, BUY, 600_000, 1_001)
    assert refusal(world.run(SignedAmend(target_order=number, order=larger))) is POOR


# What follows from it.


def test_a_withdrawal_leaves_what_the_kind_asks() -> None:
    """Of 100,000 behind a long perpetual of 60,000, 13,200 stay."""
    world = PortfolioWorld().open()
    world.choose(2)
    world.hold(2, PERP, 1_000, 600_000)
    world.run_cut()
    fee_e6 = 100_000 * E6 - view(world).equity_e6
    events = world.request(ChainRequestKind.WITHDRAW, 2, amount_e6=100_000 * E6)
    approved = [event.approved_e6 for event in events if isinstance(event, RequestApplied)]
    assert approved == [100_000 * E6 - 13_200 * E6 - fee_e6]
    assert left_e6(world) == 0


def test_a_withdrawal_that_the_contract_would_prove_is_not_refused() -> None:
    """Cells of a volatility of 3 ask for more than the contract's 20 % of index and mark of a short call (F5)."""
    world = PortfolioWorld().open(deposit=40_000 * E6)
    world.deposit(3, 10**12)
    world.run_cut()
    world.choose(2)
    world.hold(2, CALL, -100, 1_500)
    world.run_cut()
    world.scenarios(60_000.0, 3.0)
    before = world.state.accounts[2].ledger_cash_e6
    events = world.request(ChainRequestKind.WITHDRAW, 2, amount_e6=10**12)
    approved = [event.approved_e6 for event in events if isinstance(event, RequestApplied)]
    # A lot of 0.01 at 15 USDC: mark and bound are rounded against the account, one unit each.
    bound = 100 * 15 * E6 + 100 + (60_000 * E6 + 1 + 100 * (15 * E6 + 1)) // 5 + 1
    assert approved == [before - bound]
    assert left_e6(world) < 0


def test_below_initial_margin_its_orders_go() -> None:
    """A market that moves takes the orders that add risk, and begins no liquidation yet."""
    world = PortfolioWorld().open(deposit=14_000 * E6)
    world.deposit(3, 10**12)
    world.run_cut()
    world.choose(2)
    world.hold(2, PERP, 1_000, 600_000)
    world.place(2, BUY, 580_000, 10)
    world.prices(58_500)
    events = world.clock()
    assert [event.reason.name for event in events if isinstance(event, OrderClosed)] == ["INSUFFICIENT_MARGIN"]
    assert not world.state.liquidations


def test_below_maintenance_it_is_liquidated_by_its_own_kind() -> None:
    """At 56,500 a perpetual bought at 60,000 with 13,300 behind it misses 17.4 % but is far above 2 %."""
    for kind, is_liquidated in ((SM, False), (PM, True)):
        world = PortfolioWorld().open(deposit=13_300 * E6)
        world.deposit(3, 10**12)
        world.run_cut()
        world.choose(2, kind)
        world.hold(2, PERP, 1_000, 600_000)
        world.prices(56_000)
        started = [event for event in world.clock() if isinstance(event, LiquidationStarted)]
        assert bool(started) is is_liquidated


def test_nothing_is_liquidated_on_old_scenarios() -> None:
    """They are half of what it is judged by."""
    world = PortfolioWorld().open(deposit=13_000 * E6)
    world.deposit(3, 10**12)
    world.run_cut()
    world.choose(2)
    world.strangle(2)
    world.later(61)
    world.prices(66_000, call=8_000, put=100)
    assert not any(isinstance(event, LiquidationStarted) for event in world.clock())
    world.scenarios(66_000.0)
    assert any(isinstance(event, LiquidationStarted) for event in world.clock())


def test_a_liquidation_leaves_hedges_alone() -> None:
    """Short calls with perpetuals that cover them: closing the perpetuals would ask for more."""
    world = PortfolioWorld().open(deposit=11_000 * E6)
    world.deposit(3, 10**12)
    world.run_cut()
    world.choose(2)
    world.hold(2, CALL, -100, 1_500)
    world.hold(2, PERP, 300, 600_000)
    world.place(4, BUY, 630_000, 1_000)
    world.prices(66_000, call=9_500, put=100)
    world.scenarios(66_000.0, 1.2)
    assert any(isinstance(event, LiquidationStarted) for event in world.clock())
    assert world.state.accounts[2].lots(PERP) == 300


def test_a_second_perpetual_adds_its_own() -> None:
    """Two perpetuals of one underlying move together, each at its own mark."""
    world = PortfolioWorld().open()
    other: Instrument = msgspec.structs.replace(instruments()[0], instrument_id=PERP + 1, name="BTC-OTHER")
    world.run(ListInstrument(instrument=other))
    world.round += 1
    world.run(SetPrices(round=world.round, marks=(MarkRow(PERP + 1, 61_000 * 10**9),)))
    world.choose(2)
    world.hold(2, PERP, 100, 600_000)
    one = view(world).initial_requirement_e6
    world.hold(2, PERP + 1, -100, 610_000)
    both = view(world).initial_requirement_e6
    # 4 % of contingencies of each at the index, and 5 times the 100 between the marks, dampened.
    assert one == 1_320 * E6
    assert 480 * E6 < both < 500 * E6


# That it lasts.


def test_a_restart_keeps_margins_kinds_and_decisions() -> None:
    """Over both states: the same hash, the same margins, the same refusals."""
    world = PortfolioWorld().open(deposit=13_000 * E6)
    world.deposit(3, 10**12)
    world.run_cut()
    world.choose(2)
    world.strangle(2)
    world.place(2, BUY, 590_000, 50)
    world.prices(61_000, call=1_800, put=700)
    factory: Any = ReferenceOrderBook if type(world.state).__name__ == "State" else OrderBook
    twin = load(dump(world.state), factory, None, type(world.state))
    assert state_hash(twin) == state_hash(world.state)
    assert worst_margin_e18(twin, twin.accounts[2]) == worst_margin_e18(world.state, world.state.accounts[2])
    assert value_account(twin, twin.accounts[2]) == value_account(world.state, world.state.accounts[2])
    orders = [world.order(2, BUY, 600_000, lots, nonce=world.now_ns + lots) for lots in (1, 50, 900, 300)]
    old = [refusal(world.run(order)) for order in orders]
    before, world.state = world.state, twin
    world.now_ns -= 4_000_000
    assert [refusal(world.run(order)) for order in orders] == old
    assert set(old) == {OK, POOR}
    assert state_hash(before) == state_hash(twin)


def test_a_fill_leaves_what_the_check_found() -> None:
    """What was just affordable is so behind every fill, whichever order fills first (fees of the maker left)."""
    world = PortfolioWorld().open(deposit=30_000 * E6)
    world.deposit(3, 10**12)
    world.run_cut()
    world.choose(2)
    for instrument, side, price, lots in ((CALL, SELL, 1_500, 120), (PUT, SELL, 800, 120), (PERP, BUY, 599_000, 500)):
        assert refusal(world.place(2, side, price, lots, instrument)) is OK
    assert left_e6(world) >= 0
    for instrument, side, price, lots in ((PUT, BUY, 800, 120), (PERP, SELL, 599_000, 500), (CALL, BUY, 1_500, 120)):
        before = left_e6(world)
        assert trades(world.place(3, side, price, lots, instrument))
        assert left_e6(world) >= before
