"""An operator's hand on call auctions, over the socket of an exchange with a real engine."""

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from exchange.app.auction_control import MAX_SECONDS, begin_auction, end_auction
from exchange.app.failures import Failure
from exchange.app.layout import DataDirectory
from exchange.bus.unix_socket import UnixSocketServer
from exchange.cli.main import main
from exchange.domain.auctions import AuctionCause
from exchange.domain.commands import OrderFlag, Place, Side, TimeInForce
from exchange.domain.instrument import Instrument
from settlement.protocol.signature import address_of
from tests.fakes.small_exchange import SmallExchange, Trader


class Served:
    """A small exchange behind its socket, in a thread of its own."""

    def __init__(self, data: Path) -> None:
        self.exchange = SmallExchange()
        directory = DataDirectory(data)
        self.socket = directory.socket
        self.socket.parent.mkdir(parents=True)
        self._loop = asyncio.new_event_loop()
        self._server = UnixSocketServer(self.exchange.port, self.socket)
        self._thread = threading.Thread(target=self._loop.run_forever)

    def start(self) -> None:
        self._loop.run_until_complete(self._server.start())
        self._thread.start()

    def place(self, trader: Trader, instrument: Instrument, side: Side) -> None:
        """An order for 0.1 at 84,000, straight into the engine."""
        order = Place(
            subaccount=trader.account,
            instrument=instrument.instrument_id,
            side=side,
            time_in_force=TimeInForce.GTC,
            flags=OrderFlag(0),
            price_ticks=instrument.price_ticks("84000"),
            quantity_lots=instrument.quantity_lots("0.1"),
            nonce=time.time_ns(),
            expiry_s=int(time.time()) + 3_600,
            signer=address_of(trader.session_key),
            max_fee_e18=10**21,
            digest=bytes(31) + bytes([side]),
        )
        self._loop.call_soon_threadsafe(self.exchange.port.submit, order)

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._server.stop(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """An exchange that answers on the socket of `tmp_path`."""
    world = Served(tmp_path)
    world.start()
    yield world
    world.stop()


def begin(world: Served, name: str, seconds: int = 60) -> None:
    """As the verb does."""
    begin_auction(world.socket, name, seconds, now_ns=time.time_ns())


def test_without_an_exchange_the_line_says_how_to_start_one(tmp_path):
    """No socket: the verb ends with 1 and names `offbook up`."""
    with pytest.raises(Failure, match="start it with `offbook up`"):
        end_auction(DataDirectory(tmp_path).socket, "BTC-PERP")


@pytest.mark.parametrize(
    ("name", "seconds", "line"),
    [
        ("BTC-PERP", 0, "takes 1 to 86400 seconds, not 0"),
        ("BTC-PERP", MAX_SECONDS + 1, "not 86401"),
        ("DOGE-PERP", 60, "DOGE-PERP: not listed; public/get_all_instruments"),
    ],
)
def test_what_cannot_begin_is_refused_in_one_line(served, name, seconds, line):
    """Length outside its bounds and unknown names; the exchange keeps trading continuously."""
    with pytest.raises(Failure, match=line):
        begin(served, name, seconds)
    assert served.exchange.port.state.auctions == {}


def test_a_call_that_is_not_on_cannot_end(served):
    """The engine refuses, and the line says why."""
    with pytest.raises(Failure, match="BTC-PERP: no call is on"):
        end_auction(served.socket, "BTC-PERP")


def test_a_call_begins_moves_its_end_and_ends(served):
    """The engine collects until the deadline; a second `begin` moves it; `end` says what traded."""
    started = begin_auction(served.socket, "BTC-PERP", 60, now_ns=time.time_ns())
    assert started.cause is AuctionCause.OPERATOR
    later = begin_auction(served.socket, "BTC-PERP", 600, now_ns=time.time_ns())
    assert later.deadline_ns - started.deadline_ns >= 540 * 10**9
    instrument, ended = end_auction(served.socket, "BTC-PERP")
    assert (instrument.name, ended.price_ticks, ended.quantity_lots) == ("BTC-PERP", 0, 0)
    assert served.exchange.port.state.auctions == {}


def test_the_verbs_print_times_and_what_traded(served, tmp_path, capsys):
    """`offbook auction begin` and `end` as an operator sees them; two crossing orders trade at one price."""
    assert main(["auction", "begin", "BTC-PERP", "--seconds", "60", "--data", str(tmp_path)]) == 0
    assert "BTC-PERP: collects orders until 20" in capsys.readouterr().out
    instrument = served.exchange.instruments["BTC-PERP"]
    for trader, side in zip(served.exchange.traders, (Side.BUY, Side.SELL), strict=False):
        served.place(trader, instrument, side)
    assert main(["auction", "end", "BTC-PERP", "--data", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "BTC-PERP: 0.1 traded, the first round at 84000; trades continuously now\n"
    assert main(["auction", "end", "BTC-PERP", "--data", str(tmp_path)]) == 1
    assert capsys.readouterr().err == "offbook: BTC-PERP: no call is on\n"
