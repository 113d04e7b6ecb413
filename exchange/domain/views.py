"""What may be read: questions to the exchange and frozen answers. A question changes nothing, nobody journals it."""

from typing import Any

import msgspec

from exchange.domain.auction_views import AuctionView, GetAuctions
from exchange.domain.commands import MarkRow, OrderFlag, Place, Side, TimeInForce, Trigger
from exchange.domain.events import Event
from exchange.domain.instrument import Instrument
from exchange.domain.market_limits import GetOpenInterest, OpenInterestView
from exchange.domain.portfolio import MarginKind
from exchange.domain.result_codes import CloseReason, OrderStatus, ResultCode
from exchange.domain.safeguards import KeyLimits

__all__ = [
    "AccountView",
    "Answer",
    "BookView",
    "ExpiryView",
    "GetAccount",
    "GetBook",
    "GetExpiries",
    "GetInstruments",
    "GetMmpGroups",
    "GetOpenOrders",
    "GetOrder",
    "GetPrices",
    "GetSummary",
    "GetTriggerOrders",
    "GetWallet",
    "MmpGroupView",
    "OrderView",
    "Output",
    "PositionView",
    "PreviewOrder",
    "PreviewView",
    "PricesView",
    "Query",
    "SessionKeyView",
    "SimulateAccount",
    "SimulationView",
    "SummaryView",
    "Unanswered",
    "WalletView",
]


