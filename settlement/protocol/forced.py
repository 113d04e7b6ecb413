"""What a batch did to an account that signed nothing, and whether the contract would find it allowed (F2).

The twin of `ForcedRules.sol`: the account's leaf before the batch, the marks of the batch's round, its leaves of the
orders tree. The settler asks it before a batch is posted, because a leaf that is not allowed costs the bond.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from settlement.protocol.caps import PERP_BIT
from settlement.protocol.oracle import OracleVector
from settlement.protocol.orders import BadOrders, OrderFill, OrderKind, sorted_order_fills
from settlement.protocol.positions import equity_e6, settle_positions
from settlement.protocol.state_tree import Account

__all__ = [
    "FEE_BOUND_PPM",
    "FORCED_KINDS",
    "HIGH_PPM",
    "PRICE_BOUND_PPM",
    "ForcedReason",
    "NotAllowed",
    "check_forced_leaves",
    "judge_giver",
    "judge_liquidated",
]

FORCED_KINDS = frozenset({OrderKind.LIQUIDATION, OrderKind.ADL, OrderKind.FUND})
PRICE_BOUND_PPM = 50_000
FEE_BOUND_PPM = 25_000
HIGH_PPM = 250_000
_PPM = 1_000_000


class ForcedReason(IntEnum):
    """Why a leaf is not allowed; the numbers of `IForced.sol`."""

    FEE_TOO_HIGH = 12
    WRONG_KIND = 14
    GROWS = 15
    NO_MARK = 16
    BEYOND_BOUND = 17
    NOT_BANKRUPT = 18
    BAD_PAYMENT = 19
    TOO_RICH = 20
    DEPOSITED = 21


class NotAllowed(BadOrders):
    """A batch with this leaf could be challenged and not be answered."""

    def __init__(self, fill: OrderFill, reason: ForcedReason) -> None:
        """Name the account and the leaf."""
        super().__init__(f"account {fill.account}: {fill.kind.name} {fill.ref.hex()} is not allowed: {reason.name}")
        self.reason = reason


@dataclass(slots=True)
class _Book:
    """An account before the batch, at its marks, and what the leaves so far moved."""

    lots: Mapping[int, int]
    opening: OracleVector
    equity_e6: int
    moved: dict[int, int]
    cash_e6: int = 0
    is_paid_by_others: bool = False

    def mark_e6(self, instrument: int) -> int | None:
        row = self.opening.rows.get(instrument)
        return None if row is None else row.mark_e6

    def shrinks(self, fill: OrderFill) -> bool:
        """Take the leaf's lots; whether the position then still has its sign, or is closed."""
        held = self.lots.get(fill.instrument, 0)
        if held * fill.position_lots >= 0:
            return False
        self.moved[fill.instrument] = self.moved.get(fill.instrument, 0) + fill.position_lots
        return abs(self.moved[fill.instrument]) <= abs(held)


def check_forced_leaves(
    accounts: Mapping[int, Account], fills: Sequence[OrderFill], opening: OracleVector, deposits: Collection[int]
) -> None:
    """Raise NotAllowed, or BadOrders for an account with leaves of several sorts, unless a batch can be justified.

    `accounts` are those before the batch, `fills` all leaves of its orders tree, `deposits` who gets one in it. What
    users signed is not looked at.
    """
    own: dict[int, list[OrderFill]] = {}
    for fill in sorted_order_fills(fills):
        own.setdefault(fill.account, []).append(fill)
    for account, leaves in own.items():
        kinds = {leaf.kind for leaf in leaves}
        if kinds.isdisjoint(FORCED_KINDS):
            continue
        if kinds == {OrderKind.ADL}:
            judge_giver(accounts.get(account, Account()), leaves)
        elif kinds <= {OrderKind.LIQUIDATION, OrderKind.FUND}:
            if account in deposits:
                raise NotAllowed(leaves[0], ForcedReason.DEPOSITED)
            judge_liquidated(accounts.get(account, Account()), leaves, opening)
        else:
            names = ", ".join(sorted(kind.name for kind in kinds))
            raise BadOrders(f"account {account} has leaves of several sorts in one batch: {names}")


def judge_liquidated(account: Account, leaves: Sequence[OrderFill], opening: OracleVector) -> None:
    """Raise NotAllowed unless all LIQUIDATION and FUND leaves of one account, refs ascending, are allowed."""
    positions, gained_e6 = settle_positions(account.positions, opening)
    lots = {instrument: held for instrument, (held, _) in positions.items()}
    equity = equity_e6(account.cash_e6 + gained_e6, positions, opening)
    book = _Book(lots, opening, equity, {})
    for leaf in leaves:
        reason = _judge(book, leaf)
        if reason is not None:
            raise NotAllowed(leaf, reason)
    reason = _judge_equity(book, len(leaves))
    if reason is not None:
        raise NotAllowed(leaves[0], reason)


