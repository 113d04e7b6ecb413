"""Accounts that a batch left below their margin floor by what it posted (F3), as the watcher reads it.

The leaf behind the batch, the batch's own deltas, two published rounds and the listed terms are all that counts. A mark
was rounded down, so a long position counts a unit more per lot. Money is in 1e-6 USDC.
"""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from settlement.watch.accounts import WatchedAccount
from settlement.watch.posts import PostedData
from settlement.watch.refusals import Terms
from settlement.watch.replay import Marks, RoundRow

__all__ = ["Deficit", "Rounds", "deficit_of", "deficits"]

_PERPETUAL: Final = 1 << 31
_MILLION: Final = 10**6
_E18: Final = 10**18
_FIRST_ACCOUNT: Final = 2
_LOW_PPM: Final = {1: 10_000, 2: 25_000}
_BAND_PPM: Final = {1: 250_000, 2: 420_000}
_OPTION_BAND_PPM: Final = 200_000
_NONE: Final = RoundRow(0, 0, is_settled=False)


class Rounds(NamedTuple):
    """Marks of the round before, None where it is round 0 or the batch's own; the own marks and index prices."""

    before: Marks | None
    own: Marks
    prices: Mapping[int, int]


class Deficit(NamedTuple):
    """An account that fell below its floor; what the batch did to it, and the specs that the proof shows."""

    account: int
    reason: str
    specs: tuple[tuple[object, ...], ...]


class _Worth(NamedTuple):
    least_e6: int
    covered_e6: int
    low_e6: int
    has_all_marks: bool


def deficits(
    after: Mapping[int, WatchedAccount], data: PostedData, rounds: Rounds, terms: Mapping[int, Terms]
) -> Iterator[Deficit]:
    """Yield the provable ones, by account; `after` has every account that the batch touched."""
    for index in sorted(data.cash_e6):
        if index >= _FIRST_ACCOUNT and index in after:
            found = deficit_of(after[index], data.cash_e6[index], data.lots.get(index, {}), rounds, terms)
            if found is not None:
                yield Deficit(index, *found)


def deficit_of(
    account: WatchedAccount,
    cash_e6: int,
    lots: Mapping[int, int],
    rounds: Rounds,
    terms: Mapping[int, Terms],
) -> tuple[str, tuple[tuple[object, ...], ...]] | None:
    """Return what these deltas did to an account that they left like this, and the specs; None if that is no fraud."""
    named = sorted({*lots, *(key for key in account.positions if key >= _PERPETUAL)})
    if any(key not in terms for key in named):
        return None
    own = _worth(account, rounds.own, terms)
    perpetuals_e6 = sum(_value(row, rounds.own.get(key, _NONE)) for key, row in lots.items() if key >= _PERPETUAL)
    had_e6 = max(0, own.covered_e6 - cash_e6 - perpetuals_e6)
    if not _is_deficit(own, rounds, account, terms, had_e6 // 2):
        return None
    specs = tuple(terms[key].spec for key in named)
    if sum(_need(key, account, change, rounds.own, terms) for key, change in lots.items()) > 0:
        return "it took on more", specs
    loss_e6 = _loss(cash_e6, lots, rounds, terms)
    band_e6 = sum(_band(key, change, rounds, terms) for key, change in lots.items())
    if loss_e6 is not None and loss_e6 > band_e6 + had_e6 + had_e6 // 2:
        return f"it lost {loss_e6} against the marks", specs
    return None


def _is_deficit(own: _Worth, rounds: Rounds, account: WatchedAccount, terms: Mapping[int, Terms], room_e6: int) -> bool:
    """Tell whether both rounds say so; the one before only where it has a mark of every perpetual held."""
    if own.least_e6 + room_e6 >= own.low_e6:
        return False
    if rounds.before is None:
        return True
    then = _worth(account, rounds.before, terms)
    return not then.has_all_marks or then.least_e6 + room_e6 < then.low_e6


def _worth(account: WatchedAccount, marks: Marks, terms: Mapping[int, Terms]) -> _Worth:
    covered_e6, options_e6, low_e6 = account.cash_e6, 0, 0
    has_perpetuals = has_options = True
    for key, (lots, _) in account.positions.items():
        row = marks.get(key)
        if key < _PERPETUAL:
            has_options = has_options and row is not None
            options_e6 += _value(lots, row or _NONE)
        elif row is None or row.mark == 0:
            has_perpetuals = False
        else:
            covered_e6 += _value(lots, row)
            low_e6 += _low(lots, row, terms[key])
    least_e6 = min(covered_e6, covered_e6 + options_e6) if has_options else covered_e6
    return _Worth(least_e6, covered_e6, low_e6, has_perpetuals)


def _price(row: RoundRow) -> int:
    return row.mark // _MILLION if row.is_settled else row.mark


def _value(lots: int, row: RoundRow) -> int:
    return lots * (_price(row) + 1) if lots > 0 else lots * _price(row)


def _low(lots: int, row: RoundRow, terms: Terms) -> int:
    return abs(lots) * _price(row) * _LOW_PPM.get(terms.factor_class, 0) // _MILLION


def _need(key: int, account: WatchedAccount, change: int, marks: Marks, terms: Mapping[int, Terms]) -> int:
    """Return by how much more the account must hold: `low` of a perpetual, the value of a long option."""
    row, held = marks.get(key, _NONE), account.positions.get(key, (0, 0))[0]
    if key >= _PERPETUAL:
        return _low(held, row, terms[key]) - _low(held - change, row, terms[key])
    return (max(0, held) - max(0, held - change)) * _price(row)


def _loss(cash_e6: int, lots: Mapping[int, int], rounds: Rounds, terms: Mapping[int, Terms]) -> int | None:
    """Return what the deltas lost, None when an option of them, or its underlying, has no price in the own round."""
    for key in lots:
        if key < _PERPETUAL and (key not in rounds.own or terms[key].underlying not in rounds.prices):
            return None
    return -cash_e6 - sum(_value(change, rounds.own.get(key, _NONE)) for key, change in lots.items())


def _band(key: int, change: int, rounds: Rounds, terms: Mapping[int, Terms]) -> int:
    """Return more than what an honest price can lose on a delta, rounded up."""
    size, known = abs(change), terms[key]
    marked_e6 = size * (_price(rounds.own.get(key, _NONE)) + 1)
    if key >= _PERPETUAL:
        return -(-marked_e6 * _BAND_PPM.get(known.factor_class, _MILLION) // _MILLION)
    underlying_e6 = -(-size * known.lot_e18 * (rounds.prices.get(known.underlying, 0) + 1) // _E18)
    return -(-(underlying_e6 + marked_e6) * _OPTION_BAND_PPM // _MILLION)
