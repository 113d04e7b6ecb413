"""Auctions of portfolios below maintenance: who asks sees what is offered, `private/liquidate` takes a share of it.

A bid is signed as a mass quote over its legs, because the chain judges it leg by leg; it passes the same checks.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

import msgspec

from exchange.domain.auction_bids import BidInAuction
from exchange.domain.auction_views import AuctionView, GetAuctions
from exchange.domain.events import OrderRefused, Trade
from exchange.domain.ids import order_number
from exchange.domain.liquidations import AuctionTaken
from exchange.domain.quotes import MassQuote
from exchange.domain.views import Answer, Output
from exchange.gateway.calls import Call
from exchange.gateway.core import Core, Handler
from exchange.gateway.intake import Unverified
from exchange.gateway.quote_checks import CheckedQuotes, QuoteChecks, line_count
from exchange.gateway.topics import Topic
from exchange.wire.auction_shapes import AuctionItem, LiquidateParams, auction_item, bought
from exchange.wire.decimals import plain_units
from exchange.wire.errors import RpcCode, WireError
from exchange.wire.objects import Trade as WireTrade
from exchange.wire.params import required

__all__ = ["AuctionMethods", "sample_auctions"]

_PPM: Final = 1_000_000
_STEPS: Final = 10_000
"""Of a hundredth of a percent each."""
_STEP_PPM: Final = _PPM // _STEPS
_E6: Final = 10**6
_PRICE_MAX_E6: Final = (1 << 63) - 1
Refusal = Callable[[OrderRefused, Output], WireError]


class AuctionMethods:
    """Signed bids come through `prepare`."""

    def __init__(self, core: Core, refusal: Refusal) -> None:
        """`refusal` explains why a bid was refused."""
        self._core = core
        self._refusal = refusal
        self._checks = QuoteChecks(core.venue, core.market, core.checks, core.clock_ns)

    def handlers(self) -> dict[str, Handler]:
        """Return the table."""
        return {"public/get_auctions": self._auctions}

    def prepare(self, call: Call) -> Unverified:
        """Run the cheap checks of a bid: its own terms, then those of the lines and the signature."""
        params: LiquidateParams = call.params
        account = self._core.account(call, params.subaccount_id)
        bid = _terms(params)
        checked = self._checks.check(params, self._core.identity(call), account)

        def submit(item: Unverified, domain: int, digest: bytes) -> None:
            if not isinstance(item.checked, CheckedQuotes):
                raise TypeError("an order among the bids")
            lines = msgspec.structs.replace(item.checked.command, domain=domain, digest=digest, mmp_group=0)
            command = bid(lines)
            self._core.submit(call, command, lambda output: self._answer(call, output))

        return Unverified(call, account, checked, submit)

    def _answer(self, call: Call, output: Output) -> None:
        for event in output.events:
            if isinstance(event, OrderRefused):
                call.sequence = output.sequence
                raise self._refusal(event, output)
            if isinstance(event, AuctionTaken):
                operation = self._core.shapes.ids.text(order_number(sequence=output.sequence))
                call.result(bought(event, operation, self._trades(output)), output.sequence)
                return
        raise WireError(RpcCode.INTERNAL)

    def _trades(self, output: Output) -> list[WireTrade]:
        """The bidder's side of every leg."""
        return [
            self._core.shapes.trade(
                event,
                self._core.market.by_id[event.instrument],
                is_maker=True,
                timestamp_ns=output.timestamp_ns,
                label="",
                client_order_id="",
            )
            for event in output.events
            if isinstance(event, Trade)
        ]

    def _auctions(self, call: Call) -> None:
        """What is offered, as a bid would find it now."""
        self._core.ask(call, GetAuctions(), lambda found: call.result(_items(self._core, found)))


def _items(core: Core, found: Answer) -> list[AuctionItem]:
    """The engine's answer on the wire; an instrument that this gateway does not know yet hides its auction."""
    if not isinstance(found, tuple):
        return []
    known, now_ms = core.market.by_id, core.clock_ns() // 1_000_000
    views = (row for row in found if isinstance(row, AuctionView))
    return [auction_item(row, known, now_ms) for row in views if all(leg[0] in known for leg in row.legs)]


def sample_auctions(core: Core, topic: Topic, now: float, send: Callable[[Topic, Any], None]) -> None:
    """What is offered, once a second while something is; when nothing is left, that once."""
    if now - topic.sent_at < topic.channel.interval_ms / 1_000 * 0.9:
        return
    topic.sent_at = now

    def found(answer: Answer) -> None:
        items = _items(core, answer)
        if items or topic.shown_version != 0:
            topic.shown_version = len(items)
            send(topic, items)

    core.port.ask(GetAuctions(), found)


def _terms(params: LiquidateParams) -> Callable[[MassQuote], BidInAuction]:
    """What a bid says beside its lines, first fault first: -32602, or 20006 for too many lines."""
    line_count(params)
    required(params.signature, "signature")
    if params.cash_transfer or params.merge_account:
        raise WireError.bad_param("cash_transfer", "a bidder pays from his own subaccount; merge_account neither")
    auction = required(params.liquidate_subaccount_id, "liquidate_subaccount_id")
    steps = plain_units(required(params.percent_of_acc, "percent_of_acc"), 2)
    if steps is None or not 0 < steps <= _STEPS:
        raise WireError.bad_param("percent_of_acc", "0.01 to 100 in steps of 0.01")
    limit_e6 = _limit_e6(required(params.price_limit, "price_limit"))
    seen = params.last_seen_trade_id or 0
    if auction < 1 or seen < 0:
        raise WireError.bad_param("liquidate_subaccount_id", "the number of an auction, as in auctions.watch")

    return lambda call: BidInAuction(
        auction=auction, share_ppm=steps * _STEP_PPM, price_limit_e6=limit_e6, last_seen_seq=seen, call=call
    )


def _limit_e6(value: Decimal) -> int:
    """Most that the share may cost in 1e-6 USDC, rounded down; below zero: what the bidder wants to be paid."""
    limit_e6 = int((value * _E6).to_integral_value(rounding="ROUND_FLOOR")) if value.is_finite() else _PRICE_MAX_E6 + 1
    if abs(limit_e6) > _PRICE_MAX_E6:
        raise WireError.bad_param("price_limit", "out of range")
    return limit_e6
