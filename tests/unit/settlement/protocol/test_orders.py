"""Tests of settlement.protocol.orders."""

import pytest

from settlement.protocol.keccak import reference_keccak256
from settlement.protocol.merkle import ReferenceTree
from settlement.protocol.orders import (
    BadOrders,
    OrderFill,
    OrderKind,
    engine_ref,
    order_leaf,
    orders_root,
    sorted_order_fills,
)

REF = b"\x77" * 32


def fill(**changes) -> OrderFill:
    """Return a fill of account 2 with `changes`."""
    fields = {
        "account": 2,
        "instrument": 3,
        "ref": REF,
        "position_lots": -4,
        "notional_e6": 500,
        "fee_e6": -6,
    }
    return OrderFill(**{**fields, **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {"ref": bytes(31)},
        {"account": -1},
        {"account": 1 << 32},
        {"instrument": 1 << 32},
        {"position_lots": 1 << 63},
        {"notional_e6": -1},
        {"notional_e6": 1 << 64},
        {"fee_e6": 1 << 63},
    ],
    ids=str,
)
def test_fields_outside_the_leaf_format_are_refused(changes: dict) -> None:
    """Each field has its width."""
    with pytest.raises(BadOrders):
        order_leaf(fill(**changes))


def test_a_ref_counts_once_per_account() -> None:
    """Two leaves of one order in one batch are refused."""
    with pytest.raises(BadOrders, match="twice"):
        orders_root([fill(), fill(position_lots=1)])


def test_refs_of_the_engine_differ_by_kind_and_number() -> None:
    """An order's number may be a trade's: both are leaves of one account in one batch."""
    refs = [
        engine_ref(kind, number) for kind in (OrderKind.LIQUIDATION, OrderKind.ADL, OrderKind.FUND) for number in (5, 6)
    ]
    assert len(sorted_order_fills([fill(ref=ref) for ref in refs])) == 6
    assert engine_ref(OrderKind.ADL, 5) == b"\x04" + bytes(30) + b"\x05"
    with pytest.raises(OverflowError):
        engine_ref(OrderKind.FUND, 1 << 248)


def test_number_of_leaves_per_account_is_bounded() -> None:
    """An answer to a challenge must stay payable."""
    fills = [fill(ref=number.to_bytes(32, "big")) for number in range(4_481)]
    with pytest.raises(BadOrders, match="more than 4480"):
        sorted_order_fills(fills)
    assert len(sorted_order_fills(fills[:-1])) == 4_480


@pytest.mark.parametrize(
    ("lots", "expected_e6"),
    [(4, -494), (-4, 506), (0, 6)],
)
def test_cash_effect(lots: int, expected_e6: int) -> None:
    """A buy pays the notional, a sell receives it, both pay the fee."""
    assert expected_e6 == fill(position_lots=lots).cash_effect_e6


def test_leaf_preimage() -> None:
    """Kind, account, instrument, ref, lots, notional, fee: 65 bytes."""
    preimage = (
        b"\x06"
        + bytes.fromhex("00000002")
        + bytes.fromhex("00000003")
        + REF
        + (-4).to_bytes(8, "big", signed=True)
        + (500).to_bytes(8, "big")
        + (-6).to_bytes(8, "big", signed=True)
    )
    assert len(preimage) == 65
    assert reference_keccak256(preimage) == order_leaf(fill(kind=OrderKind.TRANSFER))


def test_root_sorts_by_account_and_ref() -> None:
    """The root does not depend on the order of the input."""
    fills = [fill(account=3, ref=bytes(32)), fill(ref=b"\x02" * 32), fill(ref=b"\x01" * 32)]
    tree = ReferenceTree()
    tree.set_leaves(dict(enumerate(order_leaf(row) for row in (fills[2], fills[1], fills[0]))))
    assert tree.root == orders_root(fills)
    assert tree.root == orders_root(fills[::-1])


def test_no_orders() -> None:
    """A batch of requests alone has the empty root."""
    assert orders_root([]) == ReferenceTree().root
