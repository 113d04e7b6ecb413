"""From a frame to its handler: envelope, method, parameters, identity, budget (api.md 5, rows 1 to 4)."""

import logging
from collections.abc import Callable

from exchange.domain.commands import SessionClose, SessionOpen
from exchange.domain.events import CommandRefused, SessionOpened
from exchange.domain.views import Output, WalletView
from exchange.gateway.account_methods import AccountMethods
from exchange.gateway.auction_methods import AuctionMethods
from exchange.gateway.auth import Authenticator
from exchange.gateway.calls import Call, Client, Identity
from exchange.gateway.connection import SocketConnection
from exchange.gateway.core import Core, Handler
from exchange.gateway.debug_methods import DebugMethods
from exchange.gateway.export_methods import ExportMethods
from exchange.gateway.factor_methods import FactorMethods
from exchange.gateway.fanout import Fanout
from exchange.gateway.history_methods import HistoryMethods
from exchange.gateway.intake import Unverified, Work
from exchange.gateway.key_watch import KeyWatch
from exchange.gateway.liquidation_methods import LiquidationMethods
from exchange.gateway.mmp_methods import MmpMethods
from exchange.gateway.option_chains import OptionChains
from exchange.gateway.order_methods import OrderMethods
from exchange.gateway.owner_actions import OwnerActions
from exchange.gateway.preview_methods import PreviewMethods
from exchange.gateway.public_methods import PublicMethods
from exchange.gateway.quote_checks import line_count
from exchange.gateway.quote_methods import QuoteMethods
from exchange.gateway.silence_methods import SilenceMethods
from exchange.gateway.venue_methods import VenueMethods
from exchange.wire.auction_shapes import LiquidateParams
from exchange.wire.envelope import NULL_ID, error_reply, normal_method, parse_request
from exchange.wire.errors import RpcCode, WireError
from exchange.wire.methods import Bucket, Method, find_method
from exchange.wire.params import LoginParams, decode_params, text_of
from exchange.wire.quote_params import MassQuoteParams

__all__ = ["Dispatcher"]

_log = logging.getLogger(__name__)


