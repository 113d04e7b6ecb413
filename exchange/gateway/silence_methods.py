"""What becomes of orders when their owner falls silent: rules by wallet and connection, dead-man timers."""

from exchange.domain.events import CommandRefused
from exchange.domain.limits import MAX_DEAD_MAN_MS, MIN_DEAD_MAN_MS
from exchange.domain.safeguards import CancelAllAfter, DeadManSet, SetDisconnectRule
from exchange.domain.views import Output
from exchange.gateway.calls import Call
from exchange.gateway.core import Core, Handler
from exchange.gateway.key_methods import raise_refusal
from exchange.gateway.order_checks import choice
from exchange.wire.errors import WireError
from exchange.wire.params import required
from exchange.wire.safeguard_params import CancelAllAfterParams, DisconnectParams

__all__ = ["SilenceMethods"]


class SilenceMethods:
    """Handlers by path."""

    def __init__(self, core: Core) -> None:
        """Work on `core`."""
        self._core = core

    def handlers(self) -> dict[str, Handler]:
        """Return the table."""
        return {
            "private/set_cancel_on_disconnect": self._set_disconnect,
            "private/cancel_all_after": self._cancel_all_after,
        }

    def _set_disconnect(self, call: Call) -> None:
        """For the wallet, for good, unless `scope` says connection: then for orders that this session sends."""
        params: DisconnectParams = call.params
        owner = self._core.own_wallet(call, params.wallet)
        if not call.client.is_socket:
            raise WireError.bad_param("enabled", "REST has no session")
        is_enabled, spares = params.enabled is not False, bool(params.spare_reduce_only)
        if choice(params.scope or "account", "scope", ("account", "connection")) == "connection":
            if spares:
                raise WireError.bad_param("spare_reduce_only", "is for the whole account")
            call.client.cancel_on_disconnect = is_enabled
            call.result("ok")
            return

        def done(output: Output) -> None:
            raise_refusal(output.events)
            call.result("ok", output.sequence)

        self._core.submit(call, SetDisconnectRule(owner=owner, is_enabled=is_enabled, spares_reduce_only=spares), done)

    def _cancel_all_after(self, call: Call) -> None:
        """Arm, re-arm or (with 0) disarm; the reply names the deadline on journal time."""
        params: CancelAllAfterParams = call.params
        account = self._core.account(call, params.subaccount_id)
        timeout_ms = required(params.timeout_ms, "timeout_ms")
        if timeout_ms and not MIN_DEAD_MAN_MS <= timeout_ms <= MAX_DEAD_MAN_MS:
            raise WireError.bad_param("timeout_ms", f"must be 0 or {MIN_DEAD_MAN_MS} .. {MAX_DEAD_MAN_MS}")

        def done(output: Output) -> None:
            deadline_ms: int | None = None
            for event in output.events:
                if isinstance(event, CommandRefused):
                    raise WireError(event.code)
                if isinstance(event, DeadManSet) and event.deadline_ns:
                    deadline_ms = event.deadline_ns // 1_000_000
            echo = {"subaccount_id": params.subaccount_id, "timeout_ms": timeout_ms, "cancel_at": deadline_ms}
            call.result(echo, output.sequence)

        command = CancelAllAfter(
            subaccount=account, timeout_ms=timeout_ms, spares_reduce_only=bool(params.spare_reduce_only)
        )
        self._core.submit(call, command, done)
