"""Actions that only a wallet's owner may sign; they go to the contract's queue, not to the engine (api.md 4.6)."""

import asyncio
from decimal import Decimal
from typing import Final

from exchange.domain.safeguards import SetKeyLimits
from exchange.domain.views import Output, SessionKeyView
from exchange.gateway.auth import parse_wallet
from exchange.gateway.calls import Call
from exchange.gateway.core import Core, Handler, RelayRequest, RelayUnavailable
from exchange.gateway.key_methods import KeyMethods, raise_refusal
from exchange.gateway.order_checks import nonce_time_ns, parse_nonce, signature_bytes
from exchange.gateway.verify import recovered_text
from exchange.wire.decimals import fee_cap_e18
from exchange.wire.errors import RpcCode, WireError
from exchange.wire.params import WithdrawParams, required, seconds_of, text_of
from exchange.wire.safeguard_params import SessionKeyParams
from exchange.wire.scopes import scope_code, scope_mask
from exchange.wire.venue import COLLATERAL, address_text
from settlement.protocol.eip712 import (
    SET_SESSION_KEY_MODULE,
    WITHDRAW_MODULE,
    Action,
    digest,
    encode_set_session_key,
    encode_withdraw,
)

__all__ = ["OwnerActions"]

_NONCE_SKEW_NS: Final = 3_600_000_000_000
_MIN_KEY_LIFE_S: Final = 300
_MOST_SUBACCOUNTS: Final = 64


