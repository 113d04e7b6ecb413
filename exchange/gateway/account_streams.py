"""Private streams of a subaccount: `account` (everything, in order), `orders` and `trades`, with resume (api.md 10.8).

All three are read from one log, so what is replayed is what was sent. Their `seq` is an `account_seq`: that of the item
on `account`, that of the last row on the others. Nothing is ever dropped: a reader that cannot follow is closed.
"""

import asyncio
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, Final

from exchange.domain.account_events import AccountEvent
from exchange.domain.events import Trade, TriggerFailed
from exchange.gateway.account_log import AccountLog
from exchange.gateway.core import Core
from exchange.gateway.frames import text_frame
from exchange.gateway.topics import Subscriber, Topic
from exchange.wire.account_items import deleveraging_members, order_event_name, other_members, refusal_members
from exchange.wire.channels import BadChannel, Channel
from exchange.wire.envelope import notification
from exchange.wire.objects import Order
from exchange.wire.objects import Trade as TradeRow

__all__ = ["ACCOUNT_KINDS", "AccountStreams", "AccountTopic"]

ACCOUNT_KINDS: Final = frozenset({"account", "orders", "trades"})
_REPLAY_BYTES: Final = 32 << 10
"""Of a resumed channel at a time, and only to a reader that has no more than this unread."""
_REPLAY_PAUSE_S: Final = 0.005
_SLOW_CONSUMER: Final = 1013


class AccountTopic(Topic):
    """One private channel: who is live, who is being sent the log, and up to where it was shown."""

    __slots__ = ("account", "live", "resuming", "shown_seq")

    def __init__(self, channel: Channel, account: int, shown_seq: int) -> None:
        """Begin behind `shown_seq`."""
        super().__init__(channel, 0)
        self.account = account
        self.seq = shown_seq
        """Of the last frame: `prev_seq` of the next."""
        self.shown_seq = shown_seq
        """Up to here the log was looked at."""
        self.live: dict[Any, None] = {}
        self.resuming: dict[Any, int] = {}
        """`account_seq` that each has."""

    def forget(self, subscriber: object) -> None:
        """Drop a subscriber."""
        for members in (self.live, self.resuming):
            members.pop(subscriber, None)


