"""Building a batch from committed fills, and naming what differs between two batches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TypeVar

from settlement.protocol.caps import FUND_ACCOUNT
from settlement.protocol.encoding import BadBatch, BatchData, Header, decode_batch, encode_batch
from settlement.protocol.keccak import keccak256
from settlement.protocol.ledger import Effect, LedgerState
from settlement.protocol.netting import Fill, Leg, NetDeltas, legs_of, net, net_fills, order_fills_of
from settlement.protocol.oracle import NO_ROUND, OracleVector
from settlement.protocol.orders import BadOrders, OrderFill, orders_root
from settlement.protocol.transition import ChainRequest, apply_batch, withdraw_count

_Key = TypeVar("_Key", int, tuple[int, int])

__all__ = [
    "Batch",
    "BatchInput",
    "Fill",
    "Leg",
    "OrderFill",
    "batch_hash",
    "build_batch",
    "check_order_fills",
    "explain_difference",
    "foresee",
    "legs_of",
    "order_fills_of",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchInput:
    """Everything a batch follows from besides the ledger: a journal range and the requests consumed at its start.

    `approvals_e6` has one amount per WITHDRAW of `requests`, in order. `fee_e6` is the sum of all fees of `fills`
    and of what `extra_legs` (fund payments, transfers) leave to the venue. Times are in Unix seconds.
    """

    seq: int
    match_from_s: int
    match_to_s: int
    fills: Sequence[Fill]
    order_fills: Sequence[OrderFill]
    requests: Sequence[ChainRequest]
    approvals_e6: Sequence[int]
    request_up_to: int
    fee_e6: int
    extra_legs: Sequence[Leg] = ()
    touched: Sequence[int] = ()
    """Accounts that the round charges or pays, listed even without a delta."""
    opening: OracleVector = NO_ROUND
    """The round that the batch begins with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A built batch: what is posted (header, data, roots) and the counts that `batch show` prints."""

    seq: int
    header: Header
    data: bytes
    new_root: bytes
    orders_root: bytes
    previous_root: bytes
    collateral_e6: int
    withdraws: int
    legs: int
    fills: int
    orders: int

    @property
    def h(self) -> int:
        """The header word."""
        return self.header.pack()

    @property
    def data_hash(self) -> bytes:
        """keccak256 of the data."""
        return keccak256(self.data)


def build_batch(state: LedgerState, batch_input: BatchInput) -> Batch:
    """Net, apply and encode the next batch; `state` advances to it, and is unchanged when an exception is raised.

    Raises Unbalanced, BadOrders or BadBatch: the input contradicts itself, the ledger or the format.
    """
    if batch_input.seq != state.seq + 1:
        raise BadBatch(f"batch {batch_input.seq} does not follow batch {state.seq}")
    deltas = _net(batch_input)
    deltas.check(batch_input.fee_e6)
    check_order_fills(deltas, batch_input.order_fills)
    header, listed = _header(batch_input), _listed(batch_input, deltas)
    batch_data = BatchData(listed, tuple(batch_input.approvals_e6))
    data = encode_batch(listed, batch_input.approvals_e6)
    ordered_root = orders_root(batch_input.order_fills)
    effect = apply_batch(state, header, batch_data, batch_input.requests, batch_input.opening)
    previous_root = state.root
    return Batch(
        seq=batch_input.seq,
        header=header,
        data=data,
        new_root=state.commit(effect),
        orders_root=ordered_root,
        previous_root=previous_root,
        collateral_e6=effect.collateral_e6,
        withdraws=withdraw_count(batch_input.requests),
        legs=len(deltas.positions_lots),
        fills=len(batch_input.fills),
        orders=len(batch_input.order_fills),
    )


def foresee(state: LedgerState, batch_input: BatchInput) -> tuple[NetDeltas, Effect]:
    """Return what the next batch would post of its accounts, and what it would make of them; `state` stays.

    Raises Unbalanced or BadBatch.
    """
    listed = _listed(batch_input, _net(batch_input))
    data = BatchData(listed, tuple(batch_input.approvals_e6))
    return listed, apply_batch(state, _header(batch_input), data, batch_input.requests, batch_input.opening)


def _header(batch_input: BatchInput) -> Header:
    return Header(
        request_up_to=batch_input.request_up_to,
        match_from_s=batch_input.match_from_s,
        match_to_s=batch_input.match_to_s,
        fee_e6=batch_input.fee_e6,
        oracle_round=batch_input.opening.round_number,
    )


def _listed(batch_input: BatchInput, deltas: NetDeltas) -> NetDeltas:
    """Return the deltas with every account that the batch must name."""
    named = [request.account for request in batch_input.requests if request.account != FUND_ACCOUNT]
    return deltas.touching([*named, *batch_input.touched])


def check_order_fills(deltas: NetDeltas, order_fills: Sequence[OrderFill]) -> None:
    """Raise BadOrders unless the leaves explain every delta: lots per cell and cash per account."""
    cash: defaultdict[int, int] = defaultdict(int)
    positions: defaultdict[tuple[int, int], int] = defaultdict(int)
    for fill in order_fills:
        cash[fill.account] += fill.cash_effect_e6
        positions[fill.account, fill.instrument] += fill.position_lots
    for cell in _keys(positions, deltas.positions_lots):
        if positions.get(cell, 0) != deltas.positions_lots.get(cell, 0):
            account, instrument = cell
            raise BadOrders(
                f"account {account} instrument {instrument}: orders move {positions.get(cell, 0)} lots, "
                f"the batch {deltas.positions_lots.get(cell, 0)}"
            )
    for account in _keys(cash, deltas.cash_e6):
        if cash.get(account, 0) != deltas.cash_e6.get(account, 0):
            raise BadOrders(
                f"account {account}: orders move {cash.get(account, 0)} cash, "
                f"the batch {deltas.cash_e6.get(account, 0)}"
            )


def batch_hash(
    *,
    previous_batch_hash: bytes,
    previous_root: bytes,
    new_root: bytes,
    orders_root: bytes,
    data_hash: bytes,
    h: int,
    block_time_s: int,
    block_number: int,
    collateral_e6: int,
) -> bytes:
    """Return the contract's hash chain value of a posted batch: keccak256 of nine 32-byte words."""
    numbers = (h, block_time_s, block_number, collateral_e6)
    words = [previous_batch_hash, previous_root, new_root, orders_root, data_hash]
    words.extend(number.to_bytes(32, "big") for number in numbers)
    return keccak256(b"".join(words))


