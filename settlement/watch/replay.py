"""What one batch does to the accounts, from chain data alone: requests, funding and expiry, closing, deltas, fee.

Money is in 1e-6 USDC; every division rounds down, against the account, and the counterparty takes the exact opposite.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from settlement.watch.accounts import NOBODY, TREE_LEVELS, AccountTree, WatchedAccount
from settlement.watch.posts import Fraud, HeaderWord, PostedData

__all__ = ["NO_MARKS", "QueuedRequest", "RoundRow", "read_vector", "replay"]

DEPOSIT: Final = 1
WITHDRAW: Final = 2
CLOSE_ALL: Final = 3
_FUND: Final = 0
_CLEARING: Final = 1
_PERPETUAL: Final = 1 << 31
_MILLION: Final = 10**6
_PENALTY_PPM: Final = 10_000
_FLOOR_PPM: Final = 20_000
_MOST_POSITIONS: Final = 128


class QueuedRequest(NamedTuple):
    """A row of the contract's queue; `owner` is the account's."""

    kind: int
    account: int
    amount_e6: int
    owner: bytes


class RoundRow(NamedTuple):
    """Mark in 1e-6 USDC per lot, or 1e-12 where the instrument ends at it; funding index in 1e-12 USDC per lot."""

    mark: int
    fund_index: int
    is_settled: bool


Marks = Mapping[int, RoundRow]
NO_MARKS: Final[Marks] = {}


class _Held(NamedTuple):
    """An account while a batch is applied: its cash, and positions that may still change."""

    owner: bytes
    cash_e6: int
    positions: dict[int, tuple[int, int]]


def read_vector(vector: bytes) -> Marks:
    """Rows of the instruments of an oracle vector, which `postOracle` found canonical."""
    options, perpetuals = int.from_bytes(vector[:2], "big"), int.from_bytes(vector[2:4], "big")
    marks: dict[int, RoundRow] = {}
    at = 8
    for place in range(options + perpetuals):
        size = 13 if place < options else 21
        row = vector[at : at + size]
        index = int.from_bytes(row[13:21], "big", signed=True)
        marks[int.from_bytes(row[:4], "big")] = RoundRow(int.from_bytes(row[4:12], "big"), index, row[12] == 1)
        at += size
    return marks


def replay(
    tree: AccountTree, word: HeaderWord, data: PostedData, requests: Sequence[QueuedRequest], marks: Marks
) -> dict[int, WatchedAccount]:
    """Return every account that the batch touches as it must be afterwards; `marks` are those of its round.

    Raises Fraud when no root can be right. The tree is left as it is.
    """
    if any(index >= 1 << TREE_LEVELS for index in data.cash_e6):
        raise Fraud("an account outside the tree is listed")
    touched = {}
    for index in (_FUND, _CLEARING, *data.cash_e6):
        account = tree.account(index)
        touched[index] = _Held(account.owner, account.cash_e6, dict(account.positions))
    _take_requests(touched, requests, list(data.approved_e6))
    _settle(touched, marks)
    for index in sorted({row.account for row in requests if row.kind == CLOSE_ALL} - {_FUND}):
        _close(touched, index, marks)
    for index, cash_e6 in data.cash_e6.items():
        touched[index] = _moved(index, touched[index], cash_e6, data.lots.get(index, {}), marks)
    fund = touched[_FUND] = _paid(touched[_FUND], word.fee_e6)
    withdrawals = [row for row in requests if row.kind == WITHDRAW]
    pays = any(row.account == _FUND and paid for row, paid in zip(withdrawals, data.approved_e6, strict=True))
    if (word.fee_e6 < 0 or pays) and fund.cash_e6 + sum(_worth(fund, marks)) < 0:
        raise Fraud("the fund pays what it does not have")
    return {index: _checked(index, held) for index, held in touched.items()}


def _take_requests(touched: dict[int, _Held], requests: Sequence[QueuedRequest], approved: list[int]) -> None:
    for row in requests:
        if row.account not in touched:
            raise Fraud(f"account {row.account} has a request and is not listed")
        held = touched[row.account]
        if row.kind == DEPOSIT:
            owner = row.owner if held.owner == NOBODY and row.account != _FUND else held.owner
            touched[row.account] = _Held(owner, held.cash_e6 + row.amount_e6, held.positions)
        elif row.kind == WITHDRAW:
            touched[row.account] = _paid(held, -approved.pop(0))


def _settle(touched: dict[int, _Held], marks: Marks) -> None:
    """Expiry and funding; the clearing account is the other side of all of it."""
    for index, held in touched.items():
        if index == _CLEARING:
            continue
        gained_e6 = 0
        for instrument, (lots, known) in list(held.positions.items()):
            row = marks.get(instrument)
            if row is None:
                continue
            if instrument >= _PERPETUAL:
                gained_e6 += -lots * (row.fund_index - known) // _MILLION
                held.positions[instrument] = (lots, row.fund_index)
            if row.is_settled:
                gained_e6 += lots * row.mark // _MILLION
                del held.positions[instrument]
        touched[index] = _paid(held, gained_e6)
        touched[_CLEARING] = _paid(touched[_CLEARING], -gained_e6)


def _close(touched: dict[int, _Held], index: int, marks: Marks) -> None:
    """The fund takes over, at mark less a penalty, what it has room for; nothing of an account without equity."""
    held, fund = touched[index], touched[_FUND]
    worth = _worth(held, marks)
    if (held.cash_e6 + sum(worth)) * _MILLION < sum(map(abs, worth)) * _FLOOR_PPM:
        return
    paid_e6 = 0
    for instrument in sorted(held.positions):
        row, lots = marks.get(instrument), held.positions[instrument][0]
        if row is None:
            continue
        if instrument not in fund.positions and len(fund.positions) >= _MOST_POSITIONS:
            continue
        taken = fund.positions.get(instrument, (0, 0))[0] + lots
        if instrument in fund.positions and not -(1 << 63) <= taken < 1 << 63:
            continue
        value_e6 = lots * row.mark
        paid_e6 += (value_e6 * _MILLION - abs(value_e6) * _PENALTY_PPM) // _MILLION
        del held.positions[instrument]
        fund.positions[instrument] = (taken, row.fund_index if instrument >= _PERPETUAL else 0)
        if not taken:
            del fund.positions[instrument]
    touched[index], touched[_FUND] = _paid(held, paid_e6), _paid(fund, -paid_e6)


def _moved(index: int, held: _Held, cash_e6: int, lots: Mapping[int, int], marks: Marks) -> _Held:
    if held.owner == NOBODY:
        raise Fraud(f"account {index} is listed and has no owner")
    for instrument, delta in lots.items():
        row = marks.get(instrument)
        start = row.fund_index if row is not None and instrument >= _PERPETUAL else 0
        before, known = held.positions.pop(instrument, (0, start))
        if before + delta:
            held.positions[instrument] = (before + delta, known)
    return _paid(held, cash_e6)


def _worth(held: _Held, marks: Marks) -> list[int]:
    return [lots * marks[instrument].mark for instrument, (lots, _) in held.positions.items() if instrument in marks]


def _paid(held: _Held, amount_e6: int) -> _Held:
    return _Held(held.owner, held.cash_e6 + amount_e6, held.positions)


def _checked(index: int, held: _Held) -> WatchedAccount:
    """The account within the ranges of its leaf; what leaves them is fraud."""
    lots_fit = all(-(1 << 63) <= lots < 1 << 63 for lots, _ in held.positions.values())
    if not lots_fit or len(held.positions) > _MOST_POSITIONS or not -(1 << 127) <= held.cash_e6 < 1 << 127:
        raise Fraud(f"account {index} leaves the ranges of its leaf")
    return WatchedAccount(held.owner, held.cash_e6, held.positions)
