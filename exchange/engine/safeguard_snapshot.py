"""Limits of keys, rules of wallets and dead-man timers as canonical rows and back."""

from typing import Any

import msgspec

from exchange.domain.safeguards import KeyLimits
from exchange.engine.records import DeadMan, DisconnectRule
from exchange.engine.state import State

__all__ = ["load_safeguards", "safeguard_rows"]


def safeguard_rows(state: State) -> list[Any]:
    """Limits by owner and key, rules by owner, timers by subaccount."""
    return [
        [(owner, sorted(limits.items(), key=lambda row: row[0])) for owner, limits in sorted(state.key_limits.items())],
        sorted(state.disconnect_rules.items(), key=lambda row: row[0]),
        sorted(state.dead_men.items(), key=lambda row: row[0]),
    ]


def load_safeguards(state: State, rows: list[Any]) -> None:
    """Inverse of `safeguard_rows`."""
    limits, rules, timers = rows
    for owner, keys in msgspec.convert(limits, list[tuple[bytes, list[tuple[bytes, KeyLimits]]]]):
        state.key_limits[owner] = dict(keys)
    state.disconnect_rules.update(msgspec.convert(rules, list[tuple[bytes, DisconnectRule]]))
    state.dead_men.update(msgspec.convert(timers, list[tuple[int, DeadMan]]))
