"""Why the contract refuses the batch that is next: it is frozen, it will take it later, or a person is needed."""

from typing import Final

from settlement.onchain.contract import SettlementReader
from settlement.onchain.errors import BadSeq, BatchRefused, CallReverted, ChainError, ContractFrozen

__all__ = ["explain_refusal"]

_FROZEN: Final = 2


def explain_refusal(reader: SettlementReader, seq: int, error: CallReverted) -> ChainError:
    """Return the error to raise for a revert of batch `seq` or of its round."""
    halted = reader.view("halted()", ["uint8"])
    if halted == _FROZEN:
        return ContractFrozen(
            f"the contract is frozen: batch {seq} and later ones will never be posted, stop trading; "
            "money leaves by `offbook escape`"
        )
    # A pause ends, and a node that is behind learns of the batch before.
    if halted or isinstance(error.__cause__, BadSeq):
        return error
    return BatchRefused(str(error), error.data)
