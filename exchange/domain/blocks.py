"""Block trades: what a taker executes of a maker's quote for several legs at once, as one command with both signatures.

Requests and quotes are negotiated outside the engine (api.md 6.4); only what is executed comes to it, and it trades
all legs or none. Both signed the same legs: the maker's action holds them, the taker's their hash.
"""

import msgspec

from exchange.domain.result_codes import ResultCode

__all__ = ["BlockEvent", "BlockLeg", "BlockRefused", "BlockSide", "BlockTraded", "ExecuteBlock"]


class BlockLeg(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One leg as the maker signed it."""

    instrument: int
    price_ticks: int
    maker_lots: int
    """Above zero: the maker buys so many lots; below: sells."""


class BlockSide(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """One party's signed half; `digest` is its EIP-712 digest."""

    subaccount: int
    nonce: int
    expiry_s: int
    signer: bytes
    max_fee: bytes
    """Most that all legs together may cost in fees: 1e-18 USDC, 16 bytes little endian."""
    domain: int = 0
    digest: bytes = b""
    signature: bytes = b""

    @property
    def max_fee_e18(self) -> int:
        """The fee cap as a number."""
        return int.from_bytes(self.max_fee, "little")


class ExecuteBlock(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Trade every leg of a quote between its maker and a taker, or nothing."""

    legs: tuple[BlockLeg, ...]
    """1 to MAX_BLOCK_LEGS in the signed order (by instrument name), each of another instrument."""
    maker: BlockSide
    taker: BlockSide
    rfq: int = 0
    """Numbers that the request and the quote are known by; the engine only repeats them."""
    quote: int = 0


class BlockRefused(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag=100):
    """A block was refused: nothing traded."""

    subaccount: int
    """The taker's."""
    rfq: int
    quote: int
    code: ResultCode
    is_of_maker: bool
    """Whether it is the maker's half that is at fault."""
    instrument: int = 0
    """Of the leg that was refused; 0: the refusal is about no single leg."""


class BlockTraded(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag=101):
    """A block trades: of each leg an order of both parties, their trade and their ends follow.

    The last byte of an order's number is 2 * leg for the maker's and one more for the taker's.
    """

    rfq: int
    quote: int
    maker: int
    taker: int
    leg_count: int
    taker_pays_e6: int
    """For all legs, fees left out; below zero: is paid."""
    maker_fee_e6: int
    taker_fee_e6: int


BlockEvent = BlockRefused | BlockTraded
