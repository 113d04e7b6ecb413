"""The gateway as one object: give it a port, a venue and a clock; take from it an application and a socket class."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.routing import BaseRoute

from exchange.bus.interface import ExchangePort
from exchange.domain.commands import SessionClose
from exchange.domain.events import BatchClosed, SessionKeySet
from exchange.domain.views import Output
from exchange.gateway.account_log import AccountLog
from exchange.gateway.archive import Archive
from exchange.gateway.auth import Authenticator
from exchange.gateway.calls import Call
from exchange.gateway.connection import SocketConnection, connection_class
from exchange.gateway.core import Core, Relay
from exchange.gateway.credits import Credits
from exchange.gateway.directory import Directory
from exchange.gateway.dispatch import Dispatcher
from exchange.gateway.fanout import Fanout
from exchange.gateway.history import History
from exchange.gateway.http import make_app
from exchange.gateway.intake import Intake
from exchange.gateway.key_rules import KeyRules
from exchange.gateway.market import Market
from exchange.gateway.metrics import metrics_text
from exchange.gateway.order_checks import OrderChecks
from exchange.gateway.second_factor import FactorStore, MemoryFactors, SecondFactors
from exchange.gateway.settings import GatewaySettings, Readiness
from exchange.gateway.upgrade import HttpProtocol
from exchange.gateway.verify import SignatureChecker
from exchange.wire.objects import BatchRow
from exchange.wire.order_shapes import OrderShapes
from exchange.wire.venue import VenueInfo

__all__ = ["Gateway"]

_WEB_ROOT: Final = Path(__file__).parents[1] / "web"
_NOTHING: Final[frozenset[type]] = frozenset()


class Gateway:
    """Everything between sockets and the port. All methods run on one event loop."""

    def __init__(
        self,
        port: ExchangePort,
        venue: VenueInfo,
        *,
        clock_ns: Callable[[], int],
        settings: GatewaySettings | None = None,
        readiness: Callable[[], Readiness] | None = None,
        relay: Relay | None = None,
        fanout: Callable[[Core], Fanout] = Fanout,
        exchange_url: str = "",
        extra_metrics: Callable[[], dict[str, float]] | None = None,
        factor_store: FactorStore | None = None,
        archive: Archive | None = None,
    ) -> None:
        """`readiness` and `extra_metrics` are asked at each request; `relay` takes owner-signed actions on chain.

        Without a `factor_store` the secrets of one-time codes end with the process; `archive` is the history on disk.
        A market-data gateway has an `exchange_url`, which its refusals of private calls name, and its own `fanout`.
        """
        self.settings = settings or GatewaySettings()
        market, directory = Market(), Directory(port, clock_ns)
        checker = SignatureChecker(venue)
        self._outer_readiness = readiness or Readiness
        self._extra_metrics = extra_metrics
        self.core = Core(
            port=port,
            venue=venue,
            settings=self.settings,
            clock_ns=clock_ns,
            market=market,
            directory=directory,
            history=History(self.settings, market.by_id),
            credits=Credits(self.settings),
            shapes=OrderShapes(venue),
            checks=OrderChecks(venue, market, directory, clock_ns),
            checker=checker,
            account_log=AccountLog(self.settings.account_events_kept),
            key_rules=KeyRules(directory),
            factors=SecondFactors(factor_store or MemoryFactors(), clock_ns),
            readiness=self.readiness,
            relay=relay,
            archive=archive,
            exchange_url=exchange_url,
            started_ns=clock_ns(),
        )
        self.authenticator = Authenticator(directory, clock_ns, self.settings.auth_skew_ms)
        self.fanout = fanout(self.core)
        self.dispatcher = Dispatcher(self.core, self.fanout, self.authenticator)
        self.intake = Intake(self.dispatcher, checker, self.settings)
        self.dispatcher.orders.intake = self.dispatcher.quotes.intake = self.intake
        self.sockets: dict[SocketConnection, None] = {}
        self.socket_class = connection_class(self)
        self.replies: Counter[tuple[str, int]] = Counter()
        self.slow_closed_count = 0
        self._per_address: Counter[str] = Counter()
        self._to_flush: list[SocketConnection] = []

    def start(self) -> None:
        """Load the present and begin to stream; needs the running loop."""
        self.core.port.listen(self.committed)
        self.core.market.load(self.core.port)
        self.core.history.oracle.load(self.core.port)
        self.fanout.start()

    def stop(self) -> None:
        """Close every socket with 1012 and end timers and threads."""
        self.fanout.stop()
        for connection in list(self.sockets):
            connection.shutdown()
        self.intake.stop()
        self.dispatcher.owner_actions.stop()
        self.dispatcher.exports.stop()

    def app(self, web_root: Path | None = _WEB_ROOT, extra_routes: list[BaseRoute] | None = None) -> Starlette:
        """Build the HTTP application."""
        return make_app(self, web_root, extra_routes)

    def uvicorn_config(
        self, host: str, port: int, web_root: Path | None = _WEB_ROOT, extra_routes: list[BaseRoute] | None = None
    ) -> uvicorn.Config:
        """Configure uvicorn: our application, our socket class, nothing logged per request."""
        return uvicorn.Config(
            self.app(web_root, extra_routes),
            host=host,
            port=port,
            http=HttpProtocol,
            ws=self.socket_class,
            lifespan="off",
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=3,
            server_header=False,
        )

    def readiness(self) -> Readiness:
        """Readiness of the whole: the outer view, and not before the first market state is loaded."""
        if not self.core.market.is_loaded:
            return Readiness(ready=False, reason="loading the market state")
        markets = self.core.market.restricted(self.core.clock_ns())
        return msgspec.structs.replace(self._outer_readiness(), markets=markets)

    def update_batch(self, row: BatchRow) -> None:
        """Take the chain's view of a batch and stream it."""
        self.core.history.update_batch(row)
        self.fanout.publish_batch(row)

    def metrics_text(self) -> str:
        """Render all counters for `/metrics`."""
        return metrics_text(self, self._extra_metrics() if self._extra_metrics is not None else {})

    def committed(self, outputs: Sequence[Output]) -> None:
        """Take one commit: first state, then streams, so that a stream never shows older state than its seq."""
        books, history = self.fanout.books, self.core.history
        for output in outputs:
            self._apply(output)
            if not books.is_idle:
                books.take(output)
        self.fanout.publish(outputs)
        closed = [event.batch for output in outputs for event in output.events if type(event) is BatchClosed]
        for batch in closed:
            if batch in history.batches:
                self.fanout.publish_batch(history.batches[batch])

    def _apply(self, output: Output) -> None:
        core = self.core
        market, directory, history, log = core.market, core.directory, core.history, core.account_log
        of_market, of_directory, of_history = market.EVENTS, directory.EVENTS, history.EVENTS
        # A public feed's trades name no party, so there is nothing private to remember.
        of_account = log.EVENTS if not core.exchange_url else _NOTHING
        for event in output.events:
            kind = type(event)
            if kind in of_market:
                market.apply(event, output.sequence, output.timestamp_ns)
            if kind in of_directory:
                directory.apply(event, output.timestamp_ns)
                if isinstance(event, SessionKeySet):
                    self.dispatcher.key_watch.apply(event, output.timestamp_ns, self.sockets)
            if kind in of_account:
                log.record(output, event)
            if kind in of_history:
                history.record(output, event)

    # --- for connections --------------------------------------------------------------------------------------------

    def refuse_socket(self, address: str) -> str:
        """Return why another socket of `address` is refused, empty when it is welcome."""
        if len(self.sockets) >= self.settings.max_sockets:
            return "-32100 too many sockets"
        if self._per_address[address] >= self.settings.sockets_per_ip:
            return "-32100 too many sockets from this address"
        return ""

    def socket_opened(self, connection: SocketConnection) -> None:
        """Count a socket."""
        self.sockets[connection] = None
        self._per_address[connection.address] += 1

    def socket_closed(self, connection: SocketConnection) -> None:
        """Drop what the socket still waits for, then end its session, so nothing arrives behind its own cancel."""
        self.sockets.pop(connection, None)
        self._per_address[connection.address] -= 1
        if self._per_address[connection.address] <= 0:
            del self._per_address[connection.address]
        self.intake.close(connection.lane)
        self.fanout.drop(connection)
        self.dispatcher.key_watch.closed(connection)
        identity = connection.identity
        if identity is not None and identity.session:
            self.core.port.submit(SessionClose(session=identity.session))

    def queue_flush(self, connection: SocketConnection) -> None:
        """Write to `connection` once, after everything that happens now."""
        if not self._to_flush:
            asyncio.get_running_loop().call_soon(self._flush)
        self._to_flush.append(connection)

    def count_reply(self, call: Call) -> None:
        """Count a reply by method and result."""
        self.replies[call.method.path, call.error.code if call.error is not None else 0] += 1

    def _flush(self) -> None:
        connections, self._to_flush = self._to_flush, []
        for connection in connections:
            connection.flush()
