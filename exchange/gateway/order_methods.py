"""Methods that create, change, cancel and find orders."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from exchange.domain.commands import Amend, Cancel, CancelMany, CancelScope, Place, Replace, Side, SignedAmend
from exchange.domain.events import ManyCanceled, OrderAccepted, OrderClosed, OrderRefused, OrderRepeated, Trade
from exchange.domain.result_codes import CloseReason, ResultCode
from exchange.domain.views import Answer, GetOrder, OrderView, Output
from exchange.gateway.calls import Call
from exchange.gateway.core import Core, Handler
from exchange.gateway.display_checks import refuse_display
from exchange.gateway.intake import Intake, Unverified
from exchange.gateway.order_checks import CheckedOrder, amount_on_step, parse_nonce, price_on_tick
from exchange.gateway.quote_checks import CheckedQuotes
from exchange.gateway.trigger_checks import new_trigger_e9
from exchange.wire.decimals import format_e9
from exchange.wire.errors import RpcCode, WireError
from exchange.wire.order_shapes import average_price
from exchange.wire.params import (
    CancelManyParams,
    CancelParams,
    EditParams,
    OrderParams,
    ReplaceParams,
    required,
    text_of,
)

__all__ = ["OrderMethods"]


class OrderMethods:
    """Handlers by path."""

    def __init__(self, core: Core) -> None:
        """Work on `core`; `intake` is set by the gateway once it exists."""
        self._core = core
        self.intake: Intake

    def handlers(self) -> dict[str, Handler]:
        """Return the unsigned methods; signed ones go through `prepare`."""
        return {
            "private/edit": self._edit,
            "private/cancel": self._cancel,
            "private/cancel_by_client_order_id": self._cancel,
            "private/cancel_by_nonce": self._cancel_by_nonce,
            "private/cancel_by_label": self._cancel_many,
            "private/cancel_by_instrument": self._cancel_many,
            "private/cancel_all": self._cancel_all,
            "private/cancel_trigger_order": self._cancel,
            "private/cancel_all_trigger_orders": self._cancel_all_triggers,
            "private/get_order": self._get_order,
        }

    def prepare(self, call: Call) -> Unverified:
        """Run the cheap checks of a signed order (api.md 5, rows 3 to 8)."""
        params: OrderParams = call.params
        account = self._core.account(call, params.subaccount_id)
        if params.cancel_on_disconnect and not call.client.is_socket:
            raise WireError.bad_param("cancel_on_disconnect", "REST has no session")
        identity = call.client.identity  # the account is its own, so there is one
        if identity is None:
            raise WireError(14021)
        if isinstance(params, EditParams):
            for name in OrderParams.REQUIRED:
                required(getattr(params, name), name)
        checked = self._core.checks.check(params, identity, account, call.client.cancel_on_disconnect)
        submits = {ReplaceParams: self._submit_replace, EditParams: self._submit_edit}
        return Unverified(call, account, checked, submits.get(type(params), self._submit_order))

    def _submit_order(self, item: Unverified, domain: int, digest: bytes) -> None:
        call, place = item.call, _signed(item, domain, digest)
        self._core.submit(call, place, lambda output: self._placed(call, output))

    def _placed(self, call: Call, output: Output) -> None:
        for event in output.events:
            if isinstance(event, OrderAccepted | OrderRepeated):
                trades = () if isinstance(event, OrderRepeated) else self._own_trades(output, event.order)
                view = output.orders[event.order]
                call.result({"order": self._core.order(view), "trades": list(trades)}, output.sequence)
                return
            if isinstance(event, OrderRefused):
                raise self.refusal(event, output)
        raise WireError(RpcCode.INTERNAL)

    def _submit_replace(self, item: Unverified, domain: int, digest: bytes) -> None:
        params: ReplaceParams = item.call.params
        place = _signed(item, domain, digest)
        if params.order_id_to_cancel is not None:
            self._replace(item.call, self._number(params.order_id_to_cancel), place)
            return
        query = GetOrder(
            subaccount=item.account, nonce=parse_nonce(required(params.nonce_to_cancel, "order_id_to_cancel"))
        )

        def found(answer: Answer) -> None:
            if not isinstance(answer, OrderView):
                raise WireError(ResultCode.ORDER_NOT_FOUND)
            self._replace(item.call, answer.order, place)

        self._core.ask(item.call, query, found)

    def _replace(self, call: Call, target: int, place: Place) -> None:
        instrument = self._core.market.by_id[place.instrument]
        expected = call.params.expected_filled_amount
        expected_lots = -1 if expected is None else _lots_or_zero(expected, instrument.quantity_lots)
        command = Replace(target_order=target, order=place, expected_filled_lots=expected_lots)
        self._core.submit(call, command, lambda output: self._replaced(call, output, target))

    def _replaced(self, call: Call, output: Output, target: int) -> None:
        refused = next((event for event in output.events if isinstance(event, OrderRefused)), None)
        accepted = next((event for event in output.events if isinstance(event, OrderAccepted)), None)
        closed = any(isinstance(event, OrderClosed) and event.order == target for event in output.events)
        if refused is not None and not closed:
            raise self.refusal(refused, output)
        error = self.refusal(refused, output) if refused is not None else None
        result = {
            "cancelled_order": self._core.order(output.orders[target]) if target in output.orders else None,
            "order": self._core.order(output.orders[accepted.order]) if accepted else None,
            "trades": list(self._own_trades(output, accepted.order)) if accepted else [],
            "create_order_error": {"code": error.code, "message": error.message} if error else None,
        }
        call.result(result, output.sequence)

    def _edit(self, call: Call) -> None:
        """An edit without a signature: a smaller amount at the same price, another trigger price."""
        self._with_target(call, lambda view: self._amend(call, view))

    def _with_target(self, call: Call, then: Callable[[OrderView], None]) -> None:
        params: EditParams = call.params
        account = self._core.account(call, params.subaccount_id)
        query = self._order_query(account, params.order_id, text_of(params.client_order_id), None)

        def found(answer: Answer) -> None:
            if not isinstance(answer, OrderView):
                raise WireError(ResultCode.ORDER_NOT_FOUND)
            then(answer)

        self._core.ask(call, query, found)

    def _amend(self, call: Call, view: OrderView) -> None:
        params: EditParams = call.params
        instrument = self._core.market.by_id[view.instrument]
        refuse_display(params)
        if params.limit_price is not None and price_on_tick(instrument, params.limit_price) != view.price_ticks:
            raise WireError.bad_param("limit_price", "another price needs a new signature: sign the whole order")
        trigger_e9 = new_trigger_e9(params)
        lots = view.quantity_lots
        if params.amount is not None or not trigger_e9:
            lots = amount_on_step(instrument, required(params.amount, "amount"))
        if lots > view.quantity_lots:
            raise WireError.bad_param("amount", "a larger amount needs a new signature: sign the whole order")
        expected = params.expected_filled_amount
        if expected is not None and _lots_or_zero(expected, instrument.quantity_lots) != view.filled_lots:
            raise WireError(ResultCode.REPLACE_FILL_MISMATCH, self._state(view))
        command = Amend(subaccount=view.subaccount, order=view.order, quantity_lots=lots, trigger_e9=trigger_e9)
        self._core.submit(call, command, lambda output: self._edited(call, view.order, output))

    def _submit_edit(self, item: Unverified, domain: int, digest: bytes) -> None:
        place = msgspec.structs.replace(_signed(item, domain, digest), client_order_id="", label="")
        params: EditParams = item.call.params

        def edit(view: OrderView) -> None:
            expected = params.expected_filled_amount
            convert = self._core.market.by_id[place.instrument].quantity_lots
            command = SignedAmend(
                target_order=view.order,
                order=place,
                expected_filled_lots=-1 if expected is None else _lots_or_zero(expected, convert),
                trigger_e9=new_trigger_e9(params),
            )
            self._core.submit(item.call, command, lambda output: self._edited(item.call, view.order, output))

        self._with_target(item.call, edit)

    def _edited(self, call: Call, order: int, output: Output) -> None:
        self._raise_refusal(call, output)
        trades = list(self._own_trades(output, order))
        call.result({"order": self._core.order(output.orders[order]), "trades": trades}, output.sequence)

    def _cancel(self, call: Call) -> None:
        params: CancelParams = call.params
        account = self._core.account(call, params.subaccount_id)
        client_order_id = text_of(params.client_order_id)
        if params.order_id is None and not client_order_id:
            raise WireError.bad_param("order_id", "is required")
        number = self._number(params.order_id) if params.order_id is not None else 0
        if client_order_id and not number:
            self._remove(account, lambda order: order.place.client_order_id == client_order_id, lambda _: False)
        command = Cancel(
            subaccount=account,
            order=number,
            client_order_id="" if number else client_order_id,
            instrument=self._core.instrument_id(params.instrument_name),
        )
        self._core.submit(call, command, lambda output: self._canceled(call, output))

    def _canceled(self, call: Call, output: Output) -> None:
        for event in output.events:
            if isinstance(event, OrderClosed):
                call.result(self._core.order(output.orders[event.order]), output.sequence)
                return
            if isinstance(event, OrderRefused):
                self._explain(call, event, output)
                return
        raise WireError(ResultCode.ORDER_NOT_FOUND)

    def _explain(self, call: Call, event: OrderRefused, output: Output) -> None:
        """Refuse a cancel with the order's present state, asked for when the output does not hold it."""
        if not event.order or event.order in output.orders:
            raise self.refusal(event, output)

        def found(answer: Answer) -> None:
            data = self._state(answer) if isinstance(answer, OrderView) else None
            call.fail(WireError(event.code, data), output.sequence)

        self._core.ask(call, GetOrder(subaccount=event.subaccount, order=event.order), found)

    def _cancel_by_nonce(self, call: Call) -> None:
        params: CancelParams = call.params
        account = self._core.account(call, params.subaccount_id)
        nonce = parse_nonce(required(params.nonce, "nonce"))
        removed = self._remove(
            account, lambda order: order.place.nonce == nonce, lambda quotes: quotes.command.nonce == nonce
        )
        command = Cancel(subaccount=account, nonce=nonce, instrument=self._core.instrument_id(params.instrument_name))

        def done(output: Output) -> None:
            # Without what ended because of it: children, for instance.
            count = sum(
                isinstance(event, OrderClosed) and event.reason is CloseReason.USER_REQUEST for event in output.events
            )
            call.result({"cancelled_orders": removed + count}, output.sequence)

        self._core.submit(call, command, done)

    def _cancel_many(self, call: Call) -> None:
        params: CancelManyParams = call.params
        label = text_of(params.label)
        if call.method.path == "private/cancel_by_label":
            required(params.label, "label")
        else:
            required(params.instrument_name, "instrument_name")
        self._cancel_matching(
            call,
            label,
            CancelScope.ALL,
            lambda output, count: call.result({"cancelled_orders": count}, output.sequence),
        )

    def _cancel_all(self, call: Call) -> None:
        """Trigger orders go too, unless they are spared by name."""
        params: CancelManyParams = call.params
        scope = CancelScope.RESTING if params.cancel_trigger_orders is False else CancelScope.ALL
        self._cancel_matching(call, "", scope, lambda output, _: call.result("ok", output.sequence))

    def _cancel_all_triggers(self, call: Call) -> None:
        self._cancel_matching(call, "", CancelScope.TRIGGERS, lambda output, _: call.result("ok", output.sequence))

    def _cancel_matching(self, call: Call, label: str, scope: CancelScope, done: Callable[[Output, int], None]) -> None:
        params: CancelManyParams = call.params
        account = self._core.account(call, params.subaccount_id)
        instrument = self._core.instrument_id(params.instrument_name)
        underlying = self._core.underlying(params.currency)
        removed = self._remove(
            account,
            lambda order: (
                instrument in (0, order.place.instrument)
                and underlying in ("", order.terms.instrument.underlying)
                and label in ("", order.place.label)
                and scope in (CancelScope.ALL, _scope_of(order.place))
            ),
            lambda quotes: quotes.is_hit(instrument=instrument, underlying=underlying, label=label, scope=scope),
        )

        def answered(output: Output) -> None:
            self._raise_refusal(call, output)
            count = next((event.count for event in output.events if isinstance(event, ManyCanceled)), 0)
            done(output, removed + count)

        command = CancelMany(subaccount=account, instrument=instrument, label=label, scope=scope, underlying=underlying)
        self._core.submit(call, command, answered)

    def _get_order(self, call: Call) -> None:
        params: CancelParams = call.params
        account = self._core.account(call, params.subaccount_id)
        nonce = parse_nonce(params.nonce) if params.nonce is not None else None
        query = self._order_query(account, params.order_id, text_of(params.client_order_id), nonce)

        def found(answer: Answer) -> None:
            if not isinstance(answer, OrderView):
                raise WireError(ResultCode.ORDER_NOT_FOUND)
            call.result(self._core.order(answer))

        self._core.ask(call, query, found)

    def _order_query(self, account: int, order_id: str | None, client_order_id: str, nonce: int | None) -> GetOrder:
        if order_id is not None:
            return GetOrder(subaccount=account, order=self._number(order_id))
        if client_order_id:
            return GetOrder(subaccount=account, client_order_id=client_order_id)
        return GetOrder(subaccount=account, nonce=required(nonce, "order_id"))

    def _number(self, order_id: str) -> int:
        number = self._core.shapes.ids.number(order_id)
        if number is None:
            raise WireError(
                ResultCode.ORDER_NOT_FOUND, {"order_id": order_id[:64], "reason": "not an id of this venue"}
            )
        return number

    def _remove(
        self, account: int, is_order: Callable[[CheckedOrder], bool], is_quotes: Callable[[CheckedQuotes], bool]
    ) -> int:
        def matches(item: CheckedOrder | CheckedQuotes) -> bool:
            return is_quotes(item) if isinstance(item, CheckedQuotes) else is_order(item)

        return self.intake.remove_unverified(account, matches)

    def _own_trades(self, output: Output, order: int) -> list[Any]:
        instruments = self._core.market.by_id
        return [
            self._core.shapes.trade(
                event,
                instruments[event.instrument],
                is_maker=event.maker.order == order,
                timestamp_ns=output.timestamp_ns,
                label=output.orders[order].label,
                client_order_id=output.orders[order].client_order_id,
            )
            for event in output.events
            if isinstance(event, Trade) and order in (event.maker.order, event.taker.order)
        ]

    def _raise_refusal(self, call: Call, output: Output) -> None:
        for event in output.events:
            if isinstance(event, OrderRefused):
                call.sequence = output.sequence
                raise self.refusal(event, output)

    def refusal(self, event: OrderRefused, output: Output) -> WireError:
        """Make the error of a refusal, with what the client needs to go on."""
        data: dict[str, object] = {}
        view = output.orders.get(event.order)
        if view is not None:
            data |= self._state(view)
        elif event.order and event.code in (ResultCode.NONCE_USED, ResultCode.CLIENT_ORDER_ID_CONFLICT):
            data["order_id"] = self._core.shapes.ids.text(event.order)
        if event.code == ResultCode.NONCE_USED:
            data["got"] = str(event.nonce)
        if event.code == ResultCode.POST_ONLY_WOULD_CROSS and event.instrument:
            data |= self._best_prices(event.instrument)
        if event.code == ResultCode.TRIGGER_WRONG_SIDE:
            data |= self._source_prices(event.instrument)
        return WireError(event.code, data or None)

    def _state(self, view: OrderView) -> dict[str, object]:
        instrument = self._core.market.by_id[view.instrument]
        shape = self._core.order(view)
        return {
            "order_id": shape.order_id,
            "order_status": shape.order_status,
            "filled_amount": shape.filled_amount,
            "average_price": average_price(view, instrument),
        }

    def _source_prices(self, instrument_id: int) -> dict[str, object]:
        instrument, prices = self._core.market.by_id[instrument_id], self._core.market.prices
        mark, index_e9 = prices.marks.get(instrument_id), prices.index_e9.get(instrument.underlying)
        return {
            "mark_price": format_e9(mark.mark_e9) if mark else None,
            "index_price": format_e9(index_e9) if index_e9 else None,
        }

    def _best_prices(self, instrument_id: int) -> dict[str, object]:
        instrument, book = self._core.market.by_id[instrument_id], self._core.market.book(instrument_id)
        bid, ask = book.best(Side.BUY), book.best(Side.SELL)
        return {
            "best_bid": instrument.price_text(bid[0]) if bid else None,
            "best_ask": instrument.price_text(ask[0]) if ask else None,
        }


def _signed(item: Unverified, domain: int, digest: bytes) -> Place:
    if not isinstance(item.checked, CheckedOrder):
        raise TypeError("a mass quote among the orders")
    return msgspec.structs.replace(item.checked.place, domain=domain, digest=digest)


def _scope_of(place: Place) -> CancelScope:
    return CancelScope.RESTING if place.trigger is None else CancelScope.TRIGGERS


def _lots_or_zero(amount: Decimal, convert: Callable[[Decimal], int]) -> int:
    return convert(amount) if amount else 0
