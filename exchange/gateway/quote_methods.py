"""`private/mass_quote`: up to 64 two-sided quotes under one signature, one command, one answer for every side."""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from exchange.domain.commands import CancelMany, Side
from exchange.domain.events import OrderAmended, OrderClosed, OrderRefused
from exchange.domain.quote_events import QuoteKept, QuotePlaced, QuoteRefused
from exchange.domain.quotes import MassQuote
from exchange.domain.result_codes import ResultCode
from exchange.domain.views import Output
from exchange.gateway.calls import Call
from exchange.gateway.core import Core
from exchange.gateway.intake import Intake, Unverified
from exchange.gateway.mmp_methods import group_of
from exchange.gateway.order_checks import CheckedOrder
from exchange.gateway.quote_checks import CheckedQuotes, QuoteChecks
from exchange.wire.errors import WireError, data_text
from exchange.wire.quote_objects import QuoteResult
from exchange.wire.quote_params import MassQuoteParams

__all__ = ["QuoteMethods"]

_LINE_MASK: Final = 0xFF
Refusal = Callable[[OrderRefused, Output], WireError]


class QuoteMethods:
    """Signed calls come through `prepare`; those that only pull and shrink through `unsigned`."""

    def __init__(self, core: Core, refusal: Refusal) -> None:
        """`refusal` explains why a whole call was refused; `intake` is set by the gateway once it exists."""
        self._core = core
        self._refusal = refusal
        self._checks = QuoteChecks(core.venue, core.market, core.checks, core.clock_ns)
        self.intake: Intake

    def prepare(self, call: Call) -> Unverified:
        """Run the cheap checks of a signed call."""
        params: MassQuoteParams = call.params
        account = self._core.account(call, params.subaccount_id)
        checked = self._checks.check(params, self._core.identity(call), account)
        return Unverified(call, account, checked, self._submit)

    def unsigned(self, call: Call) -> None:
        """Pull a group, or pull and shrink single quotes."""
        params: MassQuoteParams = call.params
        account = self._core.account(call, params.subaccount_id)
        if params.cancel is None:
            command = self._checks.check_unsigned(params, account)
            self._core.submit(call, command, lambda output: self._answer(call, command, output))
        else:
            self._pull_group(call, account, group_of(params))

    def _pull_group(self, call: Call, account: int, group: int) -> None:
        """Quotes and orders of the group, those too that still wait for the check of their signature."""

        def is_hit(item: CheckedOrder | CheckedQuotes) -> bool:
            command = item.command if isinstance(item, CheckedQuotes) else item.place
            return command.mmp_group == group

        self.intake.remove_unverified(account, is_hit)

        def done(output: Output) -> None:
            self._raise_refusal(call, output)
            rows = [self._pulled(event, output, None) for event in output.events if isinstance(event, OrderClosed)]
            self._reply(call, rows, output)

        self._core.submit(call, CancelMany(subaccount=account, mmp_group=group), done)

    def _submit(self, item: Unverified, domain: int, digest: bytes) -> None:
        checked = item.checked
        if not isinstance(checked, CheckedQuotes):
            raise TypeError("an order among the mass quotes")
        command = msgspec.structs.replace(checked.command, domain=domain, digest=digest)
        self._core.submit(item.call, command, lambda output: self._answer(item.call, command, output))

    def _answer(self, call: Call, command: MassQuote, output: Output) -> None:
        self._raise_refusal(call, output)
        lines = {line.instrument: at for at, line in enumerate(command.lines)}
        lots = [lots for line in command.lines for lots in (line.bid_lots, line.ask_lots)]
        shrunk = {event.order for event in output.events if isinstance(event, OrderAmended)}
        rows: dict[int, QuoteResult] = {}
        for event in output.events:
            if isinstance(event, QuotePlaced):
                place = event.order & _LINE_MASK
                rows[place] = self._row(place, "replaced" if event.replaces else "placed", event.order)
            elif isinstance(event, QuoteKept):
                status = "replaced" if event.order in shrunk else "unchanged"
                rows[event.line] = self._row(event.line, status, event.order)
            elif isinstance(event, QuoteRefused):
                rows[event.order & _LINE_MASK] = self._refused(event)
            elif isinstance(event, OrderClosed):
                side = output.orders[event.order].side
                place = 2 * lines[event.instrument] + side
                if not lots[place]:
                    rows[place] = self._pulled(event, output, place >> 1)
        self._reply(call, [rows[place] for place in sorted(rows)], output)

    def _row(self, place: int, status: str, order: int) -> QuoteResult:
        direction = "sell" if place & 1 else "buy"
        return QuoteResult(
            line=place >> 1, direction=direction, status=status, order_id=self._core.shapes.ids.text(order), error=None
        )

    def _pulled(self, event: OrderClosed, output: Output, line: int | None) -> QuoteResult:
        direction = "buy" if output.orders[event.order].side is Side.BUY else "sell"
        order_id = self._core.shapes.ids.text(event.order)
        return QuoteResult(line=line, direction=direction, status="pulled", order_id=order_id, error=None)

    def _refused(self, event: QuoteRefused) -> QuoteResult:
        instrument = self._core.market.by_id[event.instrument]
        data: dict[str, object] = {"instrument_name": instrument.name}
        if event.code == ResultCode.POST_ONLY_WOULD_CROSS:
            best = "best_ask" if event.side is Side.BUY else "best_bid"
            data[best] = instrument.price_text(event.price_ticks)
        error = WireError(event.code)
        return QuoteResult(
            line=(event.order & _LINE_MASK) >> 1,
            direction="buy" if event.side is Side.BUY else "sell",
            status="rejected",
            order_id=None,
            error={"code": error.code, "message": error.message, "data": data_text(data)},
        )

    def _reply(self, call: Call, rows: list[QuoteResult], output: Output) -> None:
        params: MassQuoteParams = call.params
        shown = [row for row in rows if row.status == "rejected"] if params.detailed is False else rows
        # Quotes are post-only: none of them trades in the command that places it.
        result: dict[str, Any] = {"quotes": shown, "trades": []}
        call.result(result, output.sequence)

    def _raise_refusal(self, call: Call, output: Output) -> None:
        for event in output.events:
            if isinstance(event, OrderRefused):
                call.sequence = output.sequence
                raise self._refusal(event, output)