def judge_giver(account: Account, leaves: Sequence[OrderFill]) -> None:
    """Raise NotAllowed unless all ADL leaves of one account shrink what it holds, without a fee."""
    lots = {instrument: held for instrument, (held, _) in account.positions.items()}
    book = _Book(lots, OracleVector(round_number=0), 0, {})
    for leaf in leaves:
        if leaf.kind is not OrderKind.ADL or leaf.ref[0] != OrderKind.ADL:
            raise NotAllowed(leaf, ForcedReason.WRONG_KIND)
        if leaf.fee_e6:
            raise NotAllowed(leaf, ForcedReason.FEE_TOO_HIGH)
        if not book.shrinks(leaf):
            raise NotAllowed(leaf, ForcedReason.GROWS)


def _judge(book: _Book, fill: OrderFill) -> ForcedReason | None:
    """Take one leaf of a liquidated account; why it is not allowed, the first reason that the contract finds."""
    by = fill.ref[0]
    if fill.kind is OrderKind.FUND:
        return _judge_payment(book, fill) if by == OrderKind.FUND else ForcedReason.WRONG_KIND
    if fill.kind is not OrderKind.LIQUIDATION or by not in (OrderKind.LIQUIDATION, OrderKind.ADL):
        return ForcedReason.WRONG_KIND
    if not book.shrinks(fill):
        return ForcedReason.GROWS
    mark_e6 = book.mark_e6(fill.instrument)
    if mark_e6 is None:
        return ForcedReason.NO_MARK
    is_deleveraged = by == OrderKind.ADL
    is_fee_wrong = fill.fee_e6 < 0 or (is_deleveraged and fill.fee_e6 != 0)
    if is_fee_wrong or fill.fee_e6 * _PPM > fill.notional_e6 * FEE_BOUND_PPM:
        return ForcedReason.FEE_TOO_HIGH
    book.cash_e6 += fill.cash_effect_e6
    return _judge_price(book, fill, mark_e6, is_deleveraged=is_deleveraged)


def _judge_price(book: _Book, fill: OrderFill, mark_e6: int, *, is_deleveraged: bool) -> ForcedReason | None:
    """A mark is rounded by less than a unit per lot, a price by less than a unit: so much is forgiven."""
    lots = abs(fill.position_lots)
    slack = lots + 1
    # What the account gained over the mark, in 1e-6 USDC.
    gain = fill.notional_e6 - lots * mark_e6
    if fill.position_lots > 0:
        gain = -gain
    bound_ppm = 0 if is_deleveraged else PRICE_BOUND_PPM
    if (gain + slack) * _PPM + lots * mark_e6 * bound_ppm < 0:
        return ForcedReason.BEYOND_BOUND
    if is_deleveraged and gain > slack:
        book.is_paid_by_others = True
    return None


def _judge_payment(book: _Book, fill: OrderFill) -> ForcedReason | None:
    if fill.instrument or fill.position_lots or fill.notional_e6 or fill.fee_e6 >= 0:
        return ForcedReason.BAD_PAYMENT
    book.is_paid_by_others = True
    book.cash_e6 += fill.cash_effect_e6
    return None


def _judge_equity(book: _Book, leaves: int) -> ForcedReason | None:
    """Whether the account was poor enough, and is left with nothing where others paid."""
    if not _has_short_option(book) and book.equity_e6 >= _high_e6(book):
        return ForcedReason.TOO_RICH
    if not book.is_paid_by_others:
        return None
    after_e6 = book.equity_e6 + book.cash_e6
    after_e6 += sum(lots * (book.mark_e6(instrument) or 0) for instrument, lots in book.moved.items())
    slack = leaves + 4 * (len(book.lots) + 1) + sum(abs(lots) for lots in book.lots.values())
    return ForcedReason.NOT_BANKRUPT if after_e6 > slack else None


def _has_short_option(book: _Book) -> bool:
    return any(lots < 0 and not instrument & PERP_BIT for instrument, lots in book.lots.items())


def _high_e6(book: _Book) -> int:
    """Equity from which on nobody may be closed; each perpetual's part is rounded down, as the contract does."""
    high = 0
    for instrument, lots in book.lots.items():
        value = abs(lots) * (book.mark_e6(instrument) or 0)
        high += value * HIGH_PPM // _PPM if instrument & PERP_BIT else value
    return high
