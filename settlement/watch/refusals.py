"""Withdrawals as the watcher reads them: refused although they were covered (F5), approved although not (F3).

The state is the one behind the request: what earlier requests of the batch brought, funding and payoffs of its round,
the approved amount gone. A position whose terms, mark or index price is not on chain cannot be judged by anybody.
Money is in 1e-6 USDC; every rounding is against the account.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from eth_abi.abi import decode

from settlement.watch.accounts import AccountTree, WatchedAccount
from settlement.watch.replay import DEPOSIT, WITHDRAW, Marks, QueuedRequest, RoundRow

__all__ = [
    "Refusal",
    "Terms",
    "is_overdrawn",
    "over_approvals",
    "read_index_prices",
    "read_terms",
    "terms_of",
    "wrong_refusals",
]

_SPEC: Final = "(address,uint96,bool,bool,uint32,uint40,uint64,uint128,uint64,uint8)"
_PERPETUAL: Final = 1 << 31
_MILLION: Final = 10**6
_NEED_PPM: Final = {1: 250_000, 2: 420_000}
_SHORT_PPM: Final = 200_000
_LONG_OPTION_NEED: Final = 1


class Terms(NamedTuple):
    """A listed instrument: the contract's spec, and what its need depends on."""

    spec: tuple[object, ...]
    underlying: int
    lot_e18: int
    factor_class: int
    is_call: bool
    expiry_s: int
    strike_e8: int


class Refusal(NamedTuple):
    """Request `id` of `account`, refused or approved for `amount_e6` too much; the specs that its proof shows."""

    id: int
    account: int
    amount_e6: int
    specs: tuple[tuple[object, ...], ...]


class _Judged(NamedTuple):
    excess_e6: int
    specs: tuple[tuple[object, ...], ...]


def read_terms(data: bytes) -> Terms:
    """Read the data of an InstrumentListed event."""
    (spec,) = decode([_SPEC], data)
    return terms_of(spec)


def terms_of(spec: tuple[Any, ...]) -> Terms:
    """Terms of a spec as the contract has it."""
    return Terms(spec, spec[4], spec[7], spec[9], spec[3], spec[5], spec[6])


def read_index_prices(vector: bytes) -> Mapping[int, int]:
    """Price by underlying of an oracle vector, which `postOracle` found canonical."""
    options, perpetuals, prices = (int.from_bytes(vector[at : at + 2], "big") for at in (0, 2, 4))
    start = 8 + 13 * options + 21 * perpetuals
    rows = [vector[start + 12 * place : start + 12 * (place + 1)] for place in range(prices)]
    return {int.from_bytes(row[:4], "big"): int.from_bytes(row[4:], "big") for row in rows}


def wrong_refusals(
    tree: AccountTree,
    first_id: int,
    requests: Sequence[QueuedRequest],
    approved_e6: Sequence[int],
    collateral_e6: int,
    marks: Marks,
    prices: Mapping[int, int],
    terms: Mapping[int, Terms],
) -> Iterator[Refusal]:
    """Yield the provable ones; `tree` and `collateral_e6` are those before the batch, ids count from `first_id`."""
    approvals = list(approved_e6)
    brought: dict[int, int] = {}
    for number, row in enumerate(requests, first_id):
        paid_e6 = approvals.pop(0) if row.kind == WITHDRAW else 0
        change_e6 = row.amount_e6 if row.kind == DEPOSIT else -paid_e6
        collateral_e6 += change_e6
        brought[row.account] = brought.get(row.account, 0) + change_e6
        refused_e6 = row.amount_e6 - paid_e6 if row.kind == WITHDRAW else 0
        if refused_e6 <= 0 or collateral_e6 <= 0:
            continue
        judged = _judge(tree.account(row.account), marks, prices, terms)
        if judged is not None and judged.excess_e6 + brought[row.account] > 0:
            owed_e6 = min(judged.excess_e6 + brought[row.account], refused_e6, collateral_e6)
            yield Refusal(number, row.account, owed_e6, judged.specs)


