"""The pre-trade check: worst fills, strict reductions, what reduce-only orders may do."""

from exchange.domain.commands import ChainRequestKind, OrderFlag
from exchange.domain.result_codes import ResultCode
from exchange.engine.margin import worst_margin_e18
from tests.unit.exchange.engine.world import BUY, CALL, E6, PUT, SELL, World, refusal

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
