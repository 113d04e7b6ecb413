"""Session keys on the wire: list, limit, revoke; what `set_session_key` says beside what the chain registers."""

import ipaddress
from typing import Final

from msgspec.structs import replace

from exchange.domain.events import CommandRefused, Event, SessionKeySet
from exchange.domain.limits import MAX_KEY_LIMIT_ENTRIES, MAX_LABEL_CHARACTERS, MAX_MONEY_E6, MAX_SESSION_KEYS_PER_OWNER
from exchange.domain.result_codes import ResultCode
from exchange.domain.safeguards import KeyLimits, KeyRight, RevokeKey, SessionKeyLimited, SetKeyLimits
from exchange.domain.views import Output, SessionKeyView
from exchange.gateway.auth import parse_wallet
from exchange.gateway.calls import Call, Identity
from exchange.gateway.core import Core, Handler
from exchange.wire.account_shapes import key_row
from exchange.wire.decimals import fee_cap_e18
from exchange.wire.errors import RpcCode, WireError
from exchange.wire.params import text_of
from exchange.wire.safeguard_params import EditKeyParams, KeyLimitParams
from exchange.wire.scopes import rights_of
from exchange.wire.venue import address_text

__all__ = ["KeyMethods", "raise_refusal", "widens"]

_E12: Final = 10**12


class KeyMethods:
    """Handlers by path, and the parts that `set_session_key` shares."""

    def __init__(self, core: Core) -> None:
        """Work on `core`."""
        self._core = core

    def handlers(self) -> dict[str, Handler]:
        """Return the table."""
        return {"private/session_keys": self._list, "private/edit_session_key": self._edit}

    def row(self, key: SessionKeyView, limits: KeyLimits) -> dict[str, object]:
        """A key as it is shown."""
        by_id = self._core.market.by_id
        names = [by_id[number].name for number in limits.instruments if number in by_id]
        return key_row(key, self._core.venue, limits, [*names, *limits.underlyings])

    def check_new(self, owner: bytes, key: bytes) -> None:
        """Before a key is asked for on chain: 20032 when there is such a key, 20030 when there is no room for it."""
        if self._core.directory.find_key(owner, key) is not None:
            raise WireError(ResultCode.SESSION_KEY_FIXED, {"public_session_key": address_text(key)})
        wallet = self._core.directory.known(owner)
        if wallet is not None and len(wallet.keys) >= MAX_SESSION_KEYS_PER_OWNER:
            raise WireError(ResultCode.TOO_MANY_SESSION_KEYS, {"maximum": MAX_SESSION_KEYS_PER_OWNER})

    def limits_of(self, params: KeyLimitParams, before: KeyLimits) -> KeyLimits:
        """What `params` ask for, the rest as it was; WireError -32602, 12001."""
        limits = before
        if params.label is not None:
            label = text_of(params.label)
            if len(label) > MAX_LABEL_CHARACTERS:
                raise WireError.bad_param("label", f"at most {MAX_LABEL_CHARACTERS} characters")
            limits = replace(limits, label=label)
        if params.offchain_scopes is not None:
            limits = replace(limits, rights=rights_of(params.offchain_scopes))
        if params.ip_whitelist is not None:
            limits = replace(limits, ip_whitelist=_networks(params.ip_whitelist))
        if params.instruments is not None:
            limits = self._bounded(limits, params.instruments)
        if params.max_notional is not None:
            notional_e6, rest = divmod(fee_cap_e18(params.max_notional, "max_notional"), _E12)
            if rest or notional_e6 > MAX_MONEY_E6:
                raise WireError.bad_param("max_notional", "must be a multiple of 0.000001 below 2**62 of them")
            limits = replace(limits, max_notional_e6=notional_e6)
        return limits

    def check_author(self, identity: Identity, key: bytes, before: KeyLimits, after: KeyLimits) -> None:
        """14031 unless the login may set these limits: the owner, or anybody where nothing is widened."""
        if identity.signer != identity.owner and widens(before, after):
            raise WireError(14031, {"needs": "the owner's login", "public_session_key": address_text(key)})

    def _list(self, call: Call) -> None:
        owner = self._core.own_wallet(call, call.params.wallet)
        wallet = self._core.directory.known(owner)
        limits_of = self._core.directory.limits_of
        keys = wallet.keys if wallet else ()
        call.result({"public_session_keys": [self.row(key, limits_of(owner, key.key)) for key in keys]})

    def _edit(self, call: Call) -> None:
        """Limits of a key, or its end. A widened limit is a raise: owner's login, and a code where codes are on."""
        params: EditKeyParams = call.params
        owner = self._core.own_wallet(call, params.wallet)
        identity = self._core.identity(call)
        key = parse_wallet(text_of(params.public_session_key), "public_session_key")
        view = self._core.directory.find_key(owner, key)
        if view is None:
            raise WireError(RpcCode.KEY_NOT_FOUND, {"public_session_key": address_text(key)})
        if params.disable:
            self._check_may_revoke(identity, key)
            self._submit(call, RevokeKey(owner=owner, key=key), view)
            return
        if identity.signer != owner:
            raise WireError(14031, {"needs": "the owner's login"})
        before = self._core.directory.limits_of(owner, key)
        after = self.limits_of(params, before)
        if widens(before, after):
            self._core.factors.check(owner, params.totp)
        self._submit(call, SetKeyLimits(owner=owner, key=key, limits=after), view)

    def _check_may_revoke(self, identity: Identity, key: bytes) -> None:
        """The owner may, a key with that right may, and every key may give itself up."""
        rights = self._core.directory.limits_of(identity.owner, identity.signer).rights
        is_deputy = bool(rights & KeyRight.DELETE_SESSION_KEY)
        if identity.signer not in (identity.owner, key) and not is_deputy:
            raise WireError(14031, {"needs": "delete_session_key"})

    def _submit(self, call: Call, command: SetKeyLimits | RevokeKey, view: SessionKeyView) -> None:
        limits = self._core.directory.limits_of(command.owner, command.key)

        def done(output: Output) -> None:
            raise_refusal(output.events)
            call.result(self.row(*_after(output.events, view, limits)), output.sequence)

        self._core.submit(call, command, done)

    def _bounded(self, limits: KeyLimits, names: list[str]) -> KeyLimits:
        if len(names) > MAX_KEY_LIMIT_ENTRIES:
            raise WireError.bad_param("instruments", f"at most {MAX_KEY_LIMIT_ENTRIES}")
        currencies = self._core.market.currencies()
        underlyings = tuple(sorted({name for name in names if name in currencies}))
        numbers = {self._core.instrument_id(name) for name in names if name not in currencies}
        return replace(limits, instruments=tuple(sorted(numbers)), underlyings=underlyings)


