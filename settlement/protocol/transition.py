"""Transition of one batch: a pure function from a ledger, a header, its data and the consumed requests to an effect.

Theory of operation. The steps run in the order of the protocol: (1) requests, (2) funding and expiry of every touched
account against account 1, (3) closing of accounts that asked for it, (4) posted deltas, (5) the fee of account 0.
Step 2 takes the vector of the opening round: value per lot by instrument in 1e-12 USDC, of a perpetual its funding
index, of an expired option its payoff. The vector comes from the journal; until rounds are posted to the contract the
header's round is 0. Step 3 is not in use, and a CLOSE_ALL request is refused. Everything is checked before anything is
returned, and the ledger is never changed here: `LedgerState.commit` installs the effect.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from types import MappingProxyType

from settlement.protocol.caps import (
    CLEARING_ACCOUNT,
    FIRST_USER_ACCOUNT,
    FUND_ACCOUNT,
    MAX_POSITIONS,
    MAX_REQUESTS,
    PERP_BIT,
)
from settlement.protocol.encoding import BadBatch, BatchData, Header
from settlement.protocol.ledger import BadSnapshot, Effect, InvariantViolation, LedgerState
from settlement.protocol.netting import NetDeltas
from settlement.protocol.state_tree import NO_OWNER, TREE_DEPTH, Account

__all__ = [
    "BadSnapshot",
    "ChainRequest",
    "Effect",
    "InvariantViolation",
    "LedgerState",
    "RequestKind",
    "apply_batch",
    "withdraw_count",
]

_INT64_LIMIT = 1 << 63
_INT128_LIMIT = 1 << 127
_U64_LIMIT = 1 << 64
_E6 = 10**6
_NO_VECTOR: Mapping[int, int] = MappingProxyType({})


class RequestKind(IntEnum):
    """Kinds of the contract's request queue; the numbers are the contract's `Kind`."""

    DEPOSIT = 1
    WITHDRAW = 2
    CLOSE_ALL = 3
    CANCEL_ALL = 4
    SET_KEY = 5
    LOCK = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainRequest:
    """One row of the contract's queue; `index` counts from 1, the amount is in 1e-6 USDC, `owner` the account's owner.

    The amount is 0 for the kinds that move no money.
    """

    index: int
    kind: RequestKind
    account: int
    amount_e6: int = 0
    owner: bytes = NO_OWNER


def withdraw_count(requests: Iterable[ChainRequest]) -> int:
    """Return how many approved amounts a batch that consumes `requests` carries."""
    return sum(request.kind is RequestKind.WITHDRAW for request in requests)


def apply_batch(
    state: LedgerState,
    header: Header,
    data: BatchData,
    requests: Sequence[ChainRequest],
    vector: Mapping[int, int] = _NO_VECTOR,
) -> Effect:
    """Return the effect of the next batch on `state`, which stays as it is; `vector` is the opening round's.

    Raises BadBatch for a batch that breaks a rule of the protocol and Unbalanced when lots or cash do not sum up.
    """
    _check_header(state, header, requests)
    data.deltas.check(header.fee_e6)
    touched = {index: state.account(index) for index in (FUND_ACCOUNT, CLEARING_ACCOUNT, *sorted(data.deltas.cash_e6))}
    _check_listed(requests, data.deltas.cash_e6)
    collateral_e6 = _apply_requests(touched, requests, data.approved_e6, state.collateral_e6)
    _apply_round(touched, vector)
    _apply_deltas(touched, data.deltas, vector)
    _credit(touched, FUND_ACCOUNT, header.fee_e6)
    _check_fund(touched[FUND_ACCOUNT], header, requests, data)
    for index, account in touched.items():
        _check_account(index, account)
    return Effect(
        accounts=touched,
        collateral_e6=collateral_e6,
        request_done=header.request_up_to,
        last_match_to_s=header.match_to_s,
    )


def _check_header(state: LedgerState, header: Header, requests: Sequence[ChainRequest]) -> None:
    header.pack()
    if header.oracle_round:
        raise BadBatch(f"oracle round {header.oracle_round}: rounds are not in use")
    if not state.last_match_to_s <= header.match_from_s <= header.match_to_s:
        raise BadBatch(
            f"match times {header.match_from_s} .. {header.match_to_s} after {state.last_match_to_s} do not ascend"
        )
    expected = range(state.request_done + 1, header.request_up_to + 1)
    if len(requests) > MAX_REQUESTS:
        raise BadBatch(f"{len(requests)} requests, the limit is {MAX_REQUESTS}")
    if header.request_up_to < state.request_done or [request.index for request in requests] != list(expected):
        raise BadBatch(f"requests are not exactly {state.request_done + 1} .. {header.request_up_to}")


def _check_listed(requests: Iterable[ChainRequest], listed: Mapping[int, int]) -> None:
    for account in listed:
        if not FIRST_USER_ACCOUNT <= account < 1 << TREE_DEPTH:
            raise BadBatch(f"account {account} cannot be listed")
    for request in requests:
        if request.account == CLEARING_ACCOUNT:
            raise BadBatch(f"request {request.index} names the clearing account")
        if request.account != FUND_ACCOUNT and request.account not in listed:
            raise BadBatch(f"account {request.account} of request {request.index} is not listed")


def _apply_requests(
    touched: dict[int, Account], requests: Sequence[ChainRequest], approved_e6: Sequence[int], collateral_e6: int
) -> int:
    """Apply step 1 and return the collateral behind it, in 1e-6 USDC."""
    if len(approved_e6) != withdraw_count(requests):
        raise BadBatch(f"{len(approved_e6)} approved amounts for {withdraw_count(requests)} withdrawals")
    approvals = iter(approved_e6)
    for request in requests:
        if not 0 <= request.amount_e6 < _U64_LIMIT:
            raise BadBatch(f"request {request.index}: amount {request.amount_e6} does not fit u64")
        if request.kind is RequestKind.DEPOSIT:
            _open(touched, request)
            collateral_e6 += _credit(touched, request.account, request.amount_e6)
        elif request.kind is RequestKind.WITHDRAW:
            collateral_e6 += _debit_approved(touched, request, next(approvals))
            if collateral_e6 < 0:
                raise BadBatch(f"request {request.index}: {-collateral_e6} more approved than the collateral")
        elif request.kind is RequestKind.CLOSE_ALL:
            raise BadBatch(f"request {request.index}: CLOSE_ALL needs an oracle round")
    return collateral_e6


def _open(touched: dict[int, Account], request: ChainRequest) -> None:
    """Give the account its owner at the first deposit; a later deposit may come from anyone."""
    account = touched[request.account]
    if request.account == FUND_ACCOUNT or account.owner != NO_OWNER:
        return
    if len(request.owner) != len(NO_OWNER) or request.owner == NO_OWNER:
        raise BadBatch(f"request {request.index} opens account {request.account} without an owner")
    touched[request.account] = replace(account, owner=request.owner)


def _debit_approved(touched: dict[int, Account], request: ChainRequest, approved_e6: int) -> int:
    if not 0 <= approved_e6 <= request.amount_e6:
        raise BadBatch(f"request {request.index}: approved {approved_e6} of {request.amount_e6}")
    return _credit(touched, request.account, -approved_e6)


def _credit(touched: dict[int, Account], index: int, amount_e6: int) -> int:
    account = touched[index]
    touched[index] = replace(account, cash_e6=account.cash_e6 + amount_e6)
    return amount_e6


def _apply_round(touched: dict[int, Account], vector: Mapping[int, int]) -> None:
    """Apply step 2: payoffs and funding of every touched account but the clearing one, which takes the opposite.

    Each amount is floored against the account, so that the residue stays in the clearing account.
    """
    paid_e6 = 0
    for index, account in touched.items():
        if index == CLEARING_ACCOUNT or vector.keys().isdisjoint(account.positions):
            continue
        cash_e6, positions = 0, dict(account.positions)
        for instrument, (lots, fund_index) in account.positions.items():
            if instrument & PERP_BIT and instrument in vector:
                cash_e6 += -lots * (vector[instrument] - fund_index) // _E6
                positions[instrument] = (lots, vector[instrument])
            elif instrument in vector:
                cash_e6 += lots * vector[instrument] // _E6
                del positions[instrument]
        touched[index] = replace(account, cash_e6=account.cash_e6 + cash_e6, positions=positions)
        paid_e6 += cash_e6
    _credit(touched, CLEARING_ACCOUNT, -paid_e6)


def _apply_deltas(touched: dict[int, Account], deltas: NetDeltas, vector: Mapping[int, int]) -> None:
    """Apply step 4; each account is rebuilt once."""
    changes: dict[int, dict[int, int]] = {account: {} for account in deltas.cash_e6}
    for (account, instrument), lots in deltas.positions_lots.items():
        if account not in changes:
            raise BadBatch(f"account {account} has a position delta but is not listed")
        changes[account][instrument] = lots
    for index, moved in changes.items():
        before = touched[index]
        if before.owner == NO_OWNER:
            raise BadBatch(f"account {index} is listed but has no owner")
        cash_e6 = before.cash_e6 + deltas.cash_e6[index]
        touched[index] = Account(before.owner, cash_e6, _moved_positions(before.positions, moved, vector))


def _moved_positions(
    positions: Mapping[int, tuple[int, int]], moved: Mapping[int, int], vector: Mapping[int, int]
) -> Mapping[int, tuple[int, int]]:
    if not moved:
        return positions
    result = dict(positions)
    for instrument, delta in moved.items():
        lots = result.get(instrument, (0, 0))[0] + delta
        if lots:
            result[instrument] = (lots, vector.get(instrument, 0))
        else:
            result.pop(instrument, None)
    return result


def _check_fund(fund: Account, header: Header, requests: Iterable[ChainRequest], data: BatchData) -> None:
    """Refuse a payout of the fund that it cannot cover; it holds no positions before CLOSE_ALL exists."""
    withdrawals = [request for request in requests if request.kind is RequestKind.WITHDRAW]
    paid = any(
        approved and request.account == FUND_ACCOUNT
        for request, approved in zip(withdrawals, data.approved_e6, strict=True)
    )
    if fund.cash_e6 < 0 and (header.fee_e6 < 0 or paid):
        raise BadBatch(f"the fund would be left with {fund.cash_e6}")


def _check_account(index: int, account: Account) -> None:
    if len(account.positions) > MAX_POSITIONS:
        raise BadBatch(f"account {index} has {len(account.positions)} positions, the limit is {MAX_POSITIONS}")
    if not -_INT128_LIMIT <= account.cash_e6 < _INT128_LIMIT:
        raise BadBatch(f"account {index}: cash {account.cash_e6} does not fit int128")
    for instrument, (lots, _) in account.positions.items():
        if not -_INT64_LIMIT <= lots < _INT64_LIMIT:
            raise BadBatch(f"account {index} instrument {instrument}: {lots} lots do not fit int64")
