"""Bids in the auction of a portfolio below maintenance: a share of it, at what price, under the signature of its legs.

The chain knows no leaf for an auction's bid, so a bid is signed as a mass quote is: a line per leg with the worst price
and the most lots. Each leg then is a QUOTE leaf, which the bidder's signature covers to the unit.
"""

import msgspec

from exchange.domain.quotes import MassQuote

__all__ = ["BidInAuction", "BidTerms"]


class BidInAuction(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Take a share of an auctioned portfolio, at once or not at all.

    `call` has a line for each leg: the bid side where the portfolio is long, the ask side where it is short.
    """

    auction: int
    share_ppm: int
    """Most that is wanted, 1 to 1,000,000; more than restores the account is not sold."""
    price_limit_e6: int
    """Most that the share may cost (AuctionTaken.price_e6); below zero: what the fund has to pay at least."""
    call: MassQuote
    last_seen_seq: int = 0
    """Number of the account's last event that the bidder knows; 0: whatever it holds now."""


class BidTerms(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a bid says beside its lines."""

    auction: int
    share_ppm: int
    price_limit_e6: int
    last_seen_seq: int

    @classmethod
    def of(cls, bid: BidInAuction) -> "BidTerms":
        """The terms of a bid."""
        return cls(bid.auction, bid.share_ppm, bid.price_limit_e6, bid.last_seen_seq)

    def bid(self, call: MassQuote) -> BidInAuction:
        """The bid again."""
        return BidInAuction(
            auction=self.auction,
            share_ppm=self.share_ppm,
            price_limit_e6=self.price_limit_e6,
            call=call,
            last_seen_seq=self.last_seen_seq,
        )
