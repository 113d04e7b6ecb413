"""What can go wrong for a client.

ClientError
+-- OffbookError        the exchange refused the request (its code, message and data)
+-- ConnectionLost      the socket ended; `sent` tells whether the request may have taken effect
+-- AnswerMissing       no answer in time; the outcome is unknown, ask for the order by its nonce
+-- StreamBroken        a subscription ended: refused, overflowed, or its client was closed
+-- BookOutOfStep       frames of a book channel are missing; `BookFeed` mends it by itself
+-- BadAccount          a demo account file or a key that cannot be used
"""

import msgspec

__all__ = [
    "AnswerMissing",
    "BadAccount",
    "BookOutOfStep",
    "ClientError",
    "ConnectionLost",
    "OffbookError",
    "StreamBroken",
]


class ClientError(Exception):
    """Root of everything this package raises on purpose."""


class OffbookError(ClientError):
    """The exchange's typed error. `data` is the text it sent, or None; `detail` the JSON object inside it."""

    def __init__(self, code: int, message: str, data: str | None = None) -> None:
        super().__init__(f"{code} {message}" + (f" {data}" if data else ""))
        self.code = code
        self.message = message
        self.data = data

    @property
    def detail(self) -> dict[str, object]:
        """The members of `data`; empty when there is none or it is plain text."""
        try:
            return msgspec.json.decode(self.data or "{}", type=dict[str, object])
        except msgspec.MsgspecError:
            return {}


class ConnectionLost(ClientError):
    """The socket is gone. With `sent` the outcome of the request is unknown, else nothing happened."""

    def __init__(self, reason: str, *, sent: bool = False) -> None:
        super().__init__(reason)
        self.sent = sent


class AnswerMissing(ClientError):
    """No answer in time: the request may or may not have taken effect."""


class StreamBroken(ClientError):
    """A subscription delivers nothing more."""


class BookOutOfStep(ClientError):
    """A copy of a book is not what the exchange has."""


class BadAccount(ClientError):
    """An account file is missing, empty or malformed."""
