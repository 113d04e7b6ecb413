"""Venues that stand in for real ones: seeded books around one walk, and a recorded book played again.

The seeded venues of a demo share a walk and differ by a few hundredths of a percent each. A recorded venue is one: it
takes its prices from a capture, whose first message is now. Randomness comes as a `random.Random`, time as an argument.
"""

import gzip
from collections.abc import Iterable, Mapping
from pathlib import Path
from random import Random
from typing import Any, Final, Protocol

import msgspec

from exchange.feeds.sources import TopOfBook, price_e9

__all__ = ["RecordedVenue", "SeededVenue", "Truth", "seeded_venues"]

_WEIGHTS: Final = (3, 2, 2, 1, 1)
_NOISE_PPM: Final = 50
_HALF_SPREAD_PPM: Final = 100
_PPM: Final = 1_000_000
_NS_PER_S: Final = 1_000_000_000
_DYDX_SUFFIX: Final = "-USD"


class Truth(Protocol):
    """The price that seeded venues stand around: `SyntheticIndex` is one."""

    @property
    def prices_e9(self) -> dict[str, int]:
        """Prices in 1e-9 USDC by underlying."""

    def advance(self, elapsed_s: float) -> dict[str, int]:
        """Let time pass."""

    def resume(self, prices_e9: Mapping[str, int]) -> None:
        """Go on from these prices."""


class SeededVenue:
    """A book whose middle is the truth and a little noise. The venue that `leads` moves the truth."""

    def __init__(self, name: str, weight: int, truth: Truth, source: Random, *, leads: bool = False) -> None:
        self.name = name
        self.weight = weight
        self._truth = truth
        self._source = source
        self._leads = leads

    def advance(self, elapsed_s: float) -> None:
        """Move the truth, if this venue leads."""
        if self._leads:
            self._truth.advance(elapsed_s)

    def resume(self, prices_e9: Mapping[str, int]) -> None:
        """Set the truth, if this venue leads."""
        if self._leads:
            self._truth.resume(prices_e9)

    def tops(self, now_ns: int) -> dict[str, TopOfBook]:
        """A book around the truth, as of now."""
        return {name: self._top(price, now_ns) for name, price in self._truth.prices_e9.items()}

    def _top(self, truth_e9: int, now_ns: int) -> TopOfBook:
        middle_e9 = truth_e9 + truth_e9 * round(self._source.gauss(0.0, _NOISE_PPM)) // _PPM
        half_e9 = middle_e9 * _HALF_SPREAD_PPM // _PPM
        return TopOfBook(bid_e9=middle_e9 - half_e9, ask_e9=middle_e9 + half_e9, book_ns=now_ns)


def seeded_venues(truth: Truth, seed: int) -> list[SeededVenue]:
    """Five venues around a truth with our weights; the first moves it."""
    return [
        SeededVenue(f"seeded-{number}", weight, truth, Random(f"venue {seed} {number}"), leads=number == 0)  # noqa: S311
        for number, weight in enumerate(_WEIGHTS)
    ]


class RecordedVenue:
    """A dYdX v3 capture (`time: JSON` per line): order books of its perpetuals, played from `start_ns` on, once.

    A frozen capture's prices grow old like any others.
    """

    weight: int = 1

    def __init__(self, name: str, lines: Iterable[str], start_ns: int) -> None:
        """Read the lines. Raises ValueError when there is no message among them."""
        self.name = name
        self._messages = [found for found in map(_message, lines) if found is not None]
        if not self._messages:
            raise ValueError(f"{name}: no order book messages")
        self._shift_ns = start_ns - self._messages[0][0]
        self._at = 0
        self._books: dict[str, tuple[dict[str, str], dict[str, str]]] = {}
        self._tops: dict[str, TopOfBook] = {}

    @classmethod
    def of_file(cls, path: Path, start_ns: int) -> "RecordedVenue":
        """Read a capture, compressed with gzip or not. Raises OSError, ValueError."""
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
        return cls(path.name, text.splitlines(), start_ns)

    def advance(self, elapsed_s: float) -> None:
        """Nothing: the capture has its own times."""

    def resume(self, prices_e9: Mapping[str, int]) -> None:
        """Nothing: the capture has its own prices."""

    def tops(self, now_ns: int) -> Mapping[str, TopOfBook]:
        """Books as the capture left them at this time."""
        changed: dict[str, int] = {}
        while self._at < len(self._messages) and self._messages[self._at][0] + self._shift_ns <= now_ns:
            time_ns, underlying, contents = self._messages[self._at]
            self._take(underlying, contents)
            changed[underlying] = time_ns + self._shift_ns
            self._at += 1
        for underlying, time_ns in changed.items():
            bids, asks = (_prices(side) for side in self._books[underlying])
            self._tops[underlying] = TopOfBook(
                bid_e9=max(bids, default=None), ask_e9=min(asks, default=None), book_ns=time_ns
            )
        return self._tops

    def _take(self, underlying: str, contents: Mapping[str, Any]) -> None:
        book = self._books.setdefault(underlying, ({}, {}))
        for side, rows in zip(book, (contents.get("bids", ()), contents.get("asks", ())), strict=True):
            for row in rows:
                price, size = (row["price"], row["size"]) if isinstance(row, dict) else row
                side[price] = size


def _prices(side: Mapping[str, str]) -> list[int]:
    found = (price_e9(price) for price, size in side.items() if price_e9(size) is not None)
    return [price for price in found if price is not None]


def _message(line: str) -> tuple[int, str, Mapping[str, Any]] | None:
    """(Unix ns, underlying, contents) of an order book message; None for anything else."""
    head, _, text = line.partition(": ")
    try:
        body = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return None
    if not isinstance(body, dict) or body.get("channel") != "v3_orderbook" or "contents" not in body:
        return None
    seconds, _, fraction = head.partition(".")
    time_ns = int(seconds) * _NS_PER_S + int(fraction.ljust(9, "0")[:9] or 0)
    return time_ns, str(body["id"]).removesuffix(_DYDX_SUFFIX), body["contents"]
