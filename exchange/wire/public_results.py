"""Plain mappings that public methods answer and public channels carry, as types (see `results`)."""

from typing import Literal, NotRequired, TypedDict

from exchange.wire import objects as o
from exchange.wire.book_frames import TextLevel
from exchange.wire.liquidation_shapes import PublicLiquidation
from exchange.wire.option_chain import ChainExpiry, ChainRow

__all__ = [
    "AcceptedSeparator",
    "Batches",
    "BucketState",
    "BudgetLimit",
    "Candle",
    "ChainItem",
    "Empty",
    "FundingRate",
    "FundingRates",
    "IndexBar",
    "Info",
    "Instruments",
    "InterestRates",
    "Limits",
    "Liquidations",
    "MethodLimit",
    "OrderBook",
    "OrderDebug",
    "Pagination",
    "PublicTrades",
    "Range",
    "RateLimits",
    "RiskUniverse",
    "SecurityModule",
    "SettlementPrice",
    "SettlementPrices",
    "SignatureCheck",
    "SignedOrderData",
    "SpotFeed",
    "SpotFeedItem",
    "Subscribed",
    "TickerItem",
    "Tickers",
    "UniverseCollateral",
    "UniverseManager",
    "Unsubscribed",
    "Version",
]


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


class IndexBar(TypedDict):
    """Index prices of a period, its begin in seconds."""

    timestamp: int
    timestamp_bucket: int
    price: str
    open_price: str
    high_price: str
    low_price: str
    close_price: str


class InterestRates(TypedDict):
    """Nothing is lent, so the list is empty."""

    interest_rate_history: list[None]


class UniverseCollateral(TypedDict):
    """What margin may consist of."""

    name: str
    address: str
    erc20: o.Erc20
    im_discount: str
    mm_discount: str
    min_deposit_usd: str


class UniverseManager(TypedDict):
    """A margin model."""

    manager_id: int
    margin_type: str
    collaterals: list[UniverseCollateral]
    instruments: list[str]


class SecurityModule(TypedDict):
    """The insurance fund."""

    cash_asset: str
    cash_currency: str
    subaccount_id: int


class RiskUniverse(TypedDict):
    """Instruments that are margined together."""

    risk_universe_id: int
    name: str
    description: str | None
    managers: list[UniverseManager]
    security_module: SecurityModule


class SpotFeed(TypedDict):
    """The index now and a day ago."""

    price: str
    confidence: str
    price_prev_daily: str
    confidence_prev_daily: str
    timestamp_prev_daily: int


class SpotFeedItem(TypedDict):
    """By currency."""

    timestamp: int
    feeds: dict[str, SpotFeed]


class Liquidations(TypedDict):
    """A page, newest first; `auctions` is empty: what is offered now has a method of its own."""

    auctions: list[None]
    liquidations: list[PublicLiquidation]
    pagination: Pagination


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


class Range(TypedDict):
    """Both ends count."""

    min: int
    max: int


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
    max_session_keys: int
    dead_man_ms: Range


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
