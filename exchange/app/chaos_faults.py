"""What can go wrong between the settler and the chain, and how a scenario draws it from its seed."""

from enum import StrEnum
from random import Random
from typing import Final, NamedTuple

__all__ = ["GAS_FACTOR", "MAX_REORG", "STORM_TICKS", "Fault", "FaultKind", "Kill", "KillSite", "Plan", "draw_plan"]

STORM_TICKS: Final = 32
"""Blocks during which faults begin and end; what comes after is calm."""
MAX_REORG: Final = 5
GAS_FACTOR: Final = 100
_MOST_FAULTS: Final = 4
_MOST_KILLS: Final = 3
_LONGEST_TICKS: Final = 10
_WRITES: Final = 60
_SENDS: Final = 12


class FaultKind(StrEnum):
    """One way in which a node, a network or another program misbehaves."""

    TIMEOUT = "timeout"
    BUSY = "busy-429"
    SERVER_ERROR = "server-error-5xx"
    WRONG_JSON = "wrong-json"
    STALE_HEAD = "stale-head"
    DROPPED = "dropped-transaction"
    REPLY_LOST = "reply-lost"
    DUPLICATE_RECEIPT = "duplicate-receipt"
    MISSING_RECEIPT = "missing-receipt"
    REORG = "reorg"
    NONCE_GAP = "nonce-gap"
    FOREIGN_SPEND = "foreign-spend"
    GAS_X100 = "gas-x100"


_ONCE: Final = frozenset({FaultKind.REORG, FaultKind.NONCE_GAP, FaultKind.FOREIGN_SPEND})


class Fault(NamedTuple):
    """`kind` from block `tick` on for `ticks` blocks. `amount`: percent of requests, or depth of a reorganization."""

    kind: FaultKind
    tick: int
    ticks: int
    amount: int

    def __str__(self) -> str:
        """As a failing scenario names it."""
        return f"{self.kind}({self.amount})@{self.tick}+{self.ticks}"


class KillSite(StrEnum):
    """Around what the settler's process dies."""

    BEFORE_WRITE = "before-write"
    AFTER_WRITE = "after-write"
    BEFORE_SEND = "before-send"
    AFTER_SEND = "after-send"


class Kill(NamedTuple):
    """The process dies at the `nth` occasion of its kind, counted from the beginning of the scenario."""

    site: KillSite
    nth: int

    def __str__(self) -> str:
        """As a failing scenario names it."""
        return f"{self.site}#{self.nth}"


class Plan(NamedTuple):
    """Everything that happens to one scenario."""

    faults: tuple[Fault, ...]
    kills: tuple[Kill, ...]

    def __str__(self) -> str:
        """One line."""
        return " ".join(map(str, (*self.faults, *self.kills))) or "nothing"

    def active(self, kind: FaultKind, tick: int) -> Fault | None:
        """The fault of this kind that `tick` lies in."""
        return next((one for one in self.faults if one.kind is kind and 0 <= tick - one.tick < one.ticks), None)

    def beginning(self, kind: FaultKind, tick: int) -> Fault | None:
        """The fault of this kind that begins at `tick`."""
        return next((one for one in self.faults if one.kind is kind and one.tick == tick), None)


def draw_plan(rng: Random) -> Plan:
    """One to four kinds of faults, each once or twice, and up to three deaths of the process."""
    kinds = rng.sample(list(FaultKind), rng.randint(1, _MOST_FAULTS))
    faults = [_draw_fault(rng, kind) for kind in kinds for _ in range(rng.randint(1, 2))]
    kills = {_draw_kill(rng) for _ in range(rng.randint(0, _MOST_KILLS))}
    return Plan(tuple(sorted(faults, key=lambda one: (one.tick, one.kind))), tuple(sorted(kills)))


def _draw_fault(rng: Random, kind: FaultKind) -> Fault:
    tick = rng.randrange(STORM_TICKS)
    if kind in _ONCE:
        return Fault(kind, tick, 1, rng.randint(1, MAX_REORG))
    return Fault(kind, tick, rng.randint(1, _LONGEST_TICKS), rng.choice((20, 50, 100)))


def _draw_kill(rng: Random) -> Kill:
    site = rng.choice(list(KillSite))
    is_write = site in (KillSite.BEFORE_WRITE, KillSite.AFTER_WRITE)
    return Kill(site, rng.randint(1, _WRITES if is_write else _SENDS))
