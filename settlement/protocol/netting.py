"""Netting: many fills become one cash delta per account and one position delta per (account, instrument).

A sum that does not balance is a bug upstream and always raises; nothing here may create money or lots.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from settlement.protocol.orders import OrderFill, OrderKind

# A source tree without a compiler still works; an extension that is there and does not load stops the import.
COMPILED = find_spec("settlement.protocol._netting") is not None
if COMPILED:
    from settlement.protocol import _netting

__all__ = [
    "COMPILED",
    "Fill",
    "Leg",
    "NetDeltas",
    "Unbalanced",
    "legs_of",
    "net",
    "net_fills",
    "order_fills_of",
    "reference_net_fills",
]


class Unbalanced(ArithmeticError):
    """Deltas that create or destroy lots or cash; a bug upstream, never business."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One account's side of a movement; cash in 1e-6 USDC, fees already taken off. Instrument 0: cash only."""

    account: int
    instrument: int
    position_delta_lots: int
    cash_delta_e6: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """One match. Notional = lots x price x unit in 1e-6 USDC; fees are what each side pays, negative for a rebate.

    The refs are the EIP-712 digests of the two orders, or the authority keys that their kinds prescribe.
    """

    buyer: int
    seller: int
    instrument: int
    quantity_lots: int
    notional_e6: int
    buyer_fee_e6: int
    seller_fee_e6: int
    buyer_ref: bytes = b""
    seller_ref: bytes = b""
    buyer_kind: OrderKind = OrderKind.ORDER
    seller_kind: OrderKind = OrderKind.ORDER


@dataclass(frozen=True, slots=True)
class NetDeltas:
    """Net effect of a batch: account -> cash delta in 1e-6 USDC, (account, instrument) -> position delta in lots.

    No position delta is zero. A zero cash delta is a touch, or the cash side of an account whose positions moved.
    """

    cash_e6: Mapping[int, int]
    positions_lots: Mapping[tuple[int, int], int]

    @property
    def fee_e6(self) -> int:
        """What the listed accounts pay to the venue: minus the sum of their cash deltas."""
        return -sum(self.cash_e6.values())

    def check(self, fee_e6: int) -> None:
        """Raise Unbalanced unless each instrument sums to zero and all cash to -fee."""
        _check_positions(self.positions_lots)
        if self.fee_e6 != fee_e6:
            raise Unbalanced(f"cash deltas sum to {-self.fee_e6}, fee is {fee_e6}")

    def touching(self, accounts: Iterable[int]) -> NetDeltas:
        """Return the same deltas with each of `accounts` listed, at zero cash when it had none."""
        cash = dict(self.cash_e6)
        for account in accounts:
            cash.setdefault(account, 0)
        return NetDeltas(cash, self.positions_lots)


def legs_of(fill: Fill) -> tuple[Leg, Leg]:
    """Return the buyer's and the seller's leg of a fill."""
    buyer = Leg(
        account=fill.buyer,
        instrument=fill.instrument,
        position_delta_lots=fill.quantity_lots,
        cash_delta_e6=-fill.notional_e6 - fill.buyer_fee_e6,
    )
    seller = Leg(
        account=fill.seller,
        instrument=fill.instrument,
        position_delta_lots=-fill.quantity_lots,
        cash_delta_e6=fill.notional_e6 - fill.seller_fee_e6,
    )
    return buyer, seller


def net(legs: Iterable[Leg]) -> NetDeltas:
    """Net `legs`; Unbalanced when an instrument's lots do not sum to zero."""
    cash: defaultdict[int, int] = defaultdict(int)
    positions: defaultdict[tuple[int, int], int] = defaultdict(int)
    for leg in legs:
        cash[leg.account] += leg.cash_delta_e6
        if leg.position_delta_lots:
            positions[leg.account, leg.instrument] += leg.position_delta_lots
    return _without_zeros(cash, positions)


def net_fills(fills: Sequence[Fill]) -> NetDeltas:
    """Net `fills` without building their legs; the result equals net() over legs_of() of each fill."""
    if COMPILED:
        try:
            return _without_zeros(*_netting.sum_fills(fills))
        except OverflowError:  # a sum outside int64: rare, and the reference has no limit
            return reference_net_fills(fills)
    return reference_net_fills(fills)


def reference_net_fills(fills: Sequence[Fill]) -> NetDeltas:
    """Net `fills` in plain Python, the twin of the compiled sums."""
    cash: defaultdict[int, int] = defaultdict(int)
    positions: defaultdict[tuple[int, int], int] = defaultdict(int)
    for fill in fills:
        buyer, seller, instrument = fill.buyer, fill.seller, fill.instrument
        lots, notional = fill.quantity_lots, fill.notional_e6
        cash[buyer] -= notional + fill.buyer_fee_e6
        cash[seller] += notional - fill.seller_fee_e6
        positions[buyer, instrument] += lots
        positions[seller, instrument] -= lots
    return _without_zeros(cash, positions)


def order_fills_of(fills: Sequence[Fill]) -> list[OrderFill]:
    """Sum `fills` per (account, order) in first-seen order; a ref belongs to one instrument and one side."""
    sums: dict[tuple[int, bytes, int, bool, OrderKind], list[int]] = {}
    for fill in fills:
        sides = (
            (fill.buyer, fill.buyer_ref, fill.quantity_lots, fill.buyer_fee_e6, fill.buyer_kind),
            (fill.seller, fill.seller_ref, -fill.quantity_lots, fill.seller_fee_e6, fill.seller_kind),
        )
        for account, ref, lots, fee_e6, kind in sides:
            row = sums.setdefault((account, ref, fill.instrument, lots > 0, kind), [0, 0, 0])
            row[0] += lots
            row[1] += fill.notional_e6
            row[2] += fee_e6
    return [
        OrderFill(
            account=account,
            instrument=instrument,
            ref=ref,
            position_lots=lots,
            notional_e6=notional_e6,
            fee_e6=fee_e6,
            kind=kind,
        )
        for (account, ref, instrument, _, kind), (lots, notional_e6, fee_e6) in sums.items()
    ]


def _without_zeros(cash: Mapping[int, int], positions: Mapping[tuple[int, int], int]) -> NetDeltas:
    cells = {cell: lots for cell, lots in positions.items() if lots}
    _check_positions(cells)
    moved = dict.fromkeys(account for account, _ in cells)
    kept = {account: amount for account, amount in cash.items() if amount or account in moved}
    return NetDeltas(kept, cells)


def _check_positions(positions: Mapping[tuple[int, int], int]) -> None:
    totals: defaultdict[int, int] = defaultdict(int)
    for (_, instrument), lots in positions.items():
        totals[instrument] += lots
    for instrument, total in totals.items():
        if total:
            raise Unbalanced(f"instrument {instrument}: position deltas sum to {total} lots")
