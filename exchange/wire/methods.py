"""The method table: exact names, parameter types, who may call, what it costs (api.md 6 and 10.1)."""

from enum import Enum
from typing import Final

import msgspec

from exchange.wire import params as p
from exchange.wire import safeguard_params as s
from exchange.wire.errors import RpcCode, WireError
from exchange.wire.export_shapes import ExportParams
from exchange.wire.index_params import IndexCandleParams
from exchange.wire.option_chain import OptionChainParams
from exchange.wire.quote_params import MassQuoteParams

__all__ = ["ALIASES", "METHODS", "Bucket", "Method", "find_method"]


class Bucket(Enum):
    """Which budget a call is charged to. Hashed as an object: an enum's own hash is a Python call per look-up."""

    __hash__ = object.__hash__

    PUBLIC = "public"
    READS = "reads"
    MATCHING = "matching"
    CANCELS = "cancels"
    QUOTES = "quotes"
    FREE = "free"


class Method(msgspec.Struct, frozen=True, kw_only=True):
    """One row. `name` without the scope; `overtakes`: a cancel that passes orders which wait for verification."""

    path: str
    params: type[p.Params] = p.NoParams
    bucket: Bucket = Bucket.PUBLIC
    cost: int = 1
    socket_only: bool = False
    overtakes: bool = False
    signed_order: bool = False

    @property
    def is_private(self) -> bool:
        """Whether it needs a login or the auth headers."""
        return self.path.startswith("private/")


def _public(name: str, params: type[p.Params] = p.NoParams, *, socket_only: bool = False) -> Method:
    return Method(path=f"public/{name}", params=params, socket_only=socket_only)


def _read(name: str, params: type[p.Params], cost: int = 1) -> Method:
    return Method(path=f"private/{name}", params=params, bucket=Bucket.READS, cost=cost)


def _cancel(name: str, params: type[p.Params], bucket: Bucket = Bucket.CANCELS) -> Method:
    return Method(path=f"private/{name}", params=params, bucket=bucket, overtakes=True)


