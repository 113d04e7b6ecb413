"""What every method answers and every channel carries, as types: the source of the published API documents.

Objects with a name of their own are the types that are encoded; `TypedDict`s describe the plain mappings that handlers
build. The tests' client checks every reply and every item against the documents made from this table.
"""

from typing import Any, Final, Literal, NotRequired, TypedDict

from exchange.domain.result_codes import CloseReason
from exchange.wire import objects as o
from exchange.wire.book_frames import BookChange, BookHeartbeat, BookSnapshot, OrderBookFrame, TextLevel
from exchange.wire.channels import Channel
from exchange.wire.option_chain import ChainExpiry, ChainRow, OptionChain
from exchange.wire.order_shapes import CANCEL_REASONS, ORDER_STATUSES
from exchange.wire.preview_shapes import OrderQuote
from exchange.wire.quote_objects import QuoteResult

__all__ = ["CLOSED", "ITEMS", "RESULTS", "item_pattern"]

Ok = Literal["ok"]


class Pagination(TypedDict):
    """Of the whole list, not of the page."""

    count: int
    num_pages: int


class AcceptedSeparator(TypedDict):
    """A signing domain that is accepted."""

    separator: str
    name: str
    trade_only: bool


class Info(TypedDict):
    """What this server is; times in milliseconds."""

    env: str
    chain_id: int
    domain_separator: str
    accepted_separators: list[AcceptedSeparator]
    settlement_contract: str
    subaccount_base: int
    schema_version: str
    server_version: str
    modules: dict[str, str]
    started_at: int
    chain: str
    degraded: bool
    reason: str


class Instruments(TypedDict):
    """A page of instruments."""

    instruments: list[o.InstrumentObject]
    pagination: Pagination


class Tickers(TypedDict):
    """Tickers by instrument name."""

    tickers: dict[str, o.Ticker]


class PublicTrades(TypedDict):
    """A page of public trades, newest first; a maker's and a taker's row of each."""

    trades: list[o.PublicTrade]
    pagination: Pagination


class Candle(TypedDict):
    """A bar; its begin in seconds."""

    timestamp: int
    timestamp_bucket: int
    open_price: str
    high_price: str
    low_price: str
    close_price: str
    volume_contracts: str
    volume_usd: str


class FundingRate(TypedDict):
    """Hourly rates of a period, its begin in milliseconds."""

    timestamp: int
    funding_rate: str
    open: str
    high: str
    low: str
    close: str
    currency: str
    risk_universe_id: int


class FundingRates(TypedDict):
    """Oldest first."""

    funding_rate_history: list[FundingRate]


class SettlementPrice(TypedDict):
    """Of an expiry; null before it was paid."""

    expiry_date: str
    utc_expiry_sec: int
    price: str | None


class SettlementPrices(TypedDict):
    """Of a currency's options."""

    expiries: list[SettlementPrice]


class OrderBook(TypedDict):
    """Best levels, and the `seq` that `book.*` channels count."""

    instrument_name: str
    timestamp: int
    seq: int
    bids: list[TextLevel]
    asks: list[TextLevel]
    checksum: int


class BucketState(TypedDict):
    """A budget as rate limiters of clients know it."""

    remainingPoints: int
    msBeforeNext: int
    consumedPoints: int
    isFirstInDuration: bool


class RateLimits(TypedDict):
    """What is left of two budgets."""

    remaining_matching: BucketState
    remaining_non_matching: BucketState
    remaining_per_endpoint: dict[str, BucketState]
    remaining_connections: None


class BudgetLimit(TypedDict):
    """A token bucket."""

    per_second: int
    burst: int


class MethodLimit(TypedDict):
    """What a method is charged."""

    bucket: str
    cost: int
    socket_only: bool


class Limits(TypedDict):
    """Every limit of this server."""

    budgets: dict[str, BudgetLimit]
    methods: dict[str, MethodLimit]
    max_frame_bytes: int
    channels_per_socket: int
    sockets_per_ip: int
    unanswered_requests: int
    max_page_size: int
    max_quote_lines: int


class SignatureCheck(TypedDict):
    """Who signed an order, and under which domain."""

    digest: str
    domain_separator: str
    recovered: str | None
    expected: str
    matches: bool
    matched_domain: str | None


class SignedOrderData(TypedDict):
    """The signed part of an order."""

    asset: str
    sub_id: str
    limit_price: str
    amount: str
    max_fee_e18: str
    recipient_id: int
    is_bid: bool
    nonce: str
    expiry: int
    signer: str


