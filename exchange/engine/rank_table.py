"""Weights of an instrument's side, as a row of the state's cache."""

import msgspec

__all__ = ["RankTable"]


class RankTable(msgspec.Struct, frozen=True, gc=False):
    """(account, weight) of a sample of one side, and when they were taken."""

    taken_ns: int
    weights: tuple[tuple[int, int], ...]
