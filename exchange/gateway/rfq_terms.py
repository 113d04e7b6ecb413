"""What the signatures of a quote and of its execution cover, for the pool that verifies them (api.md 4.3)."""

from collections.abc import Mapping
from typing import ClassVar

import msgspec

from exchange.domain.blocks import BlockLeg, BlockSide
from exchange.domain.instrument import Instrument
from exchange.wire.block_actions import block_action, signed_legs
from exchange.wire.venue import VenueInfo
from settlement.protocol.eip712 import Action, digest

__all__ = ["BlockTerms"]


class BlockTerms(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One party's half and the legs as the maker signs them, in the order of their names."""

    is_trade: ClassVar[bool] = False
    """Accepted under the venue's own domain only."""
    half: BlockSide
    legs: tuple[BlockLeg, ...]
    instruments: Mapping[int, Instrument]
    owner: bytes
    is_maker: bool

    @property
    def signer(self) -> bytes:
        """Address that must have signed."""
        return self.half.signer

    def digest(self, separator: bytes, venue: VenueInfo) -> bytes:
        """EIP-712 digest under `separator`."""
        return digest(separator, self.action(venue))

    def action(self, venue: VenueInfo) -> Action:
        """The action as the settlement protocol names it."""
        legs = signed_legs(venue, self.legs, self.instruments)
        return block_action(venue, self.half, self.owner, legs, is_maker=self.is_maker)
