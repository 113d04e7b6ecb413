"""Cases of our own for the families that the shipped file holds no example of; each says where its number is from."""

import math
from statistics import NormalDist
from typing import Any, Final

__all__ = ["OWN_CASES"]

NORMAL: Final = NormalDist()
VOGT_WINGS = [0.017426252555159116, -0.1752111408091251, 0.6997381041168087, 1.3167982189863865, 0.011624903235477872]
VOGT = {"a": -0.0410, "b": 0.1331, "m": 0.3586, "rho": 0.3060, "sigma": 0.4153}


def case(area: str, name: str, inputs: dict[str, Any], expected: Any, tolerance: float = 1e-12) -> dict[str, Any]:
    """A vector in the file's form."""
    return {
        "area": area,
        "id": name,
        "inputs": inputs,
        "expected": expected,
        "tolerance": tolerance,
        "tolerance_kind": "abs",
    }


MARGIN: Final = [
    # Hyperliquid's page: between 1.25 % at 40x and 16.7 % at 3x; 2 % at 25x.
    case("margin.perp", "hl-mm-range", {"max_leverage": [40, 3]}, [0.0125, 0.167], 5e-4),
    case("margin.perp", "hl-tier-rate-25", {"max_leverage": 25}, 0.02),
    # 8 x 3,000 x 0.5.
    case("margin.collateral", "hl-pm-borrowable", {"balance": 8, "price": 3000, "ltv": 0.5}, 12_000.0),
    # N x / (1 + x) by hand at the five moves of two buckets a side.
    case(
        "margin.portfolio",
        "deribit-pme-perp-vector",
        {"pos_btc": 2.0, "price_range": 0.5, "buckets": 2},
        [-2.0, -2 / 3, 0.0, 0.4, 2 / 3],
    ),
    case("margin.portfolio", "deribit-pme-future-vector", {"pos_btc": 0.0}, [0.0] * 9),
    # One perpetual against two calls of delta 0.5: nothing net, 2 gross; 1 % of the hedged half at 100.
    case(
        "margin.portfolio",
        "paradex-min-delta",
        {"perp": 1.0, "short_calls": 2.0, "delta": 0.5, "unhedged": 0.02, "hedged": 0.01, "spot": 100.0},
        1.0,
    ),
    case("margin.portfolio", "deribit-pm-ivscale-legacy", {"dte": 7.5, "base": 0.4, "power": 0.5}, 0.8),
    case("margin.portfolio", "deribit-legacy-naked", {"call": -3.0, "put": 1.0, "per": 0.01}, 0.02),
]

D1: Final = math.log(100 / 105) / 0.2 + 0.1
CALCULATOR: Final = {"type": "call", "F": 100.0, "K": 105.0, "stddev": 0.2, "df": 0.95, "spot": 98.0, "T": 1.0}
JUDGED: Final = {
    "deltaForward": 0.95 * NORMAL.cdf(D1),
    "delta": 0.95 * NORMAL.cdf(D1) * 100 / 98,
    "gammaForward": 0.95 * NORMAL.pdf(D1) / 20,
    "gamma": 0.95 * NORMAL.pdf(D1) / 20 * (100 / 98) ** 2,
    "itmCashProb": NORMAL.cdf(D1 - 0.2),
    "itmAssetProb": NORMAL.cdf(D1),
    "strikeSensitivity": -0.95 * NORMAL.cdf(D1 - 0.2),
    "dividendRho": -95 * NORMAL.cdf(D1),
}
"""The definitions of risk.md 15.4 with another implementation of the normal distribution."""

