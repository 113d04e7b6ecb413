"""perp.funding, index and integrity.*."""

from typing import Any

from exchange.risk import funding, index, limits
from tests.conformance.risk_vectors.exact import E18, scaled, unscaled

__all__ = ["bands", "capped_index", "funding_numbers", "position_limits"]

PPM = 10**6


def funding_numbers(vector: dict[str, Any], _: dict[str, Any]) -> Any:
    """Dispatch on the input keys."""
    inputs = vector["inputs"]
    for key, rule in _RULES:
        if key in inputs:
            return rule(inputs)
    raise LookupError(f"{vector['id']}: unknown inputs {sorted(inputs)}")


def _at(price: Any) -> tuple[int, int]:
    return scaled(price), 1


def _hourly(bid: Any, ask: Any, spot: Any, convergence: int, static: Any, cap: Any) -> int:
    premium = funding.premium(bid=_at(bid), ask=_at(ask), index=scaled(spot), one=E18)
    return funding.spread_rate(premium=premium, periods=int(convergence), static=scaled(static), cap=scaled(cap))


def _derive_rate(inputs: dict[str, Any]) -> float:
    rate = _hourly(
        inputs["impact_bid"],
        inputs["impact_ask"],
        inputs["index"],
        inputs["convergence_hours"],
        inputs["static_rate_hourly"],
        inputs["cap_hourly"],
    )
    return unscaled(rate)


def _derive_payment(inputs: dict[str, Any]) -> float:
    rate = _hourly(inputs["impact"], inputs["impact"], inputs["index"], 8, 0, 0.0075)
    seconds = scaled(inputs["hours"], 3_600)
    change = funding.index_step(rate=8 * rate, price=scaled(inputs["index"]), seconds=seconds)
    return unscaled(funding.funding_payment(amount=scaled(inputs["position"]), index_change=change, one=E18), E18 * E18)


def _dydx_premium(inputs: dict[str, Any]) -> int:
    notional = scaled(inputs["impact_notional"], E18 * E18)
    sides = {
        name: funding.impact_price([(scaled(price), scaled(size)) for price, size in inputs[name]], notional)
        for name in ("bids", "asks")
    }
    return funding.premium(
        bid=sides["bids"],
        ask=sides["asks"],
        index=scaled(inputs["index"]),
        one=PPM,
        cap=scaled(inputs["cap"], PPM),
    )


def _dydx_index(inputs: dict[str, Any]) -> int:
    return funding.index_step(
        rate=int(inputs["rate8h_ppm"]),
        price=int(inputs["price"]),
        seconds=int(inputs["seconds"]),
        exponent=int(inputs["atomic_resolution"]) + int(inputs["price_exponent"]) + 6,
    )


def _dydx_clamp(inputs: dict[str, Any]) -> int:
    return funding.rate_cap(
        factor=int(inputs["clamp_ppm"]), initial=int(inputs["im_ppm"]), maintenance_share=int(inputs["mf_ppm"]), one=PPM
    )


def _paradex_index(inputs: dict[str, Any]) -> dict[str, float]:
    square = E18 * E18
    change = funding.index_step(
        rate=scaled(inputs["rate"]), price=scaled(inputs["spot"]), seconds=int(inputs["seconds"])
    )
    whole = funding.index_step(
        rate=scaled(inputs["rate"]), price=scaled(inputs["spot"]), seconds=funding.FUNDING_PERIOD_S
    )
    payment = funding.funding_payment(amount=scaled(0.5), index_change=change, one=E18)
    return {
        "premium": unscaled(whole, square),
        "dindex": unscaled(change, square),
        "pnl": unscaled(payment, square),
    }


def _clamped(premium: int, baseline: Any, clamp: Any, cap: int) -> float:
    return unscaled(funding.clamped_rate(premium=premium, baseline=scaled(baseline), clamp=scaled(clamp), cap=cap))


def _hyperliquid(inputs: dict[str, Any]) -> float:
    either = _at(inputs["impact_bid"])
    premium = funding.premium(bid=either, ask=either, index=scaled(inputs["oracle"]), one=E18)
    return _clamped(premium, inputs["interest_8h"], inputs["clamp"], 10**6 * E18)


_RULES = (
    ("convergence_hours", _derive_rate),
    ("impact", _derive_payment),
    ("impact_notional", _dydx_premium),
    ("rate8h_ppm", _dydx_index),
    ("clamp_ppm", _dydx_clamp),
    ("interest_8h", _hyperliquid),
    ("damper", lambda inputs: max(inputs["damper"], inputs["premium"]) + min(-inputs["damper"], inputs["premium"])),
    (
        "baseline",
        lambda inputs: _clamped(scaled(inputs["premium"]), inputs["baseline"], inputs["clamp"], scaled(inputs["cap"])),
    ),
    ("rate", _paradex_index),
    ("factor", lambda inputs: inputs["factor"] * (inputs["imf"] - inputs["mmf"])),
    ("imf", lambda inputs: 500 / inputs["imf"]),
)
"""First key that is among the inputs decides."""


def capped_index(vector: dict[str, Any], _: dict[str, Any]) -> list[float]:
    """Prices drawn to their weighted median; weights 25/50/25, or equal ones for another number of sources."""
    prices = [scaled(price) for price in vector["inputs"]["prices"]]
    weights = [25, 50, 25] if len(prices) == 3 else [1] * len(prices)
    median = index.weighted_median(list(zip(prices, weights, strict=True)))
    capped = index.capped_prices(prices, median=median, cap=scaled(vector["inputs"]["cap"]), one=E18)
    return [unscaled(price) for price in capped]


def bands(vector: dict[str, Any], _: dict[str, Any]) -> list[float]:
    """Lowest and highest price around the mark."""
    inputs = vector["inputs"]
    return [unscaled(p) for p in limits.execution_band(scaled(inputs["mark"]), width=scaled(inputs["bw"]), one=E18)]


def position_limits(vector: dict[str, Any], _: dict[str, Any]) -> dict[str, float]:
    """Room on either side."""
    inputs = vector["inputs"]
    sells, buys = limits.room_of_limit(limit=scaled(inputs["limit"]), position=scaled(inputs["pos"]))
    return {"max_sell": unscaled(sells), "max_buy": unscaled(buys)}