class AccountStreams:
    """All private channels that resume."""

    def __init__(self, core: Core) -> None:
        """Read `core`'s log."""
        self._core = core
        self._log: AccountLog = core.account_log
        self._of_account: dict[int, list[AccountTopic]] = {}
        self._replay: asyncio.TimerHandle | None = None
        self.sent_count = 0

    def stop(self) -> None:
        """End the timer."""
        if self._replay is not None:
            self._replay.cancel()

    def topic(self, channel: Channel) -> AccountTopic:
        """Make a channel that nobody listens to yet."""
        account = self._core.venue.account(channel.subaccount_id)
        span = self._log.span(account)
        topic = AccountTopic(channel, account, span[1] if span is not None else 0)
        self._of_account.setdefault(account, []).append(topic)
        return topic

    def join(self, topic: AccountTopic, subscriber: Subscriber, resume_from: int | None) -> None:
        """Begin now, or behind `resume_from`. Raises BadChannel with 20002 when that is not to be had here."""
        oldest, newest = self._log.span(topic.account) or (0, 0)
        if resume_from is None:
            topic.live[subscriber] = None
        elif not oldest <= resume_from <= newest:
            raise BadChannel(f"20002 SNAPSHOT_REQUIRED: the oldest available is {oldest + 1}, the newest {newest}")
        else:
            topic.resuming[subscriber] = resume_from
            self._send_rings()

    def leave(self, topic: AccountTopic, subscriber: Subscriber) -> None:
        """Take a subscriber off the channel, and the channel away with its last one."""
        topic.forget(subscriber)
        if not topic.subscribers and topic in self._of_account.get(topic.account, ()):
            self._of_account[topic.account].remove(topic)
            if not self._of_account[topic.account]:
                del self._of_account[topic.account]

    def last_seq(self, topic: AccountTopic) -> int:
        """Newest `account_seq` of the channel's subaccount: what `resume_from` of an idle channel may name."""
        return (self._log.span(topic.account) or (0, 0))[1]

    def take(self) -> None:
        """Send what a commit brought; the log has it."""
        touched, self._log.touched = self._log.touched, set()
        for account in self._of_account.keys() & touched if self._of_account else ():
            for topic in self._of_account[account]:
                self._show(topic)

    def _cut(self, topic: AccountTopic, subscriber: Subscriber, seq: int) -> None:
        """Close a reader that stands at `seq`, behind which the log has a gap: it must know."""
        topic.forget(subscriber)
        subscriber.close(_SLOW_CONSUMER, f"SLOW_CONSUMER {topic.channel.name} {seq}")

    def _show(self, topic: AccountTopic) -> None:
        oldest, _ = self._log.span(topic.account) or (0, 0)
        if oldest > topic.shown_seq:
            for subscriber in list(topic.live):
                self._cut(topic, subscriber, topic.shown_seq)
            topic.shown_seq = oldest
        rows = list(self._log.since(topic.account, topic.shown_seq))
        topic.shown_seq = max(topic.shown_seq, rows[-1].account_seq) if rows else topic.shown_seq
        for seq, frame in self._frames(topic, rows, topic.seq):
            topic.seq = seq
            for subscriber in list(topic.live):
                self._send(subscriber, frame)

    def _send(self, subscriber: Subscriber, frame: bytes) -> None:
        subscriber.notify(frame, is_private=True)
        self.sent_count += 1

    def _send_rings(self) -> None:
        self._replay = None
        topics = [topic for topics in self._of_account.values() for topic in topics if topic.resuming]
        for topic in topics:
            for subscriber, seq in list(topic.resuming.items()):
                self._send_ring(topic, subscriber, seq)
        if any(topic.resuming for topic in topics):
            self._replay = asyncio.get_running_loop().call_later(_REPLAY_PAUSE_S, self._send_rings)

    def _send_ring(self, topic: AccountTopic, subscriber: Subscriber, seq: int) -> None:
        """Send one part of what lies behind `seq`; at its end the subscriber is live."""
        oldest, newest = self._log.span(topic.account) or (0, 0)
        if seq < oldest:
            self._cut(topic, subscriber, seq)
            return
        if subscriber.queued_bytes() > _REPLAY_BYTES:
            return
        left, last = _REPLAY_BYTES, newest
        for next_seq, frame in self._frames(topic, self._log.since(topic.account, seq), seq):
            self._send(subscriber, frame)
            seq, left = next_seq, left - len(frame)
            if left < 0:
                last = seq
                break
        topic.resuming[subscriber] = last
        if last == newest:
            del topic.resuming[subscriber]
            topic.live[subscriber] = None

    def _frames(self, topic: AccountTopic, rows: Iterable[AccountEvent], prev_seq: int) -> Iterator[tuple[int, bytes]]:
        """(seq, frame) of events on a channel: one for each on `account`, one for each command on the others."""
        name, kind = topic.channel.name, topic.channel.kind
        if kind == "account":
            for row in rows:
                item = self._item(row)
                yield row.account_seq, text_frame(notification(name, item, row.account_seq, row.account_seq - 1))
            return
        for _, group in groupby(rows, key=lambda row: row.sequence):
            of_command = list(group)
            shown = self._orders(of_command) if kind == "orders" else self._trades(of_command)
            if shown:
                seq = max(row.account_seq or 0 for row in shown)
                yield seq, text_frame(notification(name, shown, seq, prev_seq))
                prev_seq = seq

    def _orders(self, rows: Iterable[AccountEvent]) -> list[Order]:
        """Every order that a command changed, once, as it is afterwards."""
        found: dict[int, AccountEvent] = {}
        for row in rows:
            if row.view is not None and not isinstance(row.event, TriggerFailed):
                found[row.view.order] = row
        return [self._order(row) for row in found.values()]

    def _trades(self, rows: Iterable[AccountEvent]) -> list[TradeRow]:
        return [self._trade(row) for row in rows if isinstance(row.event, Trade)]

    def _order(self, row: AccountEvent) -> Order:
        if row.view is None:
            raise TypeError("an event of no order")
        shape = self._core.order(row.view)
        shape.account_seq = row.account_seq
        return shape

    def _trade(self, row: AccountEvent) -> TradeRow:
        trade: Any = row.event
        return self._core.shapes.trade(
            trade,
            self._core.market.by_id[trade.instrument],
            is_maker=row.is_maker,
            timestamp_ns=row.timestamp_ns,
            label=row.view.label if row.view else "",
            client_order_id=row.view.client_order_id if row.view else "",
        )

    def _item(self, row: AccountEvent) -> dict[str, Any]:
        """One event as `account` shows it."""
        item: dict[str, Any] = {
            "account_seq": row.account_seq,
            "sequence": row.sequence,
            "timestamp": row.timestamp_ns // 1_000_000,
        }
        if isinstance(row.event, Trade):
            trade = self._trade(row)
            members = {"kind": "fill", "order_id": trade.order_id, "client_order_id": trade.client_order_id}
            return item | members | {"instrument_name": trade.instrument_name, "trade": trade}
        event: Any = row.event
        if row.side is not None:
            return item | deleveraging_members(event, row.side, self._core.market.by_id)
        name = order_event_name(event)
        if not name:
            return item | other_members(event, self._core.market.by_id)
        members = {"kind": "order", "event": name, "order_id": self._core.shapes.ids.text(event.order)}
        if row.view is not None:
            order = self._order(row)
            members |= {"client_order_id": order.client_order_id, "instrument_name": order.instrument_name}
            return item | members | {"order": order} | refusal_members(event)
        return item | members | refusal_members(event)
