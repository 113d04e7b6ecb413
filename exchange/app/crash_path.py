"""Paths of two crashes: index and depth over time, from files whose points name their source (`crash_paths/`).

Values between points lie on straight lines, in integers; a seeded, mean-reverting noise is added to prices.
"""

import random
import tomllib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import datetime
from importlib.resources import files
from itertools import pairwise
from typing import Any, Final

import msgspec

from exchange.app.failures import Failure

__all__ = ["CrashPath", "DepthPoint", "Moment", "PricePoint", "load_path", "path_names"]

_E9: Final = 10**9
_PPM: Final = 10**6
_KINDS: Final = ("published", "interpolated")
_PULL: Final = 20
"""The noise goes back by one part in so many with each step."""


class PricePoint(msgspec.Struct, frozen=True, kw_only=True):
    """Index at a time; what of it is published and where."""

    at_s: int
    usd: int
    price_is: str
    time_is: str
    source: str


class DepthPoint(msgspec.Struct, frozen=True, kw_only=True):
    """Depth near the middle in parts of that before the crash."""

    at_s: int
    part_ppm: int
    depth_is: str
    source: str


class Moment(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One step: seconds since the start, index in 1e-9 USDC, depth in 1e-6 of the calm one."""

    at_s: int
    index_e9: int
    depth_ppm: int


class CrashPath(msgspec.Struct, frozen=True, kw_only=True):
    """A path: `start_s` in Unix time, one round of prices every `step_s`, noise in 1e-6 of the price per step."""

    title: str
    start_s: int
    step_s: int
    noise_ppm: int
    prices: tuple[PricePoint, ...]
    depths: tuple[DepthPoint, ...]

    @property
    def length_s(self) -> int:
        """Seconds from the first point to the last."""
        return self.prices[-1].at_s

    def moments(self, seed: int) -> Iterator[Moment]:
        """All steps, the same for the same seed."""
        draw = random.Random(f"path {seed}")  # noqa: S311 - a path repeats
        prices = [(row.at_s, row.usd * _E9) for row in self.prices]
        depths = [(row.at_s, row.part_ppm) for row in self.depths]
        noise_ppm = 0
        for at_s in range(0, self.length_s + 1, self.step_s):
            line_e9 = _between(prices, at_s)
            noise_ppm += draw.randint(-self.noise_ppm, self.noise_ppm) - noise_ppm // _PULL
            index_e9 = line_e9 + line_e9 * noise_ppm // _PPM
            yield Moment(at_s=at_s, index_e9=index_e9, depth_ppm=_between(depths, at_s))


def path_names() -> list[str]:
    """Names of the paths that come with the project."""
    rows = (files("exchange.app") / "crash_paths").iterdir()
    return sorted(row.name.removesuffix(".toml") for row in rows if row.name.endswith(".toml"))


def load_path(name: str) -> CrashPath:
    """Read a path by name. Raises Failure for an unknown name and for points that are no path."""
    if name not in path_names():
        raise Failure(f"no path {name!r}: choose one of {', '.join(path_names())}")
    rows = tomllib.loads((files("exchange.app") / "crash_paths" / f"{name}.toml").read_text())
    return path_of(rows)


def path_of(rows: dict[str, Any]) -> CrashPath:
    """Make a path of a decoded file. Raises Failure when its points are no path or say nothing of their source."""
    path = CrashPath(
        title=rows["title"],
        start_s=int(datetime.fromisoformat(rows["start"]).timestamp()),
        step_s=rows["step_s"],
        noise_ppm=rows["noise_ppm"],
        prices=msgspec.convert(tuple(rows["price"]), tuple[PricePoint, ...]),
        depths=msgspec.convert(tuple(rows["depth"]), tuple[DepthPoint, ...]),
    )
    kinds = [kind for row in path.prices for kind in (row.price_is, row.time_is)] + [
        row.depth_is for row in path.depths
    ]
    if not set(kinds) <= set(_KINDS):
        raise Failure(f"{path.title}: a point is either published or interpolated")
    for times in ([row.at_s for row in path.prices], [row.at_s for row in path.depths]):
        if times[0] or any(after <= before for before, after in pairwise(times)):
            raise Failure(f"{path.title}: times must begin at 0 and rise")
    sources = [row.source for row in path.prices] + [row.source for row in path.depths]
    if not all(sources):
        raise Failure(f"{path.title}: every point names its source")
    return path


def _between(points: Sequence[tuple[int, int]], at_s: int) -> int:
    """Value on the line between the points around a time, rounded down; the last one's behind it."""
    place = bisect_right(points, at_s, key=lambda row: row[0])
    if place == len(points):
        return points[-1][1]
    (from_s, low), (to_s, high) = points[place - 1], points[place]
    return low + (high - low) * (at_s - from_s) // (to_s - from_s)
