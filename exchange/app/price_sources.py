"""Which venues a deployment takes its index from: seeded ones, a recorded one among seeded ones, or live ones.

The capture of the project's data has ETH but no BTC, whose index then comes from the seeded venues alone.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from exchange.app.config import ConfigError
from exchange.feeds.index_feed import IndexFeed
from exchange.feeds.live import LiveVenue, MissingCcxt, live_venues
from exchange.feeds.sources import IndexSource
from exchange.feeds.synthetic import START_PRICES_E9, SyntheticIndex
from exchange.feeds.venues import RecordedVenue, seeded_venues

__all__ = ["index_feed"]

_UNDERLYINGS: Final = tuple(START_PRICES_E9)
_RECORDED: Final = "recorded:"


def index_feed(prices: str, seed: int, clock_ns: Callable[[], int]) -> tuple[IndexFeed, list[LiveVenue]]:
    """The index that `prices` names ("seeded", "recorded:FILE", "live"), and the venues that somebody has to poll.

    A recorded venue is one of six: the seeded ones begin at its first prices. Raises ConfigError.
    """
    if prices == "live":
        try:
            live = live_venues(_UNDERLYINGS, clock_ns)
        except MissingCcxt as missing:
            raise ConfigError(str(missing)) from missing
        return IndexFeed(live, _UNDERLYINGS), live
    truth = SyntheticIndex.seeded(seed)
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
