"""Whether a batch leaves an account below its margin floor and is itself the cause (F3): `Floors.sol` is the same.

Below means at the marks of the batch's own round and at those of the round of the batch before it, so that prices alone
convict nobody; the cause is what was posted, so that a loss of yesterday convicts nobody either. Everything that is
rounded or not known counts for the account, and so for whoever posted the batch. Money is in 1e-6 USDC.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from settlement.protocol.caps import PERP_BIT
from settlement.protocol.linear_bounds import ListedTerms, high_e6, low_e6
from settlement.protocol.netting import NetDeltas
from settlement.protocol.oracle import MarkRow, OracleVector
from settlement.protocol.state_tree import Account

__all__ = ["Cause", "Standing", "Traded", "broken_floor", "broken_floors", "standing", "traded"]

_MILLION = 10**6
_FIRST_ACCOUNT = 2
_NO_ROW = MarkRow()

Cause = str
"""Which of the two rules a batch broke; "" for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """An account behind a batch at one round: cash with perpetuals, options, `low`; None is not known there."""

    covered_e6: int
    options_e6: int | None
    low_e6: int
    is_marked: bool
    """Whether the round has a mark of every perpetual held."""

    def is_below(self, room_e6: int) -> bool:
        """Tell whether either worth is less than `low` and `room_e6` below it."""
        least_e6 = self.covered_e6 + min(0, self.options_e6 or 0)
        return least_e6 < self.low_e6 - room_e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Traded:
    """What the posted deltas of one account did at the marks of the batch's round."""

    needed_more: bool
    """`low` of the perpetuals and the value of long options rose."""
    loss_e6: int | None
    """Against the marks, fees included, below zero for a gain; None when an option of the deltas has no mark."""
    band_e6: int
    """`high` of the deltas: more than what any honest price can lose on them."""
    before_e6: int
    """Cash with perpetuals as they were without the deltas."""


def broken_floor(
    account: int,
    after: Account,
    cash_e6: int,
    lots: Mapping[int, int],
    opening: OracleVector,
    closing: OracleVector,
    terms: Mapping[int, ListedTerms],
) -> Cause:
    """Return the rule that a batch broke with `account`, which it left as `after` with these deltas; "" for none.

    `opening` is the round of the batch before, `closing` the batch's own. Without terms of an instrument that matters
    nobody can prove anything.
    """
    if account < _FIRST_ACCOUNT or not _are_known(after, lots, terms):
        return ""
    now = standing(after, closing, terms)
    done = traded(after, cash_e6, lots, closing, terms)
    room_e6 = max(0, done.before_e6) // 2  # rounded down, against the operator by half a unit
    if not now.is_below(room_e6):
        return ""
    if opening.round_number not in {0, closing.round_number}:
        then = standing(after, opening, terms)
        if then.is_marked and not then.is_below(room_e6):
            return ""
    if done.needed_more:
        return "opened risk below its floor"
    if done.loss_e6 is not None and done.loss_e6 > done.band_e6 + max(0, done.before_e6) + room_e6:
        return "lost more against the marks than it had"
    return ""


def broken_floors(
    deltas: NetDeltas,
    accounts: Mapping[int, Account],
    opening: OracleVector,
    closing: OracleVector,
    terms: Mapping[int, ListedTerms],
) -> Iterator[tuple[int, Cause]]:
    """Yield every listed account whose floor a batch broke; `accounts` has those that the batch touched, behind it."""
    lots: defaultdict[int, dict[int, int]] = defaultdict(dict)
    for (account, instrument), delta in deltas.positions_lots.items():
        lots[account][instrument] = delta
    for account, cash_e6 in sorted(deltas.cash_e6.items()):
        after = accounts.get(account, Account())
        cause = broken_floor(account, after, cash_e6, lots[account], opening, closing, terms)
        if cause:
            yield account, cause


def standing(account: Account, vector: OracleVector, terms: Mapping[int, ListedTerms]) -> Standing:
    """Return what an account is worth at a round; a perpetual without a mark is worth nothing."""
    covered_e6, options_e6, low, knows_options, is_marked = account.cash_e6, 0, 0, True, True
    for instrument, (lots, _) in account.positions.items():
        row = vector.rows.get(instrument)
        if not instrument & PERP_BIT:
            knows_options &= row is not None
            options_e6 += _value_e6(lots, row or _NO_ROW)
        elif row is None or not row.value:
            is_marked = False
        else:
            covered_e6 += _value_e6(lots, row)
            low += low_e6(terms[instrument].bounds, lots, _mark_e6(row))
    known_e6 = options_e6 if knows_options else None
    return Standing(covered_e6=covered_e6, options_e6=known_e6, low_e6=low, is_marked=is_marked)


def traded(
    after: Account, cash_e6: int, lots: Mapping[int, int], vector: OracleVector, terms: Mapping[int, ListedTerms]
) -> Traded:
    """Return what posted deltas did to an account that they left as `after`."""
    need_e6 = band_e6 = options_e6 = 0
    perpetuals_e6, is_known = 0, True
    for instrument, delta in lots.items():
        row = vector.rows.get(instrument, _NO_ROW)
        held = after.positions.get(instrument, (0, 0))[0]
        need_e6 += _need_e6(instrument, held, row, terms) - _need_e6(instrument, held - delta, row, terms)
        index_e6 = vector.index_e6.get(terms[instrument].underlying)
        if instrument & PERP_BIT:
            perpetuals_e6 += _value_e6(delta, row)
        else:
            is_known &= instrument in vector.rows and index_e6 is not None
            options_e6 += _value_e6(delta, row)
        band_e6 += high_e6(terms[instrument].bounds, -abs(delta), _mark_e6(row), index_e6 or 0)
    now_e6 = standing(after, vector, terms).covered_e6
    return Traded(
        needed_more=need_e6 > 0,
        loss_e6=-(cash_e6 + perpetuals_e6 + options_e6) if is_known else None,
        band_e6=band_e6,
        before_e6=now_e6 - cash_e6 - perpetuals_e6,
    )


def _are_known(after: Account, lots: Mapping[int, int], terms: Mapping[int, ListedTerms]) -> bool:
    return all(instrument in terms for instrument in _judged(after, lots))


def _judged(after: Account, lots: Mapping[int, int]) -> Iterator[int]:
    """Yield the instruments whose terms a proof shows: perpetuals held, and all that the deltas name."""
    yield from lots
    yield from (instrument for instrument in after.positions if instrument & PERP_BIT)


def _need_e6(instrument: int, lots: int, row: MarkRow, terms: Mapping[int, ListedTerms]) -> int:
    """Return what holding `lots` asks for: `low` of a perpetual, the value of a long option."""
    if instrument & PERP_BIT:
        return low_e6(terms[instrument].bounds, lots, _mark_e6(row))
    return max(0, lots) * _mark_e6(row)


def _mark_e6(row: MarkRow) -> int:
    """Return a mark per lot; a payoff is rounded down to it."""
    return row.mark_e6 if row.payoff_e12 is None else row.payoff_e12 // _MILLION


def _value_e6(lots: int, row: MarkRow) -> int:
    """Return what `lots` are worth at most: a mark was rounded down, so a long one counts a unit more per lot."""
    return lots * (_mark_e6(row) + (lots > 0))
