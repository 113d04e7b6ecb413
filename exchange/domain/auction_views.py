"""What a bidder may read of auctioned portfolios; see `exchange.domain.views`."""

import msgspec

from exchange.domain.liquidations import LiquidationStage

__all__ = ["AuctionView", "GetAuctions"]


class AuctionView(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A portfolio below maintenance that is offered, as a bid would find it now."""

    auction: int
    stage: LiquidationStage
    started_ns: int
    """When the stage began."""
    last_seen_seq: int
    equity_e6: int
    maintenance_requirement_e6: int
    price_e6: int
    """Of the whole; below zero: what the fund pays for it."""
    share_ppm: int
    """Most that one bid gets."""
    legs: tuple[tuple[int, int, int], ...]
    """(instrument, signed lots, price in ticks), ascending: at a positive number of lots the bidder buys."""


class GetAuctions(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """-> tuple[AuctionView, ...] by number."""