class OwnerActions:
    """Handlers by path."""

    def __init__(self, core: Core) -> None:
        """Work on `core`."""
        self._core = core
        self._keys = KeyMethods(core)
        self._relays: set[asyncio.Task[None]] = set()

    def handlers(self) -> dict[str, Handler]:
        """Return the table."""
        return {
            "private/set_session_key": self._set_session_key,
            "private/withdraw": self._withdraw,
            **self._keys.handlers(),
        }

    def stop(self) -> None:
        """Give up relays that are on their way; the contract takes each digest once."""
        for task in self._relays:
            task.cancel()

    def _set_session_key(self, call: Call) -> None:
        params: SessionKeyParams = call.params
        owner = self._core.own_wallet(call, params.wallet)
        key = parse_wallet(text_of(params.public_session_key), "public_session_key")
        expiry_s = seconds_of(params.expiry_sec, "expiry_sec")
        if expiry_s < self._core.clock_ns() // 1_000_000_000 + _MIN_KEY_LIFE_S:
            raise WireError(RpcCode.KEY_EXPIRY_TOO_NEAR, {"minimum_s": _MIN_KEY_LIFE_S})
        scopes = [scope_code(name) for name in (params.protocol_scopes or params.scopes or [])]
        ids = params.subaccount_ids or []
        if len(ids) > _MOST_SUBACCOUNTS or not all(0 <= subaccount_id < 1 << 64 for subaccount_id in ids):
            raise WireError.bad_param("subaccount_ids", f"at most {_MOST_SUBACCOUNTS} ids below 2**64")
        data = encode_set_session_key(key=key, expiry_s=expiry_s, scopes=scopes, subaccount_ids=ids)
        request = self._owner_action(params, owner, 0, SET_SESSION_KEY_MODULE, data, "set_session_key")
        self._keys.check_new(owner, key)
        before = self._core.directory.limits_of(owner, key)
        limits = self._keys.limits_of(params, before)
        self._keys.check_author(self._core.identity(call), key, before, limits)
        self._core.factors.check(owner, params.totp)
        row = SessionKeyView(
            key=key,
            valid_to_s=expiry_s,
            scopes=scope_mask(scopes),
            accounts=tuple(self._core.venue.account(subaccount_id) for subaccount_id in ids),
            registered_ns=self._core.clock_ns(),
        )
        result = self._keys.row(row, limits)
        if limits == before:
            self._relay(call, request, result)
            return

        def limited(output: Output) -> None:
            raise_refusal(output.events)
            self._relay(call, request, result)

        # Before the key: it must not be without its limits for a moment.
        self._core.submit(call, SetKeyLimits(owner=owner, key=key, limits=limits), limited)

    def _withdraw(self, call: Call) -> None:
        params: WithdrawParams = call.params
        self._core.account(call, params.subaccount_id)
        owner = self._core.identity(call).owner
        if text_of(params.asset_name).upper() != COLLATERAL:
            raise WireError(12000, {"asset_name": text_of(params.asset_name)[:64]})
        recipient = parse_wallet(text_of(params.recipient), "recipient") if params.recipient else owner
        data = encode_withdraw(
            asset=self._core.venue.asset_of(COLLATERAL, "erc20"),
            max_fee_usd_e18=fee_cap_e18(params.max_fee_usd or Decimal(0), "max_fee_usd"),
            recipient=recipient,
            amount_native=_native_e6(required(params.amount_in_underlying, "amount_in_underlying")),
            force_batch=bool(params.force_batch),
        )
        request = self._owner_action(params, owner, params.subaccount_id or 0, WITHDRAW_MODULE, data, "withdraw")
        self._core.factors.check(owner, params.totp)
        self._relay(call, request, None)

    def _owner_action(
        self,
        params: WithdrawParams | SessionKeyParams,
        owner: bytes,
        subaccount_id: int,
        module: bytes,
        data: bytes,
        kind: str,
    ) -> RelayRequest:
        """Check an action that only the owner may sign, under our own domain alone (api.md 4.6)."""
        nonce, now_ns = parse_nonce(params.nonce), self._core.clock_ns()
        if len(str(nonce)) != 19 or abs(nonce_time_ns(nonce) - now_ns) > _NONCE_SKEW_NS:
            raise WireError(11018, {"got": str(nonce), "needs": "19 digits, nanoseconds within 1 h"})
        expiry_s = seconds_of(params.signature_expiry_sec, "signature_expiry_sec")
        if expiry_s * 1_000_000_000 <= now_ns:
            raise WireError(11011, {"got": expiry_s, "server_time": now_ns // 1_000_000})
        signer = parse_wallet(text_of(params.signer), "signer")
        if signer != owner:
            raise WireError(14031, {"signer": address_text(signer), "needs": "the owner's own signature"})
        action = Action(
            subaccount_id=subaccount_id,
            nonce=nonce,
            module=module,
            data=data,
            expiry_s=expiry_s,
            owner=owner,
            signer=signer,
        )
        signature = signature_bytes(text_of(params.signature), signer)
        own = self._core.venue.domain_separator
        signed = digest(own, action)
        if not self._core.checker.is_by(signer, signed, signature):
            detail: dict[str, object] = {
                "expected": address_text(signer),
                "recovered": recovered_text(signed, signature),
                "digest": "0x" + signed.hex(),
                "domain_separator": "0x" + own.hex(),
            }
            raise WireError(RpcCode.SIGNATURE_INVALID, detail)
        return RelayRequest(kind=kind, action=action, signature=signature, digest=signed)

    def _relay(self, call: Call, request: RelayRequest, result: dict[str, object] | None) -> None:
        relay = self._core.relay
        if relay is None:
            raise WireError(RpcCode.CHAIN_UNAVAILABLE, {"reason": "this server relays nothing"})

        async def run() -> None:
            try:
                transaction = await relay(request)
            except RelayUnavailable as error:
                call.fail(WireError(RpcCode.CHAIN_UNAVAILABLE, {"reason": str(error)[:200]}))
            except Exception as error:  # noqa: BLE001 - a fault of the chain client must not end the loop
                call.crash(error)
            else:
                text = request.digest.hex()
                operation = f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:32]}"
                call.result(result or {"op_uuid": operation, "operation_id": operation, "tx_hash": transaction})

        task = asyncio.get_running_loop().create_task(run())
        self._relays.add(task)
        task.add_done_callback(self._relays.discard)


def _native_e6(amount: Decimal) -> int:
    """Amount in native units; -32602 unless it is a positive multiple of 1e-6."""
    value_e18 = fee_cap_e18(amount, "amount_in_underlying")
    native, rest = divmod(value_e18, 10**12)
    if rest or native <= 0:
        raise WireError.bad_param("amount_in_underlying", "must be a positive multiple of 0.000001")
    return native