def explain_difference(expected: Batch, got: Batch) -> list[str]:
    """Return one line per header field, cell, approval or root of `got` that differs; no lines when they are equal."""
    lines = _compare("seq", expected.seq, got.seq)
    for name in (one.name for one in fields(Header)):
        lines += _compare(f"header {name}", getattr(expected.header, name), getattr(got.header, name))
    lines += _explain_data(expected, got)
    for name in ("previous_root", "new_root", "orders_root"):
        lines += _compare(name, getattr(expected, name).hex(), getattr(got, name).hex())
    return lines


def _net(batch_input: BatchInput) -> NetDeltas:
    if not batch_input.extra_legs:
        return net_fills(batch_input.fills)
    legs = [leg for fill in batch_input.fills for leg in legs_of(fill)]
    return net([*legs, *batch_input.extra_legs])


def _explain_data(expected: Batch, got: Batch) -> list[str]:
    if expected.data == got.data:
        return []
    wanted = decode_batch(expected.data, expected.withdraws)
    try:
        found = decode_batch(got.data, expected.withdraws)
    except BadBatch as error:
        return [f"data: not canonical at or after byte {_first_difference(expected.data, got.data)}: {error.reason}"]
    lines = _explain_cash(wanted.deltas.cash_e6, found.deltas.cash_e6)
    for cell in _keys(wanted.deltas.positions_lots, found.deltas.positions_lots):
        account, instrument = cell
        lines += _compare(
            f"account {account} instrument {instrument} position_lots",
            wanted.deltas.positions_lots.get(cell, 0),
            found.deltas.positions_lots.get(cell, 0),
        )
    for place, (wanted_e6, found_e6) in enumerate(zip(wanted.approved_e6, found.approved_e6, strict=True)):
        lines += _compare(f"withdrawal {place} approved_e6", wanted_e6, found_e6)
    return lines


def _explain_cash(wanted: Mapping[int, int], found: Mapping[int, int]) -> list[str]:
    lines: list[str] = []
    for account in _keys(wanted, found):
        expected, got = wanted.get(account, "not listed"), found.get(account, "not listed")
        lines += _compare(f"account {account} cash_e6", expected, got)
    return lines


def _compare(name: str, expected: object, found: object) -> list[str]:
    return [] if expected == found else [f"{name}: expected {expected}, found {found}"]


def _keys(left: Mapping[_Key, int], right: Mapping[_Key, int]) -> list[_Key]:
    """Return the keys of both maps, ascending and each once."""
    return sorted({**left, **right})


def _first_difference(left: bytes, right: bytes) -> int:
    for place, (one, other) in enumerate(zip(left, right, strict=False)):
        if one != other:
            return place
    return min(len(left), len(right))
