"""What may happen. Events are the engine's only output: frozen, numbered by their command, packed by `packing`.

`account_seq` counts a subaccount's events from 1 without a gap. Amounts in `_e6` are 1e-6 USDC, signed.
"""

from enum import IntEnum

import msgspec

from exchange.domain.auctions import AuctionEnded, AuctionStarted
from exchange.domain.blocks import BlockEvent
from exchange.domain.commands import ChainRequestKind, OrderFlag, PriceSource, SetPrices, Side, TimeInForce, Trigger
from exchange.domain.instrument import Instrument
from exchange.domain.liquidations import LiquidationEvent
from exchange.domain.market_limits import MarketLimitsSet
from exchange.domain.portfolio import PortfolioEvent
from exchange.domain.quote_events import QuoteEvent
from exchange.domain.result_codes import CloseReason, OrderStatus, ResultCode
from exchange.domain.rounds import RoundEvent
from exchange.domain.safeguards import SafeguardEvent

__all__ = [
    "AccountOpened",
    "BatchClosed",
    "BookLevel",
    "CashMoved",
    "CommandRefused",
    "Event",
    "FillSide",
    "InstrumentListed",
    "ManyCanceled",
    "OrderAccepted",
    "OrderAmended",
    "OrderClosed",
    "OrderEvent",
    "OrderRefused",
    "OrderRepeated",
    "OrderRevised",
    "OrderTriggered",
    "PricesSet",
    "RequestApplied",
    "SelfTradePreventionSet",
    "SessionClosed",
    "SessionKeySet",
    "SessionOpened",
    "Trade",
    "TriggerFailed",
    "TriggerSet",
]


class _Tag(IntEnum):
    ORDER_ACCEPTED = 1
    ORDER_REFUSED = 2
    ORDER_REPEATED = 3
    ORDER_AMENDED = 4
    ORDER_CLOSED = 5
    MANY_CANCELED = 6
    TRADE = 7
    BOOK_LEVEL = 8
    COMMAND_REFUSED = 9
    TRIGGER_SET = 10
    ORDER_TRIGGERED = 11
    TRIGGER_FAILED = 12
    ORDER_REVISED = 13
    ACCOUNT_OPENED = 20
    CASH_MOVED = 21
    SESSION_KEY_SET = 22
    REQUEST_APPLIED = 23
    SESSION_OPENED = 24
    SESSION_CLOSED = 25
    SELF_TRADE_PREVENTION_SET = 26
    BATCH_CLOSED = 30
    PRICES_SET = 40
    INSTRUMENT_LISTED = 41
    # 42 and 43: exchange.domain.auctions; from 50 on: exchange.domain.rounds; from 70 on: exchange.domain.safeguards;
    # from 80 on: exchange.domain.portfolio


class OrderAccepted(
    msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag=_Tag.ORDER_ACCEPTED.value
):
    """An order was accepted; its trades follow. Carries all texts, so that nobody asks the engine for a label."""

    subaccount: int
    account_seq: int
    order: int
    instrument: int
    side: Side
    time_in_force: TimeInForce
    flags: OrderFlag
    price_ticks: int
    """After a post-only slide."""
    quantity_lots: int
    nonce: int
    expiry_s: int
    expires_at_s: int
    max_fee_e18: int
    signer: bytes
    domain: int
    digest: bytes
    signature: bytes
    client_order_id: str
    label: str
    replaces: int
    """Number of the order that this one replaced, 0 for none."""
    display_lots: int = 0
    """Lots that the public sees at a time; 0: all."""


class OrderRefused(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag=_Tag.ORDER_REFUSED.value):
    """An order or cancel was refused. `order`: the number the order would have had, or the order it names (0: none)."""

    subaccount: int
    order: int
    code: ResultCode
    instrument: int = 0
    price_ticks: int = 0
    """POST_ONLY_WOULD_CROSS: best opposite price; else 0."""
    quantity_lots: int = 0
    client_order_id: str = ""
    label: str = ""
    nonce: int = 0


class OrderRepeated(
    msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag=_Tag.ORDER_REPEATED.value
):
    """Same client order id and same body as an order known before: nothing happened, the answer is that order."""

    subaccount: int
    order: int


class OrderAmended(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag=_Tag.ORDER_AMENDED.value):
    """The total quantity of an open order changed; it kept its number."""

    subaccount: int
    account_seq: int
    order: int
    instrument: int
    quantity_lots: int
    remaining_lots: int
    version: int


class OrderRevised(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag=_Tag.ORDER_REVISED.value):
    """A signed amendment: new price or total under the order's own number; from here on fills belong to `digest`."""

    subaccount: int
    account_seq: int
    order: int
    instrument: int
    price_ticks: int
    """After a post-only slide."""
    quantity_lots: int
    remaining_lots: int
    version: int
    nonce: int
    expiry_s: int
    max_fee_e18: int
    signer: bytes
    domain: int
    digest: bytes
    signature: bytes


class TriggerSet(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag=_Tag.TRIGGER_SET.value):
    """An accepted order waits: for its parent (`is_armed` false) or for a price. Again when either changes."""

    subaccount: int
    account_seq: int
    order: int
    instrument: int
    trigger: Trigger
    trigger_e9: int
    """Price at which it fires; 0 for a trailing order that waits for its parent."""
    is_armed: bool


class OrderTriggered(
    msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag=_Tag.ORDER_TRIGGERED.value
):
    """A trigger fired and its order is placed now: its trades, its end or its refusal follow."""

    subaccount: int
    account_seq: int
    order: int
    instrument: int
    price_ticks: int
    """Its limit, after a post-only slide."""
    source: PriceSource
    fired_e9: int
    """The price that fired it."""


