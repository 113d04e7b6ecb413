"""What an operator does to the call auctions of a running exchange: begin one, move its end, end it now."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, TypeVar

from exchange.app.failures import Failure
from exchange.bus.interface import Busy
from exchange.bus.unix_socket import LinkClosed, UnixPort
from exchange.domain.auctions import AuctionEnded, AuctionStarted, Phase, SetPhase
from exchange.domain.events import CommandRefused, Event
from exchange.domain.instrument import Instrument
from exchange.domain.limits import MAX_AUCTION_NS
from exchange.domain.result_codes import ResultCode
from exchange.domain.views import GetInstruments

__all__ = ["MAX_SECONDS", "begin_auction", "end_auction", "named", "with_port"]

MAX_SECONDS: Final = MAX_AUCTION_NS // 10**9
_TIMEOUT_S: Final = 10.0
_Done = TypeVar("_Done")


def begin_auction(socket: Path, name: str, seconds: int, *, now_ns: int) -> AuctionStarted:
    """Collect an instrument's orders for `seconds` (1..MAX_SECONDS) from now; of a call that is on, move the end.

    Returns once the engine's answer is durable. Raises Failure, whose line names what to do.
    """
    if not 1 <= seconds <= MAX_SECONDS:
        raise Failure(f"a call auction takes 1 to {MAX_SECONDS} seconds, not {seconds}")
    deadline_ns = now_ns + seconds * 10**9

    async def story(port: UnixPort) -> AuctionStarted:
        instrument = await named(port, name)
        command = SetPhase(instrument=instrument.instrument_id, phase=Phase.AUCTION, deadline_ns=deadline_ns)
        for event in await _events(port, command):
            if isinstance(event, AuctionStarted):
                return event
            if isinstance(event, CommandRefused) and event.code is ResultCode.INSTRUMENT_NOT_LIVE:
                raise Failure(f"{name}: no call can begin, it has expired or has no price yet")
        raise Failure(f"{name}: the exchange began no call; its clock and this machine's may differ")

    return asyncio.run(with_port(socket, story))


def end_auction(socket: Path, name: str) -> tuple[Instrument, AuctionEnded]:
    """Match what a call has collected now; returns the instrument and what traded. Raises Failure."""

    async def story(port: UnixPort) -> tuple[Instrument, AuctionEnded]:
        instrument = await named(port, name)
        command = SetPhase(instrument=instrument.instrument_id, phase=Phase.CONTINUOUS)
        for event in await _events(port, command):
            if isinstance(event, AuctionEnded):
                return instrument, event
        raise Failure(f"{name}: no call is on")

    return asyncio.run(with_port(socket, story))


async def with_port(socket: Path, story: Callable[[UnixPort], Awaitable[_Done]]) -> _Done:
    """What `story` gives over a connection to the exchange of that socket. Raises Failure."""
    try:
        port = await UnixPort.connect(socket)
    except OSError as error:
        raise Failure("no exchange runs on this data directory: start it with `offbook up`") from error
    try:
        return await asyncio.wait_for(story(port), _TIMEOUT_S)
    except (LinkClosed, TimeoutError) as error:
        raise Failure("the exchange did not answer; whether it took the command stands in its ticker") from error
    except Busy as error:
        raise Failure("the exchange is overloaded and took nothing: try again") from error
    finally:
        port.close()


async def named(port: UnixPort, name: str) -> Instrument:
    """The listed instrument of that name. Raises Failure."""
    instruments = await port.query(GetInstruments())
    if isinstance(instruments, tuple):
        for instrument in instruments:
            if isinstance(instrument, Instrument) and instrument.name == name:
                return instrument
    raise Failure(f"{name}: not listed; public/get_all_instruments shows the names, such as BTC-PERP")


async def _events(port: UnixPort, command: SetPhase) -> list[Event]:
    return [event for history in await port.execute(command) for event in history.events]
