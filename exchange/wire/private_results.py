"""Plain mappings that private methods answer and private channels carry, as types (see `results`)."""

from typing import Any, Literal, NotRequired, TypedDict

from exchange.wire import objects as o
from exchange.wire.public_results import Pagination
from exchange.wire.quote_objects import QuoteResult

__all__ = [
    "Account",
    "AccountItem",
    "BatchMembers",
    "CancelledCount",
    "CodeAndMessage",
    "Collaterals",
    "Deposit",
    "Deposits",
    "Erc20Transfers",
    "FeeInfo",
    "FundingEvent",
    "FundingEvents",
    "InterestEvents",
    "Margins",
    "MmpGroup",
    "OrderAndTrades",
    "OrderPage",
    "Orders",
    "OwnLiquidation",
    "OwnLiquidations",
    "Positions",
    "Quotes",
    "Relayed",
    "Replaced",
    "SelfTradePrevention",
    "Settlement",
    "Settlements",
    "Simulation",
    "Subaccounts",
    "TradePage",
    "Transfer",
    "Withdrawal",
    "Withdrawals",
]


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
    is_totp_enabled: bool


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


class MarginType(TypedDict):
    """The kind of margin that was set."""

    subaccount_id: int
    margin_type: str


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


class BatchMembers(TypedDict):
    """Where the batch stands that holds a command; its number is its only name."""

    batch_status: str
    batch_uuid: str
    tx_hash: str | None


class Transfer(BatchMembers):
    """A deposit or withdrawal."""

    asset: str
    amount: str
    timestamp: int
    fee: str
    operation_id: str
    subaccount_id: int
    wallet: str
    state: str


class Deposit(Transfer):
    """Money that came; `is_fallback` is always false."""

    is_fallback: bool
    new_subaccount: bool


class Withdrawal(Transfer):
    """Money that went."""

    recipient: str
    erc20_address: str


class Deposits(TypedDict):
    """Newest last."""

    deposits: list[Deposit]


class Withdrawals(TypedDict):
    """Newest last."""

    withdrawals: list[Withdrawal]


class FundingEvent(BatchMembers):
    """Funding of a position, positive when it was received."""

    instrument_name: str
    timestamp: int
    funding: str
    pnl: str
    subaccount_id: int


class FundingEvents(TypedDict):
    """A page, newest first."""

    events: list[FundingEvent]
    pagination: Pagination


class Settlement(TypedDict):
    """An option that was paid; the expiry in seconds."""

    instrument_name: str
    amount: str
    expiry: int
    settlement_price: str
    settlement_value: str
    option_settlement_pnl: str
    option_settlement_pnl_excl_fees: str
    subaccount_id: int


class Settlements(TypedDict):
    """Newest first."""

    settlements: list[Settlement]


class OwnLiquidation(TypedDict):
    """An event of an account's liquidation; the members behind `kind` depend on it and on `event`."""

    timestamp: int
    sequence: int
    account_seq: int
    kind: Literal["liquidation", "adl"]
    event: NotRequired[Literal["started", "fill", "auction_bid", "fund_paid", "ended"]]
    role: NotRequired[Literal["bankrupt", "counterparty"]]
    stage: NotRequired[str]
    percent_of_acc: NotRequired[str]
    subaccount_value: NotRequired[str]
    maintenance_requirement: NotRequired[str]
    instrument_name: NotRequired[str]
    amount: NotRequired[str]
    price: NotRequired[str]
    mark_price: NotRequired[str]
    notional: NotRequired[str]
    fee: NotRequired[str]
    realized_pnl: NotRequired[str]
    position: NotRequired[str]
    cash: NotRequired[str]


class OwnLiquidations(TypedDict):
    """A page, newest first."""

    subaccount_id: int
    liquidations: list[OwnLiquidation]
    pagination: Pagination


class Erc20Transfers(TypedDict):
    """Money does not move between subaccounts yet."""

    transfers: list[None]


class InterestEvents(TypedDict):
    """Nothing bears interest."""

    events: list[None]


class TakenPosition(TypedDict):
    """A position that the insurance fund took over when the contract's queue closed an account."""

    instrument_name: str
    position: str
    amount: str
    realized_pnl: str


class AccountItem(TypedDict):
    """One event of a subaccount; the members behind `kind` depend on it."""

    account_seq: int
    sequence: int
    timestamp: int
    kind: Literal[
        "order", "fill", "deposit", "withdrawal", "transfer", "funding", "expiry", "mmp_trigger", "mmp_reset",
        "mmp_config", "liquidation", "adl", "close_all",
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
    positions: NotRequired[list[TakenPosition]]
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