_TABLE: Final = (
    _public("get_time"),
    _public("get_info"),
    _public("get_all_currencies"),
    _public("get_currency", p.CurrencyParams),
    _public("get_all_instruments", p.InstrumentsParams),
    _public("get_instruments", p.InstrumentsParams),
    _public("get_all_live_instruments"),
    _public("get_instrument", p.InstrumentParams),
    _public("get_ticker", p.InstrumentParams),
    _public("get_tickers", p.TickersParams),
    _public("get_trade_history", p.HistoryParams),
    _public("get_tradingview_chart_data", p.CandleParams),
    _public("get_funding_rate_history", p.FundingRateParams),
    _public("get_option_settlement_prices", p.CurrencyParams),
    _public("get_liquidation_history", p.HistoryParams),
    _public("get_index_chart_data", IndexCandleParams),
    _public("get_interest_rate_history", p.CurrencyParams),
    _public("get_risk_universes"),
    _public("get_order_book", p.OrderBookParams),
    Method(path="public/get_option_chain", params=OptionChainParams, cost=5),
    _public("getRateLimits"),
    _public("get_limits"),
    _public("check_signature", p.CheckSignatureParams),
    _public("get_batches", p.BatchesParams),
    _public("get_batch", p.BatchesParams),
    _public("login", p.LoginParams, socket_only=True),
    Method(path="subscribe", params=p.ChannelsParams, socket_only=True),
    Method(path="unsubscribe", params=p.ChannelsParams, socket_only=True),
    Method(path="ping", bucket=Bucket.FREE),
    _public("test", socket_only=True),
    _public("set_heartbeat", p.HeartbeatParams, socket_only=True),
    _public("disable_heartbeat", socket_only=True),
    Method(path="private/order", params=p.OrderParams, bucket=Bucket.MATCHING, signed_order=True),
    Method(path="private/replace", params=p.ReplaceParams, bucket=Bucket.MATCHING, signed_order=True),
    Method(path="private/edit", params=p.EditParams, bucket=Bucket.CANCELS),
    Method(path="private/mass_quote", params=MassQuoteParams, bucket=Bucket.QUOTES, socket_only=True),
    _read("order_debug", p.OrderParams),
    _read("order_quote", p.OrderQuoteParams, 5),
    _read("simulate", p.SimulateParams, 5),
    _read("get_margin", p.SimulateParams, 5),
    _cancel("cancel", p.CancelParams),
    _cancel("cancel_by_label", p.CancelManyParams),
    _cancel("cancel_by_nonce", p.CancelParams),
    _cancel("cancel_by_instrument", p.CancelManyParams),
    _cancel("cancel_by_client_order_id", p.CancelParams),
    _cancel("cancel_all", p.CancelManyParams, Bucket.FREE),
    _cancel("cancel_trigger_order", p.CancelParams),
    _cancel("cancel_all_trigger_orders", p.CancelManyParams, Bucket.FREE),
    Method(path="private/cancel_all_after", params=s.CancelAllAfterParams, bucket=Bucket.CANCELS),
    _read("get_order", p.CancelParams),
    _read("get_orders", p.HistoryParams, 5),
    _read("get_open_orders", p.SubaccountParams),
    _read("get_trigger_orders", p.SubaccountParams),
    _read("get_algo_orders", p.SubaccountParams),
    _read("get_order_history", p.HistoryParams, 5),
    _read("get_trade_history", p.HistoryParams, 5),
    _read("get_liquidation_history", p.HistoryParams, 5),
    _read("get_positions", p.SubaccountParams),
    _read("get_collaterals", p.SubaccountParams),
    _read("get_subaccount", p.SubaccountParams),
    _read("get_subaccounts", p.WalletParams),
    _read("get_all_portfolios", p.WalletParams),
    _read("get_account", p.WalletParams),
    _read("session_keys", p.WalletParams),
    _read("set_session_key", s.SessionKeyParams),
    _read("edit_session_key", s.EditKeyParams),
    _read("enable_totp", s.TotpParams),
    _read("confirm_totp", s.TotpParams),
    _read("disable_totp", s.TotpParams),
    _read("withdraw", p.WithdrawParams),
    _read("set_self_trade_prevention", p.SelfTradeParams),
    _read("set_mmp_config", p.SetMmpParams),
    _read("get_mmp_config", p.MmpParams),
    _read("reset_mmp", p.MmpParams),
    _read("set_cancel_on_disconnect", s.DisconnectParams),
    _read("get_deposit_history", p.HistoryParams, 5),
    _read("get_withdrawal_history", p.HistoryParams, 5),
    _read("get_erc20_transfer_history", p.HistoryParams, 5),
    _read("get_interest_history", p.HistoryParams, 5),
    _read("get_funding_history", p.HistoryParams, 5),
    _read("get_option_settlement_history", p.HistoryParams, 5),
    _read("export", ExportParams, 5),
    Method(path="private/logout", bucket=Bucket.FREE, socket_only=True),
)

METHODS: Final[dict[str, Method]] = {method.path: method for method in _TABLE}
ALIASES: Final[dict[str, str]] = {
    "public/subscribe": "subscribe",
    "public/unsubscribe": "unsubscribe",
    "private/subscribe": "subscribe",
    "private/unsubscribe": "unsubscribe",
    "public/ping": "ping",
}
_HINTS: Final[dict[str, str]] = {
    "private/transfer_erc20": "use private/transfer_spot",
    "public/register_session_key": "use private/set_session_key",
    "public/register_scoped_session_key": "use private/set_session_key",
    "private/order_batch": "not offered yet; send orders one by one",
}


def find_method(path: str) -> Method:
    """Row of a normalized path; WireError -32601 with a hint."""
    method = METHODS.get(ALIASES.get(path, path))
    if method is None:
        hint = _HINTS.get(path, "see public/get_limits for what this server offers")
        raise WireError(RpcCode.METHOD_NOT_FOUND, {"method": path[:64], "hint": hint})
    return method
