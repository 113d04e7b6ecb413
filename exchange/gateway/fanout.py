"""Committed outputs become notifications: encoded once per channel, the same bytes for every subscriber.

Books and tickers are sampled every 100 ms from state that only whole commits change, so nothing half-matched and
nothing crossed is ever shown. Private items and public trades leave with their commit.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from exchange.domain.events import CashMoved, Trade
from exchange.domain.liquidations import Deleveraged, FundPaid
from exchange.domain.views import AccountView, Answer, GetAccount, Output
from exchange.gateway.account_replay import NO_REACH, Places, Reach
from exchange.gateway.account_streams import ACCOUNT_KINDS, AccountStreams, AccountTopic
from exchange.gateway.auction_methods import sample_auctions
from exchange.gateway.book_streams import BookStreams
from exchange.gateway.book_topics import BookTopic
from exchange.gateway.calls import Call
from exchange.gateway.core import Core
from exchange.gateway.frames import text_frame
from exchange.gateway.index_history import spot_feed_item
from exchange.gateway.liquidations import items_of
from exchange.gateway.option_chain_stream import KIND, ChainStreams
from exchange.gateway.public_methods import order_book_levels, ticker_of
from exchange.gateway.topics import Subscriber, Topic
from exchange.wire.book_frames import OrderBookFrame
from exchange.wire.channels import BadChannel, Channel, parse_channel
from exchange.wire.decimals import format_e6
from exchange.wire.envelope import notification
from exchange.wire.errors import WireError
from exchange.wire.objects import BalanceUpdate, BatchRow, Ticker
from exchange.wire.venue import COLLATERAL, asset_kind

__all__ = ["Fanout"]

_REFUSED: Final = "14022 log in as the owner of this subaccount first"


class Fanout:
    """All subscriptions."""

    def __init__(self, core: Core, *, is_follower: bool = False) -> None:
        """Publish what `core`'s port commits; a follower of another process's frames cuts books where that one does."""
        self._core = core
        self.books = BookStreams(core, is_follower=is_follower)
        self.accounts = AccountStreams(core)
        self._places = Places(core)
        self._topics: dict[str, Topic] = {}
        self._sampled: dict[str, Topic] = {}
        self._balances: dict[tuple[int, str], str] = {}
        self._chains = ChainStreams(core, self._deliver)
        self._publish_id = 0
        self._timer: asyncio.TimerHandle | None = None
        self.sent_count = 0
        self.dropped_count = 0

    def start(self) -> None:
        """Begin sampling; needs a running loop."""
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._core.settings.stream_interval_s, self._sample)

    def stop(self) -> None:
        """End sampling."""
        self.books.stop()
        self.accounts.stop()
        self._places.stop()
        if self._timer is not None:
            self._timer.cancel()

    @property
    def channel_count(self) -> int:
        """Channels with at least one subscriber."""
        return len(self._topics)

    def subscribe(self, call: Call, subscriber: Subscriber) -> None:
        """Answer `subscribe`: bad names get a status text, never an error."""
        self._places.find(
            call, self._own_places(call, subscriber), lambda reach: self._subscribe(call, subscriber, reach)
        )

    def _own_places(self, call: Call, subscriber: Subscriber) -> dict[int, int | None]:
        """Own subaccounts whose streams are asked for, each with the oldest place to resume from; None: now."""
        found: dict[int, int | None] = {}
        resume_from = call.params.resume_from or {}
        for name in _names(call.params.channels):
            with contextlib.suppress(BadChannel):
                channel = parse_channel(name)
                if channel.kind in ACCOUNT_KINDS and channel.is_private:
                    account = self._own_account(channel, subscriber)
                    places = [seq for seq in (found.get(account), resume_from.get(name)) if seq is not None]
                    found[account] = min(places, default=None)
        return found

    def _subscribe(self, call: Call, subscriber: Subscriber, reach: dict[int, Reach]) -> None:
        status: dict[str, str] = {}
        resume_from = call.params.resume_from or {}
        # Nobody would ever take the channels of a socket away that is gone.
        for name in _names(call.params.channels) if subscriber.is_open else ():
            try:
                self.add(name, subscriber, resume_from.get(name), reach)
            except BadChannel as error:
                status[name] = str(error)
            else:
                status[name] = "ok"
        seqs = {
            name: self.accounts.last_seq(topic)
            for name, topic in subscriber.channels.items()
            if name in status and isinstance(topic, AccountTopic)
        }
        result = {"status": status, "current_subscriptions": list(subscriber.channels)}
        call.result(result | ({"account_seq": seqs} if seqs else {}))

    def unsubscribe(self, call: Call, subscriber: Subscriber) -> None:
        """Answer `unsubscribe`; no channels means all."""
        wanted = _names(call.params.channels) if call.params.channels is not None else list(subscriber.channels)
        status = {}
        for name in wanted:
            status[name] = "ok" if name in subscriber.channels else "13000 not subscribed"
            self._remove(name, subscriber)
        call.result({"status": status, "remaining_subscriptions": list(subscriber.channels)})

    def drop(self, subscriber: Subscriber, *, only_private: bool = False) -> None:
        """Forget a socket, or its private channels when its identity changed."""
        for name, topic in list(subscriber.channels.items()):
            if topic.channel.is_private or not only_private:
                self._remove(name, subscriber)

    def publish(self, outputs: Sequence[Output]) -> None:
        """Send what a commit changed on the channels that do not sample."""
        self.accounts.take()
        if not self._topics:
            return
        for output in outputs:
            self._publish_one(output)

    def publish_batch(self, row: BatchRow) -> None:
        """Send the life of a batch."""
        self._send_to("batches", row)

    def add(
        self,
        name: str,
        subscriber: Subscriber,
        resume_from: int | None = None,
        reach: Mapping[int, Reach] = NO_REACH,
    ) -> None:
        """Put a subscriber on a channel, once; it has everything up to `resume_from`. Raises BadChannel."""
        if name in subscriber.channels:
            return
        if len(subscriber.channels) >= self._core.settings.channels_per_socket:
            raise BadChannel(f"20006 at most {self._core.settings.channels_per_socket} channels per socket")
        topic = self._topics.get(name) or self._new_topic(name, subscriber)
        if topic.channel.is_private:
            self._check_private(topic.channel, subscriber)
        if isinstance(topic, AccountTopic):
            self._join_account(topic, subscriber, resume_from, reach)
        self._topics[name] = topic
        topic.subscribers[subscriber] = None
        subscriber.channels[name] = topic
        topic.shown_version = None
        if isinstance(topic, BookTopic):
            self.books.join(topic, subscriber, resume_from)
        if topic.channel.kind in ("orderbook", "ticker_slim", "spot_feed", "auctions"):
            self._sampled[name] = topic
        elif topic.channel.kind == KIND:
            self._chains.add(topic.channel, subscriber)

    def _join_account(
        self, topic: AccountTopic, subscriber: Subscriber, resume_from: int | None, reach: Mapping[int, Reach]
    ) -> None:
        try:
            self.accounts.join(topic, subscriber, resume_from, reach.get(topic.account))
        except BadChannel:
            self.accounts.leave(topic, subscriber)
            raise

    def _new_topic(self, name: str, subscriber: Subscriber) -> Topic:
        channel = parse_channel(name)
        if channel.kind in ACCOUNT_KINDS and channel.is_private:
            self._own_account(channel, subscriber)
            return self.accounts.topic(channel)
        instrument_id = 0
        if channel.instrument:
            instrument = self._core.market.by_name.get(channel.instrument)
            if instrument is None:
                raise BadChannel("12001 instrument not found")
            instrument_id = instrument.instrument_id
            if channel.kind == "book":
                return self.books.topic(channel)
        elif channel.currency and channel.currency not in self._core.market.currencies():
            raise BadChannel("12002 currency not found")
        elif channel.kind == KIND:
            self._chains.check(channel)
        return Topic(channel, instrument_id)

    def _own_account(self, channel: Channel, subscriber: Subscriber) -> int:
        """Account of a private channel; BadChannel unless it is the subscriber's."""
        if subscriber.identity is None:
            raise BadChannel(_REFUSED)
        account = self._core.venue.account(channel.subaccount_id)
        try:
            self._core.directory.check_subaccount(subscriber.identity, account)
            self._core.key_rules.check_read(subscriber.identity)
        except WireError as error:
            raise BadChannel(_REFUSED) from error
        return account

    def _check_private(self, channel: Channel, subscriber: Subscriber) -> None:
        account = self._own_account(channel, subscriber)
        if channel.kind == "balances":
            self._core.port.ask(GetAccount(subaccount=account), self._seed_balances)

    def _remove(self, name: str, subscriber: Subscriber) -> None:
        topic = subscriber.channels.pop(name, None)
        if topic is None:
            return
        topic.subscribers.pop(subscriber, None)
        if isinstance(topic, BookTopic):
            self.books.leave(topic, subscriber)
        if isinstance(topic, AccountTopic):
            self.accounts.leave(topic, subscriber)
        self._chains.remove(topic.channel, subscriber)
        if not topic.subscribers:
            self._topics.pop(name, None)
            self._sampled.pop(name, None)
            if topic.channel.kind == "balances":
                account = self._core.venue.account(topic.channel.subaccount_id)
                self._balances = {key: text for key, text in self._balances.items() if key[0] != account}

    def _publish_one(self, output: Output) -> None:
        trades: list[Trade] = []
        closes: list[Trade | Deleveraged] = []
        for event in output.events:
            if isinstance(event, Trade):
                trades.append(event)
            elif isinstance(event, Deleveraged | FundPaid):
                self._forced_balances(event)
            elif isinstance(event, CashMoved):
                kind = "asset_deposit" if event.amount_e6 > 0 else "asset_withdrawal"
                self._balance(event.subaccount, [(COLLATERAL, format_e6(event.cash_e6))], kind)
            if isinstance(event, Trade | Deleveraged):
                closes.append(event)
        if trades:
            self._trades(trades, output)
        for name, rows in items_of(closes, output, self._core.market.by_id).items():
            self._send_to(name, rows)

    def _trades(self, trades: list[Trade], output: Output) -> None:
        items: dict[str, list[Any]] = {}
        for trade in trades:
            instrument = self._core.market.by_id[trade.instrument]
            by_name, by_kind = f"trades.{instrument.name}", f"trades.{asset_kind(instrument)}.{instrument.underlying}"
            if by_name in self._topics or by_kind in self._topics:
                item = self._core.shapes.trade_item(trade, instrument, timestamp_ns=output.timestamp_ns)
                items.setdefault(by_name, []).append(item)
                items.setdefault(by_kind, []).append(item)
        for name, rows in items.items():
            self._send_to(name, rows)
        for trade in trades:
            self._trade_balances(trade)

    def _trade_balances(self, trade: Trade) -> None:
        instrument = self._core.market.by_id[trade.instrument]
        for side in (trade.maker, trade.taker):
            rows = [
                (instrument.name, instrument.quantity_text(side.position_lots)),
                (COLLATERAL, format_e6(side.cash_e6)),
            ]
            self._balance(side.subaccount, rows, "trade")

    def _forced_balances(self, event: Deleveraged | FundPaid) -> None:
        """What nobody ordered: the fund paid an account, or a position was closed against one on the other side."""
        if isinstance(event, FundPaid):
            self._balance(event.subaccount, [(COLLATERAL, format_e6(event.cash_e6))], "liquidation")
            return
        instrument = self._core.market.by_id[event.instrument]
        for side, kind in ((event.bankrupt, "liquidation"), (event.counterparty, "liquidator")):
            lots = (instrument.name, instrument.quantity_text(side.position_lots))
            self._balance(side.subaccount, [lots, (COLLATERAL, format_e6(side.cash_e6))], kind)

    def _balance(self, account: int, rows: list[tuple[str, str]], update_type: str) -> None:
        name = f"{self._core.venue.subaccount_id(account)}.balances"
        if name not in self._topics:
            return
        updates = []
        for asset, text in rows:
            before = self._balances.get((account, asset), "0")
            self._balances[account, asset] = text
            updates.append(
                BalanceUpdate(name=asset, new_balance=text, previous_balance=before, update_type=update_type)
            )
        self._send_to(name, updates)

    def _seed_balances(self, answer: Answer) -> None:
        if isinstance(answer, AccountView):
            self._balances.setdefault((answer.subaccount, COLLATERAL), format_e6(answer.cash_e6))
            for row in answer.positions:
                instrument = self._core.market.by_id[row.instrument]
                text = instrument.quantity_text(row.position_lots)
                self._balances.setdefault((answer.subaccount, instrument.name), text)

    def _send_to(self, name: str, data: Any) -> None:
        topic = self._topics.get(name)
        if topic is not None:
            self._send(topic, data)

    def _send(self, topic: Topic, data: Any) -> None:
        topic.seq += 1
        frame = text_frame(notification(topic.channel.name, data, topic.seq, topic.seq - 1))
        is_private = topic.channel.is_private
        for subscriber in list(topic.subscribers):
            if subscriber.notify(frame, is_private=is_private):
                self.sent_count += 1
            else:
                self.dropped_count += 1
                topic.shown_version = None

    def _deliver(self, channel: Channel, data: dict[str, object], seq: int, subscribers: Iterable[Any]) -> list[Any]:
        """Send one public frame to some of a channel's subscribers; give back those who lag."""
        prev_seq = data["prev_seq"]
        frame = text_frame(notification(channel.name, data, seq, prev_seq if isinstance(prev_seq, int) else None))
        taken = [(one, one.notify(frame, is_private=False)) for one in subscribers]
        lagging = [one for one, is_taken in taken if not is_taken]
        self.sent_count += len(taken) - len(lagging)
        self.dropped_count += len(lagging)
        return lagging

    def _sample(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._core.settings.stream_interval_s, self._sample)
        now = loop.time()
        self._chains.sample(now)
        for topic in list(self._sampled.values()):
            if topic.channel.kind == "orderbook":
                self._sample_book(topic, now)
            elif topic.channel.kind == "spot_feed":
                self._sample_spot(topic, now)
            elif topic.channel.kind == "auctions":
                sample_auctions(self._core, topic, now, self._send)
            else:
                self._sample_ticker(topic, now)

    def _sample_book(self, topic: Topic, now: float) -> None:
        book = self._core.market.book(topic.instrument_id)
        if topic.shown_version == book.seq and now - topic.sent_at < self._core.settings.quiet_interval_s:
            return
        if book.is_crossed():
            # A book of a call auction crosses; it is shown again when it was matched.
            self._core.market.crossed_count += topic.instrument_id not in self._core.market.auctions
            return
        instrument = self._core.market.by_id[topic.instrument_id]
        channel = topic.channel
        bids, asks = order_book_levels(self._core, instrument, group=channel.group, depth=channel.depth)
        self._publish_id += 1
        topic.shown_version, topic.sent_at = book.seq, now
        frame = OrderBookFrame(
            instrument_name=instrument.name,
            timestamp=self._core.clock_ns() // 1_000_000,
            publish_id=self._publish_id,
            bids=bids,
            asks=asks,
        )
        self._send(topic, frame)

    def _sample_ticker(self, topic: Topic, now: float) -> None:
        market = self._core.market
        version = (market.book(topic.instrument_id).seq, market.price_version)
        due = now - topic.sent_at
        interval_s = topic.channel.interval_ms / 1_000
        if due < interval_s * 0.9 or (topic.shown_version == version and due < self._core.settings.quiet_interval_s):
            return
        topic.shown_version, topic.sent_at = version, now
        instrument = market.by_id[topic.instrument_id]
        ticker: Ticker = ticker_of(self._core, instrument)
        self._send(topic, {"timestamp": ticker.t, "instrument_ticker": ticker, "instrument_name": instrument.name})

    def _sample_spot(self, topic: Topic, now: float) -> None:
        """The index price of an underlying that has one, once a second."""
        currency = topic.channel.currency
        prices = self._core.market.prices
        price_e9 = prices.index_e9.get(currency, 0)
        if not price_e9 or now - topic.sent_at < topic.channel.interval_ms / 1_000 * 0.9:
            return
        topic.sent_at = now
        now_ms = self._core.clock_ns() // 1_000_000
        day_ago = self._core.history.index.day_ago(currency, now_ms // 1_000)
        confidence_ppm = prices.confidence_ppm.get(currency, 0)
        self._send(topic, spot_feed_item(currency, price_e9, day_ago, now_ms, confidence_ppm=confidence_ppm))


def _names(channels: list[str] | str | None) -> list[str]:
    if channels is None:
        return []
    return channels.split(",") if isinstance(channels, str) else channels
