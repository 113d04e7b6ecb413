"""Quotes to volatilities: what cannot be read is left out, what can has the smile's volatility."""

import math

import pytest

from exchange.pricing.quotes import quoted_volatilities, volatilities_e9
from tests.fakes.chain_books import SMILE, chain_quotes, spoilt

UNREADABLE = [
    "no bid", "no ask", "crossed", "locked", "nan bid", "nan ask", "infinite ask", "negative bid", "zero sizes",
    "nan size", "nan strike", "zero strike",
]  # fmt: skip


@pytest.mark.parametrize("how", UNREADABLE)
def test_an_unreadable_quote_is_left_out(how):
    """The others keep their volatilities to the last bit."""
    quotes = chain_quotes()
    whole = quoted_volatilities(quotes, forward=2_000.0, years=SMILE.years)
    place = next(at for at, quote in enumerate(quotes) if quote.strike == 2_100.0 and quote.is_call)
    rest = quoted_volatilities(
        [*quotes[:place], spoilt(quotes[place], how), *quotes[place + 1 :]], forward=2_000.0, years=SMILE.years
    )
    assert rest == [row for row in whole if (row.strike, row.is_call) != (2_100.0, True)]


@pytest.mark.parametrize(
    "bad", [{"forward": math.nan}, {"forward": -1.0}, {"years": math.nan}, {"years": -1.0}, {"discount": 0.0}]
)
def test_a_forward_or_time_that_is_none_is_refused(bad):
    """Nothing is computed from a feed that failed."""
    with pytest.raises(ValueError, match="must be"):
        quoted_volatilities(chain_quotes(), **{"forward": 2_000.0, "years": 0.1} | bad)


def test_no_volatility_without_time():
    """At expiry a price is intrinsic value."""
    assert quoted_volatilities(chain_quotes(), forward=2_000.0, years=0.0) == []


def test_wide_quotes_and_small_time_values_are_left_out():
    """Ten points at most; half a tick of time value says nothing."""
    narrow = quoted_volatilities(chain_quotes(half_spread=0.02), forward=2_000.0, years=SMILE.years)
    assert narrow
    assert quoted_volatilities(chain_quotes(half_spread=0.9), forward=2_000.0, years=SMILE.years) == []
    assert quoted_volatilities(chain_quotes(), forward=2_000.0, years=SMILE.years, tick=1e4) == []


def test_the_middle_has_the_volatility_of_the_smile():
    """For calls and puts alike, and the bounds lie around it."""
    rows = quoted_volatilities(chain_quotes(), forward=2_000.0, years=SMILE.years)
    assert len(rows) == 24
    for row in rows:
        assert row.mid == pytest.approx(math.sqrt(SMILE.raw_variance(row.log_moneyness) / SMILE.years), rel=1e-9)
        assert row.bid < row.mid < row.ask


def test_weight_is_vega_by_the_square_of_the_spread():
    """Twice the spread has about a quarter of the weight."""
    one, two = (
        quoted_volatilities(chain_quotes(half_spread=half), forward=2_000.0, years=SMILE.years)[10]
        for half in (0.01, 0.02)
    )
    assert one.weight / two.weight == pytest.approx((two.spread / one.spread) ** 2)
    # Vega of Black-76 by hand: F phi(d1) sqrt(T) / 100.
    deviation = one.mid * math.sqrt(SMILE.years)
    d1 = -one.log_moneyness / deviation + deviation / 2
    vega = 2_000.0 * math.exp(-d1 * d1 / 2) / math.sqrt(2 * math.pi) * math.sqrt(SMILE.years) / 100
    assert one.weight == pytest.approx(vega / (100 * one.spread) ** 2, rel=1e-9)


CALL_2100 = (True, 2_100 * 10**9, 60 * 10**9)
CHAIN = {"forward_e9": 2_000 * 10**9, "left_ns": 3_153_600 * 10**9, "tick_e9": 10**8}


@pytest.mark.parametrize(
    ("row", "change"),
    [
        (CALL_2100, {"left_ns": 0}),
        (CALL_2100, {"left_ns": -1}),
        (CALL_2100, {"forward_e9": 0}),
        (CALL_2100, {"tick_e9": 10**13}),
        ((True, 2_100 * 10**9, 0), {}),
        ((True, 2_100 * 10**9, 2_000 * 10**9), {}),
        ((True, 1_900 * 10**9, 99 * 10**9), {}),
        ((True, 0, 60 * 10**9), {}),
    ],
)
def test_no_integer_volatility_where_there_is_none(row, change):
    """None, never 0; the row beside it keeps its own."""
    assert volatilities_e9([row], **CHAIN | change) == [None]
    good, bad = volatilities_e9([CALL_2100, row], **CHAIN) if not change else (1, None)
    assert (good is not None, bad) == (True, None)


def test_integer_volatilities_are_those_of_the_prices():
    """Calls and puts of a smile, each rounded to the nearest 1e-9; nothing for no rows."""
    quotes = chain_quotes()
    rows = [(quote.is_call, round(quote.strike * 1e9), round(quote.middle * 1e9)) for quote in quotes]
    found = volatilities_e9(rows, forward_e9=2_000 * 10**9, left_ns=round(0.1 * 365 * 86_400 * 1e9), tick_e9=10**6)
    for quote, value in zip(quotes, found, strict=True):
        place = math.log(quote.strike / 2_000.0)
        assert value == pytest.approx(1e9 * math.sqrt(SMILE.raw_variance(place) / SMILE.years), abs=100)
    assert volatilities_e9([], **CHAIN) == []
