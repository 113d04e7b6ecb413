"""Call auctions: the command that begins or ends one, and what the engine says about it. Times are Unix nanoseconds."""

from enum import IntEnum

import msgspec

__all__ = ["AuctionCause", "AuctionEnded", "AuctionStarted", "Phase", "SetPhase"]


class Phase(IntEnum):
    """What an instrument does with orders that cross: trade them at once, or collect them for one price."""

    CONTINUOUS = 0
    AUCTION = 1


class AuctionCause(IntEnum):
    """Why a call begins, or goes on."""

    OPERATOR = 1
    PRICE_MOVE = 2
    """A trade would have moved the price too far in a short time."""
    EXTENDED = 3
    """At its deadline the indicative price was too far from the index."""


class SetPhase(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Begin a call auction that ends at `deadline_ns`, move the deadline of one, or end one now (CONTINUOUS)."""

    instrument: int
    phase: Phase
    deadline_ns: int = 0
    """AUCTION: later than now by at most MAX_AUCTION_NS. CONTINUOUS: 0."""


class AuctionStarted(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag=42):
    """Orders of the instrument are collected until `deadline_ns`; again when the deadline moves."""

    instrument: int
    deadline_ns: int
    cause: AuctionCause


class AuctionEnded(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag=43):
    """The collected orders were matched (their trades came before) and the instrument trades continuously."""

    instrument: int
    price_ticks: int
    """Of the first round, over the whole book; 0 when nothing traded."""
    quantity_lots: int
    """Of all rounds."""