def _judge(
    account: WatchedAccount, marks: Marks, prices: Mapping[int, int], terms: Mapping[int, Terms]
) -> _Judged | None:
    """Return what the account has beyond its need, None when it cannot be said."""
    excess_e6 = account.cash_e6
    specs: list[tuple[object, ...]] = []
    for instrument, (lots, known_index) in sorted(account.positions.items()):
        row = marks.get(instrument)
        if row is not None and instrument >= _PERPETUAL:
            excess_e6 += -lots * (row.fund_index - known_index) // _MILLION
        if row is not None and row.is_settled:
            excess_e6 += lots * row.mark // _MILLION
        elif instrument < _PERPETUAL and lots > 0:
            excess_e6 -= _LONG_OPTION_NEED
        else:
            spec, need_e6 = terms.get(instrument), None
            if row is not None and spec is not None:
                need_e6 = _perpetual(lots, row, spec) if instrument >= _PERPETUAL else _short(lots, row, spec, prices)
            if spec is None or need_e6 is None:
                return None
            excess_e6 -= need_e6
            specs.append(spec.spec)
    return _Judged(excess_e6, tuple(specs))


def _perpetual(lots: int, row: RoundRow, terms: Terms) -> int | None:
    """Return need less worth of a perpetual."""
    if row.mark == 0:
        return None
    size, mark = abs(lots), row.mark
    need_e6 = -(-size * (mark + 1) * _NEED_PPM.get(terms.factor_class, _MILLION) // _MILLION)
    return need_e6 - (lots * mark if lots > 0 else lots * (mark + 1))


def _short(lots: int, row: RoundRow, terms: Terms, prices: Mapping[int, int]) -> int | None:
    """Return need less worth of a short option."""
    if terms.underlying not in prices:
        return None
    size = -lots
    underlying_e6 = -(-size * terms.lot_e18 * (prices[terms.underlying] + 1) // 10**18)
    marked_e6 = size * (row.mark + 1)
    return marked_e6 - (-(underlying_e6 + marked_e6) * _SHORT_PPM // _MILLION)


def over_approvals(
    tree: AccountTree, first_id: int, requests: Sequence[QueuedRequest], approved_e6: Sequence[int], marks: Marks
) -> Iterator[Refusal]:
    """Yield approvals without cover, as (id, account, approved amount, no specs); arguments as of `wrong_refusals`."""
    approvals = list(approved_e6)
    brought: dict[int, int] = {}
    for number, row in enumerate(requests, first_id):
        paid_e6 = approvals.pop(0) if row.kind == WITHDRAW else 0
        change_e6 = row.amount_e6 if row.kind == DEPOSIT else -paid_e6
        brought[row.account] = brought.get(row.account, 0) + change_e6
        if paid_e6 and is_overdrawn(tree.account(row.account), brought[row.account], marks):
            yield Refusal(number, row.account, paid_e6, ())


def is_overdrawn(account: WatchedAccount, brought_e6: int, marks: Marks) -> bool:
    """Tell whether cash and perpetuals, or all of it, are below zero; every mark counts in the account's favor."""
    cash_e6, options_e6, knows_options = account.cash_e6 + brought_e6, 0, True
    for instrument, (lots, known_index) in account.positions.items():
        row = marks.get(instrument)
        if row is not None and instrument >= _PERPETUAL:
            cash_e6 += -lots * (row.fund_index - known_index) // _MILLION
        if row is not None and row.is_settled:
            cash_e6 += lots * row.mark // _MILLION
        elif instrument >= _PERPETUAL:
            if row is None or row.mark == 0:
                return True
            cash_e6 += lots * (row.mark + (lots > 0))
        elif row is None:
            knows_options = False
        else:
            options_e6 += lots * (row.mark + (lots > 0))
    return cash_e6 < 0 or (knows_options and cash_e6 + options_e6 < 0)