class Dispatcher(Work):
    """The method table, bound."""

    def __init__(self, core: Core, fanout: Fanout, authenticator: Authenticator) -> None:
        """Bind all method groups to `core`."""
        self._core = core
        self._fanout = fanout
        self._authenticator = authenticator
        self.orders = OrderMethods(core)
        self.quotes = QuoteMethods(core, self.orders.refusal)
        self.owner_actions = OwnerActions(core)
        self.exports = ExportMethods(core)
        self.key_watch = KeyWatch(core.directory, core.clock_ns, lambda client: fanout.drop(client, only_private=True))
        self.refused_count = 0
        auctions = AuctionMethods(core, self.orders.refusal)
        self._prepared: dict[type, Callable[[Call], Unverified]] = {
            MassQuoteParams: self.quotes.prepare,
            LiquidateParams: auctions.prepare,
        }
        self._handlers: dict[str, Handler] = {
            **PublicMethods(core).handlers(),
            **VenueMethods(core).handlers(),
            **OptionChains(core).handlers(),
            **DebugMethods(core).handlers(),
            **self.orders.handlers(),
            "private/mass_quote": self.quotes.unsigned,
            **AccountMethods(core).handlers(),
            **HistoryMethods(core).handlers(),
            **MmpMethods(core).handlers(),
            **LiquidationMethods(core).handlers(),
            **PreviewMethods(core).handlers(),
            **auctions.handlers(),
            **self.owner_actions.handlers(),
            **self.exports.handlers(),
            **FactorMethods(core).handlers(),
            **SilenceMethods(core).handlers(),
            "public/login": self._login,
            "private/logout": self._logout,
            "subscribe": lambda call: fanout.subscribe(call, _socket(call)),
            "unsubscribe": lambda call: fanout.unsubscribe(call, _socket(call)),
            "public/test": lambda call: call.result({"version": core.venue.server_version}),
            "public/set_heartbeat": self._set_heartbeat,
            "public/disable_heartbeat": self._disable_heartbeat,
        }

    def parse(self, client: Client, frame: bytes) -> Call | None:
        """Turn one frame into a call; a frame that is none gets its error at once."""
        raw_id = NULL_ID
        try:
            request = parse_request(frame)
            raw_id = bytes(request.id)
            method = find_method(normal_method(request.method))
            legacy = isinstance(client, SocketConnection) and client.is_legacy
            call = self.new_call(client, method, raw_id, legacy=legacy)
            call.params = decode_params(method.params, bytes(request.params))
        except WireError as error:
            self._refuse(client, raw_id, error)
            return None
        except Exception:  # noqa: BLE001 - one frame's fault must not stop the tick
            _log.exception("parse_failed")
            self._refuse(client, raw_id, WireError(RpcCode.INTERNAL))
            return None
        return call

    def _refuse(self, client: Client, raw_id: bytes, error: WireError) -> None:
        self.refused_count += 1
        if isinstance(client, SocketConnection):
            client.refuse(error_reply(raw_id, error))

    def new_call(self, client: Client, method: Method, raw_id: bytes, *, legacy: bool) -> Call:
        """Make a call without parameters."""
        now_ns = self._core.clock_ns()
        return Call(client, method, raw_id, legacy=legacy, received_ns=now_ns, us_clock=self._us)

    def run(self, call: Call) -> Unverified | None:
        """Authorize, charge and perform; a signed order comes back for its signature check."""
        method, client = call.method, call.client
        if method.socket_only and not client.is_socket:
            raise WireError(RpcCode.METHOD_NOT_FOUND, {"method": method.path, "hint": "socket only"})
        self._core.check_offered(method)
        if method.is_private:
            self._core.key_rules.check(call)
        self._charge(call)
        if call.is_signed_order:
            return self._prepared.get(type(call.params), self.orders.prepare)(call)
        self._handlers[method.path](call)
        return None

    def _charge(self, call: Call) -> None:
        bucket, cost = call.method.bucket, call.method.cost
        identity = call.client.identity
        if type(call.params) is MassQuoteParams:
            cost = line_count(call.params)
        elif call.is_signed_order:
            bucket = Bucket.MATCHING
        if bucket is Bucket.FREE or not cost:
            return
        if bucket is Bucket.PUBLIC and identity is not None:
            bucket = Bucket.READS
        who: bytes | str = identity.owner if identity is not None else call.client.address
        call.cost = cost
        call.remaining, call.reset_ms = self._core.credits.charge(bucket, who, call.cost, call.received_ns)

    def _us(self) -> int:
        return self._core.clock_ns() // 1_000

    def _login(self, call: Call) -> None:
        """Log in: later frames of this socket wait until the session has its number."""
        params: LoginParams = call.params
        client = _socket(call)
        client.block()
        call.when_answered = client.unblock

        def proved(identity: Identity, wallet: WalletView) -> None:
            self._core.key_rules.check_address(identity, client.address)
            command = SessionOpen(owner=identity.owner, signer=identity.signer)
            self._core.submit(call, command, lambda output: self._logged_in(call, identity, wallet, output))

        self._authenticator.prove(
            text_of(params.wallet), text_of(params.timestamp), text_of(params.signature), proved, call.guarded
        )

    def _logged_in(self, call: Call, identity: Identity, wallet: WalletView, output: Output) -> None:
        client = _socket(call)
        session = 0
        for event in output.events:
            if isinstance(event, SessionOpened):
                session = event.session
            elif isinstance(event, CommandRefused):
                raise WireError(event.code)
        if not client.is_open:
            self._core.port.submit(SessionClose(session=session))
            return
        before = client.identity
        if before is not None:
            self._core.port.submit(SessionClose(session=before.session, logged_out=True))
            if before.owner != identity.owner:
                self._fanout.drop(client, only_private=True)
        client.identity = Identity(owner=identity.owner, signer=identity.signer, session=session)
        self.key_watch.logged_in(client)
        call.result([self._core.venue.subaccount_id(account) for account in wallet.subaccounts], output.sequence)

    def _logout(self, call: Call) -> None:
        client = _socket(call)
        if client.identity is not None:
            self._core.port.submit(SessionClose(session=client.identity.session, logged_out=True))
            client.identity = None
            self.key_watch.closed(client)
            self._fanout.drop(client, only_private=True)
        call.result("ok")

    @staticmethod
    def _set_heartbeat(call: Call) -> None:
        interval = call.params.interval
        if not 10 <= interval <= 3_600:
            raise WireError.bad_param("interval", "must be 10 .. 3600 seconds")
        _socket(call).set_heartbeat(float(interval))
        call.result("ok")

    @staticmethod
    def _disable_heartbeat(call: Call) -> None:
        _socket(call).set_heartbeat(0.0)
        call.result("ok")


def _socket(call: Call) -> SocketConnection:
    if not isinstance(call.client, SocketConnection):
        raise WireError(RpcCode.METHOD_NOT_FOUND, {"hint": "socket only"})
    return call.client
