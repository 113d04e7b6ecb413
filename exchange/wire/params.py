"""Parameters of each method, lenient as api.md section 3 asks: scalars coerced, unknown members ignored, null = absent.

Texts that clients send as numbers are `Text`; decimals are parsed exactly from strings and JSON numbers alike.
"""

from decimal import Decimal
from typing import Any, ClassVar, Final, TypeVar

import msgspec

from exchange.wire.errors import RpcCode, WireError

__all__ = [
    "BatchesParams",
    "CancelManyParams",
    "CancelParams",
    "CandleParams",
    "ChannelsParams",
    "CheckSignatureParams",
    "CurrencyParams",
    "EditParams",
    "HeartbeatParams",
    "HistoryParams",
    "InstrumentParams",
    "InstrumentsParams",
    "LoginParams",
    "MarginTypeParams",
    "MmpParams",
    "NoParams",
    "OrderBookParams",
    "OrderParams",
    "OrderQuoteParams",
    "Params",
    "PositionChange",
    "ReplaceParams",
    "SelfTradeParams",
    "SetMmpParams",
    "SignedActionParams",
    "SimulateParams",
    "SubaccountParams",
    "TickersParams",
    "WalletParams",
    "WithdrawParams",
    "decode_params",
    "required",
    "seconds_of",
    "text_of",
]

Text = str | int | float
"""A scalar that is text for us."""
Value = TypeVar("Value")


class Params(msgspec.Struct, kw_only=True, gc=False):
    """Base of all parameter objects; `REQUIRED` names the members that must be present."""

    REQUIRED: ClassVar[tuple[str, ...]] = ()


class NoParams(Params):
    """A method without parameters."""


class LoginParams(Params):
    """public/login."""

    REQUIRED: ClassVar[tuple[str, ...]] = ("wallet", "timestamp", "signature")
    wallet: Text | None = None
    timestamp: Text | None = None
    signature: str | None = None


class ChannelsParams(Params):
    """subscribe and unsubscribe; without channels unsubscribe means all.

    `resume_from`: the last seq by channel. `account`, `orders` and `trades` go on behind it, over a restart of the
    exchange too and for 24 hours; a status of 20002 says that the place is gone, 20040 to ask again. `book` channels go
    on as far as their ring reaches, else begin with a snapshot.
    """

    channels: list[str] | str | None = None
    resume_from: dict[str, int] | None = None


class HeartbeatParams(Params):
    """public/set_heartbeat."""

    REQUIRED: ClassVar[tuple[str, ...]] = ("interval",)
    interval: int | None = None


class CurrencyParams(Params):
    """Methods by currency."""

    currency: str | None = None


class InstrumentParams(Params):
    """Methods by instrument."""

    REQUIRED: ClassVar[tuple[str, ...]] = ("instrument_name",)
    instrument_name: str | None = None


class InstrumentsParams(Params):
    """Lists of instruments."""

    instrument_type: str | None = None
    expired: bool | None = None
    currency: str | None = None
    page: int | None = None
    page_size: int | None = None


class TickersParams(Params):
    """public/get_tickers."""

    REQUIRED: ClassVar[tuple[str, ...]] = ("instrument_type",)
    instrument_type: str | None = None
    currency: str | None = None
    expiry_date: Text | None = None


class OrderBookParams(InstrumentParams):
    """public/get_order_book."""

    depth: int | None = None
    group: int | None = None


class CandleParams(InstrumentParams):
    """public/get_tradingview_chart_data; times in seconds."""

    REQUIRED: ClassVar[tuple[str, ...]] = ("instrument_name", "period", "start_timestamp", "end_timestamp")
    period: int | None = None
    start_timestamp: int | None = None
    end_timestamp: int | None = None


class FundingRateParams(InstrumentParams):
    """public/get_funding_rate_history; times in milliseconds, the period in seconds (an hour without one)."""

    period: int | None = None
    start_timestamp: int | None = None
    end_timestamp: int | None = None


class HistoryParams(Params):
    """All histories; times in milliseconds."""

    subaccount_id: int | None = None
    wallet: Text | None = None
    instrument_name: str | None = None
    instrument_type: str | None = None
    currency: str | None = None
    order_id: str | None = None
    trade_id: str | None = None
    from_timestamp: int | None = None
    to_timestamp: int | None = None
    start_timestamp: int | None = None
    end_timestamp: int | None = None
    page: int | None = None
    page_size: int | None = None


class BatchesParams(Params):
    """public/get_batches and get_batch."""

    seq: int | None = None
    from_seq: int | None = None
    limit: int | None = None


class WalletParams(Params):
    """Methods by wallet; the session's wallet when absent."""

    wallet: Text | None = None


class SubaccountParams(Params):
    """Methods by subaccount."""

    REQUIRED: ClassVar[tuple[str, ...]] = ("subaccount_id",)
    subaccount_id: int | None = None


class PositionChange(msgspec.Struct, kw_only=True):
    """A hypothetical purchase (amount > 0) or sale, at the mark or at `entry_price`."""

    instrument_name: str
    amount: Decimal
    entry_price: Decimal | None = None


class SimulateParams(SubaccountParams):
    """private/simulate and get_margin."""

    simulated_position_changes: list[PositionChange] | None = None


class SignedActionParams(SubaccountParams):
    """Members of every signed action."""

    nonce: str | int | None = None
    signer: Text | None = None
    signature: str | None = None
    signature_expiry_sec: int | None = None