class TriggerFailed(
    msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag=_Tag.TRIGGER_FAILED.value
):
    """A triggered order was refused for `code`; its OrderClosed follows."""

    subaccount: int
    account_seq: int
    order: int
    code: ResultCode


class OrderClosed(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag=_Tag.ORDER_CLOSED.value):
    """An order reached its terminal state; `unfilled_lots` will never trade."""

    subaccount: int
    account_seq: int
    order: int
    instrument: int
    status: OrderStatus
    reason: CloseReason
    unfilled_lots: int


class ManyCanceled(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag=_Tag.MANY_CANCELED.value):
    """Answer to CancelMany: how many orders it closed (their OrderClosed events came before)."""

    subaccount: int
    count: int


class FillSide(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """One party of a trade, after it. `ledger_cash_e6` is the settlement ledger's cash: -= q x price x unit + fee."""

    subaccount: int
    account_seq: int
    order: int
    fee_e6: int
    realized_pnl_e6: int
    """Excluding the fee."""
    position_lots: int
    filled_lots: int
    """Of the order, cumulative."""
    remaining_lots: int
    ledger_cash_e6: int
    cash_e6: int
    """Cash as shown to users: realized profit and premium booked, open perpetual cost left out."""


class Trade(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag=_Tag.TRADE.value):
    """One match: two fills. `taker_side` is the taker's direction; the price is the maker's."""

    trade: int
    """Trade number, counted from 1."""
    instrument: int
    price_ticks: int
    quantity_lots: int
    taker_side: Side
    mark_e9: int
    index_e9: int
    maker: FillSide
    taker: FillSide
    is_auction: bool = False
    """An uncross: nobody took; the buyer stands as maker and the seller as taker. Both pay as makers."""


class BookLevel(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag=_Tag.BOOK_LEVEL.value):
    """New total quantity of a price level; 0: the level is gone."""

    instrument: int
    side: Side
    price_ticks: int
    quantity_lots: int


class CommandRefused(
    msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag=_Tag.COMMAND_REFUSED.value
):
    """A command that is no order was refused."""

    code: ResultCode
    detail: int = 0
    """The value that was expected or found, by code."""


class AccountOpened(
    msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag=_Tag.ACCOUNT_OPENED.value
):
    """The first deposit of a new account."""

    subaccount: int
    owner: bytes


class CashMoved(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag=_Tag.CASH_MOVED.value):
    """Deposit (amount > 0) or approved withdrawal (amount < 0)."""

    subaccount: int
    account_seq: int
    request_index: int
    amount_e6: int
    cash_e6: int
    ledger_cash_e6: int


class SessionKeySet(
    msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag=_Tag.SESSION_KEY_SET.value
):
    """A session key was registered or revoked by the chain's queue."""

    owner: bytes
    key: bytes
    valid_to_s: int
    scopes: int
    accounts: tuple[int, ...]
    request_index: int


class RequestApplied(
    msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag=_Tag.REQUEST_APPLIED.value
):
    """Entry `index` of the chain's queue took effect; for WITHDRAW `approved_e6` <= `amount_e6` was debited."""

    index: int
    kind: ChainRequestKind
    account: int
    amount_e6: int
    approved_e6: int
    owner: bytes


class SessionOpened(
    msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag=_Tag.SESSION_OPENED.value
):
    """A login got its number."""

    session: int
    owner: bytes
    signer: bytes


class SessionClosed(
    msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag=_Tag.SESSION_CLOSED.value
):
    """A session ended."""

    session: int


class SelfTradePreventionSet(
    msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag=_Tag.SELF_TRADE_PREVENTION_SET.value
):
    """An account chose its mode and scope."""

    subaccount: int
    mode: OrderFlag
    by_owner: bool


class BatchClosed(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag=_Tag.BATCH_CLOSED.value):
    """A settlement batch is complete: everything between the previous BatchClosed and this event belongs to `batch`.

    The engine closes a batch at a BatchCut, and by itself before a fill that would pass a cap of the batch format, so
    the content of every batch is a function of the journal.
    """

    batch: int
    first_sequence: int
    last_sequence: int
    match_from_s: int
    match_to_s: int
    request_up_to: int
    fee_e6: int
    """Sum of all fees of the batch's fills: what account 0 gains."""
    fill_count: int


class PricesSet(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag=_Tag.PRICES_SET.value):
    """A round of prices took effect; `halted` names the underlyings whose markets only reduce behind it, ascending."""

    prices: SetPrices
    halted: tuple[str, ...] = ()


class InstrumentListed(
    msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag=_Tag.INSTRUMENT_LISTED.value
):
    """A new instrument is tradable."""

    instrument: Instrument


OrderEvent = (
    OrderAccepted | OrderRefused | OrderRepeated | OrderAmended | OrderRevised | OrderClosed | TriggerSet
    | OrderTriggered | TriggerFailed
)  # fmt: skip
"""Events of one order, named by `order`."""
Event = (
    OrderEvent | ManyCanceled | Trade | BookLevel | CommandRefused | AccountOpened | CashMoved | SessionKeySet
    | RequestApplied | SessionOpened | SessionClosed | SelfTradePreventionSet | BatchClosed | PricesSet
    | InstrumentListed | QuoteEvent | AuctionStarted | AuctionEnded | RoundEvent | LiquidationEvent | SafeguardEvent
    | PortfolioEvent | MarketLimitsSet | BlockEvent
)  # fmt: skip
