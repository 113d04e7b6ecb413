"""Forwards by put-call parity: the book's own, or none."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.pricing.forwards import external_forward, forward_by_parity
from exchange.pricing.quotes import OptionQuote
from exchange.pricing.smile import SviSlice
from tests.fakes.chain_books import SMILE, STRIKES, chain_quotes, spoilt
from tests.unit.exchange.pricing.test_quotes import UNREADABLE


def quote(is_call, strike, middle, half=0.05):
    """A quote around a middle price."""
    return OptionQuote(is_call=is_call, strike=strike, bid=middle - half, ask=middle + half, bid_size=1, ask_size=1)


@pytest.mark.parametrize(
    "bad", [{"near": math.nan}, {"near": 0.0}, {"near": math.inf}, {"years": math.nan}, {"years": -0.1}]
)
def test_a_place_to_look_that_is_none_is_refused(bad):
    """A dead index makes no forward."""
    with pytest.raises(ValueError, match="must be"):
        forward_by_parity(chain_quotes(), **{"near": 2_000.0, "years": 0.1} | bad)


@pytest.mark.parametrize("how", UNREADABLE)
def test_a_book_that_cannot_be_read_names_no_forward(how):
    """Every put spoilt in the same way."""
    quotes = [row if row.is_call else spoilt(row, how) for row in chain_quotes()]
    assert forward_by_parity(quotes, near=2_000.0, years=0.1) is None


@pytest.mark.parametrize("strikes", [(), (2_000.0,), (1_900.0, 2_000.0)])
def test_two_strikes_are_too_few(strikes):
    """Nothing could contradict them."""
    assert forward_by_parity(chain_quotes(strikes=strikes), near=2_000.0, years=0.1) is None


@pytest.mark.parametrize("wild", [3, 4, 5, 7])
def test_a_book_that_contradicts_itself_names_no_forward(wild):
    """Three of the seven strikes at the money disagree, or more."""
    quotes = chain_quotes()
    spoilt_strikes = STRIKES[2 : 2 + wild]
    quotes = [spoilt(row, "wild") if row.is_call and row.strike in spoilt_strikes else row for row in quotes]
    found = forward_by_parity(quotes, near=2_000.0, years=0.1)
    assert found is None or abs(found.forward - 2_000.0) < 1e-6


def test_all_strikes_shifted_together_are_too_far_from_the_index():
    """A book that agrees on a tenth more than the index in a tenth of a year is not believed: 10 % at most."""
    quotes = chain_quotes(forward=2_300.0, strikes=(2_100.0, 2_200.0, 2_300.0, 2_400.0, 2_500.0))
    assert forward_by_parity(quotes, near=2_000.0, years=0.1) is None
    assert forward_by_parity(quotes, near=2_000.0, years=0.2) is not None


def test_a_strike_quoted_twice_is_not_trusted():
    """Nobody can say which of the two counts."""
    middle = [row for row in chain_quotes() if row.strike in (1_900.0, 2_000.0, 2_100.0)]
    assert forward_by_parity(middle, near=2_000.0, years=0.1).strikes == 3
    assert forward_by_parity([*middle, middle[0]], near=2_000.0, years=0.1) is None


def test_two_wild_strikes_of_seven_do_not_move_it():
    """The median decides who agrees."""
    quotes = [
        spoilt(row, "wild") if row.strike in (1_900.0, 2_200.0) and row.is_call else row for row in chain_quotes()
    ]
    found = forward_by_parity(quotes, near=2_000.0, years=0.1)
    assert found.forward == pytest.approx(2_000.0, rel=1e-9)
    assert (found.strikes, found.agreement) == (5, 5 / 7)


# Cboe Volatility Index white paper, the example: near and next term at the strike where call and put are closest.
PRINTED = [
    (0.000305, 35_924, 1_965.0, 21.05, 23.15, 1_962.89996),
    (0.000286, 46_394, 1_960.0, 27.30, 24.90, 1_962.40006),
]


@pytest.mark.parametrize(("rate", "minutes", "strike", "call", "put", "expected"), PRINTED)
def test_parity_gives_the_printed_forward(rate, minutes, strike, call, put, expected):
    """Cboe takes one strike; its neighbours here obey the same parity, so the regression must give the same."""
    years = minutes / 525_600
    discount = math.exp(-rate * years)
    quotes = []
    for step in (-5.0, 0.0, 5.0):
        quotes += [quote(True, strike + step, call - discount * step), quote(False, strike + step, put)]
    found = forward_by_parity(quotes, near=1_960.0, years=years, discount=discount)
    assert found.forward == pytest.approx(expected, abs=5e-6)


@settings(max_examples=60, deadline=None)
@given(
    forward=st.floats(1_650.0, 2_450.0),
    discount=st.floats(0.8, 1.0),
    level=st.floats(0.15, 1.5),
    half=st.floats(0.001, 0.05),
)
def test_a_synthetic_book_gives_its_forward_back(forward, discount, level, half):
    """To 1e-9, whether the discount is given or read off the slope."""
    smile = SviSlice(a=0.7 * level * level * 0.25, b=0.1, rho=-0.2, m=0.0, sigma=0.1, years=0.25)
    quotes = chain_quotes(smile, forward=forward, half_spread=half, discount=discount)
    for given_discount in (discount, None):
        found = forward_by_parity(quotes, near=forward * 1.01, years=0.25, discount=given_discount)
        assert found.forward == pytest.approx(forward, rel=1e-9)
        assert found.discount == pytest.approx(discount, rel=1e-9)
        assert found.agreement == 1.0


def test_outside_forward():
    """`S exp(f T)`; a spot or rate that is no number is refused."""
    assert external_forward(2_000.0, 0.05, 0.5) == pytest.approx(2_000.0 * math.exp(0.025))
    assert external_forward(2_000.0, 0.0, SMILE.years) == 2_000.0
    for spot, rate in ((0.0, 0.0), (math.nan, 0.0), (2_000.0, math.inf)):
        with pytest.raises(ValueError, match="must be finite"):
            external_forward(spot, rate, 0.1)
