"""Scenario prices of the journaled rounds, and which accounts are margined by them.

Stored and hashed: rounds, trust, cells and their times, accounts. Derived when somebody asks: cells as integers, what a
unit of an option changes by.
"""

from dataclasses import dataclass, field

from exchange.domain.portfolio import ExpiryTrust, unpack_cells
from exchange.risk.portfolio_parameters import PortfolioParameters
from exchange.risk.scenario_portfolio import UnitChanges, option_changes

__all__ = ["ScenarioTable"]


@dataclass(slots=True)
class ScenarioTable:
    """Rounds by underlying, trust by (underlying, expiry_s), packed cells and their times by instrument."""

    accounts: dict[int, None] = field(default_factory=dict)
    """Subaccounts with Portfolio Margin."""
    rounds: dict[str, int] = field(default_factory=dict)
    trust: dict[tuple[str, int], ExpiryTrust] = field(default_factory=dict)
    packed: dict[int, bytes] = field(default_factory=dict)
    set_ns: dict[int, int] = field(default_factory=dict)
    unseen: dict[int, None] = field(default_factory=dict)
    """Options whose numbers changed since a mirror looked; not stored."""
    _cells: dict[int, tuple[int, ...]] = field(default_factory=dict)
    _changes: dict[int, UnitChanges] = field(default_factory=dict)

    def put(self, number: int, packed: bytes, set_ns: int) -> None:
        """Keep an option's cells."""
        self.packed[number], self.set_ns[number] = packed, set_ns
        self._cells.pop(number, None)
        self.forget_changes(number)

    def forget_changes(self, number: int) -> None:
        """The trust of an option's expiry moved, or its cells."""
        self._changes.pop(number, None)
        self.unseen[number] = None

    def cells(self, number: int) -> tuple[int, ...]:
        """An option's cells. Raises KeyError where there are none."""
        found = self._cells.get(number)
        if found is None:
            found = self._cells[number] = unpack_cells(self.packed[number])
        return found

    def changes(self, number: int, trust: ExpiryTrust, parameters: PortfolioParameters) -> UnitChanges:
        """What a unit of an option bought or sold changes by."""
        found = self._changes.get(number)
        if found is None:
            found = self._changes[number] = option_changes(
                self.cells(number),
                positive_e9=trust.positive_e9,
                negative_e9=trust.negative_e9,
                basis_e9=trust.basis_e9,
                parameters=parameters,
            )
        return found
