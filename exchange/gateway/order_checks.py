"""The gateway's half of the validation ladder (api.md 5, rows 5 to 8): everything cheap, before the signature."""

from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

import msgspec

from exchange.domain.commands import OrderFlag, Place, Side, TimeInForce, Trigger
from exchange.domain.instrument import Instrument, OffGrid
from exchange.domain.limits import (
    MAX_CLIENT_ORDER_ID_CHARACTERS,
    MAX_LABEL_CHARACTERS,
    MAX_SIGNATURE_LIFE_S,
    MIN_SIGNATURE_LIFE_S,
    NONCE_WINDOW_NS,
)
from exchange.domain.money import ceil_div
from exchange.gateway.auth import parse_wallet
from exchange.gateway.calls import Identity
from exchange.gateway.directory import Directory, has_trade_scope
from exchange.gateway.display_checks import display_lots
from exchange.gateway.key_rules import check_instrument
from exchange.gateway.market import Market
from exchange.gateway.trigger_checks import trigger_of
from exchange.gateway.verify import OrderTerms
from exchange.wire.decimals import fee_cap_e18, format_e18, on_grid_value, plain_units
from exchange.wire.errors import RpcCode, WireError
from exchange.wire.order_ids import OrderIds
from exchange.wire.params import EditParams, OrderParams, SignedActionParams, text_of
from exchange.wire.venue import VenueInfo, address_text, asset_kind
from settlement.protocol.signature import BadSignature, parse_signature

__all__ = [
    "CheckedOrder",
    "OrderChecks",
    "amount_on_step",
    "check_nonce_window",
    "choice",
    "nonce_time_ns",
    "parse_nonce",
    "price_on_tick",
    "self_trade_mode",
    "signature_bytes",
]

_SECOND_NS: Final = 1_000_000_000
_NONCE_DIGITS: Final = 19
_NINETEEN_DIGITS: Final = 10**18
_NO_REJECT_MS: Final = 1 << 62
_MODES_KEPT: Final = 1_024
_STP_MODES: Final = {
    "cancel_taker": OrderFlag.NONE,
    "cancel_maker": OrderFlag.STP_CANCEL_MAKER,
    "cancel_both": OrderFlag.STP_CANCEL_BOTH,
    "decrement_both": OrderFlag.STP_DECREMENT_BOTH,
}
_STP_FIELD: Final = "self_trade_prevention"
# Plain integers: combining members of an enum costs a call each.
_POST_ONLY: Final = int(OrderFlag.POST_ONLY)
_SLIDE: Final = int(OrderFlag.SLIDE)
_MARKET: Final = int(OrderFlag.MARKET)
_REDUCE_ONLY: Final = int(OrderFlag.REDUCE_ONLY)
_MMP: Final = int(OrderFlag.MMP)
DEFAULT_MMP_GROUP: Final = 1
"""Of orders and configurations that name none."""
_CANCEL_ON_DISCONNECT: Final = int(OrderFlag.CANCEL_ON_DISCONNECT)
_KEEP_ON_DISCONNECT: Final = int(OrderFlag.KEEP_ON_DISCONNECT)
_TIF: Final = {
    "gtc": TimeInForce.GTC,
    "post_only": TimeInForce.GTC,
    "ioc": TimeInForce.IOC,
    "fok": TimeInForce.FOK,
}


class CheckedOrder(msgspec.Struct, frozen=True, gc=False):
    """An order whose every cheap check passed: what was signed, and the command but for domain and digest."""

    terms: OrderTerms
    signature: bytes
    place: Place


