"""Promises against the journal: a fresh replay from disk, and every acknowledged command looked up in it."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import google_crc32c
import msgspec

from exchange.app.chaos_history import Entry, EntryState, History, Kind
from exchange.domain.events import Event, OrderAccepted, OrderAmended, OrderClosed, Trade
from exchange.domain.packing import CommandEvents, pack_events, unpack_commands
from exchange.engine.apply import apply
from exchange.engine.queries import order_view
from exchange.engine.state import State
from exchange.engine.state_hash import state_hash
from exchange.journal.disk import Disk
from exchange.journal.group import Group
from exchange.journal.reader import read_groups
from exchange.sequencer.replay import rebuild
from exchange.wire.order_shapes import OrderShapes
from matching_core import OrderBook

__all__ = ["Findings", "JournalStory", "check_history", "replay_story"]

_SHOWN: Final = 20
_LATER_MEMBERS: Final = ("batch_status", "tx_hash")
"""Of a trade: what settlement adds after the fill."""


@dataclass(slots=True)
class Findings:
    """What was promised and is not there, what is there twice, and everything else that differs."""

    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether every promise was kept."""
        return not (self.lost or self.duplicated or self.different)

    def lines(self) -> Iterator[str]:
        """For people: a few of each kind."""
        for name in ("lost", "duplicated", "different"):
            found: list[str] = getattr(self, name)
            yield from (f"{name}: {line}" for line in found[:_SHOWN])
            if len(found) > _SHOWN:
                yield f"{name}: and {len(found) - _SHOWN} more"


@dataclass(slots=True)
class JournalStory:
    """What the journal says happened, in the words of the wire. Orders and trades by wire id."""

    shapes: OrderShapes
    state: State = field(default_factory=lambda: State(OrderBook))
    accepted: dict[str, OrderAccepted] = field(default_factory=dict)
    by_client_id: dict[tuple[int, str], list[str]] = field(default_factory=dict)
    versions: dict[str, list[bytes]] = field(default_factory=dict)
    """Every state of an order after a command, as its JSON, oldest first."""
    fills: dict[str, bytes] = field(default_factory=dict)
    """JSON of each party's fill by fill id, without what settlement adds later."""
    order_fills: dict[str, list[str]] = field(default_factory=dict)
    repeated_trades: list[int] = field(default_factory=list)
    history: list[CommandEvents] = field(default_factory=list)
    """Commands with trades or batch ends, for the comparison with the chain."""

    def take(self, item: CommandEvents) -> None:
        """Fold one command; `state` is the engine's right after it."""
        touched: dict[int, None] = {}
        for event in item.events:
            if isinstance(event, OrderAccepted):
                self._accept(event)
            if isinstance(event, OrderAccepted | OrderClosed | OrderAmended):
                touched[event.order] = None
            elif isinstance(event, Trade):
                touched |= {event.maker.order: None, event.taker.order: None}
        for number in touched:
            self._note_version(number)
        for event in item.events:
            if isinstance(event, Trade):
                self._note_fill(event, item.timestamp_ns, is_maker=True)
                self._note_fill(event, item.timestamp_ns, is_maker=False)
        self.history.append(item)

    def _accept(self, event: OrderAccepted) -> None:
        order_id = self.shapes.ids.text(event.order)
        self.accepted[order_id] = event
        if event.client_order_id:
            self.by_client_id.setdefault((event.subaccount, event.client_order_id), []).append(order_id)

    def _note_version(self, number: int) -> None:
        view = order_view(self.state, number)
        if view is not None:
            shape = self.shapes.order(view, self.state.instruments[view.instrument])
            self.versions.setdefault(shape.order_id, []).append(msgspec.json.encode(shape))

    def _note_fill(self, event: Trade, timestamp_ns: int, *, is_maker: bool) -> None:
        side = event.maker if is_maker else event.taker
        view = order_view(self.state, side.order)
        shape = self.shapes.trade(
            event,
            self.state.instruments[event.instrument],
            is_maker=is_maker,
            timestamp_ns=timestamp_ns,
            label=view.label if view else "",
            client_order_id=view.client_order_id if view else "",
        )
        if shape.fill_id in self.fills:
            self.repeated_trades.append(event.trade)
        self.fills[shape.fill_id] = _fill_json(msgspec.to_builtins(shape))
        self.order_fills.setdefault(shape.order_id, []).append(shape.fill_id)


def replay_story(disk: Disk, shapes: OrderShapes, findings: Findings) -> JournalStory:
    """Replay the whole journal from an empty state; a group with other events than were released is a finding."""
    story = JournalStory(shapes)
    for group in read_groups(disk):
        if google_crc32c.value(pack_events(list(_apply(story, group)))) != group.output_crc:
            findings.different.append(f"group at sequence {group.first_sequence}: replay gives other events")
    from_snapshot = rebuild(disk, OrderBook)
    if state_hash(from_snapshot) != state_hash(story.state):
        findings.different.append("the newest snapshot and its tail give another state than the whole journal")
    return story


