"""Tests of settlement.protocol.netting."""

import pytest

from settlement.protocol.netting import Fill, Leg, NetDeltas, Unbalanced, legs_of, net, net_fills, order_fills_of


def leg(account: int, instrument: int, lots: int, cash_e6: int) -> Leg:
    """Return a leg by position."""
    return Leg(account=account, instrument=instrument, position_delta_lots=lots, cash_delta_e6=cash_e6)


def fill(buyer: int, seller: int, lots: int, notional_e6: int, instrument: int = 1) -> Fill:
    """Return a fill whose buyer pays 3 and whose maker gets 1 back."""
    return Fill(
        buyer=buyer,
        seller=seller,
        instrument=instrument,
        quantity_lots=lots,
        notional_e6=notional_e6,
        buyer_fee_e6=3,
        seller_fee_e6=-1,
        buyer_ref=bytes([buyer]) * 32,
        seller_ref=bytes([seller]) * 32,
    )


def test_one_sided_legs_are_refused() -> None:
    """Lots that come from nowhere raise, whatever the cash says."""
    with pytest.raises(Unbalanced, match="instrument 1: position deltas sum to 5"):
        net([leg(2, 1, 5, 0)])


@pytest.mark.parametrize("fee_e6", [0, 1, -2, 3])
def test_cash_must_sum_to_minus_the_fee(fee_e6: int) -> None:
    """One unit too much or too little raises, also when all cash is zero."""
    deltas = net_fills([fill(2, 3, 5, 100)])
    deltas.check(2)
    with pytest.raises(Unbalanced):
        deltas.check(fee_e6)
    with pytest.raises(Unbalanced):
        NetDeltas({}, {}).check(1)


def test_fill_moves_lots_and_cash() -> None:
    """The buyer gets lots and pays notional and fee; the seller's rebate is paid by the venue."""
    deltas = net_fills([fill(2, 3, 5, 100)])
    assert deltas.cash_e6 == {2: -103, 3: 101}
    assert deltas.positions_lots == {(2, 1): 5, (3, 1): -5}
    assert deltas.fee_e6 == 2


def test_zero_cells_are_dropped() -> None:
    """A position that was opened and closed leaves cash alone; an account without any effect leaves nothing."""
    deltas = net([leg(2, 1, 5, -10), leg(3, 1, -5, 10), leg(2, 1, -5, 12), leg(3, 1, 5, -12), leg(4, 1, 0, 0)])
    assert deltas.positions_lots == {}
    assert deltas.cash_e6 == {2: 2, 3: -2}


def test_account_with_positions_stays_listed_at_zero_cash() -> None:
    """The position cell needs its account."""
    deltas = net([leg(2, 1, 5, 0), leg(3, 1, -5, 0)])
    assert deltas.cash_e6 == {2: 0, 3: 0}


def test_touching_adds_accounts_without_effect() -> None:
    """An account with a consumed request is listed at zero cash."""
    deltas = net_fills([fill(2, 3, 5, 100)]).touching([3, 9])
    assert deltas.cash_e6 == {2: -103, 3: 101, 9: 0}


def test_fast_path_equals_legs() -> None:
    """Fills net to the same as their legs, self-trades included."""
    fills = [fill(2, 3, 5, 100), fill(3, 2, 2, 50), fill(4, 4, 7, 10), fill(2, 3, 1, 9, instrument=8)]
    assert net([leg for row in fills for leg in legs_of(row)]) == net_fills(fills)


def test_order_fills_sum_per_order() -> None:
    """An order that met two counterparties has one row; its cash effect is that of its legs."""
    fills = [fill(2, 3, 5, 100), fill(2, 4, 1, 20)]
    rows = order_fills_of(fills)
    assert [(row.account, row.position_lots, row.notional_e6, row.fee_e6) for row in rows] == [
        (2, 6, 120, 6),
        (3, -5, 100, -1),
        (4, -1, 20, -1),
    ]
    cash_e6 = {row.account: row.cash_effect_e6 for row in rows}
    assert cash_e6 == net_fills(fills).cash_e6