class OrderChecks:
    """Runs the ladder in its declared order."""

    def __init__(self, venue: VenueInfo, market: Market, directory: Directory, clock_ns: Callable[[], int]) -> None:
        """Look instruments up in `market` and keys in `directory`."""
        self._venue = venue
        self._market = market
        self._directory = directory
        self._clock_ns = clock_ns
        self._ids = OrderIds(venue.domain_separator)

    def check(self, params: OrderParams, identity: Identity, account: int, cancel_on_disconnect: bool) -> CheckedOrder:
        """Check `params` for `account` (already known to be the wallet's); WireError with the first failing code."""
        now_ns = self._clock_ns()
        instrument = self._market.named(str(params.instrument_name))
        is_bid = choice(params.direction, "direction", ("buy", "sell")) == "buy"
        time_in_force, flags = order_mode(params, cancel_on_disconnect=cancel_on_disconnect)
        # An edit names a trigger price at most, and that is no part of the order it signs.
        trigger = None if isinstance(params, EditParams) else trigger_of(params, self._ids)
        if instrument.is_option and instrument.expiry_s * _SECOND_NS <= now_ns:
            raise WireError(11021, {"instrument_name": instrument.name})
        price_ticks = price_on_tick(instrument, params.limit_price)
        quantity_lots = amount_on_step(instrument, params.amount)
        max_fee_e18 = fee_cap_e18(_present(params.max_fee), "max_fee")
        is_maker = bool(int(flags) & _POST_ONLY) and time_in_force is TimeInForce.GTC
        self.check_fee(instrument, max_fee_e18, is_maker=is_maker)
        expiry_s = self.check_expiry(params.signature_expiry_sec, now_ns)
        nonce = parse_nonce(params.nonce)
        check_nonce_window(nonce, now_ns)
        signer = self.check_signer(params, identity, instrument, expiry_s, now_ns)
        terms = OrderTerms(
            instrument=instrument,
            price_ticks=price_ticks,
            quantity_lots=quantity_lots,
            max_fee_e18=max_fee_e18,
            subaccount_id=self._venue.subaccount_id(account),
            is_bid=is_bid,
            nonce=nonce,
            expiry_s=expiry_s,
            owner=identity.owner,
            signer=signer,
        )
        signature = signature_bytes(str(params.signature), signer)
        place = self._place(params, terms, account, time_in_force, flags, identity.session, signature, trigger)
        shown_lots = display_lots(params, instrument, quantity_lots, time_in_force, flags)
        if shown_lots:
            place = msgspec.structs.replace(place, display_lots=shown_lots)
        return CheckedOrder(terms, signature, place)

    def _place(
        self,
        params: OrderParams,
        terms: OrderTerms,
        account: int,
        time_in_force: TimeInForce,
        flags: OrderFlag,
        session: int,
        signature: bytes,
        trigger: Trigger | None,
    ) -> Place:
        expires_at_s = _expires_at_s(params.expires_at, terms.expiry_s)
        good_till_date = bool(expires_at_s) and time_in_force is TimeInForce.GTC
        return Place(
            subaccount=account,
            instrument=terms.instrument.instrument_id,
            side=Side.BUY if terms.is_bid else Side.SELL,
            time_in_force=TimeInForce.GTD if good_till_date else time_in_force,
            flags=flags,
            price_ticks=terms.price_ticks,
            quantity_lots=terms.quantity_lots,
            nonce=terms.nonce,
            expiry_s=terms.expiry_s,
            signer=terms.signer,
            max_fee_e18=terms.max_fee_e18,
            expires_at_s=expires_at_s if good_till_date else 0,
            reject_after_ms=_reject_after_ms(params.reject_timestamp),
            session=session,
            signature=signature,
            client_order_id=_short_text(params.client_order_id, "client_order_id", MAX_CLIENT_ORDER_ID_CHARACTERS),
            label=_short_text(params.label, "label", MAX_LABEL_CHARACTERS),
            mmp_group=mmp_group_of(params),
            trigger=trigger,
        )

    def check_fee(self, instrument: Instrument, max_fee_e18: int, *, is_maker: bool) -> None:
        """Compare the cap per unit with the fee per unit at today's index; a post-only order pays the maker's."""
        rate_ppm = instrument.maker_fee_ppm if is_maker else instrument.taker_fee_ppm
        index_e9 = self._market.prices.index_e9.get(instrument.underlying, 0)
        required_e18 = max(index_e9 * rate_ppm * 1_000, 0)
        if max_fee_e18 < required_e18:
            # Shown with six digits, rounded up, so that a client that copies it is not refused again.
            shown_e18 = ceil_div(required_e18, 10**12) * 10**12
            raise WireError(11023, {"required": format_e18(shown_e18), "got": format_e18(max_fee_e18)})

    def check_expiry(self, expiry_s: int | None, now_ns: int) -> int:
        """Seconds of a signature's end inside the window; WireError 11011."""
        value = expiry_s or 0
        now_s = now_ns // _SECOND_NS
        low, high = now_s + MIN_SIGNATURE_LIFE_S, now_s + MAX_SIGNATURE_LIFE_S
        if not low <= value <= high:
            window: dict[str, object] = {"low": low, "high": high, "got": value, "server_time": now_ns // 1_000_000}
            raise WireError(11011, window)
        return value

    def check_signer(
        self, params: SignedActionParams, identity: Identity, instrument: Instrument, expiry_s: int, now_ns: int
    ) -> bytes:
        """Address of the owner, or of a key that may trade `instrument` until then. WireError 14023, 14031, 14038."""
        signer = parse_wallet(text_of(params.signer), "signer")
        if signer == identity.owner:
            return signer
        key = self._directory.find_key(identity.owner, signer)
        if key is None or key.valid_to_s * _SECOND_NS <= now_ns:
            reason = "session key expired" if key else "not a session key of this wallet"
            raise WireError(14023, {"signer": address_text(signer), "reason": reason})
        account = self._venue.account(params.subaccount_id or 0)
        if not has_trade_scope(key, asset_kind(instrument)) or (key.accounts and account not in key.accounts):
            raise WireError(
                14031, {"signer": address_text(signer), "needs": f"trade:orderbook:{asset_kind(instrument)}"}
            )
        if expiry_s > key.valid_to_s:
            raise WireError(14038, {"signature_expiry_sec": expiry_s, "key_expiry_sec": key.valid_to_s})
        check_instrument(self._directory.limits_of(identity.owner, signer), instrument)
        return signer


def order_mode(params: OrderParams, *, cancel_on_disconnect: bool) -> tuple[TimeInForce, OrderFlag]:
    """Time in force and flags; WireError 11010 or -32602 for combinations that make no order."""
    own = params.cancel_on_disconnect
    return _mode(
        params.order_type or "limit",
        params.time_in_force or "gtc",
        params.self_trade_prevention,
        has_algo=params.algo_type is not None,
        slides=params.reject_post_only is False,
        options=(_REDUCE_ONLY if params.reduce_only else 0)
        | (_MMP if params.mmp else 0)
        | (_CANCEL_ON_DISCONNECT if (cancel_on_disconnect if own is None else own) else 0)
        | (_KEEP_ON_DISCONNECT if own is False else 0),
    )


@lru_cache(maxsize=_MODES_KEPT)
def _mode(
    order_type: str,
    time_in_force: str,
    self_trade: str | None,
    *,
    has_algo: bool,
    slides: bool,
    options: int,
) -> tuple[TimeInForce, OrderFlag]:
    """Only what is valid is kept: a refusal leaves by exception."""
    order_type = choice(order_type, "order_type", ("limit", "market"))
    wire_tif = choice(time_in_force, "time_in_force", tuple(_TIF))
    if has_algo:
        raise WireError.bad_param("algo_type", "algo orders are not offered")
    life = _TIF[wire_tif]
    flags = options | int(OrderFlag.STP_ACCOUNT if self_trade is None else self_trade_mode(self_trade, _STP_FIELD))
    if wire_tif == "post_only":
        if order_type == "market":
            raise WireError(11010)
        flags |= _POST_ONLY | (_SLIDE if slides else 0)
    if order_type == "market":
        flags |= _MARKET
        life = TimeInForce.FOK if life is TimeInForce.FOK else TimeInForce.IOC
    return life, OrderFlag(flags)


def self_trade_mode(text: str | None, field: str) -> OrderFlag:
    """Flag of a mode's name; WireError -32602."""
    return _STP_MODES[choice(text, field, tuple(_STP_MODES))]


def price_on_tick(instrument: Instrument, price: Decimal | None) -> int:
    """Ticks of a price inside (0, maximum]; WireError 11013 with its neighbours."""
    got = _present(price)
    ticks = _plain_steps(got, instrument.tick_e9)
    if ticks is None:
        ticks = _on_grid(instrument.price_ticks, got, "limit_price", 11013)
    if not 0 < ticks <= instrument.maximum_price_ticks:
        data: dict[str, object] = {
            "got": _plain(got),
            "minimum": instrument.price_text(1),
            "maximum": instrument.price_text(instrument.maximum_price_ticks),
        }
        raise WireError(11013, data)
    return ticks


def amount_on_step(instrument: Instrument, amount: Decimal | None) -> int:
    """Lots of a size inside the instrument's range; WireError 11012 with its neighbours or the range."""
    got = _present(amount)
    lots = _plain_steps(got, instrument.lot_e9)
    if lots is None:
        lots = _on_grid(instrument.quantity_lots, got, "amount", 11012)
    if not instrument.minimum_lots <= lots <= instrument.maximum_lots:
        data: dict[str, object] = {
            "got": _plain(got),
            "minimum": instrument.quantity_text(instrument.minimum_lots),
            "maximum": instrument.quantity_text(instrument.maximum_lots),
        }
        raise WireError(11012, data)
    return lots


def parse_nonce(nonce: object) -> int:
    """Nonce of 13 to 19 digits (rule T7)."""
    text = str(nonce)
    if not (text.isascii() and text.isdigit() and 13 <= len(text) <= _NONCE_DIGITS):
        raise WireError.bad_param("nonce", "must be 13 to 19 decimal digits")
    return int(text)


def nonce_time_ns(nonce: int) -> int:
    """Nonce read as nanoseconds: right-padded to 19 digits."""
    if nonce >= _NINETEEN_DIGITS:
        return nonce
    return int(str(nonce).ljust(_NONCE_DIGITS, "0"))


def check_nonce_window(nonce: int, now_ns: int) -> None:
    """Raise 11018 with the window unless the nonce's time is near."""
    if abs(nonce_time_ns(nonce) - now_ns) > NONCE_WINDOW_NS:
        low, high = now_ns - NONCE_WINDOW_NS, now_ns + NONCE_WINDOW_NS
        raise WireError(11018, {"window_low": str(low), "window_high": str(high), "got": str(nonce)})


def signature_bytes(text: str, signer: bytes) -> bytes:
    """Canonical 65 bytes; WireError 14014 for a malformed or high-s signature."""
    try:
        return parse_signature(text)
    except BadSignature as error:
        data: dict[str, object] = {"expected": address_text(signer), "recovered": None, "reason": str(error)}
        raise WireError(RpcCode.SIGNATURE_INVALID, data) from error


def _plain_steps(got: Decimal, step_e9: int) -> int | None:
    """Steps in a plain decimal; None when it takes the long way: exponents, many digits, off the grid."""
    value_e9 = plain_units(got, 9)
    if value_e9 is None:
        return None
    steps, rest = divmod(value_e9, step_e9)
    return None if rest else steps


def _on_grid(convert: Callable[[Decimal], int], got: Decimal, field: str, code: int) -> int:
    value, was_cut = on_grid_value(got, field)
    try:
        result = convert(value)
    except OffGrid as error:
        raise WireError(code, {"got": _plain(got), "nearest": list(error.nearest)}) from error
    if was_cut:
        raise WireError(code, {"got": _plain(got), "nearest": [_plain(value)]})
    return result


def _plain(value: Decimal) -> str:
    return f"{value:f}"


def _present(value: Any) -> Any:
    if value is None:
        raise WireError(RpcCode.INVALID_PARAMS)
    return value


def choice(value: str | None, field: str, allowed: tuple[str, ...]) -> str:
    """Lower-case member of `allowed`; WireError -32602."""
    if value is None or value.lower() not in allowed:
        raise WireError.bad_param(field, f"must be one of {', '.join(allowed)}")
    return value.lower()


def _short_text(value: Any, field: str, maximum: int) -> str:
    text = text_of(value)
    if len(text) > maximum:
        raise WireError.bad_param(field, f"at most {maximum} characters")
    return text


def mmp_group_of(params: OrderParams) -> int:
    """Group of an order with `mmp`; naming one without it is a mistake."""
    if not params.mmp:
        if params.mmp_group:
            raise WireError.bad_param("mmp_group", "needs mmp")
        return 0
    group = DEFAULT_MMP_GROUP if params.mmp_group is None else params.mmp_group
    if not 0 < group < 1 << 32:
        raise WireError.bad_param("mmp_group", "must be 1 to 4294967295")
    return group


def _expires_at_s(expires_at_ms: int | None, expiry_s: int) -> int:
    if not expires_at_ms:
        return 0
    if not 0 < expires_at_ms <= expiry_s * 1_000:
        raise WireError.bad_param("expires_at", "must lie before the signature's expiry")
    return expires_at_ms // 1_000


def _reject_after_ms(reject_timestamp: int | None) -> int:
    if reject_timestamp is None or reject_timestamp >= _NO_REJECT_MS:
        return 0
    if reject_timestamp <= 0:
        raise WireError.bad_param("reject_timestamp", "must be milliseconds")
    return reject_timestamp
