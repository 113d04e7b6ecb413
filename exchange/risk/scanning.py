"""Worst losses of many accounts from one price grid (risk.md 8.2, 14), compiled where the extension is built.

Cells are 1e-9 USDC per unit, amounts 1e-9 units, so that values are exact in 1e-18 USDC; fractions are over `one`. Both
twins give the same integers: the compiled one hands back whatever comes near 128 bits (an account worth five billion
USDC in one expiry) to the plain one.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from importlib.util import find_spec
from math import gcd
from typing import Final

import msgspec

from exchange.domain.money import floor_div
from exchange.risk.portfolio import ExpiryValues, Perpetual, PortfolioAccount, expiry_values, worst_and_basis
from exchange.risk.portfolio_parameters import PortfolioParameters

# A source tree without a compiler still works; an extension that is there and does not load stops the import.
COMPILED = find_spec("exchange.risk._margin") is not None
if COMPILED:
    from exchange.risk import _margin

__all__ = [
    "COMPILED",
    "AccountLegs",
    "GridView",
    "Leg",
    "Losses",
    "Multipliers",
    "PreparedAccounts",
    "PreparedGrid",
    "plain_losses",
    "scan_words",
    "worst_losses",
]

_WORD: Final = 2**64
_HALF: Final = 2**63


class Leg(msgspec.Struct, frozen=True, gc=False):
    """A position in a contract: its row in the grid, the place of its expiry, its signed amount in 1e-9 units."""

    row: int
    expiry: int
    amount_e9: int


class AccountLegs(msgspec.Struct, frozen=True, kw_only=True):
    """Legs of an account, and what moves with the spot: amount x mark of the perpetual plus collateral, 1e-18 USDC."""

    legs: tuple[Leg, ...]
    linear_e18: int = 0


class Multipliers(msgspec.Struct, frozen=True, gc=False):
    """Of one expiry: value >= 0, value below 0, basis loss; over `one`, below 2^32."""

    positive: int
    negative: int
    basis: int


class GridView(msgspec.Struct, frozen=True, kw_only=True):
    """The cells of a grid row by row, its width, and the columns that mean mark, forward up and forward down."""

    cells: array[int]
    width: int
    scenarios: int
    mark: int
    forward_up: int
    forward_down: int
    multipliers: tuple[Multipliers, ...]

    def row(self, place: int) -> Sequence[int]:
        """Cells of one contract."""
        return self.cells[place * self.width : (place + 1) * self.width]


class Losses(msgspec.Struct, frozen=True, gc=False):
    """Worst loss and basis term (<= 0) and the value of the options at their marks, in 1e-18 USDC."""

    worst_e18: int
    basis_e18: int
    value_e18: int


class PreparedAccounts:
    """Accounts as columns, legs by expiry; built once, used with every new grid.

    The amounts of an account are counts of their greatest common unit, which keeps the sums short.
    """

    def __init__(self, accounts: Sequence[AccountLegs]) -> None:
        self.accounts = tuple(accounts)
        ordered = [sorted(account.legs, key=lambda leg: leg.expiry) for account in accounts]
        flat = [leg for legs in ordered for leg in legs]
        units = [gcd(*(leg.amount_e9 for leg in legs)) or 1 for legs in ordered]
        self.units = array("q", units)
        self.rows = array("i", [leg.row for leg in flat])
        self.expiries = array("i", [leg.expiry for leg in flat])
        self.counts = array(
            "q",
            [floor_div(leg.amount_e9, unit) for legs, unit in zip(ordered, units, strict=True) for leg in legs],
        )
        self.starts = array("q", [0])
        for legs in ordered:
            self.starts.append(self.starts[-1] + len(legs))
        self.linear = array("q", [word for account in accounts for word in _words(account.linear_e18)])


class PreparedGrid:
    """A grid with its parameters, checked once. The cells must not change while it is in use; a refresh makes new ones.

    Raises ValueError for columns the grid does not have, and for numbers beyond the ranges of the compiled scan.
    """

    def __init__(self, view: GridView, parameters: PortfolioParameters) -> None:
        self.view = view
        self.parameters = parameters
        self.scan = _compiled_scan(view, parameters) if COMPILED and view.cells else None


def worst_losses(accounts: PreparedAccounts, grid: PreparedGrid) -> list[Losses]:
    """Worst loss of every account, in their order. Raises ValueError for legs that the grid does not have."""
    if grid.scan is None or not accounts.rows:
        return [plain_losses(account, grid.view, grid.parameters) for account in accounts.accounts]
    words, left_over = scan_words(accounts, grid.scan)
    return [
        plain_losses(account, grid.view, grid.parameters) if left_over[at] else _losses(words[6 * at : 6 * at + 6])
        for at, account in enumerate(accounts.accounts)
    ]


def scan_words(accounts: PreparedAccounts, scan: _margin.Scan) -> tuple[array[int], bytearray]:
    """Raw answer of the compiled scan: six words per account, and which accounts it left over."""
    words = array("q", bytes(48 * len(accounts.accounts)))
    left_over = bytearray(len(accounts.accounts))
    scan.run(
        accounts.starts,
        accounts.rows,
        accounts.expiries,
        accounts.counts,
        accounts.units,
        accounts.linear,
        left_over,
        words,
    )
    return words, left_over


def _compiled_scan(view: GridView, parameters: PortfolioParameters) -> _margin.Scan:
    one = parameters.one
    multipliers = array("q", [word for row in view.multipliers for word in msgspec.structs.astuple(row)])
    return _margin.Scan(
        memoryview(view.cells).cast("B").cast("q", (floor_div(len(view.cells), view.width), view.width)),
        (view.scenarios, view.mark, view.forward_up, view.forward_down),
        one,
        array("q", [row.spot - one for row in parameters.scenarios]),
        array("q", [row.dampening for row in parameters.scenarios]),
        bytes(row.is_skew for row in parameters.scenarios),
        memoryview(multipliers).cast("B").cast("q", (len(view.multipliers), 3)),
    )


def plain_losses(account: AccountLegs, grid: GridView, parameters: PortfolioParameters) -> Losses:
    """Answer for one account from the plain twin, without any bound."""
    groups: dict[int, list[Leg]] = {}
    for leg in account.legs:
        groups.setdefault(leg.expiry, []).append(leg)
    expiries = tuple(_expiry(legs, grid, grid.multipliers[expiry]) for expiry, legs in sorted(groups.items()))
    linear = Perpetual(amount=parameters.one, mark=account.linear_e18)
    subaccount = PortfolioAccount(cash=0, index=0, expiries=expiries, perpetual=linear)
    worst, basis = worst_and_basis(subaccount, parameters)
    return Losses(worst, basis, sum(expiry.mark for expiry in expiries))


def _expiry(legs: Sequence[Leg], grid: GridView, multipliers: Multipliers) -> ExpiryValues:
    values = expiry_values([leg.amount_e9 for leg in legs], [grid.row(leg.row) for leg in legs])
    return ExpiryValues(
        values=values[: grid.scenarios],
        mark=values[grid.mark],
        forward_up=values[grid.forward_up],
        forward_down=values[grid.forward_down],
        long_discount=multipliers.positive,
        short_discount=multipliers.negative,
        basis_factor=multipliers.basis,
    )


def _words(value: int) -> tuple[int, int]:
    """High and low word of a number below 2^127, both as signed 64 bits."""
    high, low = divmod(value, _WORD)
    return high, low - _WORD if low >= _HALF else low


def _losses(words: array[int]) -> Losses:
    return Losses(*(words[at] * _WORD + words[at + 1] % _WORD for at in (0, 2, 4)))
