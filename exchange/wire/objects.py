"""The objects of api.md section 7 as typed values: every listed field is always there, in its JSON type."""

from typing import Any

import msgspec

__all__ = [
    "BalanceUpdate",
    "BatchRow",
    "Collateral",
    "Currency",
    "Erc20",
    "InstrumentObject",
    "OptionDetails",
    "OptionPricing",
    "Order",
    "PerpDetails",
    "Position",
    "PublicTrade",
    "Subaccount",
    "Ticker",
    "TickerStats",
    "Trade",
    "TradeItem",
]


class Order(msgspec.Struct, kw_only=True, gc=False):
    """An order as clients see it."""

    order_id: str
    instrument_name: str
    direction: str
    order_type: str
    label: str
    creation_timestamp: int
    last_update_timestamp: int
    limit_price: str
    average_price: str
    amount: str
    filled_amount: str
    order_fee: str
    order_status: str
    time_in_force: str
    reduce_only: bool
    subaccount_id: int
    signer: str
    signature: str
    signature_expiry_sec: int
    nonce: str
    max_fee: str
    cancel_reason: str
    replaced_order_id: str | None
    client_order_id: str
    version: int
    remaining_amount: str
    reason_code: str
    expires_at: int | None
    cancel_on_disconnect: bool
    mmp: bool
    trigger_type: str | None = None
    trigger_price: str | None = None
    trigger_price_type: str | None = None
    trigger_reject_message: str | None = None
    trailing_offset: str | None = None
    trailing_percent: str | None = None
    parent_order_id: str | None = None
    oco_order_id: str | None = None
    display_amount: str | None = None
    account_seq: int | None = None
    """On streams: number of the subaccount's event that this row shows."""
    is_transfer: bool = False
    extra_fee: str = "0"
    quote_id: None = None
    signed_limit_price: None = None
    algo_type: None = None
    algo_duration_sec: None = None
    algo_num_slices: None = None
    algo_slices_completed: None = None


class Trade(msgspec.Struct, kw_only=True, gc=False):
    """One party's fill."""

    subaccount_id: int
    order_id: str
    instrument_name: str
    direction: str
    trade_id: str
    timestamp: int
    mark_price: str
    index_price: str
    trade_price: str
    trade_amount: str
    liquidity_role: str
    realized_pnl: str
    realized_pnl_excl_fees: str
    batch_status: str | None
    trade_fee: str
    tx_hash: str | None
    op_uuid: str
    label: str
    fill_id: str
    client_order_id: str
    cumulative_amount: str
    leaves_amount: str
    account_seq: int
    slippage_bps: str | None
    is_transfer: bool = False
    expected_rebate: str = "0"
    extra_fee: str = "0"
    quote_id: None = None
    rfq_id: None = None


class PublicTrade(msgspec.Struct, kw_only=True, gc=False):
    """One row of the public trade history, without identity and without an order id."""

    trade_id: str
    instrument_name: str
    timestamp: int
    direction: str
    trade_price: str
    trade_amount: str
    mark_price: str
    index_price: str
    liquidity_role: str
    trade_fee: str
    batch_status: str | None = None
    realized_pnl: str = "0"
    realized_pnl_excl_fees: str = "0"
    expected_rebate: str = "0"
    extra_fee: str = "0"
    quote_id: None = None
    rfq_id: None = None
    subaccount_id: int = 0
    wallet: str = "0x0000000000000000000000000000000000000000"
    tx_hash: str = ""


class TradeItem(msgspec.Struct, kw_only=True, gc=False):
    """One item of the `trades.*` channels: the taker's row, without identity."""

    trade_id: str
    instrument_name: str
    timestamp: int
    direction: str
    trade_price: str
    trade_amount: str
    mark_price: str
    index_price: str
    trade_fee: str
    liquidity_role: str = "taker"
    realized_pnl: str = "0"
    realized_pnl_excl_fees: str = "0"
    expected_rebate: str = "0"
    extra_fee: str = "0"
    quote_id: None = None
    rfq_id: None = None
    subaccount_id: int = 0
    wallet: str = "0x0000000000000000000000000000000000000000"


class TickerStats(msgspec.Struct, kw_only=True, gc=False):
    """Rolling figures of the memory ring."""

    c: str
    v: str
    pr: str
    n: int
    h: str
    l: str  # noqa: E741 - the wire's name
    p: str
    oi: str


class OptionPricing(msgspec.Struct, kw_only=True, gc=False):
    """Model values of an option."""

    d: str
    g: str
    t: str
    v: str
    r: str
    i: str
    bi: str
    ai: str
    m: str
    f: str
    df: str = "1"


class Ticker(msgspec.Struct, kw_only=True, gc=False):
    """The slim ticker. `price_state` stale or halted: the market only reduces."""

    t: int
    a: str
    A: str
    b: str
    B: str
    I: str  # noqa: E741 - the wire's name
    M: str
    f: str | None
    minp: str
    maxp: str
    stats: TickerStats
    option_pricing: OptionPricing | None
    auction_end: int | None = None
    """Deadline of the call auction that the instrument is in, milliseconds."""
    price_state: str = "open"


