"""margin.standard, margin.perp, margin.open_orders, margin.oi_scaling, margin.collateral."""

from typing import Any

from exchange.pricing import black76
from exchange.risk import limits, open_orders, standard
from exchange.risk.parameters import StandardParameters, Tier
from exchange.risk.standard import ExpiryGroup, Market, OptionRow, PerpetualRow, Portfolio
from tests.conformance.risk_vectors.exact import E9, E18, SECONDS_PER_YEAR, scaled, unscaled

__all__ = ["collateral", "open_interest", "open_order_requirement", "perpetual", "standard_margin"]

PPM = 10**6
SHARED_PARAMS = {
    "maxSpotReq": 0.15, "minSpotReq": 0.1, "mmCallSpotReq": 0.075, "mmPutSpotReq": 0.075, "MMPutMtMReq": 0.075,
    "unpairedIMScale": 1.2, "unpairedMMScale": 1.1, "mmOffsetScale": 1.05, "perpMM": 0.05, "perpIM": 0.065,
    "OC_threshold": 0.4, "OC_factor": 0.4, "depeg_threshold": 0.98, "depeg_factor": 1.2, "base_factor": 0.1,
}  # fmt: skip
"""What `other_params` calls "as derive-srm-Test1" (risk.md 15.3)."""


def standard_margin(vector: dict[str, Any], _: dict[str, Any]) -> dict[str, float]:
    """Signed margins and value of a Standard Margin portfolio."""
    inputs = vector["inputs"]
    params = {**SHARED_PARAMS, **inputs.get("params", {})}
    params["base_factor"] = inputs.get("base_factor", params["base_factor"])
    portfolio = Portfolio(
        cash_e6=scaled(inputs["cash"], PPM),
        stable_ppm=scaled(inputs["stable"], PPM),
        markets=tuple(_market(row, params) for row in inputs["markets"]),
    )
    result = standard.margin(portfolio, _parameters(params))
    return {
        "IM": unscaled(result.initial_e18),
        "MM": unscaled(result.maintenance_e18),
        "MtM": unscaled(result.value_e18),
    }


def perpetual(vector: dict[str, Any], _: dict[str, Any]) -> Any:
    """Deribit's linear requirement (its rule), or our fraction of the highest leverage."""
    inputs = vector["inputs"]
    if "max_leverage" not in inputs:
        rate = inputs["base"] + inputs["size"] * inputs["inc_per_coin"]
        return inputs["size"] * rate * inputs["price"]
    leverages = inputs["max_leverage"]
    if isinstance(leverages, list):
        return [unscaled(limits.maintenance_fraction(row, one=E18)) for row in leverages]
    return unscaled(limits.maintenance_fraction(leverages, one=E18))


def open_order_requirement(vector: dict[str, Any], _: dict[str, Any]) -> float:
    """Perpetual with orders, without loss and fee terms."""
    inputs = vector["inputs"]
    tiers = (Tier(upper_e6=0, initial_ppm=scaled(inputs["imf"], PPM), maintenance_ppm=0),)
    requirement = open_orders.open_orders_requirement(
        position_e9=scaled(inputs["pos"], E9),
        buys_e9=scaled(inputs["buys"], E9),
        sells_e9=scaled(inputs["sells"], E9),
        mark_e9=scaled(inputs["mark"], E9),
        tiers=tiers,
    )
    return unscaled(requirement)


def open_interest(vector: dict[str, Any], _: dict[str, Any]) -> int:
    """Initial fraction by open interest, in ppm, or the requirement of a notional."""
    inputs = vector["inputs"]
    numbers = {name: int(value) for name, value in inputs.items()}
    fraction = limits.scaled_initial_fraction(
        numbers["imf_ppm"], open_interest=numbers["oi"], lower=numbers["lower"], upper=numbers["upper"], one=PPM
    )
    if "notional" not in numbers:
        return fraction
    tiers = (Tier(upper_e6=0, initial_ppm=fraction, maintenance_ppm=0),)
    # A single bracket without a bound: its unit is that of the notional.
    return standard.perpetual_requirement(notional_e18=numbers["notional"], tiers=tiers)[0]


def collateral(vector: dict[str, Any], _: dict[str, Any]) -> float:
    """Hyperliquid's health in percent, or what may be borrowed."""
    inputs = vector["inputs"]
    if "weighted" in inputs:
        return 100 * inputs["weighted"] / inputs["borrowed"]
    return inputs["balance"] * inputs["price"] * inputs["ltv"]


def _parameters(params: dict[str, float]) -> StandardParameters:
    names = {
        "maximum_spot_ppm": "maxSpotReq",
        "minimum_spot_ppm": "minSpotReq",
        "call_maintenance_ppm": "mmCallSpotReq",
        "put_maintenance_ppm": "mmPutSpotReq",
        "put_maintenance_mark_ppm": "MMPutMtMReq",
        "unpaired_initial_ppm": "unpairedIMScale",
        "unpaired_maintenance_ppm": "unpairedMMScale",
        "put_offset_ppm": "mmOffsetScale",
        "confidence_threshold_ppm": "OC_threshold",
        "confidence_factor_ppm": "OC_factor",
        "depeg_threshold_ppm": "depeg_threshold",
        "depeg_factor_ppm": "depeg_factor",
    }
    return StandardParameters(**{ours: scaled(params[theirs], PPM) for ours, theirs in names.items()})


def _confidence(value: float) -> int:
    """Rounded down: just below a threshold is below it."""
    return scaled(value, E18) // E9


def _market(row: dict[str, Any], params: dict[str, float]) -> Market:
    size, price, confidence, profit = row["perp"]
    tier = Tier(upper_e6=0, initial_ppm=scaled(params["perpIM"], PPM), maintenance_ppm=scaled(params["perpMM"], PPM))
    perpetual_row = PerpetualRow(
        amount_e9=scaled(size, E9),
        mark_e9=scaled(price, E9),
        tiers=(tier,),
        confidence_e9=_confidence(confidence),
        cost_e18=scaled(size, E9) * scaled(price, E9) - scaled(profit, E18),
    )
    return Market(
        index_e9=scaled(row["spot"], E9),
        perpetuals=(perpetual_row,),
        expiries=_expiries(row["opts"]),
        confidence_e9=_confidence(row["spotconf"]),
        base_amount_e9=scaled(row["base"], E9),
        base_factor_ppm=scaled(params["base_factor"], PPM),
    )


def _expiries(rows: list[list[Any]]) -> tuple[ExpiryGroup, ...]:
    groups: dict[float, list[list[Any]]] = {}
    for row in rows:
        groups.setdefault(row[0], []).append(row)
    return tuple(
        ExpiryGroup(
            forward_e9=scaled(members[0][5], E9),
            confidence_e9=_confidence(min(row[6] for row in members)),
            options=tuple(_leg(row) for row in members),
        )
        for _, members in sorted(groups.items())
    )


def _leg(row: list[Any]) -> OptionRow:
    seconds, strike, kind, amount, volatility, forward, _ = row
    option = black76.Option(
        is_call=bool(kind), forward=float(forward), strike=float(strike), years=seconds / SECONDS_PER_YEAR
    )
    mark = black76.price(option, float(volatility))
    return OptionRow(scaled(strike, E9), bool(kind), scaled(amount, E9), scaled(mark, E9))