def raise_refusal(events: tuple[Event, ...] | list[Event]) -> None:
    """Raise what the engine refused."""
    for event in events:
        if isinstance(event, CommandRefused):
            raise WireError(event.code)


def widens(before: KeyLimits, after: KeyLimits) -> bool:
    """Tell whether `after` allows anything that `before` did not."""
    return (
        bool(after.rights & ~before.rights)
        or _raises(before.max_notional_e6, after.max_notional_e6)
        or _grows(before.ip_whitelist, after.ip_whitelist)
        or _grows(
            (*before.instruments, *before.underlyings),
            (*after.instruments, *after.underlyings),
        )
    )


def _raises(before_e6: int, after_e6: int) -> bool:
    return before_e6 > 0 and not 0 < after_e6 <= before_e6


def _grows(before: tuple[object, ...], after: tuple[object, ...]) -> bool:
    return bool(before) and not (after and set(after) <= set(before))


def _networks(texts: list[str]) -> tuple[str, ...]:
    """Canonical networks; -32602 for what is none."""
    if len(texts) > MAX_KEY_LIMIT_ENTRIES:
        raise WireError.bad_param("ip_whitelist", f"at most {MAX_KEY_LIMIT_ENTRIES} networks")
    try:
        return tuple(sorted({str(ipaddress.ip_network(text.strip(), strict=False)) for text in texts}))
    except ValueError as error:
        raise WireError.bad_param("ip_whitelist", "must be addresses or networks such as 10.0.0.0/8") from error


def _after(
    events: tuple[Event, ...] | list[Event], view: SessionKeyView, limits: KeyLimits
) -> tuple[SessionKeyView, KeyLimits]:
    """The key as its command left it; the directory hears of that only behind the reply."""
    for event in events:
        if isinstance(event, SessionKeyLimited):
            limits = event.limits
        elif isinstance(event, SessionKeySet) and event.key == view.key:
            view = replace(view, valid_to_s=event.valid_to_s)
    return view, limits
