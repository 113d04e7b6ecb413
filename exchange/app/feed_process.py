"""A signer of oracle rounds: its own look at prices, a key, and HTTP. One of n; `offbook feed sign` is the same.

    POST /sign {"round": 7, "time_s": 1790000000, "vector": "hex"} -> {"signature": "hex"}, or 409 {"refused": "..."}
    GET / -> who it is, what it signed and refused, its prices

Live prices are its own venues'. A seeded market has its truth in the pricer alone: there a signer sees what the
exchange publishes, so that a round which says other things than the exchange did is caught, and no more.
"""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any, Final

import msgspec
import uvicorn

from exchange.app.config import Settings
from exchange.app.failures import Failure
from exchange.app.keys import feed_key
from exchange.app.layout import DataDirectory
from exchange.app.price_sources import PublishedIndex, index_feed
from exchange.app.supervisor import fetch_json
from exchange.feeds.catalogue import demo_catalogue
from exchange.feeds.index_feed import IndexFeed
from exchange.feeds.round_judge import RoundJudge, RoundRefused
from exchange.feeds.round_signer import RoundSigner
from settlement.onchain.deployment import load_deployment

__all__ = ["FeedDesk", "Reply", "run", "serve"]

BODY_BYTES: Final = 256 << 10
"""A vector of 2,048 rows has 43 kB, twice that in hex."""
_BODY_S: Final = 2.0
_CONNECTIONS: Final = 32
_NS: Final = 1_000_000_000
_Receive = Callable[[], Awaitable[dict[str, Any]]]
_Send = Callable[[dict[str, Any]], Awaitable[None]]
Reply = tuple[int, dict[str, Any]]


class _Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    round: int
    time_s: int
    vector: str


class FeedDesk:
    """What is answered to whom, as (HTTP status, body)."""

    def __init__(self, signer: RoundSigner, prices_e9: Callable[[], dict[str, int]]) -> None:
        """`prices_e9` gives the signer's own prices of now."""
        self._signer = signer
        self._prices_e9 = prices_e9

    def answer(self, method: str, path: str, body: bytes) -> Reply:
        """One request."""
        if (method, path) == ("GET", "/"):
            return 200, self._status()
        if (method, path) != ("POST", "/sign"):
            return 404, {"refused": "POST /sign, or GET /"}
        try:
            wanted = msgspec.json.decode(body, type=_Wanted)
            signature = self._signer.sign(wanted.round, wanted.time_s, bytes.fromhex(wanted.vector))
        except RoundRefused as refused:
            return 409, {"refused": str(refused), "reason": refused.reason.value}
        except (msgspec.MsgspecError, ValueError) as error:
            return 400, {"refused": f"no round: {error}"}
        return 200, {"signature": signature.hex()}

    def _status(self) -> dict[str, Any]:
        signer = self._signer
        return {
            "address": f"0x{signer.address.hex()}",
            "signed": signer.signed,
            "refused": signer.refused,
            "last_refusal": signer.last_refusal,
            "prices_e9": self._prices_e9(),
        }


def run(settings: Settings, name: str) -> None:
    """Sign as the feed whose number ends the name, until SIGTERM. Raises Failure as `serve` does."""
    serve(settings, int(name.removeprefix("feed")))


def serve(settings: Settings, number: int, port: int = 0) -> None:
    """Sign as feed `number` (1 .. feeds) until told to stop; port 0 is the one that `up` gives it.

    Raises Failure when nothing is deployed here, the deployment has no feeds, or the port is in use.
    """
    if not 1 <= number <= settings.feeds:
        raise Failure(f"feed {number}: there are {settings.feeds}; give --feeds as to `up`")
    deployment = load_deployment(DataDirectory(settings.data.resolve()).deployment)
    if deployment is None or not deployment.feed_threshold:
        raise Failure("no deployment with signing feeds is here: start `offbook up --feeds N` in a new --data first")
    port = port or (settings.feed_ports[number - 1] if settings.feed_ports else 0)
    if not port:
        raise Failure("feed_urls say where signers are, not where this one shall listen: give --listen PORT")
    judge = RoundJudge(demo_catalogue, settings.feed_bound_ppm)
    signer = RoundSigner(
        judge,
        feed_key(settings, number),
        chain_id=deployment.chain_id,
        contract=deployment.settlement,
        clock_s=time.time,
    )
    asyncio.run(_main(settings, judge, signer, port))


async def _main(settings: Settings, judge: RoundJudge, signer: RoundSigner, port: int) -> None:
    index, live = index_feed(settings.prices, settings.seed, time.time_ns, truth=_published(settings))
    tasks = [asyncio.create_task(venue.run(settings.price_interval_s)) for venue in live]
    tasks.append(asyncio.create_task(_look(settings, index, judge)))
    desk = FeedDesk(signer, lambda: index.prices_e9)
    server = uvicorn.Server(
        uvicorn.Config(
            _asgi(desk),
            host=settings.host,
            port=port,
            log_level="warning",
            access_log=False,
            lifespan="off",
            limit_concurrency=_CONNECTIONS,
            timeout_graceful_shutdown=1,
        )
    )

    def stop(_number: int, _frame: FrameType | None) -> None:
        server.should_exit = True

    # uvicorn raises again what it caught: these handlers make that a clean end.
    for caught in (signal.SIGINT, signal.SIGTERM):
        signal.signal(caught, stop)
    try:
        await server.serve()
    except SystemExit as error:
        raise Failure(f"feed: port {port} is in use or not ours; choose another --port") from error
    finally:
        for task in tasks:
            task.cancel()


async def _look(settings: Settings, index: IndexFeed, judge: RoundJudge) -> None:
    """Sample our own prices for ever."""
    while True:
        await asyncio.to_thread(index.advance, settings.price_interval_s)
        now_ns = time.time_ns()
        index.rows(now_ns)
        judge.note(now_ns // _NS, index.prices_e9)
        await asyncio.sleep(settings.price_interval_s)


def _published(settings: Settings) -> PublishedIndex:
    def fetch(underlying: str) -> str | None:
        url = f"http://{settings.host}:{settings.port}/v3/public/get_ticker?instrument_name={underlying}-PERP"
        ticker = (fetch_json(url) or {}).get("result") or {}
        return ticker.get("I") if ticker.get("price_state") == "open" else None

    return PublishedIndex(fetch)


def _asgi(desk: FeedDesk) -> Callable[[dict[str, Any], _Receive, _Send], Awaitable[None]]:
    async def handle(scope: dict[str, Any], receive: _Receive, send: _Send) -> None:
        if scope["type"] != "http":
            return
        try:
            async with asyncio.timeout(_BODY_S):
                body = await _body(receive)
        except TimeoutError:
            body = None
        if body is None:
            status, content = 413, {"refused": f"more than {BODY_BYTES} bytes or {_BODY_S:g} s"}
        else:
            status, content = desk.answer(scope["method"], scope["path"], body)
        reply = msgspec.json.encode(content)
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(reply)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": reply})

    return handle


async def _body(receive: _Receive) -> bytes | None:
    """Return the whole body; None for one that is too long."""
    body, more = bytearray(), True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > BODY_BYTES:
            return None
    return bytes(body)
