"""Prices of a round: how they are rounded, how far they may go behind the round before, what terms disputes need."""

import pytest

from exchange.bridge.round_prices import PriceFold, bounded_prices_e6
from exchange.domain.commands import SetPrices, UnderlyingRow
from exchange.domain.events import InstrumentListed, PricesSet
from exchange.domain.rounds import InstrumentDelisted, InstrumentSettled
from exchange.domain.underlyings import underlying_number
from settlement.protocol.linear_bounds import LARGE_CAP
from tests.unit.exchange.engine.world import CALL, EXPIRY_S, PERP, PUT, instruments

BTC = underlying_number("BTC")
INDEX_E9 = 60_000_123_456_789


def fold() -> PriceFold:
    """Everything listed, then priced."""
    prices = PriceFold()
    for instrument in instruments():
        prices.note(InstrumentListed(instrument=instrument))
    prices.note(PricesSet(prices=SetPrices(round=1, underlyings=(UnderlyingRow("BTC", INDEX_E9),))))
    return prices


def test_index_prices_are_rounded_down() -> None:
    """A round has six decimals."""
    assert PriceFold().indexes_e6() == {}
    assert fold().indexes_e6() == {BTC: 60_000_123_456}


def test_a_halt_is_no_price() -> None:
    """The chain gets the last good one."""
    prices, halt = fold(), UnderlyingRow("BTC", 0, 0, is_halted=True)
    prices.note(PricesSet(prices=SetPrices(round=2, underlyings=(halt,)), halted=("BTC",)))
    assert prices.indexes_e6() == fold().indexes_e6()


@pytest.mark.parametrize(
    ("before_e6", "now_e6", "elapsed_s", "published_e6"),
    [
        (100, 200, 1, 110),
        (100, 10, 1, 90),
        (1_000_000, 1_102_000, 1, 1_102_000),
        (1_000_000, 1_102_001, 1, 1_102_000),
        (1_000_000, 1_120_000, 10, 1_120_000),
        (1_000_000, 1, 1_000, 1),
    ],
)
def test_a_jump_is_published_at_its_bound(before_e6: int, now_e6: int, elapsed_s: int, published_e6: int) -> None:
    """10 % and 0.2 % per second."""
    assert bounded_prices_e6({BTC: before_e6}, {BTC: now_e6}, elapsed_s) == {BTC: published_e6}


def test_a_first_price_is_free_and_none_is_ever_gone() -> None:
    """Nothing stands before it; what stood before stays without another one."""
    assert bounded_prices_e6({}, {BTC: 7}, 1) == {BTC: 7}
    assert bounded_prices_e6({BTC: 7, 5: 9}, {5: 9}, 1) == {BTC: 7, 5: 9}


def test_a_settlement_price_comes_with_each_payoff() -> None:
    """Instruments of one expiry may be paid in several rounds: each has the price that its payoffs follow from."""
    event = InstrumentSettled(instrument=CALL, price_e9=70_123_000_001_999, value_e12=1, position_count=2)
    assert PriceFold().settlement(event) == {}
    assert fold().settlement(event) == {(BTC, EXPIRY_S): 70_123_000_001}


def test_a_saved_fold_goes_on_the_same() -> None:
    """Listings and prices."""
    prices = fold()
    loaded = PriceFold.load(prices.dump())
    assert loaded.indexes_e6() == prices.indexes_e6()
    assert loaded.terms() == prices.terms()
    assert loaded.dump() == prices.dump()


def test_terms_are_those_of_the_chain() -> None:
    """Lots in 1e-18, strikes in 1e-8; none of what is delisted."""
    prices = fold()
    terms = prices.terms()
    assert (terms[PERP].bounds.is_perpetual, terms[PERP].bounds.lot_e18) == (True, 10**15)
    assert (terms[CALL].is_call, terms[CALL].strike_e8, terms[CALL].expiry_s) == (True, 70_000 * 10**8, EXPIRY_S)
    assert (terms[PUT].is_call, terms[PUT].underlying, terms[PUT].bounds.factor_class) == (False, BTC, LARGE_CAP)
    prices.note(InstrumentDelisted(instrument=CALL))
    assert prices.terms().keys() == {PERP, PUT}
