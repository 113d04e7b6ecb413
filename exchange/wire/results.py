"""What every method answers and every channel carries, as types: the source of the published API documents.

Objects with a name of their own are the types that are encoded; `TypedDict`s describe the plain mappings that handlers
build. The tests' client checks every reply and every item against the documents made from this table.
"""

from typing import Any, Final, Literal

from exchange.domain.result_codes import CloseReason
from exchange.wire import objects as o
from exchange.wire import private_results as private
from exchange.wire import public_results as public
from exchange.wire import safeguard_results as safeguards
from exchange.wire.book_frames import BookChange, BookHeartbeat, BookSnapshot, OrderBookFrame
from exchange.wire.channels import Channel
from exchange.wire.export_shapes import Export
from exchange.wire.liquidation_shapes import PublicLiquidation
from exchange.wire.option_chain import OptionChain
from exchange.wire.order_shapes import CANCEL_REASONS, ORDER_STATUSES
from exchange.wire.preview_shapes import OrderQuote

__all__ = ["CLOSED", "ITEMS", "RESULTS", "item_pattern"]

Ok = Literal["ok"]


RESULTS: Final[dict[str, Any]] = {
    "public/get_time": int,
    "public/get_info": public.Info,
    "public/get_all_currencies": list[o.Currency],
    "public/get_currency": o.Currency,
    "public/get_all_instruments": public.Instruments,
    "public/get_instruments": list[o.InstrumentObject],
    "public/get_all_live_instruments": list[str],
    "public/get_instrument": o.InstrumentObject,
    "public/get_ticker": o.Ticker,
    "public/get_tickers": public.Tickers,
    "public/get_trade_history": public.PublicTrades,
    "public/get_tradingview_chart_data": list[public.Candle],
    "public/get_funding_rate_history": public.FundingRates,
    "public/get_index_chart_data": list[public.IndexBar],
    "public/get_interest_rate_history": public.InterestRates,
    "public/get_risk_universes": list[public.RiskUniverse],
    "public/get_liquidation_history": public.Liquidations,
    "public/get_option_settlement_prices": public.SettlementPrices,
    "public/get_order_book": public.OrderBook,
    "public/get_option_chain": OptionChain,
    "public/getRateLimits": public.RateLimits,
    "public/get_limits": public.Limits,
    "public/check_signature": public.SignatureCheck,
    "public/get_batches": public.Batches,
    "public/get_batch": o.BatchRow,
    "public/login": list[int],
    "subscribe": public.Subscribed,
    "unsubscribe": public.Unsubscribed,
    "ping": public.Empty,
    "public/test": public.Version,
    "public/set_heartbeat": Ok,
    "public/disable_heartbeat": Ok,
    "private/order": private.OrderAndTrades,
    "private/replace": private.Replaced,
    "private/edit": private.OrderAndTrades,
    "private/mass_quote": private.Quotes,
    "private/order_debug": public.OrderDebug,
    "private/order_quote": OrderQuote,
    "private/simulate": private.Simulation,
    "private/get_margin": private.Margins,
    "private/cancel": o.Order,
    "private/cancel_by_label": private.CancelledCount,
    "private/cancel_by_nonce": private.CancelledCount,
    "private/cancel_by_instrument": private.CancelledCount,
    "private/cancel_by_client_order_id": o.Order,
    "private/cancel_all": Ok,
    "private/cancel_trigger_order": o.Order,
    "private/cancel_all_trigger_orders": Ok,
    "private/get_order": o.Order,
    "private/get_orders": private.OrderPage,
    "private/get_open_orders": private.Orders,
    "private/get_trigger_orders": private.Orders,
    "private/get_algo_orders": list[o.Order],
    "private/get_order_history": private.OrderPage,
    "private/get_trade_history": private.TradePage,
    "private/get_positions": private.Positions,
    "private/get_collaterals": private.Collaterals,
    "private/get_subaccount": o.Subaccount,
    "private/get_subaccounts": private.Subaccounts,
    "private/get_all_portfolios": list[o.Subaccount],
    "private/get_account": private.Account,
    "private/session_keys": safeguards.SessionKeys,
    "private/set_session_key": safeguards.SessionKey,
    "private/withdraw": private.Relayed,
    "private/set_self_trade_prevention": private.SelfTradePrevention,
    "private/set_mmp_config": private.MmpGroup,
    "private/get_mmp_config": list[private.MmpGroup],
    "private/reset_mmp": Ok,
    "private/edit_session_key": safeguards.SessionKey,
    "private/enable_totp": safeguards.NewFactor,
    "private/confirm_totp": Ok,
    "private/disable_totp": Ok,
    "private/set_cancel_on_disconnect": Ok,
    "private/cancel_all_after": safeguards.DeadMan,
    "private/get_deposit_history": private.Deposits,
    "private/get_withdrawal_history": private.Withdrawals,
    "private/get_erc20_transfer_history": private.Erc20Transfers,
    "private/get_interest_history": private.InterestEvents,
    "private/get_funding_history": private.FundingEvents,
    "private/get_option_settlement_history": private.Settlements,
    "private/get_liquidation_history": private.OwnLiquidations,
    "private/export": Export,
    "private/logout": Ok,
}

ITEMS: Final[dict[str, Any]] = {
    "orderbook.{instrument_name}.{group}.{depth}": OrderBookFrame,
    "book.{instrument_name}.{interval}": BookSnapshot | BookChange | BookHeartbeat,
    "ticker_slim.{instrument_name}.{interval}": public.TickerItem,
    "trades.{instrument_name}": list[o.TradeItem],
    "trades.{instrument_type}.{currency}": list[o.TradeItem],
    "option_chain.{currency}.{expiry}.{interval}": public.ChainItem,
    "spot_feed.{currency}": public.SpotFeedItem,
    "liquidations.{currency}": list[PublicLiquidation],
    "batches": o.BatchRow,
    "{subaccount_id}.account": private.AccountItem,
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
    "TradeItem": {"direction": _DIRECTIONS, "liquidity_role": ("taker",)},
    "QuoteResult": {"direction": _DIRECTIONS, "status": ("placed", "replaced", "unchanged", "pulled", "rejected")},
    "BalanceUpdate": {
        "update_type": ("trade", "asset_deposit", "asset_withdrawal", "liquidation", "liquidator"),
    },
    "PublicLiquidation": {"kind": ("liquidation", "adl"), "direction": _DIRECTIONS},
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
