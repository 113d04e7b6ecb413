"""The pre-trade check: worst fills, strict reductions, what reduce-only orders may do."""

from exchange.domain.commands import ChainRequestKind, OrderFlag
from exchange.domain.result_codes import ResultCode
from exchange.engine.margin import worst_margin_e18, worst_margin_of
from tests.unit.exchange.engine.quoting import MAKER, QuoteWorld
from tests.unit.exchange.engine.world import BUY, CALL, E6, PERP, PUT, SELL, World, refusal

OK, POOR = ResultCode.OK, ResultCode.INSUFFICIENT_MARGIN


def crashed() -> World:
    """Account 2 is long 1 BTC from 60,000 with 3,200 USDC, and the mark falls to 58,000, above its maintenance."""
    world = World().open(deposit=3_200 * E6)
    world.deposit(3, 10**12)
    world.run_cut()
    world.place(3, SELL, 600_000, 1_000)
    assert refusal(world.place(2, BUY, 600_000, 1_000)) is OK
    world.prices(58_000)
    return world


def test_below_the_requirement_only_reductions_pass() -> None:
    """Equity 1,182 under 2,320 needed: no new risk, no wider order, but the position may be closed in parts."""
    world = crashed()
    assert refusal(world.place(2, BUY, 500_000, 1)) is POOR
    assert refusal(world.place(2, SELL, 579_000, 1_001)) is POOR
    assert refusal(world.place(2, SELL, 579_000, 600)) is OK
    assert refusal(world.place(2, SELL, 579_000, 401)) is POOR
    assert refusal(world.place(2, SELL, 579_000, 400)) is OK


def test_a_reduction_at_a_ruinous_price_is_none() -> None:
    """Selling far below the mark loses more than the requirement it frees."""
    world = crashed()
    assert refusal(world.place(2, SELL, 500_000, 500)) is POOR
    assert refusal(world.place(2, SELL, 500_000, 500, flags=OrderFlag.REDUCE_ONLY)) is POOR
    assert refusal(world.place(2, SELL, 579_000, 500, flags=OrderFlag.REDUCE_ONLY)) is OK


def test_limits_beyond_the_mark_are_charged() -> None:
    """A buy 1,000 above the mark reserves the loss: 1,000 + 4 % of 60,000 + 36 of fees."""
    world = World().open(deposit=3_437 * E6)
    assert refusal(world.place(2, BUY, 610_000, 1_000)) is OK
    assert worst_margin_e18(world.state, world.state.accounts[2]) == 1 * 10**18
    assert refusal(world.place(3, BUY, 610_020, 1_000)) is POOR


def test_option_sells_are_charged_without_their_premium() -> None:
    """Short 70,000 call: 12 % of 60,000 + mark 1,500 + fee 18 = 8,718 for one unit (worked by hand)."""
    world = World().open(deposit=8_718 * E6)
    assert refusal(world.place(2, SELL, 1_500, 101, CALL)) is POOR
    assert refusal(world.place(2, SELL, 1_500, 100, CALL)) is OK


def test_option_buys_pay_their_premium() -> None:
    """A unit at 1,500 and its fee of 18."""
    world = World().open(deposit=1_518 * E6)
    assert refusal(world.place(2, BUY, 1_501, 100, CALL)) is POOR
    assert refusal(world.place(2, BUY, 1_500, 100, CALL)) is OK


def test_a_long_option_can_always_be_sold_again() -> None:
    """Its premium spent, the account has nothing left, and may still offer what it holds."""
    world = World().open(deposit=1_540 * E6)
    world.deposit(3, 10**11)
    world.run_cut()
    world.place(3, SELL, 1_500, 100, CALL)
    assert refusal(world.place(2, BUY, 1_500, 100, CALL)) is OK
    assert refusal(world.place(2, SELL, 1_600, 101, CALL)) is POOR
    assert refusal(world.place(2, SELL, 1_600, 100, CALL)) is OK


def test_buying_back_a_short_option_passes_below_the_requirement() -> None:
    """After the call tripled the seller may buy back, at a price near the mark."""
    world = World().open(deposit=8_800 * E6)
    world.place(3, BUY, 1_500, 100, CALL)
    assert refusal(world.place(2, SELL, 1_500, 100, CALL)) is OK
    world.prices(65_000, call=4_500)
    assert refusal(world.place(2, SELL, 800, 1, PUT)) is POOR
    assert refusal(world.place(2, BUY, 4_500, 50, CALL)) is OK


def test_new_prices_empty_the_cache() -> None:
    """The same order is refused once the marks moved against the position, and accepted after they came back."""
    world = World().open(deposit=3_000 * E6)
    world.place(3, SELL, 600_000, 900)
    world.place(2, BUY, 600_000, 900)
    assert refusal(world.place(2, BUY, 500_000, 10)) is OK
    world.prices(58_500)
    assert refusal(world.place(2, BUY, 500_000, 10)) is POOR
    world.prices(60_000)
    assert refusal(world.place(2, BUY, 500_000, 10)) is OK


def test_a_deposit_counts_at_once() -> None:
    """Cash is no part of the cache."""
    world = World().open(deposit=100 * E6)
    assert refusal(world.place(2, BUY, 600_000, 100)) is POOR
    world.request(ChainRequestKind.DEPOSIT, 2, amount_e6=1_000 * E6)
    assert refusal(world.place(2, BUY, 600_000, 100)) is OK


def test_a_reduction_of_more_than_is_held_closes_what_is_held() -> None:
    """It fills no further, so that no more is asked for."""
    world = crashed()
    assert refusal(world.place(2, SELL, 579_000, 100_000, flags=OrderFlag.REDUCE_ONLY)) is OK


def test_each_order_is_charged_at_the_marks_of_the_round() -> None:
    """A sale below the mark for what it loses, a bid for a call its premium, what only reduces nothing; and fees."""
    world = World().open()
    world.place(3, SELL, 600_000, 10)
    world.place(2, BUY, 600_000, 10)
    world.place(2, SELL, 601_000, 10, flags=OrderFlag.REDUCE_ONLY)
    world.place(2, SELL, 602_000, 5)
    world.place(2, BUY, 1_400, 2, CALL)
    world.prices(61_000, call=1_300)
    account = world.state.accounts[2]
    perpetual = 610_000_000 - 24_400_000 - 4_000_000 - 183_000
    call = -28_000_000 - 366_000
    assert worst_margin_e18(world.state, account) == (account.ledger_cash_e6 + perpetual + call) * 10**12
    assert worst_margin_of(world.state, account) == worst_margin_e18(world.state, account)


def test_orders_that_are_gone_leave_cash_alone() -> None:
    """To the unit, of options and of a perpetual."""
    world = World().open()
    account = world.state.accounts[2]
    for number, price in ((PERP, 590_000), (CALL, 1_000)):
        world.place(2, BUY, price, 1, number)
        world.cancel(2, max(world.state.account_orders[2]))
    assert worst_margin_e18(world.state, account) == account.ledger_cash_e6 * 10**12


def test_what_quotes_reserve_is_taken_of_any_account_as_it_might_be() -> None:
    """With positions in two groups beside them."""
    world = QuoteWorld().open_maker()
    for number, price in ((PERP, 600_000), (PUT, 800)):
        world.place(3, SELL, price, 3, number)
        world.place(MAKER, BUY, price, 3, number)
    account = world.state.accounts[MAKER]
    before = worst_margin_e18(world.state, account)
    world.quote((CALL, 1_000, 50, 2_000, 50))
    assert worst_margin_of(world.state, account) == worst_margin_e18(world.state, account) < before
