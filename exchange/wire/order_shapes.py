"""Orders, fills and refusals of the engine in the words of the wire (api.md 7 and 8)."""

from typing import Any, Final

from exchange.domain.commands import OrderFlag, PriceSource, Side, TimeInForce, Trigger, TriggerKind
from exchange.domain.events import FillSide
from exchange.domain.events import Trade as TradeEvent
from exchange.domain.instrument import Instrument
from exchange.domain.money import floor_div
from exchange.domain.result_codes import CloseReason, OrderStatus
from exchange.domain.views import OrderView
from exchange.wire.decimals import format_e6, format_e9, format_e18
from exchange.wire.errors import message_of
from exchange.wire.objects import Order, PublicTrade, Trade, TradeItem
from exchange.wire.order_ids import OrderIds
from exchange.wire.slippage import slippage_text
from exchange.wire.venue import VenueInfo, address_text

__all__ = ["CANCEL_REASONS", "ORDER_STATUSES", "OrderShapes", "average_price", "direction_text"]

ORDER_STATUSES: Final[dict[OrderStatus, str]] = {
    OrderStatus.OPEN: "open",
    OrderStatus.FILLED: "filled",
    OrderStatus.CANCELED: "cancelled",
    OrderStatus.EXPIRED: "expired",
    OrderStatus.REJECTED: "rejected",
    OrderStatus.UNTRIGGERED: "untriggered",
}
CANCEL_REASONS: Final[dict[CloseReason, str]] = {
    CloseReason.NONE: "",
    CloseReason.USER_REQUEST: "user_request",
    CloseReason.IOC_REMAINDER: "ioc_or_market_partial_fill",
    CloseReason.SELF_TRADE_PREVENTION: "validation_failed",
    CloseReason.REDUCE_ONLY_EXCESS: "validation_failed",
    CloseReason.SIGNATURE_EXPIRED: "",
    CloseReason.GOOD_TILL_DATE_REACHED: "",
    CloseReason.CANCEL_ON_DISCONNECT: "cancel_on_disconnect",
    CloseReason.SESSION_KEY_REVOKED: "session_key_deregistered",
    CloseReason.WITHDRAWAL: "subaccount_withdrawn",
    CloseReason.REPLACED: "user_request",
    CloseReason.INSTRUMENT_EXPIRED: "validation_failed",
    CloseReason.INSUFFICIENT_MARGIN: "insufficient_margin",
    CloseReason.NO_LIQUIDITY: "ioc_or_market_partial_fill",
    CloseReason.TRIGGER_FAILED: "trigger_failed",
    CloseReason.LINKED_ORDER: "user_request",
    CloseReason.PARENT_CLOSED: "user_request",
    CloseReason.POSITION_CLOSED: "validation_failed",
    CloseReason.LIQUIDATION: "validation_failed",
    CloseReason.MMP_TRIGGERED: "mmp_trigger",
    CloseReason.DEAD_MAN_TIMER: "user_request",
}
_REASON_CODES: Final = {reason: reason.name.lower() if reason else "" for reason in CloseReason}
_TIF: Final = {TimeInForce.GTC: "gtc", TimeInForce.GTD: "gtc", TimeInForce.IOC: "ioc", TimeInForce.FOK: "fok"}
_TRIGGER_TYPES: Final = {
    TriggerKind.STOP: "stoploss",
    TriggerKind.TAKE_PROFIT: "takeprofit",
    TriggerKind.TRAILING: "trailing",
}
_PRICE_TYPES: Final = {PriceSource.MARK: "mark", PriceSource.INDEX: "index", PriceSource.LAST: "last"}
_NO_TRIGGER: Final[dict[str, Any]] = {}
_PPM_TO_PERCENT_E9: Final = 10**5
_DIRECTIONS: Final = ("buy", "sell")
# Plain integers: `&` of an enum's members costs more than formatting a price.
_MARKET: Final = int(OrderFlag.MARKET)
_POST_ONLY: Final = int(OrderFlag.POST_ONLY)
_REDUCE_ONLY: Final = int(OrderFlag.REDUCE_ONLY)
_MMP: Final = int(OrderFlag.MMP)
_CANCEL_ON_DISCONNECT: Final = int(OrderFlag.CANCEL_ON_DISCONNECT)


