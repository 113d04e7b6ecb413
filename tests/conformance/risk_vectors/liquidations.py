"""liquidation.* and insurance."""

import re
from typing import Any

from exchange.risk import auction, liquidation
from exchange.risk.auction import AuctionParameters
from exchange.risk.liquidation import Exposure, Standing
from tests.conformance.risk_vectors.exact import E12, E18, scaled, unscaled

__all__ = ["auction_numbers", "insurance_numbers", "partial", "price"]

MONEY = E18 * E18
"""Amounts and prices are taken to 1e-18, so money is exact in 1e-36."""


def _parameters(inputs: dict[str, Any]) -> AuctionParameters:
    return AuctionParameters(
        one=E18,
        start=scaled(inputs.get("start", 0)),
        knee=scaled(inputs.get("cut", 0)),
        buffer=scaled(inputs.get("buf", 0)),
        fast_s=int(inputs.get("fast", 1)),
        slow_s=int(inputs.get("slow", 1)),
        insolvent_s=int(inputs.get("ins", inputs.get("length", 1))),
    )


def auction_numbers(vector: dict[str, Any], _: dict[str, Any]) -> Any:
    """Dispatch on the keys of inputs and expected values."""
    inputs, expected = vector["inputs"], vector["expected"]
    parameters = _parameters(inputs.get("params", inputs))
    if "length" in inputs:
        payout = auction.insolvent_payout(
            maintenance=scaled(inputs["MM"]),
            value=scaled(inputs["MtM"]),
            elapsed_s=int(inputs["elapsed"]),
            parameters=parameters,
        )
        return unscaled(auction.auction_cash(price=payout, share=scaled(inputs["pct"]), one=E18))
    if "params" in inputs:
        return _integration(inputs, expected, parameters)
    discount = auction.auction_discount(int(inputs["elapsed"]), parameters)
    if "MtM" not in inputs:
        return unscaled(discount)
    return _worked(inputs, expected, discount, parameters)


