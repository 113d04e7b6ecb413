"""The gates of a slice: each condition refused on its own, in their order."""

import msgspec
import pytest

from exchange.pricing.gates import Gate, at_years, failed_gate, prices_have_arbitrage
from exchange.pricing.smile import SviSlice
from tests.fakes.chain_books import SMILE, STRIKES

VOGT = SviSlice(a=-0.0410, b=0.1331, m=0.3586, rho=0.3060, sigma=0.4153, years=1.0)
LESS, MORE = (msgspec.structs.replace(SMILE, a=SMILE.a * part) for part in (0.9, 1.1))

REFUSED = [
    (VOGT, {}, Gate.BUTTERFLY),
    (VOGT, {"earlier": SviSlice(a=9.0, b=0.0, rho=0.0, m=0.0, sigma=0.1, years=1.0)}, Gate.BUTTERFLY),
    (LESS, {"earlier": SMILE}, Gate.CALENDAR),
    (MORE, {"later": SMILE}, Gate.CALENDAR),
]


@pytest.mark.parametrize(("smile", "neighbours", "gate"), REFUSED)
def test_a_slice_with_arbitrage_fails_its_gate(smile, neighbours, gate):
    """Butterfly is asked first."""
    assert failed_gate(smile, forward=2_000.0, strikes=STRIKES, **neighbours) is gate


@pytest.mark.parametrize("neighbours", [{}, {"earlier": LESS}, {"later": MORE}, {"earlier": SMILE, "later": SMILE}])
def test_a_sound_slice_passes(neighbours):
    """Equal neighbours do not cross."""
    assert failed_gate(SMILE, forward=2_000.0, strikes=STRIKES, **neighbours) is None


@pytest.mark.parametrize("strikes", [(), (2_000.0,), STRIKES, [step * 10.0 for step in range(1, 1_000)]])
def test_prices_of_a_sound_slice_have_no_arbitrage(strikes):
    """However few or many strikes are listed; beyond the reach the smile is flat."""
    inside = [strike for strike in strikes if 1_250.0 < strike < 3_250.0]
    assert not prices_have_arbitrage(SMILE, forward=2_000.0, strikes=inside)


def test_prices_that_bend_down_are_seen():
    """The kink where the flat wing of a steep slice begins is a butterfly below zero."""
    steep = SviSlice(a=0.04, b=1.2, rho=0.0, m=0.0, sigma=0.05, years=1.0)
    edge = 2_000.0 * 2.718281828459045**steep.reach
    strikes = (edge * 0.98, edge, edge * 1.02)
    assert prices_have_arbitrage(steep, forward=2_000.0, strikes=strikes)
    assert not prices_have_arbitrage(steep, forward=2_000.0, strikes=strikes, tolerance=5.0)


def test_scaling_keeps_volatilities():
    """Half the time has half the variance, at every strike."""
    half = at_years(SMILE, SMILE.years / 2)
    for place in (-0.4, 0.0, 0.3):
        assert half.raw_variance(place) == pytest.approx(SMILE.raw_variance(place) / 2)
    with pytest.raises(ValueError, match="years"):
        at_years(SMILE, 0.0)