class PerpDetails(msgspec.Struct, kw_only=True, gc=False):
    """What only perpetuals have; rates are per hour."""

    index: str
    funding_rate: str = "0"
    aggregate_funding: str = "0"
    min_rate_per_hour: str = "0"
    max_rate_per_hour: str = "0"


class OptionDetails(msgspec.Struct, kw_only=True, gc=False):
    """What only options have."""

    expiry: int
    strike: str
    option_type: str
    index: str
    settlement_price: str | None = None


class InstrumentObject(msgspec.Struct, kw_only=True, gc=False):
    """A tradable contract."""

    instrument_name: str
    instrument_type: str
    is_active: bool
    base_currency: str
    tick_size: str
    amount_step: str
    minimum_amount: str
    maximum_amount: str
    maker_fee_rate: str
    taker_fee_rate: str
    base_asset_address: str
    base_asset_sub_id: str
    scheduled_activation: int
    scheduled_deactivation: int
    instrument_id: int
    perp_details: PerpDetails | None
    option_details: OptionDetails | None
    quote_currency: str = "USDC"
    base_fee: str = "0"
    mark_price_fee_rate_cap: str | None = None
    fifo_min_allocation: str = "0"
    pro_rata_fraction: str = "0"
    pro_rata_amount_step: str = "1"
    erc20_details: None = None
    contract_multiplier: str = "1"
    risk_universe_id: int = 1
    price_state: str = "open"


class Erc20(msgspec.Struct, kw_only=True, gc=False):
    """Token behind a spot asset."""

    decimals: int
    underlying_erc20: str


class Currency(msgspec.Struct, kw_only=True, gc=False):
    """A currency with its assets."""

    currency: str
    market_type: str
    managers: list[dict[str, Any]]
    spot: list[dict[str, Any]]
    perp: dict[str, Any] | None
    option: dict[str, Any] | None
    spot_price: str
    spot_price_24h: str | None


class Position(msgspec.Struct, kw_only=True, gc=False):
    """An open position; margins are negative requirement numbers."""

    instrument_name: str
    instrument_type: str
    amount: str
    amount_step: str
    average_price: str
    average_price_excl_fees: str
    mark_price: str
    mark_value: str
    index_price: str
    delta: str
    gamma: str
    vega: str
    theta: str
    initial_margin: str
    maintenance_margin: str
    leverage: str | None
    unrealized_pnl: str
    unrealized_pnl_excl_fees: str
    realized_pnl: str
    realized_pnl_excl_fees: str
    total_fees: str
    creation_timestamp: int
    open_orders_margin: str = "0"
    liquidation_price: str | None = None
    cumulative_funding: str = "0"
    pending_funding: str = "0"
    net_settlements: str = "0"
    adl_rank: int | None = None


class Collateral(msgspec.Struct, kw_only=True, gc=False):
    """USDC of a subaccount."""

    amount: str
    mark_value: str
    initial_margin: str
    maintenance_margin: str
    creation_timestamp: int
    asset_name: str = "USDC"
    asset_type: str = "erc20"
    currency: str = "USDC"
    amount_step: str = "0.000001"
    mark_price: str = "1"
    open_orders_margin: str = "0"
    average_price: str = "1"
    average_price_excl_fees: str = "1"
    cumulative_interest: str = "0"
    pending_interest: str = "0"
    delta: str = "1"
    delta_currency: str = "USDC"
    unrealized_pnl: str = "0"
    unrealized_pnl_excl_fees: str = "0"
    realized_pnl: str = "0"
    realized_pnl_excl_fees: str = "0"
    total_fees: str = "0"


class Subaccount(msgspec.Struct, kw_only=True):
    """A subaccount. Its own margins are what is left; the others are negative requirement numbers."""

    subaccount_id: int
    subaccount_value: str
    initial_margin: str
    maintenance_margin: str
    positions_value: str
    positions_initial_margin: str
    positions_maintenance_margin: str
    collaterals_value: str
    collaterals_initial_margin: str
    collaterals_maintenance_margin: str
    open_orders_margin: str
    collaterals: list[Collateral]
    positions: list[Position]
    open_orders: list[Order]
    label: str = ""
    margin_type: str = "SM"
    manager_id: int = 1
    risk_universe_id: int = 1
    currency: list[str] = msgspec.field(default_factory=lambda: ["USDC"])
    projected_margin_change: str = "0"
    is_under_liquidation: bool = False
    failed_to_fetch: bool = False
    mm_credits: str = "0"
    vault_deposit_holds: list[None] = msgspec.field(default_factory=list)


class BalanceUpdate(msgspec.Struct, kw_only=True, gc=False):
    """One item of `{sub}.balances`; names with a dash are positions."""

    name: str
    new_balance: str
    previous_balance: str
    update_type: str


class BatchRow(msgspec.Struct, kw_only=True, gc=False):
    """A settlement batch as far as this process knows it (api.md 10.9)."""

    seq: int
    first_sequence: int
    last_sequence: int
    fills: int
    status: str = "Batching"
    legs: int | None = None
    ratio: str | None = None
    root: str | None = None
    previous_root: str | None = None
    data_hash: str | None = None
    tx_hash: str | None = None
    gas_used: int | None = None
    gas_per_fill: str | None = None
    gas_saved: int | None = None
    finalizes_at: int | None = None
