"""Chains: the compiled functions are the plain ones, row by row, and QuantLib judges both."""

import importlib
import math
from array import array
from random import Random

import pytest

from exchange.pricing import black76, chains
from exchange.pricing.black76 import Greeks, Option
from exchange.pricing.chains import Chain

needs_compiled = pytest.mark.skipif(not chains.COMPILED, reason="exchange.pricing._kernel is not built: make build")


def drawn(seed, rows):
    """Options with their volatilities: a few minutes to two years, within four deviations of the money."""
    source = Random(seed)
    options, volatilities = [], array("d")
    for _ in range(rows):
        years = math.exp(source.uniform(math.log(1e-5), math.log(2.0)))
        volatility = source.uniform(0.05, 3.0)
        forward = math.exp(source.uniform(0.0, 12.0))
        strike = forward * math.exp(source.uniform(-4, 4) * volatility * math.sqrt(years))
        discount = math.exp(-source.uniform(0.0, 0.2) * years)
        options.append(
            Option(is_call=source.random() < 0.5, forward=forward, strike=strike, years=years, discount=discount)
        )
        volatilities.append(volatility)
    return options, volatilities


EDGES = [
    # call   forward  strike  years  discount  volatility
    (True, 100.0, 0.0, 1.0, 0.9, 0.5),
    (False, 100.0, 0.0, 1.0, 0.9, 0.5),
    (True, 0.0, 100.0, 1.0, 0.9, 0.5),
    (False, 0.0, 100.0, 1.0, 0.9, 0.5),
    (True, 100.0, 90.0, 0.0, 1.0, 0.5),
    (False, 100.0, 110.0, 1.0, 0.9, 0.0),
    (True, 100.0, 100.0, 0.0, 1.0, 0.5),
    (False, 100.0, 100.0, 0.0, 1.0, 0.5),
    (True, 100.0, 90.0, 1.0, 0.9, 24.0),
    (False, 100.0, 90.0, 1.0, 0.9, 1e15),
    (True, 1e15, 1e-15, 1.0, 0.9, 0.5),
    (False, 1e-15, 1e15, 1.0, 0.9, 23.9),
]


@pytest.fixture(params=["compiled", "plain"])
def either(request, monkeypatch):
    """Run a test on both twins."""
    if request.param == "compiled" and not chains.COMPILED:
        pytest.skip("exchange.pricing._kernel is not built: make build")
    monkeypatch.setattr(chains, "COMPILED", request.param == "compiled")


def edge_chain():
    """The edges as a chain with its volatilities."""
    options = [
        Option(is_call=call, forward=forward, strike=strike, years=years, discount=discount)
        for call, forward, strike, years, discount, _ in EDGES
    ]
    return options, array("d", [row[-1] for row in EDGES])


def spoiled(field, value):
    """A chain of two rows whose second is no option."""
    good = {"is_call": bytearray([1, 1])} | {name: array("d", [1.0, 1.0]) for name in Chain.__struct_fields__[1:]}
    chain = Chain(**good)
    getattr(chain, field)[1] = value
    return chain


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0, 1e16])
@pytest.mark.parametrize("field", ["forward", "strike", "years", "discount"])
def test_invalid_rows_are_nan_and_the_others_are_not(either, field, value):
    """Nothing raises for a row, and no invalid row gives a number."""
    chain, ones = spoiled(field, value), array("d", [1.0, 1.0])
    found = [chains.prices(chain, ones), chains.implied_volatilities(chain, array("d", [0.5, 0.5]))]
    assert [[math.isnan(x) for x in column] for column in found] == [[False, True]] * 2
    good, bad = chains.greeks(chain, ones, ones)
    assert all(math.isfinite(getattr(good, name)) for name in Greeks.__struct_fields__)
    assert all(math.isnan(getattr(bad, name)) for name in Greeks.__struct_fields__)


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
def test_invalid_volatilities_and_spots_are_nan(either, value):
    """The columns beside the chain are checked as well; so is a spot of zero."""
    chain, ones, bad = spoiled("years", 1.0), array("d", [1.0, 1.0]), array("d", [value, 1.0])
    assert math.isnan(chains.prices(chain, bad)[0])
    assert math.isnan(chains.greeks(chain, bad, ones)[0].price)
    assert math.isnan(chains.greeks(chain, ones, bad)[0].delta)
    assert math.isnan(chains.greeks(chain, ones, array("d", [0.0, 1.0]))[0].delta)


