"""One-time codes of a wallet: on in two steps, off with a code. Only the owner's own login may do either."""

from exchange.gateway.calls import Call
from exchange.gateway.core import Core, Handler
from exchange.wire.safeguard_params import TotpParams

__all__ = ["FactorMethods"]


class FactorMethods:
    """Handlers by path; `key_rules` lets nobody but owners come here."""

    def __init__(self, core: Core) -> None:
        """Work on `core`."""
        self._core = core

    def handlers(self) -> dict[str, Handler]:
        """Return the table."""
        return {
            "private/enable_totp": self._enable,
            "private/confirm_totp": self._confirm,
            "private/disable_totp": self._disable,
        }

    def _enable(self, call: Call) -> None:
        """Give out a new secret, once; nothing asks for codes before `confirm_totp`."""
        params: TotpParams = call.params
        secret, uri = self._core.factors.begin(self._core.own_wallet(call, params.wallet))
        call.result({"secret": secret, "uri": uri})

    def _confirm(self, call: Call) -> None:
        params: TotpParams = call.params
        self._core.factors.confirm(self._core.own_wallet(call, params.wallet), params.totp)
        call.result("ok")

    def _disable(self, call: Call) -> None:
        params: TotpParams = call.params
        self._core.factors.disable(self._core.own_wallet(call, params.wallet), params.totp)
        call.result("ok")
