"""Python SDK: `OffbookClient` (async) and `BlockingClient` over the public websocket API."""

from exchange.client.blocking import BlockingClient
from exchange.client.client import OffbookClient
from exchange.client.errors import (
    AnswerMissing,
    BadAccount,
    ClientError,
    ConnectionLost,
    OffbookError,
    StreamBroken,
)
from exchange.client.streams import Subscription

__all__ = [
    "AnswerMissing",
    "BadAccount",
    "BlockingClient",
    "ClientError",
    "ConnectionLost",
    "OffbookClient",
    "OffbookError",
    "StreamBroken",
    "Subscription",
]
