"""Which venues a deployment takes its index from: seeded ones, a recorded one among seeded ones, or live ones.

The capture of the project's data has ETH but no BTC, whose index then comes from the seeded venues alone.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from exchange.app.config import ConfigError
from exchange.feeds.index_feed import IndexFeed
from exchange.feeds.live import LiveVenue, MissingCcxt, live_venues
from exchange.feeds.sources import IndexSource, price_e9
from exchange.feeds.synthetic import START_PRICES_E9, SyntheticIndex
from exchange.feeds.venues import RecordedVenue, Truth, seeded_venues

__all__ = ["PublishedIndex", "index_feed"]

_UNDERLYINGS: Final = tuple(START_PRICES_E9)
_RECORDED: Final = "recorded:"


class PublishedIndex:
    """The truth of a seeded market as the exchange publishes it: the walk itself is in the pricer and nowhere else."""

    def __init__(self, fetch: Callable[[str], str | None]) -> None:
        """`fetch` gives the index price of an underlying as text, None for none; it may block."""
        self._fetch = fetch
        self.prices_e9: dict[str, int] = {}
        """Prices of the last look in 1e-9 USDC; without those that were not to be had."""

    def advance(self, elapsed_s: float) -> dict[str, int]:  # noqa: ARG002 - the exchange's time is not ours
        """Look again."""
        found = {name: price_e9(self._fetch(name)) for name in _UNDERLYINGS}
        self.prices_e9 = {name: price for name, price in found.items() if price is not None}
        return self.prices_e9

    def resume(self, prices_e9: Mapping[str, int]) -> None:
        """Nothing: the exchange has its own prices."""


def index_feed(
    prices: str, seed: int, clock_ns: Callable[[], int], *, truth: Truth | None = None
) -> tuple[IndexFeed, list[LiveVenue]]:
    """The index that `prices` names ("seeded", "recorded:FILE", "live"), and the venues that somebody has to poll.

    A recorded venue is one of six: the seeded ones begin at its first prices. They stand around `truth`, else around a
    walk of the seed. Raises ConfigError.
    """
    if prices == "live":
        try:
            live = live_venues(_UNDERLYINGS, clock_ns)
        except MissingCcxt as missing:
            raise ConfigError(str(missing)) from missing
        return IndexFeed(live, _UNDERLYINGS), live
    truth = truth or SyntheticIndex.seeded(seed)
    sources: list[IndexSource] = [*seeded_venues(truth, seed)]
    if prices.startswith(_RECORDED):
        recorded = _recorded(Path(prices.removeprefix(_RECORDED)), clock_ns())
        truth.resume({name: top.bid_e9 or 0 for name, top in recorded.tops(clock_ns()).items()})
        sources.append(recorded)
    return IndexFeed(sources, _UNDERLYINGS), []


def _recorded(path: Path, start_ns: int) -> RecordedVenue:
    try:
        return RecordedVenue.of_file(path, start_ns)
    except (OSError, ValueError) as error:
        raise ConfigError(f"recorded prices {path}: {error}") from error
