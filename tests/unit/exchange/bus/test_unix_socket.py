"""The unix socket carries commands, questions and refusals, and survives garbage."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from exchange.bus.interface import Busy
from exchange.bus.unix_socket import LinkClosed, UnixPort, UnixSocketServer
from exchange.domain.commands import BatchCut, Clock, Command, MarkRow, SetPrices, UnderlyingRow
from exchange.domain.events import CommandRefused
from exchange.domain.result_codes import ResultCode
from exchange.domain.views import Answer, GetInstruments, GetPrices, Output, PricesView, Query

PRICES = PricesView(round=3, timestamp_ns=5, index_e9={"BTC": 7}, forward_e9={("BTC", 9): 8}, marks={1: MarkRow(1, 2)})


class EchoPort:
    """An ExchangePort that answers at once with one event per command."""

    def __init__(self) -> None:
        self.busy = False
        self.taken: list[Command] = []
        self.listeners: list[Callable[[Sequence[Output]], None]] = []

    def submit(self, command: Command, reply: Callable[[Output], None] | None = None) -> None:
        self.submit_together((command,), None if reply is None else lambda outputs: reply(outputs[0]))

    def submit_together(
        self, commands: Sequence[Command], reply: Callable[[Sequence[Output]], None] | None = None
    ) -> None:
        if self.busy:
            raise Busy(77)
        outputs = []
        for command in commands:
            self.taken.append(command)
            event = CommandRefused(code=ResultCode.NOTHING_TO_CUT)
            outputs.append(Output(sequence=len(self.taken), timestamp_ns=1, events=(event,), orders={}))
        if reply is not None:
            reply(outputs)
        for listener in self.listeners:
            listener(outputs)

    def ask(self, query: Query, answer: Callable[[Answer], None]) -> None:
        answer(PRICES if isinstance(query, GetPrices) else ())

    def listen(self, listener: Callable[[Sequence[Output]], None]) -> None:
        self.listeners.append(listener)


def run(tmp_path, scenario):
    """Run `scenario(port behind, connected client)` over a real socket."""

    async def main():
        behind = EchoPort()
        server = UnixSocketServer(behind, tmp_path / "x.sock")
        await server.start()
        client = await UnixPort.connect(tmp_path / "x.sock")
        try:
            await scenario(behind, client)
        finally:
            client.close()
            await server.stop()

    asyncio.run(asyncio.wait_for(main(), 10))


def test_busy_is_told_to_the_caller(tmp_path):
    """A refusal before admission arrives as Busy with its hint."""

    async def scenario(behind, client):
        behind.busy = True
        with pytest.raises(Busy) as caught:
            await client.execute(Clock())
        assert caught.value.retry_after_ms == 77

    run(tmp_path, scenario)


def test_garbage_closes_only_its_own_link(tmp_path):
    """A link that sends nonsense is closed; another one goes on."""

    async def scenario(behind, client):
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "x.sock"))
        writer.write(b"\xff\xff\xff\xff nonsense")
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
        assert len(await client.execute(Clock())) == 1

    run(tmp_path, scenario)


def test_a_lost_link_fails_what_is_unanswered(tmp_path):
    """After the link is gone calls raise LinkClosed and nothing hangs."""

    async def scenario(behind, client):
        client.close()
        await client.closed.wait()
        with pytest.raises(LinkClosed):
            await client.execute(Clock())

    run(tmp_path, scenario)


def test_commands_arrive_as_they_were_sent_and_together(tmp_path):
    """Typed commands survive the socket; the reply has one history entry each."""

    async def scenario(behind, client):
        commands = [BatchCut(), SetPrices(round=1, underlyings=(UnderlyingRow("BTC", 5),)), Clock()]
        history = await client.execute(*commands)
        assert behind.taken == commands
        assert [item.sequence for item in history] == [1, 2, 3]
        assert history[0].events == [CommandRefused(code=ResultCode.NOTHING_TO_CUT)]

    run(tmp_path, scenario)


def test_questions_are_answered_with_their_type(tmp_path):
    """Answers come back as the view that the question names."""

    async def scenario(behind, client):
        assert await client.query(GetPrices()) == PRICES
        assert await client.query(GetInstruments()) == ()

    run(tmp_path, scenario)


def test_the_doorbell_rings_after_a_commit(tmp_path):
    """Every client learns the committed sequence."""

    async def scenario(behind, client):
        await client.execute(Clock(), Clock())
        await client.doorbell.wait()
        assert client.committed_sequence == 2

    run(tmp_path, scenario)


def test_topics_travel_both_ways(tmp_path):
    """News of a process reach the exchange, and the exchange's reach every process."""

    async def main():
        server = UnixSocketServer(EchoPort(), tmp_path / "x.sock")
        await server.start()
        heard = asyncio.get_running_loop().create_future()
        back = asyncio.get_running_loop().create_future()
        server.on_topic("batch", heard.set_result)
        client = await UnixPort.connect(tmp_path / "x.sock")
        client.on_topic("relay", back.set_result)
        client.publish("batch", b"1")
        assert await heard == b"1"
        assert server.publish("relay", b"2") == 1
        assert await back == b"2"
        client.close()
        await server.stop()

    asyncio.run(asyncio.wait_for(main(), 10))


def test_link_that_is_not_read_is_closed(tmp_path, monkeypatch):
    """A process that hangs costs bounded memory; others go on and it may come back."""
    monkeypatch.setattr("exchange.bus.unix_socket.MAX_LINK_BACKLOG_BYTES", 1 << 20)

    async def main():
        server = UnixSocketServer(EchoPort(), tmp_path / "x.sock")
        await server.start()
        _, hanging = await asyncio.open_unix_connection(str(tmp_path / "x.sock"))
        client = await UnixPort.connect(tmp_path / "x.sock")
        heard = []
        client.on_topic("news", heard.append)
        await client.query(GetPrices())
        for _ in range(12):
            server.publish("news", bytes(1 << 19))
            await client.query(GetPrices())
        assert server.publish("news", b"end") == 1
        await client.query(GetPrices())
        assert heard[-1] == b"end"
        assert len(heard) == 13
        hanging.close()
        client.close()
        await server.stop()

    asyncio.run(main())


def test_fetch_of_a_topic_that_nobody_answers_is_a_lookup_error(tmp_path):
    """The link goes on."""

    async def story(behind, client):
        with pytest.raises(LookupError):
            await client.fetch("nothing", b"")
        assert len(await client.execute(Clock())) == 1

    run(tmp_path, story)


def test_fetch_on_a_closed_link_fails(tmp_path):
    """Waiting and later ones alike."""

    async def main():
        server = UnixSocketServer(EchoPort(), tmp_path / "x.sock")
        await server.start()
        client = await UnixPort.connect(tmp_path / "x.sock")
        server.on_fetch("topic", lambda body: body if client.close() is None else b"")
        for _ in range(2):
            with pytest.raises(LinkClosed):
                await client.fetch("topic", b"body")
        await server.stop()

    asyncio.run(asyncio.wait_for(main(), 10))


def test_handler_that_refuses_a_fetch_closes_the_link(tmp_path):
    """A question that is none is garbage like any other."""

    async def main():
        server = UnixSocketServer(EchoPort(), tmp_path / "x.sock")
        await server.start()
        server.on_fetch("topic", lambda body: bytes([int(body)]))
        client = await UnixPort.connect(tmp_path / "x.sock")
        assert await client.fetch("topic", b"7") == b"\x07"
        with pytest.raises(LinkClosed):
            await client.fetch("topic", b"nonsense")
        await server.stop()

    asyncio.run(asyncio.wait_for(main(), 10))
