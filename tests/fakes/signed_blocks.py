"""Blocks whose halves are signed by their owners, or by session keys, for a `SignedMarket`."""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from exchange.domain.blocks import BlockLeg, BlockSide, ExecuteBlock
from exchange.wire.block_actions import block_action, signed_legs
from settlement.protocol.eip712 import digest
from settlement.protocol.signature import address_of, sign_digest
from tests.fakes.signed_market import SignedMarket, key_of
from tests.unit.exchange.engine.world import SECOND_NS

__all__ = ["signed_block"]


def signed_block(
    market: SignedMarket, legs: Sequence[BlockLeg], *, maker: int, taker: int, keys: dict[int, bytes] | None = None
) -> ExecuteBlock:
    """A quote of `maker` that `taker` executes; `keys`: addresses of session keys by account."""
    owners = {account: address_of(key_of(account)) for account in (maker, taker)}
    signed = signed_legs(market.venue, legs, market.state.instruments)

    def half(account: int) -> BlockSide:
        values: dict[str, Any] = {
            "nonce": market.now_ns + account,
            "expiry_s": market.now_ns // SECOND_NS + 600,
            "signer": (keys or {}).get(account, owners[account]),
            "max_fee": (1_000 * 10**18).to_bytes(16, "little"),
        }
        unsigned = BlockSide(subaccount=account, **values)
        action = block_action(market.venue, unsigned, owners[account], signed, is_maker=account == maker)
        hashed = digest(market.venue.domain_separator, action)
        key = market.session_keys.get(unsigned.signer, key_of(account))
        return replace(unsigned, digest=hashed, signature=sign_digest(key, hashed))

    return ExecuteBlock(legs=tuple(legs), maker=half(maker), taker=half(taker), rfq=1, quote=2)