def _worked(inputs: dict[str, Any], expected: Any, discount: int, parameters: AuctionParameters) -> Any:
    value = scaled(inputs["MtM"])
    price = auction.auction_price(value=value, reserved=0, discount=discount, one=E18)
    if "pct" in inputs:
        cash = unscaled(auction.auction_cash(price=price, share=scaled(inputs["pct"]), one=E18))
        return {"price": unscaled(price), "cash": cash} if isinstance(expected, dict) else cash
    buffered = auction.buffered_margin(maintenance=scaled(inputs["MM"]), value=value, parameters=parameters)
    share = auction.auction_share(value=value, buffered=buffered, reserved=0, discount=discount, parameters=parameters)
    cash = auction.auction_cash(price=price, share=share, one=E18)
    return {"bid": unscaled(price), "fmax_milli": share * 1_000 // E18, "cash": cash // E18}


def _integration(inputs: dict[str, Any], expected: dict[str, Any], parameters: AuctionParameters) -> dict[str, float]:
    value = scaled(inputs["MtM"])
    buffered = auction.buffered_margin(maintenance=scaled(inputs["MM"]), value=value, parameters=parameters)
    found = {"PreBM": unscaled(buffered)}
    if "PreFMax" not in expected:
        return found
    reserved = scaled(inputs["reservedCash"])
    discount = auction.auction_discount(int(inputs["elapsed"]), parameters)
    share = auction.auction_share(
        value=value, buffered=buffered, reserved=reserved, discount=discount, parameters=parameters
    )
    price = auction.auction_price(value=value, reserved=reserved, discount=discount, one=E18)
    taken = min(scaled(inputs["percentWant"]), share)
    return found | {
        "PreFMax": unscaled(share),
        "Bid": unscaled(auction.auction_cash(price=price, share=taken, one=E18)),
    }


def _exposures(inputs: dict[str, Any]) -> tuple[list[Exposure], Standing]:
    rows = [
        Exposure(amount=scaled(size), price=scaled(oracle, MONEY), maintenance=scaled(inputs["mmf"]))
        for size, oracle in inputs["positions"]
    ]
    return rows, liquidation.standing_of(rows, cash=scaled(inputs["cash"], MONEY), one=E18)


def price(vector: dict[str, Any], _: dict[str, Any]) -> float | None:
    """Bankruptcy quote, fillable price, liquidation price."""
    inputs = vector["inputs"]
    if "close_index" in inputs:
        rows, standing = _exposures(inputs)
        quote = liquidation.bankruptcy_quote(
            rows[inputs["close_index"]], standing, change=scaled(inputs["delta"]), one=E18
        )
        return unscaled(quote, MONEY)
    if "BA" in inputs:
        rows, standing = _exposures(inputs)
        limit = liquidation.fillable_price(
            rows[inputs["index"]],
            standing,
            aggressiveness=scaled(inputs["BA"]),
            spread_share=scaled(inputs["SMMR"]),
            one=E18,
        )
        return unscaled(limit, MONEY)
    return _reached(_from_note(inputs["note"]) if "note" in inputs else inputs)


def _reached(inputs: dict[str, Any]) -> float | None:
    found = liquidation.liquidation_price(
        net_collateral=scaled(inputs["e"], MONEY),
        amount=scaled(inputs["s"]),
        price=scaled(inputs["p"], MONEY),
        maintenance=scaled(inputs["mmf"]),
        other_requirement=scaled(inputs.get("mmr_other", 0), MONEY),
        one=E18,
    )
    return None if found is None else unscaled(found, MONEY)


def _from_note(note: str) -> dict[str, float]:
    """`short 3 ETH at 3000, equity 1000, mmf 5%` as numbers; Hyperliquid's form gives the same price (risk.md 4.3)."""
    side, size = re.search(r"(short|long) ([\d.]+)", note).groups()
    entry, equity, percent = (
        float(re.search(pattern + r" ([\d.]+)", note).group(1)) for pattern in ("at", "equity", "mmf")
    )
    return {"e": equity, "s": float(size) * (-1 if side == "short" else 1), "p": entry, "mmf": percent / 100}


def partial(vector: dict[str, Any], _: dict[str, Any]) -> Any:
    """Drift's close size is ours; Paradex's tables are their arithmetic."""
    inputs = vector["inputs"]
    if "shortage" in inputs:
        amount = liquidation.close_amount(
            shortage=scaled(inputs["shortage"], MONEY),
            price=scaled(inputs["price"], MONEY),
            maintenance=scaled(inputs["margin_ratio"]),
            liquidation_fee=scaled(inputs["liq_fee"]),
            fund_fee=scaled(inputs["if_fee"]),
            quote_price=scaled(inputs["quote_price"]),
            one=E18,
            lot=E12 // 10**3,
        )
        return unscaled(amount)
    if "share" in inputs:
        left = inputs["mmr"] * (1 - inputs["share"])
        penalty = inputs["fee_used"] * inputs["share"] * inputs["mmr"]
        account = inputs["account"] - penalty
        return {"new_mmr": left, "penalty": penalty, "account": account, "ratio": 100 * left / account}
    rows = [inputs[name] for name in ("btc", "eth")]
    value = inputs["cash"] + sum(size * (mark - entry) for size, entry, mark in rows)
    return {"value": value, "mmr": inputs["mmf"] * sum(abs(size) * mark for size, _, mark in rows)}


def insurance_numbers(vector: dict[str, Any], _: dict[str, Any]) -> Any:
    """What an account pays the fund, Paradex's haircut, and when withdrawals stop."""
    inputs = vector["inputs"]
    if "fill_price" in inputs:
        return _fund_fee(inputs)
    if "bankrupt" in inputs:
        factor = (inputs["bankrupt"] - inputs["fund"]) / inputs["total_usdc"]
        return {"factor": factor, "haircut": factor * 500}
    return [
        auction.withdrawals_are_blocked(
            insolvent_requirement=scaled(inputs["total_insolvent_mm"]), fund_cash=scaled(fund)
        )
        for fund in inputs["fund"]
    ]


def _fund_fee(inputs: dict[str, Any]) -> float:
    row = Exposure(
        amount=scaled(inputs["position"]),
        price=scaled(inputs["oracle"], MONEY),
        maintenance=scaled(inputs.get("mmf", 0.1)),
    )
    standing = liquidation.standing_of([row], cash=scaled(inputs["cash"], MONEY), one=E18)
    least = liquidation.bankruptcy_quote(row, standing, change=-row.amount, one=E18)
    quote = row.amount * scaled(inputs["fill_price"])
    fee = liquidation.fund_fee(quote=quote, bankruptcy=least, highest=scaled(inputs["max_fee"]), one=E18)
    return unscaled(fee, MONEY)
