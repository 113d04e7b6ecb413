"""Tests of settlement.protocol.batch: building a batch, and naming the cell in which two batches differ."""

from dataclasses import replace

import pytest

from settlement.protocol.batch import (
    Batch,
    BatchInput,
    Fill,
    Leg,
    batch_hash,
    build_batch,
    explain_difference,
    order_fills_of,
)
from settlement.protocol.encoding import BadBatch, decode_batch, encode_batch
from settlement.protocol.keccak import keccak256
from settlement.protocol.ledger import LedgerState
from settlement.protocol.merkle import ReferenceTree
from settlement.protocol.netting import NetDeltas, Unbalanced
from settlement.protocol.orders import BadOrders, OrderFill, OrderKind, orders_root
from settlement.protocol.transition import ChainRequest, RequestKind

REQUESTS = (
    ChainRequest(index=1, kind=RequestKind.DEPOSIT, account=2, amount_e6=1_000, owner=b"\x02" * 20),
    ChainRequest(index=2, kind=RequestKind.DEPOSIT, account=3, amount_e6=1_000, owner=b"\x03" * 20),
    ChainRequest(index=3, kind=RequestKind.WITHDRAW, account=2, amount_e6=50, owner=b"\x02" * 20),
)
FILLS = (
    Fill(
        buyer=2,
        seller=3,
        instrument=5,
        quantity_lots=4,
        notional_e6=100,
        buyer_fee_e6=3,
        seller_fee_e6=-1,
        buyer_ref=b"\x0a" * 32,
        seller_ref=b"\x0b" * 32,
    ),
)


def given(**changes) -> BatchInput:
    """Return the first batch: two deposits, a withdrawal, one fill."""
    fields = {
        "seq": 1,
        "match_from_s": 10,
        "match_to_s": 20,
        "fills": FILLS,
        "order_fills": order_fills_of(FILLS),
        "requests": REQUESTS,
        "approvals_e6": (40,),
        "request_up_to": 3,
        "fee_e6": 2,
    }
    return BatchInput(**{**fields, **changes})


def built(**changes) -> Batch:
    """Build the first batch on an empty ledger."""
    return build_batch(LedgerState(ReferenceTree()), given(**changes))


@pytest.mark.parametrize(
    ("changes", "error", "reason"),
    [
        ({"seq": 2}, BadBatch, "does not follow"),
        ({"fee_e6": 3}, Unbalanced, "fee is 3"),
        ({"order_fills": ()}, BadOrders, "account 2 instrument 5: orders move 0 lots, the batch 4"),
        ({"order_fills": [*order_fills_of(FILLS)] * 2}, BadOrders, "orders move 8 lots"),
        ({"request_up_to": 2}, BadBatch, "not exactly"),
        ({"approvals_e6": ()}, BadBatch, "approved"),
        ({"requests": ()}, BadBatch, "not exactly"),
        ({"extra_legs": [Leg(account=2, instrument=0, position_delta_lots=0, cash_delta_e6=1)]}, Unbalanced, "fee"),
    ],
)
def test_contradicting_input_changes_nothing(changes: dict, error: type[Exception], reason: str) -> None:
    """An input that contradicts itself is refused and the ledger stays."""
    state = LedgerState(ReferenceTree())
    before = state.to_bytes()
    with pytest.raises(error, match=reason):
        build_batch(state, given(**changes))
    assert before == state.to_bytes()


def test_order_leaves_must_explain_the_cash() -> None:
    """A leaf that says more fee than was taken is refused."""
    rows = order_fills_of(FILLS)
    with pytest.raises(BadOrders, match="account 2: orders move -104 cash, the batch -103"):
        built(order_fills=[replace(rows[0], fee_e6=4), rows[1]])


def test_batch_carries_what_is_posted() -> None:
    """Header, data, roots and counts of the first batch."""
    state = LedgerState(ReferenceTree())
    empty_root = state.root
    batch = build_batch(state, given())
    state.check()
    deltas = NetDeltas({2: -103, 3: 101}, {(2, 5): 4, (3, 5): -4})
    assert batch.data == encode_batch(deltas, [40])
    assert batch.data_hash == keccak256(batch.data)
    assert batch.h == batch.header.pack()
    assert (batch.previous_root, batch.new_root) == (empty_root, state.root)
    assert batch.orders_root == orders_root(order_fills_of(FILLS))
    assert (batch.legs, batch.fills, batch.orders, batch.withdraws, batch.collateral_e6) == (2, 1, 2, 1, 1_960)
    assert (state.account(2).cash_e6, state.account(3).cash_e6, state.account(0).cash_e6) == (857, 1_101, 2)