class OrderDebug(TypedDict):
    """Every hash on the way to an order's digest."""

    action_hash: str
    action_typehash: str
    domain_separator: str
    encoded_data: str
    encoded_data_hashed: str
    typed_data_hash: str
    expected_signer: str
    recovered_signer: str | None
    module: str
    owner: str
    input_data: SignedOrderData


class Batches(TypedDict):
    """Oldest first."""

    batches: list[o.BatchRow]


class Subscribed(TypedDict):
    """`ok` or the reason of a refusal per channel; `account_seq` of private streams: where they stand."""

    status: dict[str, str]
    current_subscriptions: list[str]
    account_seq: NotRequired[dict[str, int]]


class Unsubscribed(TypedDict):
    """`ok` or the reason of a refusal per channel."""

    status: dict[str, str]
    remaining_subscriptions: list[str]


class Empty(TypedDict):
    """Nothing."""


class Version(TypedDict):
    """Of the server."""

    version: str


class OrderAndTrades(TypedDict):
    """An order after a command and its fills in it."""

    order: o.Order
    trades: list[o.Trade]


class CodeAndMessage(TypedDict):
    """An error inside a result."""

    code: int
    message: str


class Replaced(TypedDict):
    """The old order, and the new one or why there is none."""

    cancelled_order: o.Order | None
    order: o.Order | None
    trades: list[o.Trade]
    create_order_error: CodeAndMessage | None


class Quotes(TypedDict):
    """What became of each side. Quotes are post-only, so `trades` is empty."""

    quotes: list[QuoteResult]
    trades: list[o.Trade]


class CancelledCount(TypedDict):
    """How many orders a filter cancelled."""

    cancelled_orders: int


class Simulation(TypedDict):
    """Margins as what is left, requirements positive; `inputs` are the exact integers of the computation."""

    subaccount_id: int
    subaccount_value: str
    initial_margin: str
    maintenance_margin: str
    positions_initial_requirement: str
    positions_maintenance_requirement: str
    open_orders_requirement: str
    inputs: dict[str, Any]


class Margins(TypedDict):
    """Before and after a change of positions."""

    subaccount_id: int
    is_valid_trade: bool
    pre_initial_margin: str
    post_initial_margin: str
    pre_maintenance_margin: str
    post_maintenance_margin: str


class Orders(TypedDict):
    """Open orders of a subaccount."""

    subaccount_id: int
    orders: list[o.Order]


class OrderPage(Orders):
    """A page of orders, newest first."""

    pagination: Pagination


class TradePage(TypedDict):
    """A page of own fills, newest first."""

    trades: list[o.Trade]
    pagination: Pagination
    subaccount_id: int


class Positions(TypedDict):
    """Open positions of a subaccount."""

    subaccount_id: int
    positions: list[o.Position]


class Collaterals(TypedDict):
    """Collateral of a subaccount."""

    subaccount_id: int
    collaterals: list[o.Collateral]


class Subaccounts(TypedDict):
    """Of a wallet."""

    wallet: str
    subaccount_ids: list[int]


class FeeInfo(TypedDict):
    """Discounts and fees of a wallet of its own; null: the instrument's."""

    base_fee_discount: str
    rfq_maker_discount: str
    rfq_taker_discount: str
    option_maker_fee: str | None
    option_taker_fee: str | None
    perp_maker_fee: str | None
    perp_taker_fee: str | None
    spot_maker_fee: str | None
    spot_taker_fee: str | None


class Account(Subaccounts):
    """A wallet."""

    fallback_subaccount_id: int
    cancel_on_disconnect: bool
    is_rfq_maker: bool
    fee_info: FeeInfo
    websocket_matching_tps: int
    websocket_non_matching_tps: int
    websocket_option_tps: int
    websocket_perp_tps: int
    per_endpoint_tps: dict[str, int]
    whitelisted_recipients: list[str]


class SessionKey(TypedDict):
    """A delegated signer; times in seconds."""

    public_session_key: str
    expiry_sec: int
    protocol_scopes: list[str]
    offchain_scopes: list[str]
    subaccount_ids: list[int]
    ip_whitelist: list[str]
    label: str
    registered_sec: int


class SessionKeys(TypedDict):
    """Of a wallet."""

    public_session_keys: list[SessionKey]