def test_columns_of_another_length_are_refused(either):
    """Reading past the end of a column would price with somebody else's memory."""
    chain = spoiled("years", 1.0)
    short = array("d", [0.5])
    for call in (
        lambda: chains.prices(chain, short),
        lambda: chains.implied_volatilities(chain, short),
        lambda: chains.greeks(chain, short, array("d", [1.0, 1.0])),
        lambda: chains.greeks(chain, array("d", [1.0, 1.0]), short),
    ):
        with pytest.raises(ValueError, match="2 rows"):
            call()


@pytest.mark.parametrize("field", ["is_call", "forward", "strike", "years", "discount"])
def test_a_chain_with_a_short_column_is_refused(either, field):
    """The kernel does not look where a column ends."""
    chain, ones = spoiled("years", 1.0), array("d", [1.0, 1.0])
    getattr(chain, field).pop()
    with pytest.raises(ValueError, match="in each column"):
        chains.prices(chain, ones)


def test_an_empty_chain_has_empty_answers(either):
    """Before anything is listed."""
    nothing = array("d")
    chain = Chain.of([])
    assert (list(chains.prices(chain, nothing)), chains.greeks(chain, nothing, nothing)) == ([], [])
    assert list(chains.implied_volatilities(chain, nothing)) == []


def agree(options, volatilities):
    """Compiled prices, Greeks and volatilities against the plain ones: far from the money last digits weigh more."""
    chain = Chain.of(options)
    spots = array("d", [max(option.forward, 1.0) * 0.99 for option in options])
    prices = chains.prices(chain, volatilities)
    values = chains.greeks(chain, volatilities, spots)
    inverted = chains.implied_volatilities(chain, prices)
    for row, option in enumerate(options):
        expected = black76.greeks(option, volatilities[row], spot=spots[row])
        assert prices[row] == values[row].price == pytest.approx(expected.price, rel=1e-13, abs=1e-15 * option.forward)
        for name in Greeks.__struct_fields__:
            got, wanted = getattr(values[row], name), getattr(expected, name)
            assert got == pytest.approx(wanted, rel=1e-10, abs=1e-15 * max(1.0, option.forward)), (name, option)
        plain = black76.implied_volatility(option, prices[row])
        assert math.isnan(inverted[row]) if plain is None else inverted[row] == pytest.approx(plain, rel=1e-9)


@needs_compiled
def test_both_twins_agree_on_drawn_chains():
    """3,000 options of all lives and distances."""
    agree(*drawn("chains", 3_000))


@needs_compiled
def test_both_twins_agree_at_the_edges():
    """No strike, no forward, no time, no volatility, too much of it, and prices thirty magnitudes apart."""
    agree(*edge_chain())


def test_implied_volatility_to_1e_12(either):
    """Out-of-the-money options within three deviations, total volatility 0.01 to 6: the volatility comes back."""
    source = Random("round trip")
    options, volatilities = [], array("d")
    for _ in range(2_000):
        deviation = math.exp(source.uniform(math.log(0.01), math.log(6.0)))
        years = math.exp(source.uniform(math.log(0.001), math.log(2.0)))
        distance = source.uniform(-3.0, 3.0) * deviation
        options.append(Option(is_call=distance < 0, forward=84_000 * math.exp(distance), strike=84_000.0, years=years))
        volatilities.append(deviation / math.sqrt(years))
    chain = Chain.of(options)
    got = chains.implied_volatilities(chain, chains.prices(chain, volatilities))
    assert max(abs(found / wanted - 1.0) for found, wanted in zip(got, volatilities, strict=True)) <= 1e-12


