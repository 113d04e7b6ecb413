"""Whether a withdrawal was wrongly refused (F5) or approved without cover (F3): an account weighed at its round.

The state is the one in which the exchange decides: requests so far, funding and payoffs of the round that the batch
begins with, the approved amount gone, no trade of the batch. `Refusals.sol` does the same on chain.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from settlement.protocol.caps import PERP_BIT
from settlement.protocol.linear_bounds import LONG_OPTION_HIGH_E6, ListedTerms, high_e6, worth_e6
from settlement.protocol.oracle import OracleVector
from settlement.protocol.positions import Positions, settle_positions
from settlement.protocol.state_tree import Account
from settlement.protocol.transition import ChainRequest, RequestKind

__all__ = ["WrongRefusal", "cover_e6", "excess_e6", "over_approvals", "wrong_refusals"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongRefusal:
    """A request that a proof can be made about; `owed_e6` more could have been approved."""

    request: ChainRequest
    approved_e6: int
    owed_e6: int


def excess_e6(
    cash_e6: int, positions: Positions, opening: OracleVector, terms: Mapping[int, ListedTerms]
) -> int | None:
    """Return equity less `high` of an account at a round, before its funding and payoffs are taken.

    None when it cannot be judged: a perpetual without a mark, a short option without a row or a price of its
    underlying, an instrument without terms. A long option that does not end is worth nothing.
    """
    kept, gained_e6 = settle_positions(positions, opening)
    total_e6 = cash_e6 + gained_e6
    for instrument, (lots, _) in kept.items():
        weight_e6 = _weigh(instrument, lots, opening, terms)
        if weight_e6 is None:
            return None
        total_e6 += weight_e6
    return total_e6


def wrong_refusals(
    accounts: Mapping[int, Account],
    requests: Sequence[ChainRequest],
    approved_e6: Sequence[int],
    collateral_e6: int,
    opening: OracleVector,
    terms: Mapping[int, ListedTerms],
) -> Iterator[WrongRefusal]:
    """Yield every refusal of a batch that the contract would punish.

    `accounts` and `collateral_e6` are those before the batch, `approved_e6` has one amount per withdrawal.
    """
    for request, paid_e6, moved_e6, left_e6 in _withdrawals(requests, approved_e6, collateral_e6):
        if paid_e6 == request.amount_e6 or left_e6 <= 0:
            continue
        account = accounts.get(request.account, Account())
        excess = excess_e6(account.cash_e6 + moved_e6, account.positions, opening, terms)
        if excess is not None and excess > 0:
            owed_e6 = min(excess, request.amount_e6 - paid_e6, left_e6)
            yield WrongRefusal(request=request, approved_e6=paid_e6, owed_e6=owed_e6)


def cover_e6(cash_e6: int, positions: Positions, opening: OracleVector) -> int | None:
    """Return what covers a withdrawal at marks that favor the account: cash and perpetuals, or less with options.

    Options count where the round has the marks of all of them. None when a perpetual has no mark: nothing covers then.
    """
    kept, gained_e6 = settle_positions(positions, opening)
    total_e6, options_e6, is_known = cash_e6 + gained_e6, 0, True
    for instrument, (lots, _) in kept.items():
        mark_e6 = opening.rows[instrument].mark_e6 if instrument in opening.rows else None
        if instrument & PERP_BIT and not mark_e6:
            return None
        value_e6 = lots * (mark_e6 or 0) + max(0, lots)
        if instrument & PERP_BIT:
            total_e6 += value_e6
        else:
            is_known &= mark_e6 is not None
            options_e6 += value_e6
    return min(total_e6, total_e6 + options_e6) if is_known else total_e6


def over_approvals(
    accounts: Mapping[int, Account],
    requests: Sequence[ChainRequest],
    approved_e6: Sequence[int],
    opening: OracleVector,
) -> Iterator[ChainRequest]:
    """Yield every withdrawal of a batch that the contract would find approved without cover."""
    for request, paid_e6, moved_e6, _ in _withdrawals(requests, approved_e6, 0):
        account = accounts.get(request.account, Account())
        cover = cover_e6(account.cash_e6 + moved_e6, account.positions, opening)
        if paid_e6 and (cover is None or cover < 0):
            yield request


def _withdrawals(
    requests: Sequence[ChainRequest], approved_e6: Sequence[int], collateral_e6: int
) -> Iterator[tuple[ChainRequest, int, int, int]]:
    """Yield each withdrawal, its approval, what its account was moved by up to it, and the collateral behind it."""
    moved: dict[int, int] = {}
    approvals = iter(approved_e6)
    for request in requests:
        if request.kind not in {RequestKind.DEPOSIT, RequestKind.WITHDRAW}:
            continue
        is_deposit = request.kind is RequestKind.DEPOSIT
        paid_e6 = -request.amount_e6 if is_deposit else next(approvals)
        collateral_e6 -= paid_e6
        moved[request.account] = moved.get(request.account, 0) - paid_e6
        if not is_deposit:
            yield request, paid_e6, moved[request.account], collateral_e6


def _weigh(instrument: int, lots: int, opening: OracleVector, terms: Mapping[int, ListedTerms]) -> int | None:
    """Return worth less `high` of one position that goes on, None when it cannot be judged."""
    if lots > 0 and not instrument & PERP_BIT:
        return -LONG_OPTION_HIGH_E6
    row, known = opening.rows.get(instrument), terms.get(instrument)
    if row is None or known is None:
        return None
    index_e6 = opening.index_e6.get(known.underlying)
    bounds = known.bounds
    if (row.mark_e6 == 0) if bounds.is_perpetual else index_e6 is None:
        return None
    worth = worth_e6(is_perpetual=bounds.is_perpetual, lots=lots, mark_e6=row.mark_e6)
    return worth - high_e6(bounds, lots, row.mark_e6, index_e6 or 0)