class Relayed(TypedDict):
    """An owner's action on its way to the chain."""

    op_uuid: str
    operation_id: str
    tx_hash: str


class SelfTradePrevention(TypedDict):
    """The mode that was set."""

    subaccount_id: int
    mode: str
    scope: str


class MmpGroup(TypedDict):
    """Limits of a protection group, times in milliseconds; `set_mmp_config` does not say whether it is frozen."""

    subaccount_id: int
    currency: str
    mmp_group: int
    mmp_interval: int
    mmp_frozen_time: int
    mmp_amount_limit: str
    mmp_delta_limit: str
    mmp_vega_limit: str
    mmp_count_limit: int
    is_frozen: NotRequired[bool]
    mmp_unfreeze_time: NotRequired[int]


class Transfer(TypedDict):
    """A deposit or withdrawal; the last two members are a withdrawal's."""

    asset: str
    amount: str
    timestamp: int
    fee: str
    batch_status: str
    batch_uuid: str | None
    operation_id: str
    tx_hash: str
    state: str
    recipient: NotRequired[str]
    erc20_address: NotRequired[str | None]


class Deposits(TypedDict):
    """Newest last."""

    deposits: list[Transfer]


class Withdrawals(TypedDict):
    """Newest last."""

    withdrawals: list[Transfer]


class TickerItem(TypedDict):
    """A ticker and whose it is."""

    timestamp: int
    instrument_ticker: o.Ticker
    instrument_name: str


class ChainItem(TypedDict):
    """A whole chain, or the rows of it that changed since `prev_seq`; `removed` names options that left."""

    type: Literal["snapshot", "change"]
    seq: int
    prev_seq: int | None
    currency: str
    timestamp: int
    index_price: str | None
    model: str
    expiries: list[ChainExpiry]
    rows: list[ChainRow]
    null_reasons: dict[str, str]
    removed: list[str]


class AccountItem(TypedDict):
    """One event of a subaccount; the members behind `kind` depend on it."""

    account_seq: int
    sequence: int
    timestamp: int
    kind: Literal[
        "order", "fill", "deposit", "withdrawal", "transfer", "funding", "expiry", "mmp_trigger", "mmp_reset",
        "mmp_config", "liquidation", "adl",
    ]  # fmt: skip
    event: NotRequired[str]
    order_id: NotRequired[str]
    client_order_id: NotRequired[str]
    instrument_name: NotRequired[str]
    order: NotRequired[o.Order]
    trade: NotRequired[o.Trade]
    error: NotRequired[CodeAndMessage]
    amount: NotRequired[str]
    cash: NotRequired[str]
    asset: NotRequired[str]
    position: NotRequired[str]
    notional: NotRequired[str]
    mark_price: NotRequired[str]
    realized_pnl: NotRequired[str]
    role: NotRequired[Literal["bankrupt", "counterparty"]]
    mmp_group: NotRequired[int]
    limit: NotRequired[str]
    filled_amount: NotRequired[str]
    mmp_unfreeze_time: NotRequired[int]
    is_due: NotRequired[bool]
    currency: NotRequired[str]
    mmp_amount_limit: NotRequired[str]
    subaccount_value: NotRequired[str]
    maintenance_requirement: NotRequired[str]
    stage: NotRequired[str]
    price: NotRequired[str]


