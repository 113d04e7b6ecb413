"""Prices of a round: what has a mark, how it is rounded, how far it may go behind the round before."""

import pytest

from exchange.bridge.round_prices import PriceFold, RoundPrices
from exchange.domain.commands import MarkRow, SetPrices, UnderlyingRow
from exchange.domain.events import InstrumentListed, PricesSet
from exchange.domain.rounds import InstrumentDelisted, InstrumentSettled
from exchange.domain.underlyings import underlying_number
from settlement.protocol.linear_bounds import LARGE_CAP
from tests.unit.exchange.engine.world import CALL, EXPIRY_S, PERP, PUT, instruments

BTC = underlying_number("BTC")
INDEX_E9 = 60_000_123_456_789


def fold(*, marks: dict[int, int]) -> PriceFold:
    """Everything listed, then priced."""
    prices = PriceFold()
    for instrument in instruments():
        prices.note(InstrumentListed(instrument=instrument))
    rows = tuple(MarkRow(number, mark_e9) for number, mark_e9 in marks.items())
    prices.note(PricesSet(prices=SetPrices(round=1, underlyings=(UnderlyingRow("BTC", INDEX_E9),), marks=rows)))
    return prices


def test_nothing_is_priced_before_it_is_listed() -> None:
    """Who begins in the middle of a stream has no lot to price by."""
    prices = PriceFold()
    prices.note(PricesSet(prices=SetPrices(round=1, marks=(MarkRow(PERP, 1),))))
    assert prices.prices() == RoundPrices()


def test_marks_and_indexes_are_rounded_down() -> None:
    """A lot of the perpetual is 0.001, of the call 0.01."""
    found = fold(marks={PERP: 60_000_999_999_999, CALL: 1_500_000_099_999}).prices()
    assert found == RoundPrices(((CALL, 15_000_000), (PERP, 60_000_999)), ((BTC, 60_000_123_456),))


@pytest.mark.parametrize(
    "event",
    [
        InstrumentSettled(instrument=CALL, price_e9=1, value_e12=1, position_count=0),
        InstrumentDelisted(instrument=CALL),
    ],
)
def test_what_ended_has_no_mark_again(event: InstrumentSettled | InstrumentDelisted) -> None:
    """A settled row must not live again (F4), whatever the feed still says."""
    prices = fold(marks={CALL: 10**9, PUT: 10**9})
    prices.note(event)
    prices.note(PricesSet(prices=SetPrices(round=2, marks=(MarkRow(CALL, 2 * 10**9),))))
    assert dict(prices.prices().marks) == {PUT: 10_000_000 // 1_000}


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
    """10 % and 0.2 % per second; what had to be held back takes the marks of options with it."""
    marks = ((CALL, 4), (PERP, 5))
    after = RoundPrices(marks, ((BTC, now_e6),)).after(RoundPrices((), ((BTC, before_e6),)), elapsed_s)
    assert after == RoundPrices(marks if now_e6 == published_e6 else marks[1:], ((BTC, published_e6),))


def test_a_first_price_is_free() -> None:
    """Nothing stands before it."""
    prices = RoundPrices(((PERP, 5),), ((BTC, 7),))
    assert prices.after(RoundPrices(), 1) is prices


def test_a_settlement_price_comes_with_each_payoff() -> None:
    """Instruments of one expiry may be paid in several rounds: each has the price that its payoffs follow from."""
    event = InstrumentSettled(instrument=CALL, price_e9=70_123_000_001_999, value_e12=1, position_count=0)
    assert PriceFold().settlement(event) == {}
    assert fold(marks={}).settlement(event) == {(BTC, EXPIRY_S): 70_123_000_001}


def test_a_saved_fold_goes_on_the_same() -> None:
    """Listings, prices and what ended."""
    prices = fold(marks={PERP: 10**12, CALL: 10**12, PUT: 10**12})
    prices.note(InstrumentSettled(instrument=PUT, price_e9=1, value_e12=1, position_count=0))
    loaded = PriceFold.load(prices.dump())
    assert loaded.prices() == prices.prices()
    assert loaded.terms() == prices.terms()
    assert loaded.dump() == prices.dump()


def test_terms_are_those_of_the_chain() -> None:
    """Lots in 1e-18, strikes in 1e-8."""
    terms = fold(marks={}).terms()
    assert (terms[PERP].bounds.is_perpetual, terms[PERP].bounds.lot_e18) == (True, 10**15)
    assert (terms[CALL].is_call, terms[CALL].strike_e8, terms[CALL].expiry_s) == (True, 70_000 * 10**8, EXPIRY_S)
    assert (terms[PUT].is_call, terms[PUT].underlying, terms[PUT].bounds.factor_class) == (False, BTC, LARGE_CAP)
