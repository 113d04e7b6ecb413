"""One channel that somebody listens to, and who listens."""

from typing import Any, Protocol

from exchange.gateway.calls import Identity
from exchange.wire.channels import Channel

__all__ = ["Subscriber", "Topic"]


class Subscriber(Protocol):
    """A socket, as the fan-out sees it."""

    identity: Identity | None
    is_open: bool
    channels: "dict[str, Topic]"

    def notify(self, frame: bytes, *, is_private: bool) -> bool:
        """Queue a frame; False when a public one was dropped because the reader lags."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Say goodbye with `code`."""
        ...

    def queued_bytes(self) -> int:
        """Bytes that wait for this reader."""
        ...


class Topic:
    """One channel that somebody listens to."""

    __slots__ = ("channel", "instrument_id", "sent_at", "seq", "shown_version", "subscribers")

    def __init__(self, channel: Channel, instrument_id: int) -> None:
        """Start without subscribers."""
        self.channel = channel
        self.instrument_id = instrument_id
        self.subscribers: dict[Any, None] = {}
        self.seq = 0
        self.shown_version: object = None
        self.sent_at = 0.0
