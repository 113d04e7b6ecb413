"""REST, health, metrics and the page. REST calls run through the same dispatcher, tick and commit as frames."""

import asyncio
import uuid
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from exchange.domain.views import WalletView
from exchange.gateway.auth import header_credentials
from exchange.gateway.calls import Call, Identity
from exchange.gateway.directory import WalletCallback
from exchange.gateway.intake import Lane
from exchange.wire.api_documents import DOCUMENTS, document_bytes
from exchange.wire.envelope import encode, error_reply
from exchange.wire.errors import RpcCode, WireError
from exchange.wire.methods import Method, find_method
from exchange.wire.params import decode_params

if TYPE_CHECKING:
    from exchange.gateway.gateway import Gateway

__all__ = ["make_app"]

_JSON: Final = "application/json"
_document: Final = lru_cache(maxsize=None)(document_bytes)
_DRAINED_FRAMES: Final = 8  # a body of up to so many times the limit is read to its end before it is refused


class RestClient:
    """One REST request as the client of one call."""

    is_socket = False

    def __init__(self, address: str, identity: Identity | None) -> None:
        """Remember who asks."""
        self.address = address
        self.identity = identity
        self.cancel_on_disconnect = False
        self.reply: asyncio.Future[tuple[Call, bytes]] = asyncio.get_running_loop().create_future()
        self.lane = Lane(self)

    def deliver(self, call: Call, frame: bytes) -> None:
        """Complete the request."""
        if not self.reply.done():
            self.reply.set_result((call, frame))

    def block(self) -> None:
        """Do nothing: a request has no successor."""

    def unblock(self) -> None:
        """Do nothing."""


class Rest:
    """Endpoints of one gateway."""

    def __init__(self, gateway: "Gateway") -> None:
        """Serve `gateway`."""
        self._gateway = gateway

    async def call(self, request: Request) -> Response:
        """Answer `/v3/{scope}/{method}` and `/{scope}/{method}`: status 200 whenever there is an envelope."""
        raw_id = encode(str(uuid.uuid4()))
        legacy = not request.url.path.startswith("/v3/")
        path = f"{request.path_params['scope']}/{request.path_params['method']}"
        if path.startswith("public/") and path.removeprefix("public/") in ("subscribe", "unsubscribe"):
            path = path.removeprefix("public/")
        try:
            raw = await self._body(request)
            method = find_method(path)
            self._gateway.core.check_offered(method)
            params = decode_params(method.params, raw)
            identity = await self._identify(request) if method.is_private else None
            return await self._perform(request, method, params, identity, raw_id, legacy=legacy)
        except WireError as error:
            return Response(error_reply(raw_id, error), media_type=_JSON)
        except _TooLarge:
            return Response(status_code=413)

    async def live(self, _: Request) -> Response:
        """Answer that the process runs."""
        return JSONResponse({"live": True})

    async def ready(self, _: Request) -> Response:
        """Answer 503 only while the exchange itself is not ready; a chain that is down shows as degraded."""
        state = self._gateway.readiness()
        return JSONResponse(msgspec.to_builtins(state), status_code=200 if state.ready else 503)

    async def document(self, request: Request) -> Response:
        """Answer `/openapi.json` or `/asyncapi.json`; each is made once, at its first request."""
        return Response(_document(request.url.path.strip("/").removesuffix(".json")), media_type=_JSON)

    async def metrics(self, _: Request) -> Response:
        """Answer in Prometheus' text format."""
        return PlainTextResponse(self._gateway.metrics_text(), media_type="text/plain; version=0.0.4")

    async def _body(self, request: Request) -> bytes:
        if request.method == "GET":
            return encode(dict(request.query_params))
        limit = self._gateway.settings.max_frame_bytes
        size = request.headers.get("content-length", "0")
        if size.isdigit() and int(size) > _DRAINED_FRAMES * limit:
            raise _TooLarge
        # What is too large is read on for a while and dropped: a socket closed on unread bytes is reset,
        # and the client sees a broken pipe in place of its 413.
        parts: list[bytes] = []
        total = 0
        async for part in request.stream():
            total += len(part)
            if total > _DRAINED_FRAMES * limit:
                raise _TooLarge
            if total <= limit:
                parts.append(part)
        if total > limit:
            raise _TooLarge
        return b"".join(parts)

    async def _identify(self, request: Request) -> Identity:
        """Check the auth headers; the wallet is asked for when it is new."""
        wallet, timestamp, signature = header_credentials(request.headers)
        known: asyncio.Future[Identity] = asyncio.get_running_loop().create_future()

        def proved(identity: Identity, _: WalletView) -> None:
            if not known.done():
                known.set_result(identity)

        def guard(callback: WalletCallback) -> WalletCallback:
            return _failing_into(known, callback)

        self._gateway.authenticator.prove(wallet, timestamp, signature, proved, guard)
        identity: Identity = await self._in_time(known)
        return identity

    async def _perform(
        self, request: Request, method: Method, params: Any, identity: Identity | None, raw_id: bytes, *, legacy: bool
    ) -> Response:
        address = request.client.host if request.client else "local"
        client = RestClient(address, identity)
        call = self._gateway.dispatcher.new_call(client, method, raw_id, legacy=legacy)
        call.params = params
        self._gateway.intake.put(client.lane, call)
        _, frame = await self._in_time(client.reply)
        self._gateway.count_reply(call)
        headers = {
            "X-RateLimit-Cost": str(call.cost),
            "X-RateLimit-Remaining": str(call.remaining),
            "X-RateLimit-Reset-Ms": str(call.reset_ms),
            "X-Offbook-Sequence": str(call.sequence),
        }
        return Response(frame, media_type=_JSON, headers=headers)

    async def _in_time(self, future: "asyncio.Future[Any]") -> Any:
        """Wait for a commit; beyond the limit the outcome is unknown and the client must ask (9000)."""
        try:
            return await asyncio.wait_for(future, self._gateway.settings.confirmation_timeout_s)
        except TimeoutError as error:
            raise WireError(RpcCode.CONFIRMATION_TIMEOUT, {"hint": "outcome unknown: ask by nonce"}) from error


class _TooLarge(Exception):
    pass


def _failing_into(future: "asyncio.Future[Identity]", callback: WalletCallback) -> WalletCallback:
    def run(wallet: WalletView | None) -> None:
        try:
            callback(wallet)
        except WireError as error:
            if not future.done():
                future.set_exception(error)

    return run


def make_app(gateway: "Gateway", web_root: Path | None, extra_routes: list[BaseRoute] | None = None) -> Starlette:
    """Build the application; `web_root` is served at `/` when it exists."""
    rest = Rest(gateway)
    methods = ["GET", "POST"]
    routes: list[BaseRoute] = [
        Route("/live", rest.live),
        Route("/ready", rest.ready),
        Route("/metrics", rest.metrics),
        *(Route(f"/{name}.json", rest.document) for name in DOCUMENTS),
        *(extra_routes or []),
    ]
    for prefix in ("/v3", ""):
        for scope in ("public", "private"):
            path = f"{prefix}/{scope}/{{method}}"
            routes.append(Route(path, _scoped(rest.call, scope), methods=methods))
    if web_root is not None and web_root.is_dir():
        routes.append(Mount("/", StaticFiles(directory=web_root, html=True)))
    return Starlette(routes=routes)


def _scoped(call: Callable[[Request], Any], scope: str) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        request.path_params["scope"] = scope
        response: Response = await call(request)
        return response

    return endpoint