def direction_text(side: Side) -> str:
    """`buy` or `sell`."""
    return _DIRECTIONS[side]


class OrderShapes:
    """Builders that need the deployment's ids."""

    def __init__(self, venue: VenueInfo) -> None:
        """Take the constants from `venue`."""
        self._venue = venue
        self.ids = OrderIds(venue.domain_separator)

    def order(self, view: OrderView, instrument: Instrument) -> Order:
        """An order as it is now. The average price is rounded down to 1e-6, for display only."""
        flags = int(view.flags)
        return Order(
            order_id=self.ids.text(view.order),
            subaccount_id=self._venue.subaccount_id(view.subaccount),
            instrument_name=instrument.name,
            direction=_DIRECTIONS[view.side],
            order_type="market" if flags & _MARKET else "limit",
            time_in_force="post_only" if flags & _POST_ONLY else _TIF[view.time_in_force],
            label=view.label,
            client_order_id=view.client_order_id,
            creation_timestamp=view.created_ns // 1_000_000,
            last_update_timestamp=view.updated_ns // 1_000_000,
            limit_price=instrument.price_text(view.price_ticks),
            average_price=average_price(view, instrument),
            amount=instrument.quantity_text(view.quantity_lots),
            filled_amount=instrument.quantity_text(view.filled_lots),
            remaining_amount=instrument.quantity_text(max(view.quantity_lots - view.filled_lots, 0)),
            order_fee=format_e6(view.fee_e6),
            order_status=ORDER_STATUSES[view.status],
            cancel_reason=CANCEL_REASONS[view.reason],
            reason_code=_REASON_CODES[view.reason],
            reduce_only=bool(flags & _REDUCE_ONLY),
            mmp=bool(flags & _MMP),
            cancel_on_disconnect=bool(flags & _CANCEL_ON_DISCONNECT),
            signer=address_text(view.signer),
            signature="0x" + view.signature.hex(),
            signature_expiry_sec=view.expiry_s,
            nonce=str(view.nonce),
            max_fee=format_e18(view.max_fee_e18),
            expires_at=view.expires_at_s * 1_000 if view.expires_at_s else None,
            replaced_order_id=self.ids.text(view.replaces) if view.replaces else None,
            version=view.version,
            display_amount=instrument.quantity_text(view.display_lots) if view.display_lots else None,
            **(_NO_TRIGGER if view.trigger is None else self._trigger_members(view, view.trigger)),
        )

    def _trigger_members(self, view: OrderView, trigger: Trigger) -> dict[str, Any]:
        """Members of a trigger order; the price is null for a trail that waits for its parent."""
        return {
            "trigger_type": _TRIGGER_TYPES[trigger.kind],
            "trigger_price": format_e9(view.trigger_e9) if view.trigger_e9 else None,
            "trigger_price_type": _PRICE_TYPES[trigger.source],
            "trigger_reject_message": f"{view.refusal.value} {message_of(view.refusal)}" if view.refusal else None,
            "trailing_offset": format_e9(trigger.offset_e9) if trigger.offset_e9 else None,
            "trailing_percent": format_e9(trigger.offset_ppm * _PPM_TO_PERCENT_E9) if trigger.offset_ppm else None,
            "parent_order_id": self.ids.text(trigger.parent) if trigger.parent else None,
            "oco_order_id": self.ids.text(trigger.partner) if trigger.partner else None,
        }

    def trade(
        self,
        trade: TradeEvent,
        instrument: Instrument,
        *,
        is_maker: bool,
        timestamp_ns: int,
        label: str,
        client_order_id: str,
        batch_status: str | None = None,
        tx_hash: str | None = None,
    ) -> Trade:
        """One party's fill."""
        side: FillSide = trade.maker if is_maker else trade.taker
        trade_id = self.ids.text(trade.trade)
        return Trade(
            subaccount_id=self._venue.subaccount_id(side.subaccount),
            order_id=self.ids.text(side.order),
            instrument_name=instrument.name,
            direction=_DIRECTIONS[trade.taker_side ^ is_maker],
            trade_id=trade_id,
            fill_id=f"{trade_id}-{'m' if is_maker else 't'}",
            timestamp=timestamp_ns // 1_000_000,
            mark_price=format_e9(trade.mark_e9),
            index_price=format_e9(trade.index_e9),
            trade_price=instrument.price_text(trade.price_ticks),
            trade_amount=instrument.quantity_text(trade.quantity_lots),
            liquidity_role="maker" if is_maker or trade.is_auction else "taker",
            realized_pnl=format_e6(side.realized_pnl_e6 - side.fee_e6),
            realized_pnl_excl_fees=format_e6(side.realized_pnl_e6),
            trade_fee=format_e6(side.fee_e6),
            batch_status=batch_status,
            tx_hash=tx_hash,
            op_uuid=trade_id,
            label=label,
            client_order_id=client_order_id,
            cumulative_amount=instrument.quantity_text(side.filled_lots),
            leaves_amount=instrument.quantity_text(side.remaining_lots),
            account_seq=side.account_seq,
            slippage_bps=_slippage(trade, instrument, is_maker=is_maker),
        )

    def public_trade(
        self, trade: TradeEvent, instrument: Instrument, *, is_maker: bool, timestamp_ns: int, batch_status: str | None
    ) -> PublicTrade:
        """One anonymous row of the public history."""
        side = trade.maker if is_maker else trade.taker
        return PublicTrade(
            trade_id=self.ids.text(trade.trade),
            instrument_name=instrument.name,
            timestamp=timestamp_ns // 1_000_000,
            direction=_DIRECTIONS[trade.taker_side ^ is_maker],
            trade_price=instrument.price_text(trade.price_ticks),
            trade_amount=instrument.quantity_text(trade.quantity_lots),
            mark_price=format_e9(trade.mark_e9),
            index_price=format_e9(trade.index_e9),
            liquidity_role="maker" if is_maker else "taker",
            trade_fee=format_e6(side.fee_e6),
            batch_status=batch_status,
        )

    def trade_item(self, trade: TradeEvent, instrument: Instrument, *, timestamp_ns: int) -> TradeItem:
        """One item of the public stream."""
        return TradeItem(
            trade_id=self.ids.text(trade.trade),
            instrument_name=instrument.name,
            timestamp=timestamp_ns // 1_000_000,
            direction=_DIRECTIONS[trade.taker_side],
            trade_price=instrument.price_text(trade.price_ticks),
            trade_amount=instrument.quantity_text(trade.quantity_lots),
            mark_price=format_e9(trade.mark_e9),
            index_price=format_e9(trade.index_e9),
            trade_fee=format_e6(trade.taker.fee_e6),
        )


def _slippage(trade: TradeEvent, instrument: Instrument, *, is_maker: bool) -> str | None:
    side = Side(trade.taker_side ^ is_maker)
    price_e9 = trade.price_ticks * instrument.tick_e9
    return slippage_text(price_e9, trade.mark_e9, side) if trade.mark_e9 else None


def average_price(view: OrderView, instrument: Instrument) -> str:
    """Filled notional over filled size in 1e-6 USDC, rounded down; "0" before the first fill."""
    if not view.filled_lots:
        return "0"
    return format_e6(floor_div(view.filled_notional_e6 * 10**9, view.filled_lots * instrument.lot_e9))