RESULTS: Final[dict[str, Any]] = {
    "public/get_time": int,
    "public/get_info": Info,
    "public/get_all_currencies": list[o.Currency],
    "public/get_currency": o.Currency,
    "public/get_all_instruments": Instruments,
    "public/get_instruments": list[o.InstrumentObject],
    "public/get_all_live_instruments": list[str],
    "public/get_instrument": o.InstrumentObject,
    "public/get_ticker": o.Ticker,
    "public/get_tickers": Tickers,
    "public/get_trade_history": PublicTrades,
    "public/get_tradingview_chart_data": list[Candle],
    "public/get_funding_rate_history": FundingRates,
    "public/get_option_settlement_prices": SettlementPrices,
    "public/get_order_book": OrderBook,
    "public/get_option_chain": OptionChain,
    "public/getRateLimits": RateLimits,
    "public/get_limits": Limits,
    "public/check_signature": SignatureCheck,
    "public/get_batches": Batches,
    "public/get_batch": o.BatchRow,
    "public/login": list[int],
    "subscribe": Subscribed,
    "unsubscribe": Unsubscribed,
    "ping": Empty,
    "public/test": Version,
    "public/set_heartbeat": Ok,
    "public/disable_heartbeat": Ok,
    "private/order": OrderAndTrades,
    "private/replace": Replaced,
    "private/edit": OrderAndTrades,
    "private/mass_quote": Quotes,
    "private/order_debug": OrderDebug,
    "private/order_quote": OrderQuote,
    "private/simulate": Simulation,
    "private/get_margin": Margins,
    "private/cancel": o.Order,
    "private/cancel_by_label": CancelledCount,
    "private/cancel_by_nonce": CancelledCount,
    "private/cancel_by_instrument": CancelledCount,
    "private/cancel_by_client_order_id": o.Order,
    "private/cancel_all": Ok,
    "private/cancel_trigger_order": o.Order,
    "private/cancel_all_trigger_orders": Ok,
    "private/get_order": o.Order,
    "private/get_orders": OrderPage,
    "private/get_open_orders": Orders,
    "private/get_trigger_orders": Orders,
    "private/get_algo_orders": list[o.Order],
    "private/get_order_history": OrderPage,
    "private/get_trade_history": TradePage,
    "private/get_positions": Positions,
    "private/get_collaterals": Collaterals,
    "private/get_subaccount": o.Subaccount,
    "private/get_subaccounts": Subaccounts,
    "private/get_all_portfolios": list[o.Subaccount],
    "private/get_account": Account,
    "private/session_keys": SessionKeys,
    "private/set_session_key": SessionKey,
    "private/withdraw": Relayed,
    "private/set_self_trade_prevention": SelfTradePrevention,
    "private/set_mmp_config": MmpGroup,
    "private/get_mmp_config": list[MmpGroup],
    "private/reset_mmp": Ok,
    "private/set_cancel_on_disconnect": Ok,
    "private/get_deposit_history": Deposits,
    "private/get_withdrawal_history": Withdrawals,
    "private/logout": Ok,
}

ITEMS: Final[dict[str, Any]] = {
    "orderbook.{instrument_name}.{group}.{depth}": OrderBookFrame,
    "book.{instrument_name}.{interval}": BookSnapshot | BookChange | BookHeartbeat,
    "ticker_slim.{instrument_name}.{interval}": TickerItem,
    "trades.{instrument_name}": list[o.TradeItem],
    "trades.{instrument_type}.{currency}": list[o.TradeItem],
    "option_chain.{currency}.{expiry}.{interval}": ChainItem,
    "batches": o.BatchRow,
    "{subaccount_id}.account": AccountItem,
    "{subaccount_id}.orders": list[o.Order],
    "{subaccount_id}.trades": list[o.Trade],
    "{subaccount_id}.balances": list[o.BalanceUpdate],
}
"""Data of a channel's items, by the pattern of its name."""

_DIRECTIONS: Final = ("buy", "sell")
_ROLES: Final = ("maker", "taker")
CLOSED: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "Order": {
        "direction": _DIRECTIONS,
        "order_type": ("limit", "market"),
        "time_in_force": ("gtc", "post_only", "ioc", "fok"),
        "order_status": tuple(ORDER_STATUSES.values()),
        "cancel_reason": tuple(dict.fromkeys(CANCEL_REASONS.values())),
        "reason_code": ("", *(reason.name.lower() for reason in CloseReason if reason)),
    },
    "Trade": {"direction": _DIRECTIONS, "liquidity_role": _ROLES},
    "PublicTrade": {"direction": _DIRECTIONS, "liquidity_role": _ROLES},
    "TradeItem": {"direction": _DIRECTIONS},
    "QuoteResult": {"direction": _DIRECTIONS, "status": ("placed", "replaced", "unchanged", "pulled", "rejected")},
    "BalanceUpdate": {
        "update_type": ("trade", "asset_deposit", "asset_withdrawal", "liquidation", "liquidator"),
    },
    "InstrumentObject": {"instrument_type": ("perp", "option", "erc20")},
    "OptionDetails": {"option_type": ("C", "P")},
}
"""Texts of which there are no others, by object and member (P19)."""


def item_pattern(channel: Channel) -> str:
    """Return the key of `ITEMS` for a parsed channel."""
    if channel.is_private:
        return f"{{subaccount_id}}.{channel.kind}"
    parts = channel.name.count(".")
    return next(pattern for pattern in ITEMS if pattern.split(".")[0] == channel.kind and pattern.count(".") == parts)
