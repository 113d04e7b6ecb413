"""Leaves that nobody signed: which a batch may have; one row per reason, the bounds themselves, mixtures."""

import pytest

from settlement.protocol.forced import ForcedReason, NotAllowed, check_forced_leaves
from settlement.protocol.oracle import MarkRow, OracleVector
from settlement.protocol.orders import BadOrders, OrderFill, OrderKind, engine_ref
from settlement.protocol.state_tree import Account

PERP, CALL = 0x80000001, 7
E6 = 10**6
MARKS = OracleVector(round_number=1, rows={PERP: MarkRow(mark_e6=100 * E6), CALL: MarkRow(mark_e6=E6)})
OWNER = b"\x0a" * 20


def leaf(**fields: object) -> OrderFill:
    """An order on the book: 4 of 10 lots sold at 98, with 1 USDC of fee."""
    values = {
        "account": 2,
        "instrument": PERP,
        "ref": engine_ref(OrderKind.LIQUIDATION, 1),
        "position_lots": -4,
        "notional_e6": 392 * E6,
        "fee_e6": E6,
        "kind": OrderKind.LIQUIDATION,
    }
    return OrderFill(**{**values, **fields})  # type: ignore[arg-type]


def given(**fields: object) -> OrderFill:
    """All ten lots to somebody who had to give way, at 105."""
    ref = engine_ref(OrderKind.ADL, 1)
    return leaf(**{"ref": ref, "position_lots": -10, "notional_e6": 1_050 * E6, "fee_e6": 0, **fields})


def paid(**fields: object) -> OrderFill:
    """Fifty from the fund."""
    values = {"instrument": 0, "position_lots": 0, "notional_e6": 0, "fee_e6": -50 * E6}
    return leaf(**{**values, "ref": engine_ref(OrderKind.FUND, 1), "kind": OrderKind.FUND, **fields})


def judge(cash_e6: int, *leaves: OrderFill, lots: int = 10, calls: int = 0, marks: OracleVector = MARKS) -> None:
    """Judge an account with so much cash and ten lots at 100."""
    positions = {key: (held, 0) for key, held in ((PERP, lots), (CALL, calls)) if held}
    check_forced_leaves({2: Account(OWNER, cash_e6, positions)}, leaves, marks, ())


POOR, RICH, BROKE = -980 * E6, -750 * E6, -1_050 * E6


@pytest.mark.parametrize(
    ("cash_e6", "row", "fields", "reason"),
    [
        (POOR, leaf(fee_e6=9_800_001), {}, ForcedReason.FEE_TOO_HIGH),
        (POOR, leaf(fee_e6=-1), {}, ForcedReason.FEE_TOO_HIGH),
        (BROKE, given(fee_e6=1), {}, ForcedReason.FEE_TOO_HIGH),
        (POOR, leaf(ref=engine_ref(OrderKind.FUND, 1)), {}, ForcedReason.WRONG_KIND),
        (POOR, leaf(ref=b"\x66" * 32), {}, ForcedReason.WRONG_KIND),
        (POOR, leaf(), {"lots": 0}, ForcedReason.GROWS),
        (-POOR, leaf(), {"lots": -10}, ForcedReason.GROWS),
        (POOR, leaf(position_lots=-11, notional_e6=1_100 * E6), {}, ForcedReason.GROWS),
        (POOR, leaf(), {"marks": OracleVector(round_number=1)}, ForcedReason.NO_MARK),
        (POOR, leaf(notional_e6=380 * E6 - 6), {}, ForcedReason.BEYOND_BOUND),
        (POOR, given(notional_e6=1_000 * E6 - 12), {}, ForcedReason.BEYOND_BOUND),
        (POOR, given(notional_e6=1_000 * E6 + 12), {}, ForcedReason.NOT_BANKRUPT),
        (BROKE, given(notional_e6=1_050 * E6 + 20), {}, ForcedReason.NOT_BANKRUPT),
        (BROKE, paid(fee_e6=-50 * E6 - 20), {}, ForcedReason.NOT_BANKRUPT),
        (BROKE, paid(fee_e6=0), {}, ForcedReason.BAD_PAYMENT),
        (BROKE, paid(position_lots=1), {}, ForcedReason.BAD_PAYMENT),
        (RICH, leaf(), {}, ForcedReason.TOO_RICH),
    ],
)
def test_refuses_what_the_contract_would_refuse(
    cash_e6: int, row: OrderFill, fields: dict[str, int], reason: ForcedReason
) -> None:
    """The first reason, by its number there."""
    with pytest.raises(NotAllowed) as refused:
        judge(cash_e6, row, **fields)  # type: ignore[arg-type]
    assert refused.value.reason is reason


def test_refuses_a_liquidation_beside_a_deposit() -> None:
    """The account's leaf before the batch does not have it."""
    account = Account(OWNER, POOR, {PERP: (10, 0)})
    with pytest.raises(NotAllowed, match="DEPOSITED"):
        check_forced_leaves({2: account}, [leaf()], MARKS, {2})


@pytest.mark.parametrize("other", [OrderKind.ORDER, OrderKind.QUOTE, OrderKind.ADL])
def test_refuses_leaves_of_several_sorts(other: OrderKind) -> None:
    """An answer proves either signatures or what nobody signed."""
    mixed = leaf(kind=other, ref=engine_ref(OrderKind.ADL, 9), position_lots=-1)
    with pytest.raises(BadOrders, match="several sorts"):
        judge(POOR, leaf(), mixed)


@pytest.mark.parametrize(
    ("cash_e6", "rows"),
    [
        (POOR, [leaf(notional_e6=380 * E6 - 5)]),
        (POOR, [leaf(fee_e6=9_800_000)]),
        (RICH - 1, [leaf()]),
        (POOR, [given(notional_e6=1_000 * E6 - 11)]),
        (BROKE, [given()]),
        (BROKE, [paid()]),
        (BROKE, [given(notional_e6=1_020 * E6), paid(fee_e6=-30 * E6)]),
    ],
)
def test_bounds_themselves_are_allowed(cash_e6: int, rows: list[OrderFill]) -> None:
    """A unit per lot and one more for what marks and prices are rounded by."""
    judge(cash_e6, *rows)


def test_a_short_option_leaves_the_equity_unjudged() -> None:
    """Nothing is known of its margin: a rich account with one is not refused, with a long one it is."""
    judge(RICH, leaf(), calls=-1)
    with pytest.raises(NotAllowed):
        judge(RICH, leaf(), calls=1)


def test_what_users_signed_is_not_looked_at() -> None:
    """Orders alone are the business of their signatures."""
    order = leaf(kind=OrderKind.ORDER, ref=b"\x01" * 32)
    check_forced_leaves({}, [order], MARKS, ())
