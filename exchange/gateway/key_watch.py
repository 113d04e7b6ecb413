"""Sockets whose session key ends: said a minute before, and at its end or revocation private channels go (P6)."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from exchange.domain.events import SessionKeySet
from exchange.gateway.connection import SocketConnection
from exchange.gateway.directory import Directory
from exchange.gateway.frames import text_frame
from exchange.wire.envelope import encode
from exchange.wire.errors import WireError

__all__ = ["KeyWatch"]

_NOTICE_S: Final = 65.0
"""A minute, and what a busy loop may be late."""
_LONGEST_S: Final = 86_400.0
"""Timers far ahead drift from the wall clock; they look again once a day."""


class KeyWatch:
    """One timer per socket that is logged in with a session key."""

    def __init__(
        self,
        directory: Directory,
        clock_ns: Callable[[], int],
        drop_private: Callable[[SocketConnection], None],
    ) -> None:
        """`drop_private` ends a socket's private channels."""
        self._directory = directory
        self._clock_ns = clock_ns
        self._drop_private = drop_private
        self._timers: dict[SocketConnection, asyncio.TimerHandle] = {}

    def logged_in(self, client: SocketConnection) -> None:
        """Watch the key behind a fresh login, in place of an older one's."""
        self.closed(client)
        self._look(client, is_told=False)

    def closed(self, client: SocketConnection) -> None:
        """Watch a socket no more."""
        timer = self._timers.pop(client, None)
        if timer is not None:
            timer.cancel()

    def apply(self, event: SessionKeySet, timestamp_ns: int, sockets: Iterable[SocketConnection]) -> None:
        """Take the private channels from sockets of a key that was revoked."""
        if event.valid_to_s * 1_000_000_000 > timestamp_ns:
            return
        for client in list(sockets):
            identity = client.identity
            if identity is not None and (identity.owner, identity.signer) == (event.owner, event.key):
                self._end(client, "revoked")

    def _look(self, client: SocketConnection, *, is_told: bool) -> None:
        """Say what is due, and come back for the rest."""
        identity = client.identity
        try:
            key = None if identity is None else self._directory.key_of(identity)
        except WireError:
            self._end(client, "expired")
            return
        if key is None:
            return
        left_s = key.valid_to_s - self._clock_ns() / 1_000_000_000
        if left_s <= _NOTICE_S and not is_told:
            _tell(client, "auth_expiring", {"expires_at": key.valid_to_s * 1_000})
            is_told = True
        wait_s = max(left_s - (0.0 if is_told else _NOTICE_S), 0.001)
        loop = asyncio.get_running_loop()
        self._timers[client] = loop.call_later(min(wait_s, _LONGEST_S), lambda: self._look(client, is_told=is_told))

    def _end(self, client: SocketConnection, reason: str) -> None:
        self.closed(client)
        _tell(client, "auth_ended", {"reason": reason})
        self._drop_private(client)


def _tell(client: SocketConnection, method: str, params: dict[str, object]) -> None:
    """Only sockets on an account stream hear of it: other clients never see a frame they do not know."""
    if any(topic.channel.kind == "account" for topic in client.channels.values()):
        client.notify(text_frame(encode({"jsonrpc": "2.0", "method": method, "params": params})), is_private=True)
