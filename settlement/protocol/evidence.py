"""What authorizes a leaf of the orders tree: the signed action behind it; and what an answer to a challenge (F2) sums.

An order is authorized by its own action; one side of a mass quote by the action of the whole call, the packed lines
that its data commits to, and the place in them; one leg of a block by its party's action and, for a taker, the maker's
legs whose hash it signed. The contract judges by `Orders.sol`; here is only what both must agree
on to the byte.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from settlement.protocol.abi import bytes32_word, int_word, uint_word, word_array
from settlement.protocol.eip712 import MASS_QUOTE_MODULE, RFQ_MODULE, Action, digest
from settlement.protocol.keccak import keccak256
from settlement.protocol.orders import BadOrders, OrderFill, OrderKind, leg_ref, quote_ref

__all__ = ["AnswerSums", "Evidence", "ForcedAccount", "ForcedLeaf", "LeafEvidence", "SignedAction"]

_KINDS = {MASS_QUOTE_MODULE: OrderKind.QUOTE, RFQ_MODULE: OrderKind.RFQ}


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedAction:
    """An action with its 65-byte signature; `is_sepolia`: signed under Derive's test domain.

    `lines` are the packed lines of a mass quote, the encoded legs that a block's taker signed the hash of; else empty.
    """

    action: Action
    signature: bytes
    is_sepolia: bool = False
    lines: bytes = b""

    def ref(self, separator: bytes, line: int) -> bytes:
        """Authority key of what the action authorizes under the domain `separator`; `line` is the leaf's."""
        hashed = digest(separator, self.action)
        if self.kind is OrderKind.QUOTE:
            return quote_ref(hashed, line)
        return leg_ref(hashed, line) if self.kind is OrderKind.RFQ else hashed

    @property
    def kind(self) -> OrderKind:
        """Which leaves the action can authorize."""
        return _KINDS.get(self.action.module, OrderKind.ORDER)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeafEvidence:
    """One leaf with what authorizes it.

    `line` is 2 * line + side of a quote, the leg of a block, 0 for an order; `key_accounts` the account list of the
    session key that signed, as it was registered; `asset` and `sub_id` say what the leaf's instrument is.
    """

    fill: OrderFill
    signed: SignedAction
    asset: bytes
    sub_id: int
    line: int = 0
    key_accounts: tuple[int, ...] = ()

    def check(self, separator: bytes) -> None:
        """Raise BadOrders unless leaf and action belong together: a batch with another leaf could not be answered."""
        if self.fill.kind is not self.signed.kind or self.signed.ref(separator, self.line) != self.fill.ref:
            raise BadOrders(
                f"account {self.fill.account}: the signed action at hand does not authorize {self.fill.kind.name} "
                f"{self.fill.ref.hex()}"
            )


@dataclass(frozen=True, slots=True)
class ForcedLeaf:
    """A leaf that nobody signed: a liquidation, its other side, a payment of the fund; judged by `forced`."""

    fill: OrderFill


Evidence = LeafEvidence | ForcedLeaf


@dataclass(frozen=True, slots=True)
class ForcedAccount:
    """What such leaves of an account are judged by: its leaf before the batch (preimage) and the 20 siblings above."""

    leaf: bytes
    path: bytes


@dataclass(frozen=True, slots=True)
class AnswerSums:
    """What the parts of an answer have shown so far: the contract's `AnswerState`. Instruments ascend."""

    next_leaf: int = 0
    last_ref: bytes = bytes(32)
    cash_e6: int = 0
    lots: tuple[tuple[int, int], ...] = field(default=())

    def plus(self, leaves: Iterable[tuple[int, OrderFill]]) -> AnswerSums:
        """Return the sums after a part with these (leaf index, fill) pairs."""
        sums, cash_e6, next_leaf, last_ref = dict(self.lots), self.cash_e6, self.next_leaf, self.last_ref
        for place, fill in leaves:
            sums[fill.instrument] = sums.get(fill.instrument, 0) + fill.position_lots
            cash_e6 += fill.cash_effect_e6
            next_leaf, last_ref = place + 1, fill.ref
        return AnswerSums(next_leaf, last_ref, cash_e6, tuple(sorted(sums.items())))

    def words(self) -> tuple[int, bytes, int, list[int], list[int]]:
        """Return the members in the order of the contract's struct."""
        instruments = [instrument for instrument, _ in self.lots]
        return self.next_leaf, self.last_ref, self.cash_e6, instruments, [lots for _, lots in self.lots]

    def digest(self) -> bytes:
        """Return what the contract keeps between two parts: keccak256 of the ABI encoding."""
        instruments = word_array([uint_word(instrument) for instrument, _ in self.lots])
        lots = word_array([int_word(amount) for _, amount in self.lots])
        head = uint_word(self.next_leaf) + bytes32_word(self.last_ref) + int_word(self.cash_e6)
        offsets = uint_word(160) + uint_word(160 + len(instruments))
        return keccak256(uint_word(32) + head + offsets + instruments + lots)
