"""What happens to one subaccount: events by party, each with the view of its order that private streams show.

The engine counts a subaccount's events without a gap (`account_seq`), also across restarts.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from exchange.domain.events import (
    CashMoved,
    Event,
    OrderAccepted,
    OrderAmended,
    OrderClosed,
    OrderRevised,
    OrderTriggered,
    Trade,
    TriggerFailed,
    TriggerSet,
)
from exchange.domain.liquidations import (
    AuctionTaken,
    Deleveraged,
    DeleveragedSide,
    FundPaid,
    LiquidationEnded,
    LiquidationStarted,
)
from exchange.domain.quote_events import MmpConfigured, MmpReset, MmpTriggered, QuotePlaced
from exchange.domain.rounds import AccountTakenOver, FundingPaid, PositionExpired
from exchange.domain.views import OrderView

__all__ = ["ACCOUNT_EVENTS", "AccountEvent", "account_events_of", "misses_view"]

_OF_ORDERS: Final = frozenset(
    {OrderAccepted, OrderAmended, OrderRevised, OrderClosed, TriggerSet, OrderTriggered, TriggerFailed, QuotePlaced}
)
_OTHERS: Final = frozenset(
    {
        CashMoved,
        FundingPaid,
        PositionExpired,
        AccountTakenOver,
        MmpTriggered,
        MmpReset,
        MmpConfigured,
        LiquidationStarted,
        LiquidationEnded,
        FundPaid,
        AuctionTaken,
    }
)
ACCOUNT_EVENTS: Final[frozenset[type]] = _OF_ORDERS | _OTHERS | {Trade, Deleveraged}
"""Types of events that belong to a subaccount."""


class AccountEvent(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One event of a subaccount. `view`: its order after the command; `is_maker`: whose side of a trade it is.

    `side`: whose side of a deleveraging it is.
    """

    account_seq: int
    sequence: int
    timestamp_ns: int
    event: (
        OrderAccepted | OrderAmended | OrderRevised | OrderClosed | TriggerSet | OrderTriggered | TriggerFailed
        | QuotePlaced | CashMoved | FundingPaid | PositionExpired | AccountTakenOver | MmpTriggered | MmpReset
        | MmpConfigured | LiquidationStarted | LiquidationEnded | FundPaid | AuctionTaken | Trade | Deleveraged
    )  # fmt: skip
    view: OrderView | None = None
    is_maker: bool = False
    side: DeleveragedSide | None = None


def account_events_of(
    event: Event, *, sequence: int, timestamp_ns: int, orders: Mapping[int, OrderView]
) -> tuple[tuple[int, AccountEvent], ...]:
    """(subaccount, its event) for each party of one of ACCOUNT_EVENTS; `orders` are as the command left them."""
    row: Any = event
    if type(event) is Trade:
        maker, taker = event.maker, event.taker
        return (
            (
                maker.subaccount,
                AccountEvent(maker.account_seq, sequence, timestamp_ns, event, orders.get(maker.order), is_maker=True),
            ),
            (
                taker.subaccount,
                AccountEvent(taker.account_seq, sequence, timestamp_ns, event, orders.get(taker.order)),
            ),
        )
    if type(event) is Deleveraged:
        return tuple(
            (side.subaccount, AccountEvent(side.account_seq, sequence, timestamp_ns, event, side=side))
            for side in (event.bankrupt, event.counterparty)
        )
    view = orders.get(row.order) if type(event) in _OF_ORDERS else None
    return ((row.subaccount, AccountEvent(row.account_seq, sequence, timestamp_ns, row, view)),)


def misses_view(row: AccountEvent) -> bool:
    """Whether an event of an order does not know that order: it cannot be shown as it was."""
    return row.view is None and (type(row.event) is Trade or type(row.event) in _OF_ORDERS)
