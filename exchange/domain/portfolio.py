"""Margin kinds of subaccounts, and the scenario prices that Portfolio Margin decides by (risk.md 8).

Scenario prices are price commands: somebody outside computes them, the engine keeps integers and asks nobody, so a
replay decides the same. Cells are 1e-9 USDC per unit of the underlying, fractions integers over 1e9.
"""

import struct
from collections.abc import Sequence
from enum import IntEnum

import msgspec

__all__ = [
    "ExpiryTrust",
    "MarginKind",
    "MarginKindSet",
    "PortfolioEvent",
    "ScenarioRow",
    "ScenariosSet",
    "SetMarginKind",
    "SetScenarios",
    "pack_cells",
    "unpack_cells",
]


class MarginKind(IntEnum):
    """How the positions of a subaccount are margined: by the exchange's fixed rules, or by scenarios."""

    STANDARD = 0
    PORTFOLIO = 1


def pack_cells(cells: Sequence[int]) -> bytes:
    """Cells as little-endian int64."""
    return struct.pack(f"<{len(cells)}q", *cells)


def unpack_cells(packed: bytes) -> tuple[int, ...]:
    """Inverse of `pack_cells`. Raises struct.error for bytes that are no whole cells."""
    return struct.unpack(f"<{len(packed) // 8}q", packed)  # whole cells


class ExpiryTrust(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Of one expiry, over 1e9: multipliers of a value >= 0 and of one below, and the share of the basis loss."""

    expiry_s: int
    positive_e9: int
    negative_e9: int
    basis_e9: int


class ScenarioRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One option: its cells as little-endian int64, one per scenario, then unshocked, forward up, forward down."""

    instrument: int
    cells: bytes

    def values(self) -> tuple[int, ...]:
        """The cells as integers. Raises struct.error for bytes that are no whole cells."""
        return unpack_cells(self.cells)

    @classmethod
    def of(cls, instrument: int, cells: tuple[int, ...]) -> "ScenarioRow":
        """The row of these cells."""
        return cls(instrument, pack_cells(cells))


class SetScenarios(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Scenario prices of options of one underlying. `round` rises; what is not named keeps its value."""

    underlying: str
    round: int
    expiries: tuple[ExpiryTrust, ...] = ()
    rows: tuple[ScenarioRow, ...] = ()


class SetMarginKind(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Choose how a subaccount is margined; refused where it would not be healthy afterwards."""

    subaccount: int
    kind: MarginKind


class _Tag(IntEnum):
    MARGIN_KIND_SET = 80
    SCENARIOS_SET = 81


class MarginKindSet(
    msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag=_Tag.MARGIN_KIND_SET.value
):
    """A subaccount is margined in another way from here on."""

    subaccount: int
    kind: MarginKind


class ScenariosSet(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag=_Tag.SCENARIOS_SET.value):
    """Scenario prices took effect; they stand in the command."""

    underlying: str
    round: int
    instruments: int
    """How many options they name."""


PortfolioEvent = MarginKindSet | ScenariosSet
