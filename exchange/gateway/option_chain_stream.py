"""`option_chain` channels (api.md 10.5): a snapshot in band for each new subscriber, then the rows that changed.

Every frame of a channel has a `seq`; `prev_seq` of a change is that of the frame before it, so a reader sees each gap.
A reader that lags loses changes and then gets a fresh snapshot, never a silent gap. Chains are computed once per
channel and interval, and not at all while neither prices nor books moved.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

from exchange.gateway.core import Core
from exchange.gateway.option_chains import chain_of
from exchange.wire.channels import BadChannel, Channel
from exchange.wire.option_chain import ChainRow, OptionChain

__all__ = ["KIND", "ChainStreams"]

KIND: Final = "option_chain"
_EARLY: Final = 0.9
"""Samples come on a timer of their own: this part of the interval counts as all of it."""
Send = Callable[[Channel, dict[str, object], int, Iterable[Any]], list[Any]]
"""Sends one frame of a channel with its place to subscribers; gives back those who lag and did not get it."""


class _Stream:
    """One channel: who follows, who waits for a snapshot, and what was sent last."""

    __slots__ = ("chain", "channel", "current", "rows", "sent_at", "seq", "shown", "waiting")

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.current: dict[Any, None] = {}
        self.waiting: dict[Any, None] = {}
        self.chain: OptionChain | None = None
        self.rows: dict[str, ChainRow] = {}
        self.shown: object = None
        self.sent_at = 0.0
        self.seq = 0


class ChainStreams:
    """All `option_chain` channels of a fan-out."""

    def __init__(self, core: Core, send: Send) -> None:
        """Compute chains of `core`; frames leave through `send`."""
        self._core = core
        self._send = send
        self._streams: dict[str, _Stream] = {}

    def check(self, channel: Channel) -> None:
        """Raise BadChannel for a day on which no option expires."""
        if channel.expiry_date and not chain_of(self._core, channel.currency, channel.expiry_date).expiries:
            raise BadChannel("13000 no option expires on that day")

    def add(self, channel: Channel, subscriber: Any) -> None:
        """A new subscriber gets a snapshot at the next sample."""
        self._streams.setdefault(channel.name, _Stream(channel)).waiting[subscriber] = None

    def remove(self, channel: Channel, subscriber: Any) -> None:
        """Forget a subscriber, and the channel with its last one."""
        stream = self._streams.get(channel.name)
        if stream is None:
            return
        stream.current.pop(subscriber, None)
        stream.waiting.pop(subscriber, None)
        if not stream.current and not stream.waiting:
            del self._streams[channel.name]

    def sample(self, now_s: float) -> None:
        """Send what is due at `now_s` of the loop's clock."""
        for stream in list(self._streams.values()):
            joining, stream.waiting = stream.waiting, {}
            is_due = now_s - stream.sent_at >= stream.channel.interval_ms / 1_000 * _EARLY
            if stream.chain is None or (is_due and self._version(stream.channel) != stream.shown):
                self._change(stream, now_s)
            if joining and stream.chain is not None:
                frame = _frame(stream.chain, stream.chain.rows, stream.seq, None, [])
                lagging = self._send(stream.channel, frame, stream.seq, joining)
                stream.waiting |= dict.fromkeys(lagging)
                stream.current |= dict.fromkeys(one for one in joining if one not in stream.waiting)

    def _change(self, stream: _Stream, now_s: float) -> None:
        """Compute the chain again and send what differs from the last one."""
        channel = stream.channel
        chain = chain_of(self._core, channel.currency, channel.expiry_date)
        rows = {row.instrument_name: row for row in chain.rows}
        changed = [row for name, row in rows.items() if stream.rows.get(name) != row]
        removed = [name for name in stream.rows if name not in rows]
        before, stream.seq = stream.seq, stream.seq + 1
        stream.chain, stream.rows, stream.sent_at = chain, rows, now_s
        stream.shown = self._version(channel)
        if not stream.current:
            return
        frame = _frame(chain, changed, stream.seq, before, removed)
        for subscriber in self._send(channel, frame, stream.seq, list(stream.current)):
            del stream.current[subscriber]
            stream.waiting[subscriber] = None

    def _version(self, channel: Channel) -> object:
        """What a chain is made of, but the time: unequal when something moved."""
        market = self._core.market
        options = market.of_kind("option", channel.currency)
        return market.price_version, sum(market.book(row.instrument_id).seq for row in options), len(options)


def _frame(
    chain: OptionChain, rows: list[ChainRow], seq: int, prev_seq: int | None, removed: list[str]
) -> dict[str, object]:
    """A snapshot without `prev_seq`, else a change; `removed` names options that left the chain."""
    header = {name: getattr(chain, name) for name in chain.__struct_fields__}
    kind = {"type": "snapshot" if prev_seq is None else "change", "seq": seq, "prev_seq": prev_seq}
    return kind | header | {"rows": rows, "removed": removed}
