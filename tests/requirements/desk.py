"""Two traders at a running exchange, and what their tests say often: a lot, a price at the mark, a frame as it came."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from exchange.client import OffbookClient
from exchange.client.errors import ConnectionLost, OffbookError
from exchange.client.markets import decimal_e9
from tests.e2e.running import Running, until

__all__ = ["PERP", "Desk", "RawSocket", "crash", "patiently", "raw_socket", "refusal", "story"]

PERP = "BTC-PERP"
LIMIT_S = 60
_PPM = 1_000_000


class Desk:
    """`one` and `two` are logged-in clients of two accounts that nobody else uses."""

    def __init__(self, exchange: Running, one: OffbookClient, two: OffbookClient, mark_e9: int) -> None:
        self.exchange, self.one, self.two = exchange, one, two
        self._mark_e9 = mark_e9

    def lots(self, count: int = 1) -> str:
        """`count` times the least amount of the perpetual."""
        instrument = self.one.market(PERP).instrument
        return instrument.quantity_text(count * instrument.minimum_lots)

    def price(self, away_ppm: int = 0) -> str:
        """The mark, or so many millionths away from it, on the grid."""
        market = self.one.market(PERP)
        price_e9 = self._mark_e9 * (_PPM + away_ppm) // _PPM
        return market.instrument.price_text(market.ticks_within(price_e9, up=away_ppm >= 0))

    async def fill(self, count: int = 1) -> tuple[dict[str, Any], dict[str, Any]]:
        """`two` rests a sell, `one` buys it: the maker's order as it was accepted, the taker's result."""
        resting = await self.two.sell(PERP, self.lots(count), self.price())
        return resting["order"], await self.one.buy(PERP, self.lots(count), self.price(), time_in_force="ioc")

    async def position(self, client: OffbookClient) -> int:
        """Lots of least amount that `client` holds."""
        least_e9 = decimal_e9(self.lots())
        rows = [row["amount"] for row in await client.positions() if row["instrument_name"] == PERP]
        return sum(decimal_e9(amount) for amount in rows) // least_e9

    async def flatten(self) -> None:
        """No order and no position is left: what `one` holds goes to `two`, who holds the opposite."""
        await self.one.cancel_all()
        await self.two.cancel_all()
        held = await self.position(self.one)
        if held:
            first, second = (self.two.buy, self.one.sell) if held > 0 else (self.two.sell, self.one.buy)
            await first(PERP, self.lots(abs(held)), self.price())
            await second(PERP, self.lots(abs(held)), self.price(), time_in_force="ioc")


class RawSocket:
    """Frames as they come: for what a client library hides."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._number = 0
        self.frames: list[dict[str, Any]] = []
        self.texts: list[str] = []
        """The same as they came."""

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the answer to the upgrade, names in lower case."""
        assert self._socket.response is not None
        return {name.lower(): value for name, value in self._socket.response.headers.raw_items()}

    async def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """The whole reply; notifications that came before it stand in `frames`, as does the reply."""
        number = await self.send(method, params)
        while True:
            frame = await self.receive()
            if frame.get("id") == number:
                return frame

    async def send(self, method: str, params: dict[str, Any]) -> int:
        """Send a request; its id."""
        self._number += 1
        await self._socket.send(json.dumps({"id": self._number, "method": method, "params": params}))
        return self._number

    async def receive(self) -> dict[str, Any]:
        """The next frame."""
        self.texts.append(str(await asyncio.wait_for(self._socket.recv(), 10)))
        self.frames.append(json.loads(self.texts[-1]))
        return self.frames[-1]


@asynccontextmanager
async def raw_socket(exchange: Running) -> AsyncIterator[RawSocket]:
    """A connection that nothing has logged in."""
    async with connect(exchange.socket, compression=None, max_size=1 << 23) as socket:
        yield RawSocket(socket)


def story(exchange: Running, steps: Callable[[Desk], Awaitable[None]], first: int = 0) -> None:
    """Run `steps` with accounts `first` and `first` + 1, within a limit; no order or position before and after."""

    async def told() -> None:
        path = exchange.data / "demo_accounts.json"
        async with (
            asyncio.timeout(LIMIT_S),
            OffbookClient.from_demo(path, url=exchange.socket, index=first) as one,
            OffbookClient.from_demo(path, url=exchange.socket, index=first + 1) as two,
        ):
            desk = Desk(exchange, one, two, decimal_e9((await one.ticker(PERP))["M"]))
            await desk.flatten()
            await steps(desk)
            await desk.flatten()

    asyncio.run(told())


async def refusal(call: Awaitable[Any]) -> OffbookError:
    """The error that the exchange answers with."""
    try:
        answer = await call
    except OffbookError as error:
        return error
    raise AssertionError(f"not refused: {answer}")


def crash(exchange: Running, name: str = "exchange") -> None:
    """SIGKILL to one process; the supervisor starts it again."""
    status = json.loads((exchange.data / "status.json").read_text())
    old = status["processes"][name]["pid"]
    os.kill(old, signal.SIGKILL)

    def replaced() -> bool:
        now = json.loads((exchange.data / "status.json").read_text())
        return now["processes"][name]["pid"] not in (None, old)

    until(replaced, f"{name} was not started again")


async def patiently(client: OffbookClient, method: str, params: dict[str, Any]) -> Any:
    """Ask until the new process answers: the socket to the old one may be the one that still looks alive."""
    for _ in range(200):
        try:
            return await client.request(method, params)
        except ConnectionLost:
            await asyncio.sleep(0.1)
        except OffbookError as error:
            assert error.code == 20004, error  # noqa: PT017 - any other refusal is the test's failure
            await asyncio.sleep(0.1)
    raise AssertionError("no answer from the new process")
