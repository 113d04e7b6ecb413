"""Channel names: parsed once at subscription, echoed byte for byte for ever."""

from collections.abc import Callable
from typing import Final

import msgspec

__all__ = ["BadChannel", "Channel", "parse_channel"]

_MAX_NAME_LENGTH: Final = 128
_MAX_DEPTH: Final = 100
_MAX_GROUP: Final = 1_000_000
_BOOK_INTERVALS_MS: Final = {"raw": 0, "20ms": 20, "100ms": 100}
_PRIVATE: Final = frozenset({"account", "orders", "trades", "balances"})


class BadChannel(ValueError):
    """A name that no channel has; the text goes into `status`."""


_UNKNOWN: Final = "13000 unknown channel"


class Channel(msgspec.Struct, frozen=True, kw_only=True):
    """A parsed channel.

    `kind` is orderbook, book, ticker_slim, trades, option_chain, spot_feed, liquidations, auctions, batches, or a
    private kind
    with `subaccount_id`. `interval_ms` 0: every change.
    """

    name: str
    kind: str
    instrument: str = ""
    group: int = 0
    depth: int = 0
    interval_ms: int = 0
    instrument_type: str = ""
    currency: str = ""
    expiry_date: str = ""
    """YYYYMMDD; empty for all."""
    subaccount_id: int = -1

    @property
    def is_private(self) -> bool:
        """Whether it needs a login."""
        return self.subaccount_id >= 0


def parse_channel(name: str) -> Channel:
    """Parse a name; raises BadChannel with the reason."""
    if len(name) > _MAX_NAME_LENGTH:
        raise BadChannel("13000 channel name is too long")
    head, *rest = name.split(".")
    if head.isascii() and head.isdigit():
        return _private(name, head, rest)
    parser = _PARSERS.get((head, len(rest)))
    if parser is None:
        raise BadChannel(_UNKNOWN)
    return parser(name, *rest)


def _orderbook(name: str, instrument: str, group: str, depth: str) -> Channel:
    return Channel(
        name=name,
        kind="orderbook",
        instrument=instrument,
        group=_number(group, "group", _MAX_GROUP),
        depth=_number(depth, "depth", _MAX_DEPTH),
    )


def _book(name: str, instrument: str, interval: str) -> Channel:
    if interval not in _BOOK_INTERVALS_MS:
        raise BadChannel(_UNKNOWN)
    return Channel(name=name, kind="book", instrument=instrument, interval_ms=_BOOK_INTERVALS_MS[interval])


def _ticker(name: str, instrument: str, interval: str) -> Channel:
    interval_ms = 100 if _number(interval, "interval", 3_600_000) <= 100 else 1_000
    return Channel(name=name, kind="ticker_slim", instrument=instrument, interval_ms=interval_ms)


def _trades_of_type(name: str, kind: str, currency: str) -> Channel:
    if kind not in ("perp", "option"):
        raise BadChannel(_UNKNOWN)
    return Channel(name=name, kind="trades", instrument_type=kind, currency=currency)


def _watch(name: str, what: str) -> Channel:
    if what != "watch":
        raise BadChannel(_UNKNOWN)
    return Channel(name=name, kind="auctions", interval_ms=1_000)


def _option_chain(name: str, currency: str, expiry: str, interval: str) -> Channel:
    if interval not in ("100", "1000"):
        raise BadChannel("13000 interval must be 100 or 1000")
    if expiry != "all" and not (expiry.isascii() and expiry.isdigit() and len(expiry) == len("YYYYMMDD")):
        raise BadChannel("13000 expiry must be YYYYMMDD or all")
    return Channel(
        name=name,
        kind="option_chain",
        currency=currency,
        expiry_date="" if expiry == "all" else expiry,
        interval_ms=int(interval),
    )


def _private(name: str, head: str, rest: list[str]) -> Channel:
    if len(rest) != 1 or rest[0] not in _PRIVATE or len(head) > 18:
        raise BadChannel(_UNKNOWN)
    return Channel(name=name, kind=rest[0], subaccount_id=int(head))


def _number(text: str, what: str, maximum: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 9) or not 1 <= int(text) <= maximum:
        raise BadChannel(f"13000 {what} must be 1 .. {maximum}")
    return int(text)


_PARSERS: Final[dict[tuple[str, int], Callable[..., Channel]]] = {
    ("orderbook", 3): _orderbook,
    ("book", 2): _book,
    ("ticker_slim", 2): _ticker,
    ("trades", 1): lambda name, instrument: Channel(name=name, kind="trades", instrument=instrument),
    ("trades", 2): _trades_of_type,
    ("option_chain", 3): _option_chain,
    ("spot_feed", 1): lambda name, currency: Channel(name=name, kind="spot_feed", currency=currency, interval_ms=1_000),
    ("liquidations", 1): lambda name, currency: Channel(name=name, kind="liquidations", currency=currency),
    ("auctions", 1): _watch,
    ("batches", 0): lambda name: Channel(name=name, kind="batches"),
}
"""By the first word and how many follow."""