def test_haug_printed_numbers(either):
    """Haug, The Complete Guide to Option Pricing Formulas, as retyped in QuantLib's europeanoption.cpp: price, delta.

    Black-76 on a future: F = K = 19, nine months, 10 %, 28 %: 1.7011 for either side. Delta of call and put on a future
    at 105, strike 100, six months, 10 %, 36 %: 0.5946 and -0.3566. The last two are put and call gamma 0.0278, spot 55.
    """
    options = [
        Option(is_call=True, forward=19.0, strike=19.0, years=0.75, discount=math.exp(-0.075)),
        Option(is_call=False, forward=19.0, strike=19.0, years=0.75, discount=math.exp(-0.075)),
        Option(is_call=True, forward=105.0, strike=100.0, years=0.5, discount=math.exp(-0.05)),
        Option(is_call=False, forward=105.0, strike=100.0, years=0.5, discount=math.exp(-0.05)),
        Option(is_call=True, forward=55 * math.exp(0.075), strike=60.0, years=0.75, discount=math.exp(-0.075)),
    ]
    volatilities = array("d", [0.28, 0.28, 0.36, 0.36, 0.3])
    spots = array("d", [19.0, 19.0, 105.0, 105.0, 55.0])
    rows = chains.greeks(Chain.of(options), volatilities, spots)
    assert [round(row.price, 4) for row in rows[:2]] == [1.7011, 1.7011]
    assert [round(row.delta, 4) for row in rows[2:4]] == [0.5946, -0.3566]
    assert [round(rows[4].gamma, 4), round(rows[4].vega * 100, 4)] == [0.0278, 18.9358]


@pytest.fixture
def quantlib():
    """The judge, which `make risk` installs; its absence is a failure there."""
    return importlib.import_module("QuantLib")


def judged(quantlib, option, volatility, spot):
    """QuantLib's calculator: per 1.00 of volatility, theta per year with the forward fixed."""
    kind = quantlib.Option.Call if option.is_call else quantlib.Option.Put
    deviation = volatility * math.sqrt(option.years)
    judge = quantlib.BlackCalculator(
        quantlib.PlainVanillaPayoff(kind, option.strike), option.forward, deviation, option.discount
    )
    return {
        "price": judge.value(),
        "delta": judge.delta(spot),
        "forward_delta": judge.deltaForward(),
        "gamma": judge.gamma(spot),
        "vega": judge.vega(option.years) * 0.01,
    }


@pytest.mark.risk_search
def test_quantlib_agrees(quantlib, either):
    """1,000 drawn options: price, both deltas, gamma and vega to 1e-9 of their size."""
    options, volatilities = drawn("judge", 1_000)
    spots = array("d", [option.forward * 0.98 for option in options])
    rows = chains.greeks(Chain.of(options), volatilities, spots)
    for row, option, volatility, spot in zip(rows, options, volatilities, spots, strict=True):
        for name, expected in judged(quantlib, option, volatility, spot).items():
            scale = option.forward if name == "price" else 1.0
            assert getattr(row, name) == pytest.approx(expected, rel=1e-9, abs=1e-12 * scale), (name, option)


@pytest.mark.risk_search
def test_quantlib_inverts_what_we_price(quantlib, either):
    """Its own implied volatility of our prices is the volatility we priced with."""
    source = Random("inverse")
    for _ in range(200):
        years, volatility = source.uniform(0.01, 2.0), source.uniform(0.1, 2.0)
        strike = 100.0 * math.exp(source.uniform(-2, 2) * volatility * math.sqrt(years))
        option = Option(is_call=strike > 100.0, forward=100.0, strike=strike, years=years)
        (value,) = chains.prices(Chain.of([option]), array("d", [volatility]))
        kind = quantlib.Option.Call if option.is_call else quantlib.Option.Put
        deviation = quantlib.blackFormulaImpliedStdDev(kind, strike, 100.0, value, 1.0, 0.0, 0.5, 1e-14, 1000)
        assert deviation / math.sqrt(years) == pytest.approx(volatility, rel=1e-8)
