"""The Dutch auction of a whole portfolio (risk.md 10.3): discount, share, price, payout; integers only.

Money has one unit of the caller's choice; fractions are over `one`. Signs: `maintenance` is a signed margin, below 0 in
an auction; `value` is the mark-to-market value of the account; a payout below 0 is what the fund pays the bidder.
"""

import msgspec

from exchange.domain.money import floor_div, truncate_div

__all__ = [
    "AuctionParameters",
    "auction_cash",
    "auction_discount",
    "auction_price",
    "auction_share",
    "buffered_margin",
    "insolvent_payout",
    "withdrawals_are_blocked",
]


class AuctionParameters(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Start and knee of the discount, buffer: over `one`. Seconds of its parts and of the insolvent auction."""

    one: int
    start: int
    knee: int
    buffer: int
    fast_s: int
    slow_s: int
    insolvent_s: int
    everything_below: int = 0
    """Accounts worth less than this are sold whole, in money."""


def auction_discount(elapsed_s: int, parameters: AuctionParameters) -> int:
    """Share of the value that a bidder pays, over `one`, rounded down: start to knee, then to 0, both straight."""
    if elapsed_s < parameters.fast_s:
        fallen = (parameters.start - parameters.knee) * elapsed_s
        return floor_div(parameters.start * parameters.fast_s - fallen, parameters.fast_s)
    late_s = elapsed_s - parameters.fast_s
    if late_s >= parameters.slow_s:
        return 0
    return floor_div(parameters.knee * (parameters.slow_s - late_s), parameters.slow_s)


def buffered_margin(*, maintenance: int, value: int, parameters: AuctionParameters) -> int:
    """Margin that must be restored: maintenance plus a buffer of the distance to the value, rounded down."""
    return maintenance + floor_div(parameters.buffer * (maintenance - value), parameters.one)


def auction_price(*, value: int, reserved: int, discount: int, one: int) -> int:
    """Price of the whole portfolio: what it is worth without the cash it received already, discounted; rounded down."""
    return floor_div((value - reserved) * discount, one)


def auction_share(*, value: int, buffered: int, reserved: int, discount: int, parameters: AuctionParameters) -> int:
    """Largest share one bidder may take, over `one`, rounded down: the smallest that restores the buffered margin.

    All of it when the account is worth less than the cutoff. 0 once the margin is restored.
    """
    one = parameters.one
    if buffered >= 0:
        return 0
    if value < parameters.everything_below:
        return one
    left = buffered * one - value * discount - reserved * (one - discount)
    return min(one, floor_div(buffered * one * one, left)) if left < 0 else one


def auction_cash(*, price: int, share: int, one: int) -> int:
    """What a bidder pays for `share` of the portfolio at `price`, truncated toward zero."""
    return truncate_div(price * share, one)


def insolvent_payout(*, maintenance: int, value: int, elapsed_s: int, parameters: AuctionParameters) -> int:
    """Price of an insolvent portfolio: from its value down to its maintenance margin; negative: the fund pays.

    0 when nothing is to be restored. Rounded down, toward the bidder, who is needed.
    """
    if maintenance >= 0:
        return 0
    owed = min(value, 0)
    if elapsed_s >= parameters.insolvent_s:
        return maintenance
    return owed + floor_div((maintenance - owed) * elapsed_s, parameters.insolvent_s)


def withdrawals_are_blocked(*, insolvent_requirement: int, fund_cash: int) -> bool:
    """Whether insolvent auctions may need more than the fund has; both >= 0 in money."""
    return insolvent_requirement > fund_cash
