"""Safeguards for the fast stream of engine commands: limits and ends of keys, wallets' rules, dead-man timers."""

from random import Random

from exchange.domain.commands import Command
from exchange.domain.safeguards import (
    CancelAllAfter,
    KeyLimits,
    KeyRight,
    RevokeKey,
    SetDisconnectRule,
    SetKeyLimits,
)
from tests.unit.exchange.engine.world import CALL, PERP, PUT

__all__ = ["safeguard"]


def safeguard(pick: Random, account: int, owner: bytes, key: bytes, *, lifts: float = 0.0) -> list[Command]:
    """One of them for an account, its owner and that owner's key; a key is seldom revoked, since it stays so.

    `lifts`: how often a limit takes away those of before, where a stream's few keys sign most of its orders.
    """
    roll = pick.random()
    if roll < 0.4:
        limits = KeyLimits() if lifts and pick.random() < lifts else _limits(pick)
        return [SetKeyLimits(owner=owner, key=key, limits=limits)]
    if roll < 0.43:
        return [RevokeKey(owner=owner, key=key)]
    if roll < 0.65:
        spares, is_enabled = pick.random() < 0.5, pick.random() < 0.6
        return [SetDisconnectRule(owner=owner, is_enabled=is_enabled, spares_reduce_only=spares)]
    timeout_ms = pick.choice((0, 999, 1_000, 1_000, 5_000, 3_600_001))
    return [CancelAllAfter(subaccount=account, timeout_ms=timeout_ms, spares_reduce_only=pick.random() < 0.5)]


def _limits(pick: Random) -> KeyLimits:
    return KeyLimits(
        rights=KeyRight(pick.randrange(8)),
        instruments=pick.choice(((), (), (PERP,), (CALL, PUT), (PERP,) * 65)),
        underlyings=pick.choice(((), (), ("BTC",), ("NEW",))),
        max_notional_e6=pick.choice((0, 0, 10**8, 10**10, 10**12, -1)),
        label=pick.choice(("", "label", "l" * 65)),
    )
