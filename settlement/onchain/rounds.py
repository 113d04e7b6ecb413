"""The round that a batch begins with: published before the batch that names it (`IMarkets.postOracle`).

Where the contract knows feeds, `threshold` of them sign it first (`feed_panel`); elsewhere it is the operator's word.
"""

from typing import Final

from settlement.onchain.contract import SettlementReader, encode_call
from settlement.onchain.errors import OutboxMismatch
from settlement.onchain.feed_panel import RoundRequest
from settlement.onchain.outbox_rows import BatchRow
from settlement.protocol.encoding import Header
from settlement.protocol.keccak import keccak256

__all__ = ["missing_round", "round_call"]

_KEPT_HASH_BYTES: Final = 27
"""The contract keeps the upper 216 bits of a vector's hash beside its time."""


def missing_round(reader: SettlementReader, row: BatchRow) -> RoundRequest | None:
    """Return the round of a batch if it is to be published; None when the contract has it, or the batch has none.

    The round's time is the one built with the batch, else that of its first match. Raises `OutboxMismatch` when other
    values were published.
    """
    header = Header.unpack(row.h)
    if header.oracle_round == 0:
        return None
    if row.vector is None:
        raise OutboxMismatch(f"values of round {header.oracle_round} were dropped after batch {row.seq} became final")
    kept_hash, time_s = reader.view("oracle(uint64)", ["bytes32", "uint40"], header.oracle_round)
    if time_s == 0:
        return RoundRequest(header.oracle_round, row.stats.get("round_s", 0) or header.match_from_s, row.vector)
    if kept_hash[:_KEPT_HASH_BYTES] != keccak256(row.vector)[:_KEPT_HASH_BYTES]:
        raise OutboxMismatch(f"round {header.oracle_round} on chain has other values than batch {row.seq} begins with")
    return None


def round_call(request: RoundRequest, signatures: bytes) -> bytes:
    """Calldata that publishes a round; `signatures` are 65 bytes each, signers ascending, empty without feeds."""
    signature = "postOracle(uint64,bytes,uint40,bytes)"
    return encode_call(signature, request.round_number, request.vector, request.time_s, signatures)
