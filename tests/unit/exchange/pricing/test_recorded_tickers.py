"""Deribit's own marks and Greeks of 89 recorded option tickers, from their mark volatility and underlying price."""

import gzip
import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from exchange.pricing.black76 import Option, greeks, implied_volatility

SHARED = Path(os.environ.get("OFFBOOK_SHARED", Path(__file__).parents[4] / ".." / "shared"))
CAPTURE = SHARED / "data" / "deribit_2021-07-22_ws.txt.gz"
HALF_TICK = 0.0005 / 2
YEAR_S = 365 * 86_400


def tickers():
    """Every option ticker of the capture as a parameter, or one visible skip."""
    if not CAPTURE.exists():
        return [pytest.param(None, marks=pytest.mark.skip(reason=f"{CAPTURE} is absent"))]
    with gzip.open(CAPTURE, "rt") as lines:
        messages = [json.loads(line.partition(": ")[2]) for line in lines if '"channel":"ticker.' in line]
    rows = [message["params"]["data"] for message in messages]
    return [pytest.param(row, id=f"{at}-{row['instrument_name']}") for at, row in enumerate(rows) if "greeks" in row]


def our_view(ticker):
    """Option, volatility and spot of a ticker; expiry at 08:00 UTC, discount 1, ACT/365."""
    _, day, strike, kind = ticker["instrument_name"].split("-")
    expiry = datetime.strptime(day, "%d%b%y").replace(hour=8, tzinfo=UTC)
    years = (expiry.timestamp() - ticker["timestamp"] / 1000) / YEAR_S
    option = Option(is_call=kind == "C", forward=ticker["underlying_price"], strike=float(strike), years=years)
    return option, ticker["mark_iv"] / 100


def test_the_capture_holds_89_option_tickers():
    """A shorter file would test less without saying so."""
    rows = tickers()
    if rows[0].values[0] is None:
        pytest.skip(f"{CAPTURE} is absent")
    assert len(rows) == 89


@pytest.mark.parametrize("ticker", tickers())
def test_our_price_and_delta_are_theirs(ticker):
    """Prices in units of the underlying to half a tick, delta to the fifth digit they print."""
    option, volatility = our_view(ticker)
    values = greeks(option, volatility)
    assert abs(values.price / option.forward - ticker["mark_price"]) <= HALF_TICK
    assert abs(values.delta - ticker["greeks"]["delta"]) <= 1e-5


# field    what half a unit of their last digit and the rounding of their volatility (0.01 points) can make
GREEKS = [("gamma", 5e-6), ("vega", 2e-3), ("theta", 3e-3), ("rho", 4e-3)]


@pytest.mark.parametrize("ticker", tickers())
def test_other_greeks_agree_up_to_convention(ticker):
    """Gamma, vega and theta have our units. Their rho lets the forward grow with the rate (K T D N(d2)), ours holds it.

    In the last day their theta is about the time value that is left, ours stays a rate per day: not compared there.
    """
    option, volatility = our_view(ticker)
    values = greeks(option, volatility)
    moving_rho = values.rho + option.years * values.forward_delta * option.forward * 0.01
    ours = {"gamma": values.gamma, "vega": values.vega, "theta": values.theta, "rho": moving_rho}
    if option.years < 1 / 365:
        del ours["theta"]
        assert abs(ticker["greeks"]["theta"]) <= 2 * max(values.price, 1e-3)
    differences = {name: abs(value - ticker["greeks"][name]) for name, value in ours.items()}
    assert {name: differences[name] for name, bound in GREEKS if differences.get(name, 0) > bound} == {}


LAST_DIGIT = 0.006
"""Volatility points: half a unit of their last digit (0.005), and a fifth of that for the underlying's own rounding."""
AGE_USD = 0.4
"""How far the underlying has moved, in the recording, since they computed a volatility of the last day."""


@pytest.mark.parametrize("ticker", tickers())
@pytest.mark.parametrize("side", ["bid", "ask"])
def test_volatilities_of_their_quotes_are_theirs(ticker, side):
    """Of best bid and best ask, to the last digit they print; where they print 0 there is no quote and we have none.

    In the last day theirs belong to an underlying that is some ticks older: what that makes is allowed there.
    """
    option, _ = our_view(ticker)
    ours = implied_volatility(option, ticker[f"best_{side}_price"] * option.forward)
    if ticker[f"{side}_iv"] == 0.0:
        assert (ours, ticker[f"best_{side}_price"]) == (None, 0.0)
        return
    values = greeks(option, ours)
    allowed = LAST_DIGIT
    if option.years < 1 / 365:
        allowed += AGE_USD * abs(values.forward_delta / values.vega)
    assert abs(100 * ours - ticker[f"{side}_iv"]) <= allowed
