"""What a round may say after the round before it (F4): bounds on prices, funding indexes, payoffs and missing rows.

Compared are the rounds that two batches in a row begin with. `OracleBounds.sol` and `OracleRules.sol` are the same. Who
publishes a round checks it here first; `bounded_price_e6` is how far an index price may go at once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Final

from settlement.protocol.caps import PERP_BIT
from settlement.protocol.linear_bounds import LARGE_CAP, ListedTerms
from settlement.protocol.oracle import MarkRow, OracleVector

__all__ = ["bounded_price_e6", "broken_bounds", "is_payoff"]

_JUMP_PPM: Final = 100_000
_DRIFT_PPM: Final = 2_000
_LARGE_CAP_FUNDING_PPM: Final = 10
_FUNDING_PPM: Final = 25
_PPM: Final = 1_000_000
_E14: Final = 10**14
_E18: Final = 10**18


def bounded_price_e6(before_e6: int, wanted_e6: int, elapsed_s: int) -> int:
    """Return the price nearest to the wanted one that may follow `before_e6`; `elapsed_s` counts one second more."""
    most_e6 = before_e6 * (_JUMP_PPM + _DRIFT_PPM * elapsed_s) // _PPM
    return min(max(wanted_e6, before_e6 - most_e6), before_e6 + most_e6)


def broken_bounds(
    before: OracleVector,
    after: OracleVector,
    elapsed_s: int,
    terms: Mapping[int, ListedTerms],
    held: Collection[int],
) -> Iterator[str]:
    """Yield one line per bound that `after` breaks; none behind round 0, nor when it is the same round.

    `elapsed_s` is the difference of the times and one second more, `held` what any account holds before the batch.
    Instruments without terms are not listed on chain: nothing can be proven about their funding and payoffs.
    """
    if before.round_number in {0, after.round_number}:
        return
    for underlying, price_e6 in before.index_e6.items():
        now_e6 = after.index_e6.get(underlying)
        if now_e6 is None:
            yield f"the price of underlying {underlying} is gone"
        elif now_e6 != bounded_price_e6(price_e6, now_e6, elapsed_s):
            yield f"the price of underlying {underlying} went from {price_e6} to {now_e6} in {elapsed_s} s"
    for instrument in sorted(before.rows.keys() | after.rows.keys()):
        known = terms.get(instrument)
        if known is not None and _is_row_out(instrument, before, after, elapsed_s, known, held):
            yield f"instrument {instrument} went from {before.rows.get(instrument)} to {after.rows.get(instrument)}"


def _is_row_out(
    instrument: int,
    before: OracleVector,
    after: OracleVector,
    elapsed_s: int,
    terms: ListedTerms,
    held: Collection[int],
) -> bool:
    was, now = before.rows.get(instrument), after.rows.get(instrument)
    if was is not None and was.is_settled:
        return instrument in held if now is None else was != now
    if instrument & PERP_BIT:
        return _is_funding_out(was, now, _higher_price(before, after, terms.underlying), elapsed_s, terms)
    if now is None or now.payoff_e12 is None:
        return False
    price_e6 = after.settlement_e6.get((terms.underlying, terms.expiry_s))
    return price_e6 is None or not is_payoff(terms, price_e6, now.payoff_e12)


def _higher_price(before: OracleVector, after: OracleVector, underlying: int) -> int | None:
    if underlying not in after.index_e6:
        return None
    return max(before.index_e6.get(underlying, 0), after.index_e6[underlying])


def _is_funding_out(
    was: MarkRow | None, now: MarkRow | None, price_e6: int | None, elapsed_s: int, terms: ListedTerms
) -> bool:
    """A row that was not there yet stands for an index of 0."""
    start = 0 if was is None else was.fund_index
    if now is None:
        return start != 0
    moved = abs(now.fund_index - start)
    if price_e6 is None:
        return moved != 0
    rate = _LARGE_CAP_FUNDING_PPM if terms.bounds.factor_class == LARGE_CAP else _FUNDING_PPM
    return moved * _E18 > (price_e6 + 1) * terms.bounds.lot_e18 * rate * elapsed_s


def is_payoff(terms: ListedTerms, price_e6: int, payoff_e12: int) -> bool:
    """Tell whether a payoff (1e-12 USDC per lot) is that of some price in [price, price + 1), 1e-6 USDC per unit."""
    first, last = sorted((_payoff_e12(terms, price_e6), _payoff_e12(terms, price_e6 + 1)))
    return first <= payoff_e12 <= last


def _payoff_e12(terms: ListedTerms, price_e6: int) -> int:
    """Return the payoff of one lot, rounded down."""
    above_e8 = price_e6 * 100 - terms.strike_e8
    return max(0, above_e8 if terms.is_call else -above_e8) * terms.bounds.lot_e18 // _E14