def test_extra_legs_travel_with_their_leaves() -> None:
    """A transfer between accounts needs leaves of its own kind."""
    legs = [
        Leg(account=2, instrument=0, position_delta_lots=0, cash_delta_e6=-5),
        Leg(account=3, instrument=0, position_delta_lots=0, cash_delta_e6=5),
    ]
    rows = [
        OrderFill(
            account=leg.account,
            instrument=0,
            ref=b"\x0c" * 32,
            position_lots=0,
            notional_e6=0,
            fee_e6=-leg.cash_delta_e6,
            kind=OrderKind.TRANSFER,
        )
        for leg in legs
    ]
    batch = built(extra_legs=legs, order_fills=[*order_fills_of(FILLS), *rows])
    assert decode_batch(batch.data, 1).deltas.cash_e6 == {2: -108, 3: 106}


def test_batch_hash_is_nine_words() -> None:
    """The chain value commits to every field of the contract's header."""
    value = batch_hash(
        previous_batch_hash=b"\x01" * 32,
        previous_root=b"\x02" * 32,
        new_root=b"\x03" * 32,
        orders_root=b"\x04" * 32,
        data_hash=b"\x05" * 32,
        h=6,
        block_time_s=7,
        block_number=8,
        collateral_e6=9,
    )
    words = [bytes([number]) * 32 for number in range(1, 6)] + [number.to_bytes(32, "big") for number in range(6, 10)]
    assert value == keccak256(b"".join(words))


def test_equal_batches_have_no_difference() -> None:
    """Building twice from the same input gives the same batch."""
    assert built() == built()
    assert explain_difference(built(), built()) == []


def altered_data(cash_e6: dict[int, int], cells: dict[tuple[int, int], int], approved: int = 40) -> bytes:
    """Return canonical data of other deltas."""
    return encode_batch(NetDeltas(cash_e6, cells), [approved])


CELLS = {(2, 5): 4, (3, 5): -4}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"seq": 2}, ["seq: expected 1, found 2"]),
        ({"new_root": bytes(32)}, ["new_root: expected {0.new_root}, found " + "00" * 32]),
        ({"orders_root": b"\x01" * 32}, ["orders_root: expected {0.orders_root}, found " + "01" * 32]),
        ({"previous_root": b"\x01" * 32}, ["previous_root: expected {0.previous_root}, found " + "01" * 32]),
        (
            {"data": altered_data({2: -103, 3: 101}, {(2, 5): 9, (3, 5): -9})},
            [
                "account 2 instrument 5 position_lots: expected 4, found 9",
                "account 3 instrument 5 position_lots: expected -4, found -9",
            ],
        ),
        (
            {"data": altered_data({2: -103, 3: 101}, {(2, 6): 4, (3, 6): -4})},
            [
                "account 2 instrument 5 position_lots: expected 4, found 0",
                "account 2 instrument 6 position_lots: expected 0, found 4",
                "account 3 instrument 5 position_lots: expected -4, found 0",
                "account 3 instrument 6 position_lots: expected 0, found -4",
            ],
        ),
        (
            {"data": altered_data({2: -104, 3: 102, 4: 0}, CELLS)},
            [
                "account 2 cash_e6: expected -103, found -104",
                "account 3 cash_e6: expected 101, found 102",
                "account 4 cash_e6: expected not listed, found 0",
            ],
        ),
        (
            {"data": altered_data({2: -103, 3: 101}, CELLS, 41)},
            ["withdrawal 0 approved_e6: expected 40, found 41"],
        ),
        (
            {"data": b"\x00\x01"},
            ["data: not canonical at or after byte 0: data ends at byte 2, 3 bytes are missing at 0"],
        ),
        (
            {"data": altered_data({2: -103, 3: 101}, CELLS) + b"\x00"},
            ["data: not canonical at or after byte 75: data has 1 bytes too many"],
        ),
    ],
)
def test_difference_names_the_cell(changes: dict, expected: list[str]) -> None:
    """Each altered field yields the line that names it, and no other line."""
    batch = built()
    roots = {name: getattr(batch, name).hex() for name in ("new_root", "orders_root", "previous_root")}
    lines = [line.replace("{0.", "{").format(**roots) for line in expected]
    assert lines == explain_difference(batch, replace(batch, **changes))


def test_difference_names_the_header_field() -> None:
    """A header field is named with both values."""
    batch = built()
    changed = replace(batch, header=replace(batch.header, fee_e6=-2, match_to_s=21))
    assert explain_difference(batch, changed) == [
        "header match_to_s: expected 20, found 21",
        "header fee_e6: expected 2, found -2",
    ]


def test_altered_fill_shows_in_cells_and_roots() -> None:
    """One lot more in one fill: both cells, the cash, the data's roots."""
    fills = (replace(FILLS[0], quantity_lots=5, notional_e6=125),)
    lines = explain_difference(built(), built(fills=fills, order_fills=order_fills_of(fills)))
    assert [line.split(":")[0] for line in lines] == [
        "account 2 cash_e6",
        "account 3 cash_e6",
        "account 2 instrument 5 position_lots",
        "account 3 instrument 5 position_lots",
        "new_root",
        "orders_root",
    ]
