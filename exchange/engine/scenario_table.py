"""Scenario prices of the journaled rounds, and which accounts are margined by them.

Stored and hashed: rounds, trust, cells and their times, accounts. Derived: what a unit of each option changes by.
"""

from dataclasses import dataclass, field

from exchange.domain.portfolio import ExpiryTrust
from exchange.risk.portfolio_parameters import PortfolioParameters
from exchange.risk.scenario_portfolio import ScenarioExpiry, UnitChanges, option_changes

__all__ = ["ScenarioTable"]


@dataclass(slots=True)
class ScenarioTable:
    """Rounds by underlying, trust by (underlying, expiry_s), cells by instrument."""

    version: int = 0
    """Changes with every command that is taken; for mirrors, not stored."""
    accounts: dict[int, None] = field(default_factory=dict)
    """Subaccounts with Portfolio Margin."""
    rounds: dict[str, int] = field(default_factory=dict)
    trust: dict[tuple[str, int], ExpiryTrust] = field(default_factory=dict)
    cells: dict[int, tuple[int, ...]] = field(default_factory=dict)
    set_ns: dict[int, int] = field(default_factory=dict)
    changes: dict[int, UnitChanges] = field(default_factory=dict)

    def expiry(self, underlying: str, expiry_s: int) -> ScenarioExpiry:
        """Multipliers of an expiry, without its options."""
        trust = self.trust[underlying, expiry_s]
        return ScenarioExpiry(positive_e9=trust.positive_e9, negative_e9=trust.negative_e9, basis_e9=trust.basis_e9)

    def derive(self, number: int, underlying: str, expiry_s: int, parameters: PortfolioParameters) -> None:
        """Work out what a unit of an option changes by, behind new cells or new trust."""
        self.changes[number] = option_changes(self.cells[number], self.expiry(underlying, expiry_s), parameters)
