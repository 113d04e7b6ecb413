"""What the parties of a block sign (api.md 4.3): the maker his legs and fee cap, the taker the legs' hash and his."""

from collections.abc import Mapping, Sequence
from typing import Final

from exchange.domain.blocks import BlockLeg, BlockSide
from exchange.domain.instrument import Instrument
from exchange.wire.venue import VenueInfo
from settlement.protocol.eip712 import RFQ_MODULE, Action, RfqLeg, encode_rfq_execute, encode_rfq_quote

__all__ = ["block_action", "signed_legs"]

_E9: Final = 10**9


def signed_legs(
    venue: VenueInfo, legs: Sequence[BlockLeg], instruments: Mapping[int, Instrument]
) -> tuple[RfqLeg, ...]:
    """The legs as the maker signs them, amounts above zero where he buys. Raises KeyError for an unknown instrument."""
    rows = ((leg, instruments[leg.instrument]) for leg in legs)
    return tuple(
        RfqLeg(
            asset=venue.asset(instrument),
            sub_id=venue.asset_sub_id(instrument),
            price_e18=leg.price_ticks * instrument.tick_e9 * _E9,
            amount_e18=leg.maker_lots * instrument.lot_e9 * _E9,
        )
        for leg, instrument in rows
    )


def block_action(venue: VenueInfo, half: BlockSide, owner: bytes, legs: Sequence[RfqLeg], *, is_maker: bool) -> Action:
    """The action that one party signs; `legs` are the maker's for both."""
    if is_maker:
        data = encode_rfq_quote(max_fee_e18=half.max_fee_e18, legs=legs)
    else:
        data = encode_rfq_execute(maker_legs=legs, max_fee_e18=half.max_fee_e18)
    return Action(
        subaccount_id=venue.subaccount_id(half.subaccount),
        nonce=half.nonce,
        module=RFQ_MODULE,
        data=data,
        expiry_s=half.expiry_s,
        owner=owner,
        signer=half.signer,
    )
