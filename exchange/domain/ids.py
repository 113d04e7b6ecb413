"""Identifiers: which integer means what, and how order numbers are formed.

An order number is `shard << 56 | sequence << 8 | line` (architecture.md 6): a function of the journal alone, so that a
replay gives every order its number again. Accounts are dense indices; 0 is the venue's fund, 1 the clearing account.
"""

from typing import Final

__all__ = [
    "CLEARING_ACCOUNT",
    "FIRST_USER_ACCOUNT",
    "FUND_ACCOUNT",
    "PERPETUAL_BIT",
    "is_perpetual_id",
    "order_number",
    "order_sequence",
]

FUND_ACCOUNT: Final = 0
CLEARING_ACCOUNT: Final = 1
FIRST_USER_ACCOUNT: Final = 2
PERPETUAL_BIT: Final = 1 << 31
"""Set in the instrument id of every perpetual, so that they sort last in a settlement leaf."""


def order_number(*, sequence: int, line: int = 0, shard: int = 0) -> int:
    """Number of the order placed by command `sequence` (1 .. 2^48 - 1) on `line` (0 .. 255)."""
    return shard << 56 | sequence << 8 | line


def order_sequence(number: int) -> int:
    """Sequence of the command that placed order `number`."""
    return (number >> 8) & ((1 << 48) - 1)


def is_perpetual_id(instrument_id: int) -> bool:
    """Whether `instrument_id` names a perpetual."""
    return bool(instrument_id & PERPETUAL_BIT)
