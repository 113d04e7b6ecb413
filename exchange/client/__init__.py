"""Python SDK: `OffbookClient` (async) and `BlockingClient` over the public websocket API."""

from exchange.client.blocking import BlockingClient
from exchange.client.books import BookFeed, BookMirror
from exchange.client.client import OffbookClient
from exchange.client.errors import (
    AnswerMissing,
    BadAccount,
    BookOutOfStep,
    ClientError,
    ConnectionLost,
    OffbookError,
    StreamBroken,
)
from exchange.client.orders import MirroredOrder, OrderMirror, OrderState, Reconciled
from exchange.client.streams import Subscription

__all__ = [
    "AnswerMissing",
    "BadAccount",
    "BlockingClient",
    "BookFeed",
    "BookMirror",
    "BookOutOfStep",
    "ClientError",
    "ConnectionLost",
    "MirroredOrder",
    "OffbookClient",
    "OffbookError",
    "OrderMirror",
    "OrderState",
    "Reconciled",
    "StreamBroken",
    "Subscription",
]
