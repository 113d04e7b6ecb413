"""The option chain as a stream: what is no channel, a snapshot in band, changes without a gap, a lagging reader."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from exchange.domain.commands import MarkRow, SetPrices
from exchange.domain.instrument import calendar_date
from exchange.gateway.gateway import Gateway
from exchange.gateway.option_chain_stream import ChainStreams
from exchange.wire.channels import parse_channel
from tests.fakes.live_gateway import Live, serve
from tests.fakes.small_exchange import E9, SmallExchange
from tests.unit.exchange.gateway.test_option_chains import options, quote

ALL = "option_chain.BTC.all.100"


def run(story: Coroutine[Any, Any, None]) -> None:
    """Run with a limit."""
    asyncio.run(asyncio.wait_for(story, 20))


@pytest.mark.parametrize(
    ("channel", "code"),
    [
        ("option_chain.DOGE.all.100", "12002"),
        ("option_chain.BTC.20200101.100", "13000"),
        ("option_chain.BTC.all.99", "13000"),
    ],
)
def test_a_channel_of_nothing_is_refused(channel: str, code: str) -> None:
    """In its status, like any bad name; nothing is kept of it."""

    async def story() -> None:
        async with serve() as live, live.client() as client:
            result = await client.call("subscribe", {"channels": [channel]})
            assert result["status"][channel].startswith(code)
            assert live.gateway.fanout.channel_count == 0

    run(story())


class Reader:
    """A subscriber that takes frames, or lags."""

    def __init__(self) -> None:
        self.frames: list[tuple[int, dict[str, Any]]] = []
        self.lags = False


class Bench:
    """Streams over a real core, sampled by hand."""

    def __init__(self) -> None:
        self.exchange = SmallExchange()
        self.now_ns = self.exchange.port.state.timestamp_ns + E9
        gateway = Gateway(self.exchange.port, self.exchange.venue, clock_ns=lambda: self.now_ns)
        gateway.core.port.listen(gateway.committed)
        self.exchange.port.held = True
        gateway.core.market.load(gateway.core.port)
        for _ in range(3):
            self.exchange.port.commit()
        self.core = gateway.core
        self.streams = ChainStreams(self.core, self.send)
        self.channel = parse_channel(ALL)
        self.now_s = 100.0

    @staticmethod
    def send(_: Any, data: dict[str, Any], seq: int, readers: Any) -> list[Any]:
        """Hand a frame to readers that do not lag."""
        lagging = []
        for reader in readers:
            if reader.lags:
                lagging.append(reader)
            else:
                reader.frames.append((seq, data))
        return lagging

    def join(self) -> Reader:
        """A new reader, with the next sample."""
        reader = Reader()
        self.streams.add(self.channel, reader)
        return reader

    def later(self, seconds: float = 0.1) -> None:
        """One sample later."""
        self.now_s += seconds
        self.now_ns += round(seconds * E9)
        self.streams.sample(self.now_s)

    def mark(self, price_e9: int) -> None:
        """A round that changes the call's mark alone."""
        number = self.core.market.prices.round + 1
        self.exchange.port.submit(SetPrices(round=number, marks=(MarkRow(1, price_e9, volatility_e9=E9 // 2),)))
        self.exchange.port.commit()


def kinds(reader: Reader) -> list[tuple[str, int, int | None, int]]:
    """Type, places and number of rows of each frame."""
    return [(data["type"], data["seq"], data["prev_seq"], len(data["rows"])) for _, data in reader.frames]


def test_a_reader_gets_a_snapshot_and_then_what_changed() -> None:
    """Every change follows the frame before it; nothing moves, nothing is sent."""
    bench = Bench()
    reader = bench.join()
    bench.later()
    bench.later()
    for price in (2_600, 2_700):
        bench.mark(price * E9)
        bench.later()
    assert kinds(reader) == [("snapshot", 1, None, 2), ("change", 2, 1, 1), ("change", 3, 2, 1)]
    assert [data["rows"][0].mark_price for _, data in reader.frames[1:]] == ["2600", "2700"]
    assert [seq for seq, _ in reader.frames] == [1, 2, 3]


def test_a_later_reader_joins_at_the_same_place() -> None:
    """His snapshot is what the others hold, and the next change is for both."""
    bench = Bench()
    first = bench.join()
    bench.later()
    bench.mark(2_600 * E9)
    bench.later()
    second = bench.join()
    bench.later()
    assert kinds(second) == [("snapshot", 2, None, 2)]
    bench.mark(2_700 * E9)
    bench.later()
    assert kinds(first)[-1] == kinds(second)[-1] == ("change", 3, 2, 1)
    held = {row.instrument_name: row for row in second.frames[0][1]["rows"]}
    assert {row.mark_price for row in held.values()} == {"2600", "2500"}


def test_a_lagging_reader_gets_a_fresh_snapshot() -> None:
    """What he missed is in it; he never sees a gap."""
    bench = Bench()
    reader, other = bench.join(), bench.join()
    bench.later()
    reader.lags = True
    for price in (2_600, 2_700, 2_800):
        bench.mark(price * E9)
        bench.later()
    reader.lags = False
    bench.later()
    bench.mark(2_900 * E9)
    bench.later()
    assert [row[:3] for row in kinds(reader)] == [("snapshot", 1, None), ("snapshot", 4, None), ("change", 5, 4)]
    assert [row[:3] for row in kinds(other)][1:] == [("change", seq, seq - 1) for seq in (2, 3, 4, 5)]


def test_changes_wait_for_the_interval() -> None:
    """Two moves within a tenth of a second are one change; a second's channel waits a second."""
    bench = Bench()
    bench.channel = parse_channel("option_chain.BTC.all.1000")
    reader = bench.join()
    bench.later()
    for price in (2_600, 2_700):
        bench.mark(price * E9)
        bench.later(0.1)
    assert len(reader.frames) == 1
    bench.later(0.9)
    assert kinds(reader)[1:] == [("change", 2, 1, 1)]


def test_who_left_gets_nothing() -> None:
    """And the channel is gone with its last reader."""
    bench = Bench()
    reader = bench.join()
    bench.later()
    bench.streams.remove(bench.channel, reader)
    bench.mark(2_600 * E9)
    bench.later()
    assert len(reader.frames) == 1
    again = bench.join()
    bench.later()
    assert kinds(again) == [("snapshot", 1, None, 2)]


def test_over_a_socket_the_rows_are_those_of_the_read() -> None:
    """Snapshot, then the change that an order makes."""

    async def story() -> None:
        async with serve() as live, live.client(live.exchange.traders[0]) as client:
            call, _ = options(live)
            channel = f"option_chain.BTC.{calendar_date(call.expiry_s)}.100"
            await client.call("subscribe", {"channels": [channel]})
            first = await client.note(channel)
            assert (first["type"], first["prev_seq"], len(first["rows"])) == ("snapshot", None, 2)
            await quote(client, call.name, "2400", "2600")
            seen = {}
            while seen.get("ask_price") is None:
                change = await client.note(channel)
                assert change["prev_seq"] == change["seq"] - 1
                seen |= next((row for row in change["rows"] if row["instrument_name"] == call.name), {})
            chain = await client.call("public/get_option_chain", {"currency": "BTC"})
            (row,) = (row for row in chain["rows"] if row["instrument_name"] == call.name)
            assert (seen["bid_price"], seen["ask_price"], seen["delta"]) == (row["bid_price"], "2600", row["delta"])
            await unsubscribed(live, client, channel)

    run(story())


async def unsubscribed(live: Live, client: Any, channel: str) -> None:
    """Nothing is left of it."""
    await client.call("unsubscribe", {"channels": [channel]})
    assert live.gateway.fanout.channel_count == 0