class OrderView(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An order as it is now. `filled_notional_e6` / filled size is the average price; `fee_e6` all fees so far."""

    order: int
    subaccount: int
    instrument: int
    side: Side
    time_in_force: TimeInForce
    flags: OrderFlag
    price_ticks: int
    quantity_lots: int
    filled_lots: int
    filled_notional_e6: int
    fee_e6: int
    status: OrderStatus
    reason: CloseReason
    nonce: int
    expiry_s: int
    expires_at_s: int
    max_fee_e18: int
    signer: bytes
    signature: bytes
    client_order_id: str
    label: str
    created_ns: int
    updated_ns: int
    version: int
    replaces: int
    trigger: Trigger | None = None
    trigger_e9: int = 0
    """Price at which it fires, or fired; a trailing order's follows its extreme and is 0 until its parent fills."""
    refusal: ResultCode = ResultCode.OK
    """Why the order was refused when its trigger fired."""
    display_lots: int = 0
    """Lots of an iceberg that the public sees at a time; 0: all."""


class PositionView(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A position. `cost_e6`: signed notional paid for what is open (entry price = cost / size)."""

    instrument: int
    position_lots: int
    cost_e6: int
    mark_e9: int
    realized_pnl_e6: int
    fee_e6: int
    initial_requirement_e6: int
    maintenance_requirement_e6: int
    opened_ns: int
    funding_e6: int = 0
    """Paid (< 0) or received since the position was opened."""
    pending_funding_e6: int = 0
    """Due since the last oracle round that charged it, rounded down; equity counts it already."""
    liquidation_ticks: int = 0
    """Of a perpetual: where the account falls below maintenance if only this price moves; 0: nowhere."""
    adl_rank: int = 0
    """1 (deleveraged last) to 5 (first) among those on the same side; 0: not known yet, ask again."""


class AccountView(msgspec.Struct, frozen=True, kw_only=True):
    """A subaccount. Requirements are positive; `initial_requirement_e6` excludes the open orders' part."""

    subaccount: int
    owner: bytes
    cash_e6: int
    ledger_cash_e6: int
    equity_e6: int
    positions_value_e6: int
    initial_requirement_e6: int
    maintenance_requirement_e6: int
    open_orders_requirement_e6: int
    positions: tuple[PositionView, ...]
    account_seq: int
    opened_ns: int
    is_in_liquidation: bool = False
    margin_kind: MarginKind = MarginKind.STANDARD


class SessionKeyView(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A registered key of an owner."""

    key: bytes
    valid_to_s: int
    scopes: int
    accounts: tuple[int, ...]
    registered_ns: int


class WalletView(msgspec.Struct, frozen=True, kw_only=True):
    """Everything of one owner address."""

    owner: bytes
    subaccounts: tuple[int, ...]
    keys: tuple[SessionKeyView, ...]
    limits: tuple[tuple[bytes, KeyLimits], ...] = ()
    """Limits by key; a key may still be on its way through the chain's queue."""
    cancels_on_disconnect: bool = False


class BookView(msgspec.Struct, frozen=True, kw_only=True):
    """Levels best first: (price_ticks, quantity_lots, order count)."""

    instrument: int
    bids: tuple[tuple[int, int, int], ...]
    asks: tuple[tuple[int, int, int], ...]
    auction_deadline_ns: int = 0
    """When the call auction ends that the instrument is in; 0: it trades continuously."""


class PricesView(msgspec.Struct, frozen=True, kw_only=True):
    """Latest prices: index by underlying, forward by (underlying, expiry_s), mark row by instrument."""

    round: int
    timestamp_ns: int
    index_e9: dict[str, int]
    forward_e9: dict[tuple[str, int], int]
    marks: dict[int, MarkRow]
    oracle_round: int = 0
    rates_e9: dict[int, int] = {}
    """Funding rate per 8 hours by perpetual."""
    index_ns: dict[str, int] = {}
    mark_ns: dict[int, int] = {}
    confidence_ppm: dict[str, int] = {}
    halted: tuple[str, ...] = ()
    """Underlyings without an index that can be trusted, ascending."""


class ExpiryView(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A settled expiry: its price, and whether every position in its options has become cash."""

    underlying: str
    expiry_s: int
    price_e9: int
    is_paid: bool


class MmpGroupView(msgspec.Struct, frozen=True, kw_only=True):
    """A protection group: limits as in SetMmpConfig, and whether it is frozen."""

    mmp_group: int
    underlying: str
    lot_e9: int
    interval_ns: int
    frozen_ns: int
    quantity_lots: int
    delta_e9: int
    vega_e9: int
    count: int
    is_frozen: bool
    thaw_ns: int


class PreviewView(msgspec.Struct, frozen=True, kw_only=True):
    """What an order would do to the book and to its account as they stand; margins as the pre-trade check has them."""

    code: ResultCode
    """First failing code, OK when it would be taken; with another the account stays as it is."""
    status: OrderStatus
    fills: tuple[tuple[int, int], ...]
    """(price_ticks, lots) by price, best first."""
    fee_e6: int
    """Rounded up for each price; the real one is rounded for each resting order that is met."""
    realized_pnl_e6: int
    """Of what the fills close, fees left out, rounded down."""
    margin_e6: int
    """Initial margin left after the worst fill of everything open, before the order; rounded down."""
    margin_after_e6: int
    liquidation_ticks: int = 0
    """Of a perpetual, after the fills; 0: nowhere."""


class SimulationView(msgspec.Struct, frozen=True, kw_only=True):
    """The positions of an account with hypothetical changes, and what its kind of margin says of them."""

    portfolio: dict[str, Any]
    """`exchange.risk.standard.Portfolio` as plain data: every number that the result depends on, with `parameters`.

    With Portfolio Margin `exchange.risk.scenario_portfolio.ScenarioPortfolio`.
    """
    parameters: dict[str, Any]
    """`StandardParameters` or `PortfolioParameters` of `exchange.risk` as plain data."""
    pending_funding_e18: int
    """Funding that is due, in 1e-18 USDC; part of equity, and no part of the portfolio's cash."""
    open_orders_requirement_e6: int
    """Of the orders that are really open, against the positions that are really held."""
    equity_e6: int
    initial_requirement_e6: int
    maintenance_requirement_e6: int
    margin_kind: MarginKind = MarginKind.STANDARD


class SummaryView(msgspec.Struct, frozen=True, kw_only=True):
    """The state in numbers, for status lines, hashes and the bridge's start."""

    sequence: int
    timestamp_ns: int
    state_hash: bytes
    open_order_count: int
    account_count: int
    trade_count: int
    open_batch: int
    """Number of the batch that is being filled."""
    open_batch_fill_count: int
    request_index: int
    price_round: int
    open_batch_expired_count: int = 0
    """Positions that became cash in it."""


class GetOrder(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """-> OrderView | None. By number, client order id or nonce; also closed orders that are still remembered."""

    subaccount: int
    order: int = 0
    client_order_id: str = ""
    nonce: int = 0


class GetOpenOrders(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """-> tuple[OrderView, ...] by ascending number."""

    subaccount: int


class GetTriggerOrders(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """-> tuple[OrderView, ...] by ascending number: what waits for a trigger."""

    subaccount: int


class GetAccount(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """-> AccountView | None."""

    subaccount: int


class GetMmpGroups(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """-> tuple[MmpGroupView, ...] by ascending number."""

    subaccount: int


class GetWallet(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """-> WalletView | None."""

    owner: bytes


class GetBook(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """-> BookView | None (unknown instrument)."""

    instrument: int
    levels: int = 20


class PreviewOrder(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """-> PreviewView | None (unknown subaccount). What `place` would do now; names, nonce, signature do not count."""

    place: Place


class SimulateAccount(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """-> SimulationView | None (unknown subaccount). KeyError for an instrument without a mark.

    `changes`: (instrument, signed lots, price_ticks) bought or sold at that price without fees, 0 ticks: at the mark.
    """

    subaccount: int
    changes: tuple[tuple[int, int, int], ...] = ()


class GetInstruments(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """-> tuple[Instrument, ...] by ascending id: what is listed, or instead what was taken off the list."""

    is_delisted: bool = False


class GetExpiries(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """-> tuple[ExpiryView, ...] by underlying and expiry: what is settled."""


class GetPrices(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """-> PricesView."""


class GetSummary(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """-> SummaryView. `with_hash` computes the state hash (slow)."""

    with_hash: bool = False


class Unanswered(msgspec.Struct, frozen=True, kw_only=True):
    """Instead of an answer, where finding one failed: a fault of ours, after which the state is as it was."""


Query = (
    GetOrder
    | GetOpenOrders
    | GetTriggerOrders
    | GetAccount
    | GetMmpGroups
    | GetWallet
    | GetBook
    | PreviewOrder
    | SimulateAccount
    | GetInstruments
    | GetExpiries
    | GetPrices
    | GetSummary
    | GetAuctions
    | GetOpenInterest
)
Answer = (
    OrderView
    | tuple[OrderView, ...]
    | AccountView
    | tuple[MmpGroupView, ...]
    | WalletView
    | BookView
    | PreviewView
    | SimulationView
    | tuple[Instrument, ...]
    | tuple[ExpiryView, ...]
    | PricesView
    | SummaryView
    | tuple[AuctionView, ...]
    | tuple[OpenInterestView, ...]
    | Unanswered
    | None
)


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """What one command produced. `orders` holds, right after the command, every order it touched."""

    sequence: int
    timestamp_ns: int
    events: tuple[Event, ...]
    orders: dict[int, OrderView]
