"""The round that a batch begins with: published by the operator before the batch that names it (`IMarkets.postOracle`).

Only deployments without feeds are served: there the operator's word is enough, and nothing is signed.
"""

from typing import Final

from settlement.onchain.contract import SettlementReader, encode_call
from settlement.onchain.errors import OutboxMismatch
from settlement.onchain.outbox_rows import BatchRow
from settlement.protocol.encoding import Header
from settlement.protocol.keccak import keccak256

__all__ = ["missing_round"]

_KEPT_HASH_BYTES: Final = 27
"""The contract keeps the upper 216 bits of a vector's hash beside its time."""


def missing_round(reader: SettlementReader, row: BatchRow) -> bytes | None:
    """Calldata that publishes the round of a batch; None when the contract has it, or when the batch has none.

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
        round_s = row.stats.get("round_s", 0) or header.match_from_s
        return encode_call("postOracle(uint64,bytes,uint40,bytes)", header.oracle_round, row.vector, round_s, b"")
    if kept_hash[:_KEPT_HASH_BYTES] != keccak256(row.vector)[:_KEPT_HASH_BYTES]:
        raise OutboxMismatch(f"round {header.oracle_round} on chain has other values than batch {row.seq} begins with")
    return None