HULL: Final = {"S": 49, "K": 50, "r": 0.05, "T": 0.3846, "vol": 0.2, "type": "c"}
OPTIONS: Final = [
    # At the money either side costs the same: Hull's 1.12, and QuantLib's 7.9656 for 20 %.
    case("options.pricing", "hull-black76-call", {"F": 20, "K": 20, "r": 0.09, "vol": 0.25, "T": 1 / 3}, 1.12, 1e-2),
    case("options.pricing", "lbr-black", {"F": 100, "K": 100, "vol": 0.2, "T": 1}, 7.965567455405804, 1e-12),
    # Hull, chapter on Greek letters: delta 0.522, theta -4.31 a year, vega 12.1.
    case("options.greeks", "hull-greek-delta", HULL, 0.522, 1e-3),
    case("options.greeks", "hull-greek-theta_year", HULL, -4.31, 1e-2),
    case("options.greeks", "hull-greek-vega_1pct", HULL, 0.121, 1e-3),
    # Haug's -31.1924 a year.
    case(
        "options.greeks",
        "haug-greek-theta_day-L415",
        {"type": -1, "K": 405, "S": 430, "q": 0.05, "r": 0.07, "T": 1 / 12, "vol": 0.2},
        -31.1924 / 365,
        1e-5,
    ),
    # An option that is sure to be exercised at nothing moves with the spot.
    case(
        "options.greeks",
        "haug-greek-elasticity",
        {"type": 1, "K": 1e-9, "S": 100, "q": 0.0, "r": 0.1, "T": 0.5, "vol": 0.3},
        1.0,
        1e-9,
    ),
    case("options.greeks", "lbr-vega-atm", {"x": 0.0, "s": 0.5}, math.exp(-0.25 / 8) / math.sqrt(2 * math.pi)),
    *(
        case("options.greeks", f"quantlib-blackcalc-{name}", CALCULATOR, value, 1e-12 * max(1, abs(value)))
        for name, value in JUDGED.items()
    ),
    case("options.iv", "lbr-iv", {"price": 7.965567455405804, "F": 100, "K": 100, "T": 1, "q": 1}, 0.2, 1e-13),
    # The printed put plus parity.
    case(
        "options.iv",
        "lbr-normalised-call",
        {"x": 0.05129329438755048, "s": 0.21213203435596426},
        0.061296663817558904 + 2 * math.sinh(0.05129329438755048 / 2),
    ),
    # Deribit's page: strike 10,000 bought for 0.05 BTC, delivered at 12,500: 0.2 BTC, 0.15 of them profit.
    case(
        "options.settlement",
        "deribit-option-settle-call",
        {"K": 10_000, "delivery": 12_500, "inverse": True, "premium": 0.05},
        {"payoff_btc": 0.2, "pnl": 0.15},
    ),
    case(
        "options.settlement",
        "deribit-option-settle-put",
        {"K": 10_000, "delivery": 5_000, "inverse": True, "premium": 0.05},
        {"payoff_btc": 1.0, "pnl": 0.95},
    ),
    case("options.settlement", "derive-payoff-itm-call", {"strike": 1000, "settle": 1250.5, "type": 1}, 250.5),
]

FUNDING: Final = [
    # risk.md 4.1: 12 % for 5/3; 500 / 5 %; Hyperliquid's worked example 0.95 % per 8 h.
    case("perp.funding", "dydx-doc-funding-cap", {"imf": 0.05, "mmf": 0.03, "factor": 6}, 0.12),
    case("perp.funding", "dydx-doc-impact-notional", {"imf": 0.05}, 10_000.0, 1e-9),
    case(
        "perp.funding",
        "hl-funding-example",
        {"impact_bid": 10_100, "oracle": 10_000, "interest_8h": 0.0001, "clamp": 0.0005},
        0.0095,
    ),
    # 0.1 % - 0.05 %, the baseline near it, and the cap.
    *(
        case(
            "perp.funding",
            f"paradex-funding-raw-{name}",
            {"premium": premium, "baseline": 0.0001, "clamp": 0.0005, "cap": 0.05},
            expected,
            1e-15,
        )
        for name, premium, expected in (("far", 0.001, 0.0005), ("near", 0.0002, 0.0001), ("capped", -0.2, -0.05))
    ),
]

AUCTION: Final = {"start": 1.0, "cut": 0.8, "fast": 600, "slow": 7200, "ins": 600, "fee": 0.0, "buf": 0.1}
LIQUIDATION: Final = [
    # Halfway down the fast part: 0.9 of 300, a tenth of it.
    case(
        "liquidation.auction",
        "derive-auction-race",
        {**AUCTION, "MtM": 300, "MM": -100, "elapsed": 300, "pct": 0.1},
        {"price": 270.0, "cash": 27.0},
    ),
    case(
        "liquidation.partial",
        "paradex-liq-accountvalue",
        {"cash": 100.0, "btc": [1.0, 50.0, 60.0], "eth": [-2.0, 10.0, 12.0], "mmf": 0.1},
        {"value": 106.0, "mmr": 8.4},
    ),
    case(
        "insurance", "derive-withdraw-block", {"total_insolvent_mm": 150, "fund": [100, 150, 200]}, [True, False, False]
    ),
]

VOLATILITY: Final = [
    case(
        "vol.svi",
        "derive-svi-kbound",
        {"tau": 0.1, "a": 0.01, "b": 0.01, "rho": -0.04, "m": 0.03, "s": 0.06, "F": 2000.0},
        4 * math.sqrt(0.0106),
    ),
    # Gatheral and Jacquier's numbers of Vogt's slice, as risk.md and the repair vector print them.
    case("vol.svi", "svi-vogt-jw", {**VOGT, "t": 1.0}, VOGT_WINGS, 1e-12),
    case("vol.svi", "svi-vogt-values", {"k": [0.0]}, [math.sqrt(VOGT_WINGS[0])], 1e-12),
    case(
        "vol.svi",
        "quantlib-svi-at-m",
        {"a": 0.04, "b": 0.1, "sigma": 0.2, "rho": -0.3, "m": 0.1, "k": 0.1},
        0.06,
    ),
    case("vol.arbitrage", "svi-vogt-negative-g", {"k_range": [-1.5, 1.5]}, {"has_negative_g": True}),
]

OWN_CASES: Final = [*MARGIN, *OPTIONS, *FUNDING, *LIQUIDATION, *VOLATILITY]
