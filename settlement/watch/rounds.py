"""The round of a batch against the round of the batch before (F4), as the watcher reads them: what none may say.

Prices are in 1e-6 USDC per unit, funding indexes and payoffs in 1e-12 USDC per lot. `elapsed_s` is the difference of
the rounds' times and one second more.
"""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from settlement.watch.accounts import AccountTree
from settlement.watch.refusals import Terms, read_index_prices
from settlement.watch.replay import Marks, RoundRow, read_vector

__all__ = ["BrokenBound", "WatchedRound", "broken_bounds"]

_PERPETUAL: Final = 1 << 31
_MILLION: Final = 10**6
_JUMP_PPM: Final = 100_000
_DRIFT_PPM: Final = 2_000
_FUNDING_PPM: Final = {1: 10}
_OTHER_FUNDING_PPM: Final = 25
_NO_SPEC: Final = ("0x" + "00" * 20, 0, False, False)


class WatchedRound(NamedTuple):
    """A published round: its number, time in seconds and bytes."""

    number: int
    time_s: int
    vector: bytes

    @property
    def marks(self) -> Marks:
        """Rows of the instruments."""
        return read_vector(self.vector)

    @property
    def prices(self) -> Mapping[int, int]:
        """Index prices by underlying."""
        return read_index_prices(self.vector)

    @property
    def settlements(self) -> Mapping[tuple[int, int], int]:
        """Settlement prices by underlying and expiry."""
        options, perpetuals, prices = (int.from_bytes(self.vector[at : at + 2], "big") for at in (0, 2, 4))
        rest = self.vector[8 + 13 * options + 21 * perpetuals + 12 * prices :]
        rows = [rest[at : at + 17] for at in range(0, len(rest), 17)]
        return {
            (int.from_bytes(row[:4], "big"), int.from_bytes(row[4:9], "big")): int.from_bytes(row[9:], "big")
            for row in rows
        }


class BrokenBound(NamedTuple):
    """What a proof names: instrument (0: the price of the spec's underlying), spec, and who still holds a row gone."""

    instrument: int
    spec: tuple[object, ...]
    holder: int
    what: str


def broken_bounds(
    before: WatchedRound, after: WatchedRound, terms: Mapping[int, Terms], tree: AccountTree
) -> Iterator[BrokenBound]:
    """Yield what can be proven; `tree` is the accounts before the batch that begins with `after`."""
    elapsed_s = after.time_s - before.time_s + 1
    now_prices, old_prices = after.prices, before.prices
    for underlying, price in old_prices.items():
        now = now_prices.get(underlying)
        if now is None or abs(now - price) * _MILLION > price * (_JUMP_PPM + _DRIFT_PPM * elapsed_s):
            spec = (*_NO_SPEC, underlying, 0, 0, 0, 0, 0)
            yield BrokenBound(0, spec, 0, f"the price of underlying {underlying} went from {price} to {now}")
    old_rows, rows, settlements = before.marks, after.marks, after.settlements
    for instrument in sorted((old_rows.keys() | rows.keys()) & terms.keys()):
        known, old, row = terms[instrument], old_rows.get(instrument), rows.get(instrument)
        holder = 0
        if old is not None and old.is_settled and row is None:
            holder = _holder(tree, instrument)
            is_wrong = holder != 0
        elif old is not None and old.is_settled:
            is_wrong = old != row
        elif instrument >= _PERPETUAL:
            price_e6 = now_prices.get(known.underlying)
            higher_e6 = None if price_e6 is None else max(price_e6, old_prices.get(known.underlying, 0))
            is_wrong = _overcharges(old, row, higher_e6, known, elapsed_s)
        else:
            is_wrong = row is not None and row.is_settled and not _is_due(row.mark, known, settlements)
        if is_wrong:
            yield BrokenBound(instrument, known.spec, holder, f"instrument {instrument} went from {old} to {row}")


def _holder(tree: AccountTree, instrument: int) -> int:
    return next((index for index, row in sorted(tree.accounts.items()) if instrument in row.positions), 0)


def _overcharges(
    old: RoundRow | None, row: RoundRow | None, price_e6: int | None, terms: Terms, elapsed_s: int
) -> bool:
    """No row yet means an index of 0; a row that ever charged anything stays."""
    start = old.fund_index if old is not None else 0
    if row is None:
        return start != 0
    moved = abs(row.fund_index - start)
    if price_e6 is None:
        return moved != 0
    rate = _FUNDING_PPM.get(terms.factor_class, _OTHER_FUNDING_PPM)
    return moved * 10**18 > (price_e6 + 1) * terms.lot_e18 * rate * elapsed_s


def _is_due(payoff: int, terms: Terms, settlements: Mapping[tuple[int, int], int]) -> bool:
    """The payoff of the settlement price, or of less than one unit above it; each rounded down."""
    price_e6 = settlements.get((terms.underlying, terms.expiry_s))
    if price_e6 is None:
        return False
    sign = 1 if terms.is_call else -1
    ends = [
        max(0, sign * (100 * price - terms.strike_e8)) * terms.lot_e18 // 10**14 for price in (price_e6, price_e6 + 1)
    ]
    return min(ends) <= payoff <= max(ends)
