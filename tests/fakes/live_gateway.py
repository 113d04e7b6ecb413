"""A real uvicorn server with the gateway on a free port of 127.0.0.1, and a small signed client for it.

The server's sockets check every reply against the published API document, the client every item of a channel.
"""

import asyncio
import contextlib
import itertools
import json
import socket
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from websockets.asyncio.client import ClientConnection, connect

from exchange.gateway.gateway import Gateway
from exchange.gateway.settings import GatewaySettings
from settlement.protocol.eip712 import encode_trade, trade_digest
from settlement.protocol.signature import address_of, personal_digest, sign_digest
from tests.fakes.published_api import check_item, judged_sockets
from tests.fakes.small_exchange import SmallExchange, Trader

__all__ = ["Client", "Live", "login_params", "order_params", "serve", "until"]

_nonces = itertools.count()
TIMEOUT_S = 5.0


@dataclass
class Live:
    """A running server."""

    exchange: SmallExchange
    gateway: Gateway
    server: uvicorn.Server
    port: int

    @property
    def http(self) -> str:
        """Base URL."""
        return f"http://127.0.0.1:{self.port}"

    @contextlib.asynccontextmanager
    async def client(self, trader: Trader | None = None, path: str = "/v3/ws") -> AsyncIterator["Client"]:
        """Connect, and log in when a trader is given."""
        async with connect(f"ws://127.0.0.1:{self.port}{path}", compression=None, max_size=1 << 22) as raw:
            client = Client(raw, self.exchange, trader, is_published=path == "/v3/ws")
            if trader is not None:
                await client.call("public/login", login_params(trader))
            yield client


@contextlib.asynccontextmanager
async def serve(
    exchange: SmallExchange | None = None, settings: GatewaySettings | None = None, **parts: Any
) -> AsyncIterator[Live]:
    """Run a server until the block ends."""
    world = exchange or SmallExchange()
    gateway = Gateway(world.port, world.venue, clock_ns=time.time_ns, settings=settings, **parts)
    mismatches = judged_sockets(gateway)
    gateway.start()
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(gateway.uvicorn_config("127.0.0.1", 0))
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign, assignment]
    task = asyncio.create_task(server.serve(sockets=[listener]))
    await until(lambda: server.started)
    try:
        yield Live(world, gateway, server, listener.getsockname()[1])
    finally:
        gateway.stop()
        server.should_exit = True
        await task
        listener.close()
    assert not mismatches, mismatches[0]


async def until(condition: Callable[[], object]) -> None:
    """Wait for a state that no event announces; the story's own limit ends a wait that is in vain."""
    while not condition():  # noqa: ASYNC110 - nothing to wait on
        await asyncio.sleep(0.001)


