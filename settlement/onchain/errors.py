"""Typed errors of the chain side. Each message is one line and, where a person can act, names the fix."""

__all__ = [
    "AlreadyKnown",
    "BadSeq",
    "BatchRefused",
    "CallReverted",
    "ChainDataCorrupt",
    "ChainError",
    "ContractFrozen",
    "DeploymentMismatch",
    "FeeCapReached",
    "ForeignNonce",
    "HeadBehind",
    "HistoryPruned",
    "InsufficientFunds",
    "NonceTooHigh",
    "NonceTooLow",
    "OutboxMismatch",
    "ReplacementUnderpriced",
    "RoundUnsigned",
    "RpcRefused",
    "RpcUnavailable",
    "Slashed",
]


class ChainError(Exception):
    """Base of everything raised by `settlement.onchain`."""


class ChainDataCorrupt(ChainError):
    """The embedded chain's file is damaged or belongs to other settings."""


class RpcUnavailable(ChainError):
    """No usable answer: refused connection, timeout, HTTP error, not JSON. Whether a send arrived is unknown."""


class RpcRefused(ChainError):
    """The node answered with an error object: the request was understood and refused."""


class HistoryPruned(RpcRefused):
    """The node no longer keeps that block: its body, logs and state are gone."""


class InsufficientFunds(RpcRefused):
    """The sending account cannot pay for the transaction's gas."""


class AlreadyKnown(RpcRefused):
    """The node holds this very transaction already."""


class NonceTooLow(RpcRefused):
    """The account's nonce was used by a mined transaction."""


class NonceTooHigh(RpcRefused):
    """The node does not queue transactions behind a nonce gap."""


class ReplacementUnderpriced(RpcRefused):
    """Same nonce as a pending transaction and fees less than 10 % above it."""


class CallReverted(RpcRefused):
    """A call or an estimate reverted; `data` is the revert data."""

    def __init__(self, message: str, data: bytes = b"") -> None:
        super().__init__(message)
        self.data = data


class BatchRefused(CallReverted):
    """The contract, neither paused nor frozen, refuses the batch that is next: waiting alone does not help."""


class BadSeq(CallReverted):
    """`post` refused the sequence: the contract's head is not `seq - 1`."""


class DeploymentMismatch(ChainError):
    """The chain at the URL is not the one of the deployment file."""


class OutboxMismatch(ChainError):
    """A batch rebuilt from the journal differs from the stored row of its seq."""


class ForeignNonce(ChainError):
    """The posting key's nonce was used by a transaction of someone else: posting halts."""


class HeadBehind(RpcRefused):
    """The contract lacks batches that the outbox counts as posted, or never had them: nothing can be posted."""


class ContractFrozen(ChainError):
    """The contract takes no batch any more, for ever; finality, answers and payments go on."""


class RoundUnsigned(ChainError):
    """Too few feeds have signed the round that the next batch begins with; they are asked again."""


class FeeCapReached(ChainError):
    """A replacement would need fees above the configured cap."""


class Slashed(ChainError):
    """Batches were proven fraudulent or left unanswered: their operator lost the bond and may not post any more."""