class OrderParams(SignedActionParams):
    """private/order, order_debug; also the order part of replace."""

    REQUIRED: ClassVar[tuple[str, ...]] = (
        "instrument_name", "subaccount_id", "direction", "limit_price", "amount", "max_fee", "nonce", "signer",
        "signature", "signature_expiry_sec",
    )  # fmt: skip
    instrument_name: str | None = None
    direction: str | None = None
    limit_price: Decimal | None = None
    amount: Decimal | None = None
    max_fee: Decimal | None = None
    order_type: str | None = None
    time_in_force: str | None = None
    reduce_only: bool | None = None
    mmp: bool | None = None
    mmp_group: int | None = None
    label: Text | None = None
    reject_post_only: bool | None = None
    reject_timestamp: int | None = None
    trigger_price: Decimal | None = None
    trigger_type: str | None = None
    trigger_price_type: str | None = None
    trailing_offset: Decimal | None = None
    trailing_percent: Decimal | None = None
    parent_order_id: str | None = None
    oco_order_id: str | None = None
    algo_type: str | None = None
    client_order_id: Text | None = None
    expires_at: int | None = None
    cancel_on_disconnect: bool | None = None
    self_trade_prevention: str | None = None
    display_amount: Decimal | None = None


class OrderQuoteParams(OrderParams):
    """private/order_quote: an order before it is signed."""

    REQUIRED: ClassVar[tuple[str, ...]] = ("instrument_name", "subaccount_id", "direction", "limit_price", "amount")


class CheckSignatureParams(OrderParams):
    """public/check_signature; `wallet` is the owner, by default the login's or the signer itself."""

    wallet: Text | None = None


class ReplaceParams(OrderParams):
    """private/replace."""

    order_id_to_cancel: str | None = None
    nonce_to_cancel: str | int | None = None
    expected_filled_amount: Decimal | None = None


class EditParams(OrderParams):
    """private/edit; with a signature it is a signed order, all of whose signed members must be there."""

    REQUIRED: ClassVar[tuple[str, ...]] = ("subaccount_id",)
    order_id: str | None = None
    expected_filled_amount: Decimal | None = None


class CancelParams(SubaccountParams):
    """Cancels and look-ups of one order."""

    order_id: str | None = None
    instrument_name: str | None = None
    client_order_id: Text | None = None
    nonce: str | int | None = None


class CancelManyParams(SubaccountParams):
    """Cancels by filter."""

    instrument_name: str | None = None
    label: Text | None = None
    currency: str | None = None
    cancel_trigger_orders: bool | None = None


class SelfTradeParams(SubaccountParams):
    """private/set_self_trade_prevention."""

    REQUIRED: ClassVar[tuple[str, ...]] = ("subaccount_id", "mode")
    mode: str | None = None
    scope: str | None = None


class MarginTypeParams(SubaccountParams):
    """private/set_margin_type."""

    REQUIRED: ClassVar[tuple[str, ...]] = ("subaccount_id", "margin_type")
    margin_type: str | None = None


class MmpParams(SubaccountParams):
    """private/get_mmp_config and reset_mmp."""

    currency: str | None = None
    mmp_group: int | None = None


class SetMmpParams(MmpParams):
    """private/set_mmp_config; what is left out is no limit. `instrument_type` (perp): whose lots are counted."""

    REQUIRED: ClassVar[tuple[str, ...]] = ("subaccount_id", "currency")
    instrument_type: str | None = None
    mmp_interval: int | None = None
    mmp_frozen_time: int | None = None
    mmp_amount_limit: Decimal | None = None
    mmp_delta_limit: Decimal | None = None
    mmp_vega_limit: Decimal | None = None
    mmp_count_limit: int | None = None


class WithdrawParams(SignedActionParams):
    """private/withdraw."""

    REQUIRED: ClassVar[tuple[str, ...]] = (
        "subaccount_id", "asset_name", "amount_in_underlying", "nonce", "signer", "signature", "signature_expiry_sec",
    )  # fmt: skip
    asset_name: str | None = None
    amount_in_underlying: Decimal | None = None
    max_fee_usd: Decimal | None = None
    recipient: Text | None = None
    force_batch: bool | None = None
    totp: Text | None = None


_EMPTY: Final = frozenset({b"", b"null", b"[]", b"{}"})
_decoders: Final[dict[type[Params], msgspec.json.Decoder[Any]]] = {}


def decode_params(kind: type[Params], raw: bytes) -> Any:
    """Decode and check presence; WireError -32602 names the field."""
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.json.Decoder(kind, strict=False)
    try:
        params = decoder.decode(b"{}" if raw.strip() in _EMPTY else raw)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$.")
        raise WireError(RpcCode.INVALID_PARAMS, {"field": path.rstrip("`"), "reason": reason}) from error
    except msgspec.DecodeError as error:
        raise WireError(RpcCode.PARSE_ERROR, str(error)) from error
    except RecursionError as error:
        raise WireError(RpcCode.PARSE_ERROR, "nested too deeply") from error
    for name in kind.REQUIRED:
        if getattr(params, name) is None:
            raise WireError.bad_param(name, "is required")
    return params


def required(value: Value | None, field: str) -> Value:
    """`value`, or -32602 that names the field."""
    if value is None:
        raise WireError.bad_param(field, "is required")
    return value


def seconds_of(value: int | None, field: str) -> int:
    """Seconds since 1970 as a u64, the width of the contract; -32602 that names the field otherwise."""
    seconds = required(value, field)
    if not 0 <= seconds < 1 << 64:
        raise WireError.bad_param(field, "must be seconds since 1970, below 2**64")
    return seconds


def text_of(value: Text | None) -> str:
    """A scalar as text; absent is empty."""
    return "" if value is None else str(value)
