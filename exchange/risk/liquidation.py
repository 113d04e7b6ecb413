"""Sizes and prices of a liquidation on the book (risk.md 4.3, 10.2), and the fee of it; integers only.

Money, prices and amounts have units of the caller's choice with `amount x price / one = money`; fractions are over
`one`. Signs: amounts are negative for shorts; a quote is what the account receives, negative when it pays.
"""

from collections.abc import Sequence

import msgspec

from exchange.domain.money import ceil_div, floor_div

__all__ = [
    "Exposure",
    "Standing",
    "bankruptcy_quote",
    "close_amount",
    "fillable_price",
    "fund_fee",
    "liquidation_price",
    "standing_of",
]


class Exposure(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A perpetual position at the oracle price; `maintenance` of its notional over `one`."""

    amount: int
    price: int
    maintenance: int


class Standing(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Where an account stands: net collateral and total maintenance requirement, both scaled by `one` squared."""

    net_collateral: int
    requirement: int


def standing_of(positions: Sequence[Exposure], *, cash: int, one: int) -> Standing:
    """Net collateral and requirement of an account, exact (money x `one` x `one`)."""
    worth = sum(row.amount * row.price for row in positions)
    requirement = sum(abs(row.amount) * row.price * row.maintenance for row in positions)
    return Standing(net_collateral=(cash * one + worth) * one, requirement=requirement)


def close_amount(
    *,
    shortage: int,
    price: int,
    maintenance: int,
    liquidation_fee: int,
    fund_fee: int,
    quote_price: int,
    one: int,
    lot: int,
) -> int | None:
    """Smallest amount, in whole lots rounded up, whose closing restores `shortage`; None when fees eat the relief.

    Closing one unit frees price x (maintenance - liquidation fee) and costs the fund's fee on it (Drift's form);
    `quote_price` is the price of the quote currency over `one`. The caller clamps to the position.
    """
    freed = price * (quote_price * (maintenance - liquidation_fee) - fund_fee * one)
    if freed <= 0:
        return None
    lots = ceil_div(shortage * one * one * one, freed * lot)
    return lots * lot


def fillable_price(exposure: Exposure, standing: Standing, *, aggressiveness: int, spread_share: int, one: int) -> int:
    """Limit price of a liquidation order: it gives way from the oracle as the account sinks (dYdX's form).

    `P x (1 - side x clip(BA x (1 - TNC / TMMR), 0, 1) x SMMR x MMF)`, rounded away from the oracle: an order that does
    not fill helps nobody. Raises ValueError for an account without a requirement.
    """
    if standing.requirement <= 0:
        raise ValueError("an account without a requirement is not liquidated")
    deficit = standing.requirement - standing.net_collateral
    share = max(0, min(one * standing.requirement, aggressiveness * deficit))
    gives = exposure.price * share * spread_share * exposure.maintenance
    offset = ceil_div(gives, standing.requirement * one * one * one)
    return exposure.price - offset if exposure.amount > 0 else exposure.price + offset


def bankruptcy_quote(exposure: Exposure, standing: Standing, *, change: int, one: int) -> int:
    """Quote for changing the position by `change` that leaves the account's ratio as it is (dYdX's form).

    `-change x P - TNC x |dMMR| / TMMR`, rounded up: against the bankrupt account, it receives no less than it must.
    """
    moved = change * exposure.price
    before = abs(exposure.amount) * exposure.price * exposure.maintenance
    after = abs(exposure.amount + change) * exposure.price * exposure.maintenance
    if not standing.requirement:
        return ceil_div(-moved, one)
    numerator = -moved * one * standing.requirement - standing.net_collateral * abs(after - before)
    return ceil_div(numerator, one * one * standing.requirement)


def fund_fee(*, quote: int, bankruptcy: int, highest: int, one: int) -> int:
    """What the account pays the insurance fund: all it got above its bankruptcy quote, at most `highest` of the quote.

    Negative: the fund pays the account. The most is rounded down, in the account's favor: it never owes more.
    """
    surplus = quote - bankruptcy
    return min(floor_div(highest * abs(quote), one), surplus) if surplus > 0 else surplus


def liquidation_price(
    *, net_collateral: int, amount: int, price: int, maintenance: int, other_requirement: int = 0, one: int
) -> int | None:
    """Price at which the account reaches its requirement if only this one moves; None when no positive price does.

    `(e - s p - MMR_other) / (|s| MMF - s)`; for display, rounded toward the present price.
    """
    slope = abs(amount) * maintenance - amount * one
    if not slope:
        return None
    level = (net_collateral - other_requirement) * one - amount * price
    numerator = level * one if slope > 0 else -level * one
    found = floor_div(numerator, abs(slope)) if amount < 0 else ceil_div(numerator, abs(slope))
    return found if found > 0 else None
