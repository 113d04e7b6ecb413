"""Standard Margin: the acceptance vectors, our own table of examples, tiers, rounding."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from exchange.risk.open_orders import open_orders_requirement
from exchange.risk.parameters import LARGE_CAP_TIERS, StandardParameters, Tier
from exchange.risk.standard import (
    ExpiryGroup,
    Market,
    OptionRow,
    PerpetualRow,
    Portfolio,
    margin,
    perpetual_requirement,
    requirement,
    withdrawable,
)
from tests.unit.exchange.risk.black_76 import black_76

SHARED = Path(os.environ.get("OFFBOOK_SHARED", Path(__file__).resolve().parents[5] / "shared"))
VECTORS = SHARED / "vectors" / "risk_vectors.json"
YEAR_S = 31_536_000
E6, E18 = 10**6, 10**18
VECTOR_PARAMETERS = StandardParameters(
    maximum_spot_ppm=150_000,
    minimum_spot_ppm=100_000,
    call_maintenance_ppm=75_000,
    put_maintenance_ppm=75_000,
    put_maintenance_mark_ppm=75_000,
    unpaired_initial_ppm=1_200_000,
    unpaired_maintenance_ppm=1_100_000,
    put_offset_ppm=1_050_000,
    confidence_threshold_ppm=400_000,
    confidence_factor_ppm=400_000,
    depeg_threshold_ppm=980_000,
    depeg_factor_ppm=1_200_000,
)
FLAT = (Tier(upper_e6=0, initial_ppm=65_000, maintenance_ppm=50_000),)


def e9(value: float) -> int:
    """Nearest integer in 1e-9."""
    return round(value * 10**9)


def ppm(value: float) -> int:
    """Nearest integer in 1e-6."""
    return round(value * E6)


def confidence_e9(value: float) -> int:
    """Confidence in 1e-9, rounded down: just below a threshold is below it."""
    return int(value * 10**9)


def vectors(area: str) -> list[Any]:
    """Vectors of an area, or one skipped row that says why there are none."""
    if not VECTORS.exists():
        return [pytest.param(None, marks=pytest.mark.skip(reason=f"{VECTORS.name} is not there"))]
    rows = json.loads(VECTORS.read_text())["vectors"]
    return [pytest.param(row, id=row["id"]) for row in rows if row["area"] == area]


def expiries(rows: list[list[Any]]) -> tuple[ExpiryGroup, ...]:
    """Rows [seconds, strike, is_call, amount, vol, forward, confidence] grouped by expiry."""
    groups: dict[float, list[list[Any]]] = {}
    for row in rows:
        groups.setdefault(row[0], []).append(row)
    return tuple(
        ExpiryGroup(
            forward_e9=e9(members[0][5]),
            confidence_e9=confidence_e9(min(row[6] for row in members)),
            options=tuple(
                OptionRow(
                    e9(strike),
                    is_call,
                    e9(amount),
                    e9(
                        black_76(
                            forward=forward, strike=strike, years=seconds / YEAR_S, volatility=vol, is_call=is_call
                        )
                    ),
                )
                for seconds, strike, is_call, amount, vol, forward, _ in members
            ),
        )
        for _, members in sorted(groups.items())
    )


def market(row: dict[str, Any], base_factor: float) -> Market:
    """A market of a vector."""
    size, price, confidence, profit = row["perp"]
    perpetual = PerpetualRow(
        amount_e9=e9(size),
        mark_e9=e9(price),
        tiers=FLAT,
        confidence_e9=confidence_e9(confidence),
        cost_e18=e9(size) * e9(price) - e9(profit) * 10**9,
    )
    return Market(
        index_e9=e9(row["spot"]),
        perpetuals=(perpetual,),
        expiries=expiries(row["opts"]),
        confidence_e9=confidence_e9(row["spotconf"]),
        base_amount_e9=e9(row["base"]),
        base_factor_ppm=ppm(base_factor),
    )


@pytest.mark.parametrize("vector", vectors("margin.standard"))
def test_acceptance_vectors(vector: dict[str, Any]) -> None:
    """Signed margins of the published portfolios, to the tolerance each names."""
    inputs, expected = vector["inputs"], vector["expected"]
    factor = inputs.get("base_factor", inputs.get("params", {}).get("base_factor"))
    portfolio = Portfolio(
        cash_e6=round(inputs["cash"] * E6),
        stable_ppm=ppm(inputs["stable"]),
        markets=tuple(market(row, factor) for row in inputs["markets"]),
    )
    result = margin(portfolio, VECTOR_PARAMETERS)
    got = {
        "IM": result.initial_e18 / E18,
        "MM": result.maintenance_e18 / E18,
        "MtM": result.value_e18 / E18,
    }
    tolerance = vector["tolerance"]
    for name, value in expected.items():
        if vector["tolerance_kind"] == "trunc":
            assert int(got[name] + (tolerance if got[name] >= 0 else -tolerance)) == value
        else:
            assert abs(value - got[name]) <= tolerance * max(1, abs(value))


@pytest.mark.parametrize("vector", vectors("margin.open_orders"))
def test_open_orders_vectors(vector: dict[str, Any]) -> None:
    """The larger side counts."""
    inputs = vector["inputs"]
    tiers = (Tier(upper_e6=0, initial_ppm=ppm(inputs["imf"]), maintenance_ppm=0),)
    got = open_orders_requirement(
        position_e9=e9(inputs["pos"]),
        buys_e9=e9(inputs["buys"]),
        sells_e9=e9(inputs["sells"]),
        mark_e9=e9(inputs["mark"]),
        tiers=tiers,
    )
    assert got == vector["expected"] * E18


def our_option(strike: float, amount: float, *, is_call: bool) -> OptionRow:
    """BTC at 60,000, 30 days, volatility 55 %."""
    mark = black_76(forward=60_000, strike=strike, years=30 / 365, volatility=0.55, is_call=is_call)
    return OptionRow(e9(strike), is_call, e9(amount), e9(mark))


CALL_70K = our_option(70_000, -1, is_call=True)
PUT_50K = our_option(50_000, -1, is_call=False)
OUR_TABLE = [
    ("long 1 perpetual", 1, [], 2_400, 1_200),
    ("short 70k call", 0, [CALL_70K], 8_087, 5_687),
    ("short 50k put", 0, [PUT_50K], 7_729, 5_329),
    (
        "short 60k straddle",
        0,
        [our_option(60_000, -1, is_call=True), our_option(60_000, -1, is_call=False)],
        25_541,
        17_141,
    ),
    ("short 50/70k strangle", 0, [CALL_70K, PUT_50K], 15_815, 11_015),
    ("call spread", 0, [our_option(60_000, -1, is_call=True), our_option(70_000, 1, is_call=True)], 10_000, 8_570),
    (
        "iron condor",
        0,
        [PUT_50K, CALL_70K, our_option(45_000, 1, is_call=False), our_option(75_000, 1, is_call=True)],
        5_000,
        5_000,
    ),
    ("long straddle", 0, [our_option(60_000, 1, is_call=True), our_option(60_000, 1, is_call=False)], 0, 0),
    ("short call and 0.3 perpetual", 0.3, [CALL_70K], 8_807, 6_047),
    ("ten short 100k calls", 0, [our_option(100_000, -10, is_call=True)], 72_019, 48_019),
]


@pytest.mark.parametrize(
    ("name", "perpetual", "options", "initial", "maintenance"), OUR_TABLE, ids=lambda x: str(x)[:28]
)
def test_our_parameters(name: str, perpetual: float, options: list[OptionRow], initial: int, maintenance: int) -> None:
    """Cash that a fresh account must hold, in USDC, with our parameters (risk.md 6); to one USDC."""
    row = PerpetualRow(
        amount_e9=e9(perpetual), mark_e9=e9(60_000), tiers=LARGE_CAP_TIERS, cost_e18=e9(perpetual) * e9(60_000)
    )
    group = ExpiryGroup(forward_e9=e9(60_000), options=tuple(options))
    result = margin(
        Portfolio(cash_e6=0, markets=(Market(index_e9=e9(60_000), perpetuals=(row,), expiries=(group,)),)),
        StandardParameters(),
    )
    assert abs(-result.initial_e18 / E18 - initial) <= 1
    assert abs(-result.maintenance_e18 / E18 - maintenance) <= 1


@pytest.mark.parametrize(
    ("notional", "initial", "maintenance"),
    [
        (0, 0, 0),
        (5_000_000, 200_000, 100_000),
        (25_000_000, 1_200_000, 600_000),
        (100_000_000, 8_700_000, 4_350_000),
        (200_000_000, 28_700_000, 14_350_000),
    ],
)
def test_tiers_are_continuous(notional: int, initial: int, maintenance: int) -> None:
    """Each bracket charges its own part only, so no bound is a cliff."""
    assert perpetual_requirement(notional_e18=notional * E18, tiers=LARGE_CAP_TIERS) == (
        initial * E18,
        maintenance * E18,
    )


def test_the_better_of_isolated_sum_and_maximum_loss() -> None:
    """The isolated sum is the better one: 15 % of 60,000 per short call, against a maximum loss of 10,000 and more."""
    long_call = OptionRow(e9(70_000), True, e9(1), e9(1_500))
    for shorts, initial in ((-1, 9_000), (-2, 18_000)):
        options = (OptionRow(e9(60_000), True, e9(shorts), e9(0)), long_call)
        group = ExpiryGroup(forward_e9=e9(60_000), options=options)
        result = margin(
            Portfolio(cash_e6=0, markets=(Market(index_e9=e9(60_000), expiries=(group,)),)), StandardParameters()
        )
        assert -result.initial_e18 == initial * E18


def test_requirements_round_up() -> None:
    """One lot of dust still costs one millionth."""
    row = PerpetualRow(amount_e9=1, mark_e9=1, tiers=LARGE_CAP_TIERS)
    result = requirement(Portfolio(cash_e6=0, markets=(Market(index_e9=1, perpetuals=(row,)),)), StandardParameters())
    assert (result.initial_e6, result.maintenance_e6) == (1, 1)


@pytest.mark.parametrize(
    ("cash", "equity", "initial", "notional", "expected"),
    [(-5, 100, 0, 0, 0), (100, 50, 60, 0, 0), (100, 90, 20, 0, 70), (100, 90, 5, 300, 60), (30, 90, 5, 0, 30)],
)
def test_withdrawable(cash: int, equity: int, initial: int, notional: int, expected: int) -> None:
    """The lowest of cash, equity over the requirement, and equity over a tenth of the perpetuals."""
    got = withdrawable(cash_e6=cash, equity_e6=equity, initial_requirement_e6=initial, perpetual_notional_e6=notional)
    assert got == expected
