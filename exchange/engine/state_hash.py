"""Digest of the state: two engines with the same digest give the same events for the same commands."""

from hashlib import sha256

from exchange.engine.snapshot import dump
from exchange.engine.state import State

__all__ = ["state_hash"]


def state_hash(state: State) -> bytes:
    """SHA-256 over the canonical sections of a snapshot, each with its name and length (slow: reads everything)."""
    digest = sha256()
    for name, content in dump(state).items():
        digest.update(name.encode() + b"\0" + len(content).to_bytes(8, "big"))
        digest.update(content)
    return digest.digest()