@dataclass
class Client:
    """Frames out, frames in: replies by id, notifications in a list."""

    raw: ClientConnection
    exchange: SmallExchange
    trader: Trader | None
    is_published: bool = True
    """Whether items have the documented shape, which the path without a version does not promise (T17)."""
    notes: list[dict[str, Any]] = field(default_factory=list)
    frames: list[dict[str, Any]] = field(default_factory=list)
    _ids: "itertools.count[int]" = field(default_factory=itertools.count)
    _replies: dict[int, dict[str, Any]] = field(default_factory=dict)

    async def send(self, method: str, params: dict[str, Any] | None = None) -> int:
        """Send a request and return its id."""
        number = next(self._ids)
        await self.raw.send(json.dumps({"id": number, "method": method, "params": params or {}}))
        return number

    async def reply(self, number: int) -> dict[str, Any]:
        """Wait for the reply with this id."""
        while number not in self._replies:
            await self._receive()
        return self._replies.pop(number)

    async def ask(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send and wait for the whole reply."""
        return await self.reply(await self.send(method, params))

    async def call(self, method: str, params: dict[str, Any] | None = None) -> Any:
        """Send and wait for the result; an error fails the test."""
        frame = await self.ask(method, params)
        assert "error" not in frame, frame
        return frame["result"]

    async def refused(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send and wait for the error."""
        frame = await self.ask(method, params)
        assert "error" in frame, frame
        error: dict[str, Any] = frame["error"]
        return error

    async def note(self, channel: str, fits: Callable[[Any], bool] = lambda _: True) -> Any:
        """Wait for an item of `channel` whose data fits, and return the data."""
        while True:
            for at, note in enumerate(self.notes):
                if note["channel"] == channel and fits(note["data"]):
                    del self.notes[at]
                    return note["data"]
            await self._receive()

    def order(self, instrument: str, direction: str, amount: str, price: str, **extra: Any) -> dict[str, Any]:
        """Sign an order of this client's trader."""
        assert self.trader is not None
        return order_params(self.exchange, self.trader, instrument, direction, amount, price, **extra)

    async def place(self, instrument: str, direction: str, amount: str, price: str, **extra: Any) -> Any:
        """Place a signed order and return its result."""
        return await self.call("private/order", self.order(instrument, direction, amount, price, **extra))

    async def _receive(self) -> None:
        frame = json.loads(await asyncio.wait_for(self.raw.recv(), TIMEOUT_S))
        self.frames.append(frame)
        if "method" in frame and self.is_published:
            check_item(frame)
        if "method" in frame:
            if frame["method"] == "subscription":
                self.notes.append(frame["params"])
        else:
            self._replies[frame["id"]] = frame


def login_params(trader: Trader, *, skew_ms: int = 0, key: bytes | None = None) -> dict[str, Any]:
    """Fresh login parameters."""
    timestamp = str(time.time_ns() // 1_000_000 + skew_ms)
    signature = sign_digest(key or trader.session_key, personal_digest(timestamp.encode()))
    return {"wallet": trader.owner, "timestamp": timestamp, "signature": signature.hex()}


def order_params(
    exchange: SmallExchange,
    trader: Trader,
    name: str,
    direction: str,
    amount: str,
    price: str,
    *,
    separator: bytes | None = None,
    signing_key: bytes | None = None,
    signed_price: str | None = None,
    **extra: Any,
) -> dict[str, Any]:
    """Build a signed private/order; `extra` members are sent, and those that are signed are signed as sent."""
    instrument, venue = exchange.instruments[name], exchange.venue
    key = signing_key or trader.session_key
    nonce = int(extra.pop("nonce", time.time_ns() // 1_000 * 1_000 + next(_nonces) % 1_000))
    expiry_s = int(extra.pop("signature_expiry_sec", time.time_ns() // 10**9 + 600))
    max_fee = str(extra.pop("max_fee", "100"))
    fields = {
        "asset": venue.asset(instrument),
        "sub_id": venue.asset_sub_id(instrument),
        "limit_price_e18": _e18(signed_price or price),
        "amount_e18": _e18(amount),
        "max_fee_e18": _e18(max_fee),
        "is_bid": direction == "buy",
    }
    encode_trade(recipient_subaccount_id=trader.subaccount_id, **fields)  # type: ignore[arg-type]
    digest = trade_digest(
        separator or venue.domain_separator,
        subaccount_id=trader.subaccount_id,
        nonce=nonce,
        expiry_s=expiry_s,
        owner=address_of(trader.owner_key),
        signer=address_of(trader.session_key),
        **fields,  # type: ignore[arg-type]
    )
    return {
        "instrument_name": name,
        "subaccount_id": trader.subaccount_id,
        "direction": direction,
        "amount": amount,
        "limit_price": price,
        "max_fee": max_fee,
        "nonce": str(nonce),
        "signer": trader.signer,
        "signature_expiry_sec": expiry_s,
        "signature": "0x" + sign_digest(key, digest).hex(),
        **extra,
    }


def _e18(text: str) -> int:
    whole, _, fraction = text.partition(".")
    return int(whole) * 10**18 + int(fraction.ljust(18, "0"))
