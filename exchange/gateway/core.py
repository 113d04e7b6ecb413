"""What all method groups share, and the few questions that all of them ask."""

from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

import msgspec

from exchange.bus.interface import Busy, ExchangePort, ReplyCallback
from exchange.domain.commands import Command
from exchange.domain.views import Answer, OrderView, Query, Unanswered
from exchange.gateway.account_log import AccountLog
from exchange.gateway.archive import Archive
from exchange.gateway.calls import Call, Identity
from exchange.gateway.credits import Credits
from exchange.gateway.directory import Directory
from exchange.gateway.history import History
from exchange.gateway.key_rules import KeyRules
from exchange.gateway.market import Market
from exchange.gateway.order_checks import OrderChecks
from exchange.gateway.second_factor import SecondFactors
from exchange.gateway.settings import GatewaySettings, Readiness
from exchange.gateway.verify import SignatureChecker
from exchange.wire.errors import RpcCode, WireError, busy, elsewhere
from exchange.wire.methods import Bucket, Method
from exchange.wire.objects import Order
from exchange.wire.order_shapes import OrderShapes
from exchange.wire.params import HistoryParams, Text, required, text_of
from exchange.wire.venue import VenueInfo
from settlement.protocol.eip712 import Action

__all__ = ["Core", "Handler", "Relay", "RelayRequest", "RelayUnavailable"]

Handler = Callable[[Call], None]
_LOADING_RETRY_MS: Final = 200


class RelayRequest(msgspec.Struct, frozen=True, kw_only=True):
    """An owner-signed action for the contract's queue. `kind` is withdraw or set_session_key."""

    kind: str
    action: Action
    signature: bytes
    digest: bytes


class RelayUnavailable(Exception):
    """The chain cannot be reached or refused; nothing was relayed."""


Relay = Callable[[RelayRequest], Awaitable[str]]
"""Sends the action to the contract and returns the transaction hash."""


class Streams(Protocol):
    """The fan-out, as methods see it."""

    def subscribe(self, call: Call) -> None:
        """Answer `subscribe`."""
        ...

    def unsubscribe(self, call: Call) -> None:
        """Answer `unsubscribe`."""
        ...


class Core(msgspec.Struct, kw_only=True):
    """Parts of one gateway."""

    port: ExchangePort
    venue: VenueInfo
    settings: GatewaySettings
    clock_ns: Callable[[], int]
    market: Market
    directory: Directory
    history: History
    credits: Credits
    shapes: OrderShapes
    checks: OrderChecks
    checker: SignatureChecker
    account_log: AccountLog
    key_rules: KeyRules
    factors: SecondFactors
    readiness: Callable[[], Readiness]
    relay: Relay | None = None
    archive: Archive | None = None
    """The history on disk, where there is one."""
    started_ns: int = 0
    exchange_url: str = ""
    """Where orders go, when this gateway only shows public data."""

    def check_offered(self, method: Method) -> None:
        """Where only public data is served: WireError 20019 for the rest, -32000 before there is any data."""
        if not self.exchange_url:
            return
        if method.is_private or method.path == "public/login":
            raise elsewhere(self.exchange_url)
        if not self.market.is_loaded and method.bucket is not Bucket.FREE:
            raise busy(_LOADING_RETRY_MS)

    def identity(self, call: Call) -> Identity:
        """Who speaks; WireError 14021 before a login, 14026 or 14030 when the key lost its power."""
        identity = call.client.identity
        if identity is None:
            raise WireError(14021)
        self.directory.key_of(identity)
        return identity

    def account(self, call: Call, subaccount_id: int | None) -> int:
        """Account index of one of the caller's subaccounts; WireError 14001 or 14031."""
        account = self.venue.account(required(subaccount_id, "subaccount_id"))
        identity = call.client.identity
        if identity is None:
            raise WireError(14021)
        self.directory.check_subaccount(identity, account)
        return account

    def own_wallet(self, call: Call, wallet: Text | None) -> bytes:
        """The caller's wallet; WireError 14020 when another one is named."""
        owner = self.identity(call).owner
        if wallet is not None and text_of(wallet).lower().removeprefix("0x") != owner.hex():
            raise WireError(14020)
        return owner

    def accounts(self, call: Call) -> list[int]:
        """Accounts that a history covers: one subaccount of the caller, or his whole wallet. Raises like `account`."""
        params: HistoryParams = call.params
        if params.subaccount_id is not None:
            return [self.account(call, params.subaccount_id)]
        wallet = self.directory.known(self.own_wallet(call, params.wallet))
        return list(wallet.subaccounts) if wallet else []

    def submit(self, call: Call, command: Command, reply: ReplyCallback) -> None:
        """Send a command; a full inbox answers busy, a fault in `reply` answers -32603."""
        try:
            self.port.submit(command, call.guarded(reply))
        except Busy as error:
            call.fail(busy(error.retry_after_ms))

    def ask(self, call: Call, query: Query, done: Callable[[Answer], None]) -> None:
        """Ask a question on behalf of `call`; one that the engine fails to answer gets -32603."""

        def answered(answer: Answer) -> None:
            if isinstance(answer, Unanswered):
                raise WireError(RpcCode.INTERNAL)
            done(answer)

        try:
            self.port.ask(query, call.guarded(answered))
        except Busy as error:
            call.fail(busy(error.retry_after_ms))

    def instrument_id(self, name: str | None) -> int:
        """Id of a named instrument, 0 for none; WireError 12001."""
        return 0 if name is None else self.market.named(name).instrument_id

    def underlying(self, currency: str | None) -> str:
        """A named currency, "" for none; WireError 12002."""
        if currency is not None and currency not in self.market.currencies():
            raise WireError(12002, {"currency": currency[:64]})
        return currency or ""

    def order(self, view: OrderView) -> Order:
        """An order on the wire."""
        return self.shapes.order(view, self.market.by_id[view.instrument])

    def orders(self, views: Any) -> list[Order]:
        """Several orders on the wire."""
        return [self.order(view) for view in views]
