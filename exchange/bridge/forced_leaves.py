"""What a batch holds of deleveraging and of payments of the fund: fills, legs and leaves that nobody signed."""

from exchange.domain.liquidations import Deleveraged, FundPaid
from settlement.protocol.batch import Fill, Leg, OrderFill
from settlement.protocol.orders import OrderKind, engine_ref

__all__ = ["deleveraged_fill", "fund_leaf", "fund_leg"]


def deleveraged_fill(event: Deleveraged) -> Fill:
    """Both sides of a deleveraging; the trade's number leads from either to the other."""
    ref = engine_ref(OrderKind.ADL, event.trade)
    sides = ((event.bankrupt.subaccount, OrderKind.LIQUIDATION), (event.counterparty.subaccount, OrderKind.ADL))
    buyer, seller = sides if event.bankrupt_lots > 0 else (sides[1], sides[0])
    return Fill(
        buyer=buyer[0],
        seller=seller[0],
        instrument=event.instrument,
        quantity_lots=abs(event.bankrupt_lots),
        notional_e6=event.notional_e6,
        buyer_fee_e6=0,
        seller_fee_e6=0,
        buyer_ref=ref,
        seller_ref=ref,
        buyer_kind=buyer[1],
        seller_kind=seller[1],
    )


def fund_leg(event: FundPaid) -> Leg:
    """Cash alone: the batch's fees shrink by it."""
    return Leg(account=event.subaccount, instrument=0, position_delta_lots=0, cash_delta_e6=event.amount_e6)


def fund_leaf(event: FundPaid) -> OrderFill:
    """The leaf of a payment of the fund: a fee below zero, under the number of the account's event."""
    return OrderFill(
        account=event.subaccount,
        instrument=0,
        ref=engine_ref(OrderKind.FUND, event.account_seq),
        position_lots=0,
        notional_e6=0,
        fee_e6=-event.amount_e6,
        kind=OrderKind.FUND,
    )
