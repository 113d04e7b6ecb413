"""One request on its way: where it came from, what it asks, and the single reply it gets."""

import logging
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import msgspec

from exchange.wire.envelope import error_reply, result_reply
from exchange.wire.errors import RpcCode, WireError
from exchange.wire.legacy import legacy_result
from exchange.wire.methods import Method
from exchange.wire.params import EditParams
from exchange.wire.quote_params import MassQuoteParams

__all__ = ["Call", "Client", "Identity"]

_log = logging.getLogger(__name__)
Value = TypeVar("Value")


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who speaks: `owner` is asserted, `signer` proved. Rights are looked up at each use: a revocation acts at once."""

    owner: bytes
    signer: bytes
    session: int = 0


class Client(Protocol):
    """Where a call came from."""

    identity: Identity | None
    address: str
    is_socket: bool
    cancel_on_disconnect: bool

    def deliver(self, call: "Call", frame: bytes) -> None:
        """Take the reply of `call`; called exactly once per call."""
        ...

    def block(self) -> None:
        """Hold later calls of this client until as many `unblock`s."""
        ...

    def unblock(self) -> None:
        """Let later calls go on."""
        ...


class Call:
    """A request that was parsed and admitted."""

    __slots__ = (
        "answered", "client", "cost", "error", "legacy", "method", "params", "raw_id", "received_ns", "remaining",
        "reset_ms", "sequence", "us_clock", "when_answered",
    )  # fmt: skip

    def __init__(
        self,
        client: Client,
        method: Method,
        raw_id: bytes,
        *,
        legacy: bool,
        received_ns: int,
        us_clock: Callable[[], int],
    ) -> None:
        """Remember where the reply goes."""
        self.client = client
        self.method = method
        self.raw_id = raw_id
        self.legacy = legacy
        self.received_ns = received_ns
        self.us_clock = us_clock
        self.params: Any = None
        self.answered = False
        self.error: WireError | None = None
        self.cost = 0
        self.remaining = 0
        self.reset_ms = 0
        self.sequence = 0
        self.when_answered: Callable[[], None] | None = None

    @property
    def is_signed_order(self) -> bool:
        """Whether a signature of its own is checked: an edit and a mass quote may have one."""
        return self.method.signed_order or (
            type(self.params) in (EditParams, MassQuoteParams) and self.params.signature is not None
        )

    @property
    def overtakes(self) -> bool:
        """Whether it passes orders that wait for their verification: cancels do, and pulling a group of quotes."""
        return self.method.overtakes or (type(self.params) is MassQuoteParams and self.params.cancel is not None)

    def result(self, value: Any, sequence: int = 0) -> None:
        """Reply with `value`; `sequence` is the journal sequence that decided it."""
        if self.answered:
            return
        self.sequence = sequence
        if self.legacy:
            value = legacy_result(value)
        self._send(result_reply(self.raw_id, value, self.meta() if self.client.is_socket else None))

    def fail(self, error: WireError, sequence: int = 0) -> None:
        """Reply with an error."""
        if self.answered:
            return
        self.sequence = sequence
        self.error = error
        self._send(error_reply(self.raw_id, error))

    def crash(self, error: BaseException) -> None:
        """Reply -32603 for a fault of ours; the connection lives on."""
        _log.error("call_failed method=%s", self.method.path, exc_info=error)
        self.fail(WireError(RpcCode.INTERNAL))

    def meta(self) -> dict[str, int]:
        """Numbers next to `result` (api.md 10.1)."""
        return {
            "cost": self.cost,
            "remaining": self.remaining,
            "reset_ms": self.reset_ms,
            "us_in": self.received_ns // 1_000,
            "us_out": self.us_clock(),
            "sequence": self.sequence,
        }

    def guarded(self, callback: Callable[[Value], None]) -> Callable[[Value], None]:
        """`callback` whose exceptions become this call's error instead of reaching the port."""

        def run(value: Value) -> None:
            try:
                callback(value)
            except WireError as error:
                self.fail(error)
            except Exception as error:  # noqa: BLE001 - one call's fault must not stop the commit
                self.crash(error)

        return run

    def _send(self, frame: bytes) -> None:
        self.answered = True
        self.client.deliver(self, frame)
        if self.when_answered is not None:
            self.when_answered()