def check_history(history: History, story: JournalStory, account_of: Mapping[int, int]) -> Findings:
    """Compare what clients were told with the replay; `account_of` gives the engine's index of a subaccount id."""
    findings = Findings()
    for entry in history.entries:
        _check_entry(entry, story, account_of[entry.subaccount_id], findings)
    for (account, client_order_id), orders in story.by_client_id.items():
        if len(orders) > 1:
            findings.duplicated.append(f"account {account} client order id {client_order_id}: orders {orders}")
    findings.duplicated += [f"trade number {number} twice" for number in story.repeated_trades]
    _check_streams(history, story, findings)
    for subaccount_id, open_orders in history.open_orders.items():
        _check_open(subaccount_id, open_orders, story, account_of[subaccount_id], findings)
    return findings


def _apply(story: JournalStory, group: Group) -> Iterator[CommandEvents]:
    for command in unpack_commands(group.records, group.attachments):
        events: list[Event] = apply(story.state, command, group.timestamp_ns)
        item = CommandEvents(story.state.sequence, group.timestamp_ns, events)
        story.take(item)
        yield item


def _check_entry(entry: Entry, story: JournalStory, account: int, findings: Findings) -> None:
    orders = story.by_client_id.get((account, entry.client_order_id), [])
    if entry.state is EntryState.OK:
        if entry.kind is Kind.CANCEL:
            _check_order(entry.reply, story, findings, f"cancel of {entry.target_order_id}")
        else:
            _check_placed(entry, orders, story, findings)
    elif entry.state in (EntryState.REFUSED, EntryState.NOT_SENT, EntryState.ABSENT) and orders:
        what = f"{entry.client_order_id} was {entry.state.name.lower()} ({entry.code}) and is order {orders[0]}"
        findings.different.append(what)


def _check_placed(entry: Entry, orders: list[str], story: JournalStory, findings: Findings) -> None:
    """Check an acknowledged order: one order, the state that was told, its fills, and what it replaced."""
    what, order = entry.client_order_id, entry.reply["order"]
    canceled = entry.reply.get("cancelled_order")
    if canceled is not None:
        _check_order(canceled, story, findings, f"{what}: its target")
    if order is None:
        if orders:
            findings.different.append(f"{what}: no order was told, the journal has {orders}")
        return
    if orders[:1] != [order["order_id"]]:
        findings.lost.append(f"{what}: order {order['order_id']} was acknowledged, the journal has {orders}")
        return
    _check_order(order, story, findings, what)
    for trade in entry.reply.get("trades", ()):
        _check_fill(trade, story, findings, what)


def _check_order(order: dict[str, Any], story: JournalStory, findings: Findings, what: str) -> None:
    versions = story.versions.get(order["order_id"])
    # A stream's row has its place in the stream beside the order's state.
    order = order | {"account_seq": None}
    if versions is None:
        findings.lost.append(f"{what}: order {order['order_id']} is not in the journal")
    elif msgspec.json.encode(order) not in versions:
        status = f"{order['order_status']}, filled {order['filled_amount']}, version {order['version']}"
        findings.lost.append(
            f"{what}: order {order['order_id']} was never {status}; its last state is {versions[-1]!r}"
        )


def _check_fill(trade: dict[str, Any], story: JournalStory, findings: Findings, what: str) -> None:
    stored = story.fills.get(trade["fill_id"])
    if stored is None:
        findings.lost.append(f"{what}: fill {trade['fill_id']} is not in the journal")
    elif stored != _fill_json(trade):
        findings.different.append(f"{what}: fill {trade['fill_id']} was told as {trade}, the journal has {stored!r}")


def _check_streams(history: History, story: JournalStory, findings: Findings) -> None:
    seen = Counter(trade["fill_id"] for trade in history.streamed_trades if trade["batch_status"] is None)
    findings.duplicated += [
        f"fill {fill_id} was streamed {count} times" for fill_id, count in seen.items() if count > 1
    ]
    for trade in history.streamed_trades:
        _check_fill(trade, story, findings, "stream")
    reached: dict[str, int] = {}
    for order in history.streamed_orders:
        _check_order(order, story, findings, "stream")
        order_id, form = order["order_id"], msgspec.json.encode(order)
        versions = story.versions.get(order_id, [])
        place = versions.index(form) if form in versions else 0
        if place < reached.get(order_id, 0):
            findings.different.append(f"stream: order {order_id} went back to an older state")
        reached[order_id] = place


def _check_open(
    subaccount_id: int, orders: list[dict[str, Any]], story: JournalStory, account: int, findings: Findings
) -> None:
    told = {order["order_id"] for order in orders}
    kept = {story.shapes.ids.text(number) for number in story.state.account_orders[account]}
    if told != kept:
        findings.different.append(f"subaccount {subaccount_id}: open orders {sorted(told ^ kept)} differ at the end")
    for order in orders:
        _check_order(order, story, findings, "open order")


def _fill_json(trade: dict[str, Any]) -> bytes:
    return msgspec.json.encode({name: value for name, value in trade.items() if name not in _LATER_MEMBERS})
