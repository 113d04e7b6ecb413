"""Whose key is whose on a development chain: all derived from the seed, never for real money."""

from exchange.app.config import Settings
from settlement.onchain.funded_accounts import DEPLOYER_INDEX, OPERATOR_INDEX, PAYER_INDEX, WATCHER_INDEX, account_key
from settlement.protocol.keccak import keccak256

__all__ = [
    "DEMO_ACCOUNTS",
    "deployer_key",
    "feed_key",
    "operator_key",
    "owner_key",
    "payer_key",
    "session_key",
    "watcher_key",
]

DEMO_ACCOUNTS = 10


def deployer_key(settings: Settings) -> bytes:
    """Deploys the contracts and mints demo USDC."""
    return account_key(settings.seed, DEPLOYER_INDEX)


def operator_key(settings: Settings) -> bytes:
    """Posts batches."""
    return account_key(settings.seed, OPERATOR_INDEX)


def watcher_key(settings: Settings) -> bytes:
    """Sends proofs and questions."""
    return account_key(settings.seed, WATCHER_INDEX)


def payer_key(settings: Settings) -> bytes:
    """Pays withdrawals ahead, with money of its own."""
    return account_key(settings.seed, PAYER_INDEX)


def feed_key(settings: Settings, number: int) -> bytes:
    """Signs oracle rounds as feed `number` (1 .. feeds); it sends nothing and needs no gas."""
    return keccak256(b"offbook demo feed key" + settings.seed.to_bytes(8, "big") + number.to_bytes(4, "big"))


def owner_key(settings: Settings, index: int) -> bytes:
    """Owner of demo account `index` (0 .. DEMO_ACCOUNTS - 1)."""
    return account_key(settings.seed, index)


def session_key(settings: Settings, index: int) -> bytes:
    """Session key of demo account `index`."""
    return keccak256(b"offbook demo session key" + settings.seed.to_bytes(8, "big") + index.to_bytes(4, "big"))
