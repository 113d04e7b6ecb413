"""Channel names: parsed once at subscription, echoed byte for byte for ever."""

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


class Channel(msgspec.Struct, frozen=True, kw_only=True):
    """A parsed channel.

    `kind` is orderbook, book, ticker_slim, trades, option_chain, batches, or a private kind with `subaccount_id`.
    `interval_ms` 0: every change.
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
    match (head, len(rest)):
        case ("orderbook", 3):
            group, depth = _number(rest[1], "group", _MAX_GROUP), _number(rest[2], "depth", _MAX_DEPTH)
            return Channel(name=name, kind="orderbook", instrument=rest[0], group=group, depth=depth)
        case ("book", 2) if rest[1] in _BOOK_INTERVALS_MS:
            return Channel(name=name, kind="book", instrument=rest[0], interval_ms=_BOOK_INTERVALS_MS[rest[1]])
        case ("ticker_slim", 2):
            interval = 100 if _number(rest[1], "interval", 3_600_000) <= 100 else 1_000
            return Channel(name=name, kind="ticker_slim", instrument=rest[0], interval_ms=interval)
        case ("trades", 1):
            return Channel(name=name, kind="trades", instrument=rest[0])
        case ("trades", 2) if rest[0] in ("perp", "option"):
            return Channel(name=name, kind="trades", instrument_type=rest[0], currency=rest[1])
        case ("option_chain", 3):
            return _option_chain(name, *rest)
        case ("batches", 0):
            return Channel(name=name, kind="batches")
    raise BadChannel("13000 unknown channel")


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
        raise BadChannel("13000 unknown channel")
    return Channel(name=name, kind=rest[0], subaccount_id=int(head))


def _number(text: str, what: str, maximum: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 9) or not 1 <= int(text) <= maximum:
        raise BadChannel(f"13000 {what} must be 1 .. {maximum}")
    return int(text)
