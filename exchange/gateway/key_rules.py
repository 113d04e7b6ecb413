"""What the key behind a login may ask for: its addresses and its rights (api.md 4.6).

What a signed order may do is a matter of the key that signed it, which need not be the login's: `order_checks` and the
engine look at that one. Looked up at every call, so that a change acts on the next message.
"""

import ipaddress
from enum import Enum
from functools import lru_cache
from typing import Final

from exchange.domain.instrument import Instrument
from exchange.domain.safeguards import KeyLimits, KeyRight
from exchange.domain.views import SessionKeyView
from exchange.gateway.auth import parse_wallet
from exchange.gateway.calls import Call, Identity
from exchange.gateway.directory import Directory
from exchange.wire.errors import RpcCode, WireError
from exchange.wire.params import text_of

__all__ = ["NEEDS", "KeyRules", "Need", "check_instrument"]

_TRADE_SCOPES: Final = 1 << 0 | 0b1_1111_1100
"""Admin, and every scope of the trade branch: 2 to 10."""
_NETWORKS_KEPT: Final = 4_096


class Need(Enum):
    """What a private call asks of the login's key."""

    NOTHING = "nothing"
    READ = "account_info"
    CANCEL = "cancel"
    TRADE = "trade"
    OWNER = "owner"


_READS: Final = (
    "order_debug", "order_quote", "simulate", "get_margin", "get_order", "get_orders", "get_open_orders",
    "get_trigger_orders", "get_algo_orders", "get_order_history", "get_trade_history", "get_positions",
    "get_collaterals", "get_subaccount", "get_subaccounts", "get_all_portfolios", "get_account", "session_keys",
    "get_mmp_config", "get_deposit_history", "get_withdrawal_history", "get_funding_history",
    "get_option_settlement_history", "get_interest_history", "get_erc20_transfer_history", "get_liquidation_history",
    "export",
)  # fmt: skip
_CANCELS: Final = (
    "cancel", "cancel_by_label", "cancel_by_nonce", "cancel_by_instrument", "cancel_by_client_order_id", "cancel_all",
    "cancel_trigger_order", "cancel_all_trigger_orders", "cancel_all_after", "edit",
)  # fmt: skip
_SETTINGS: Final = ("set_self_trade_prevention", "set_mmp_config", "reset_mmp", "set_cancel_on_disconnect")
_OWNERS: Final = ("enable_totp", "confirm_totp", "disable_totp")
_SIGNED: Final = (
    "order", "replace", "mass_quote", "set_session_key", "withdraw", "edit_session_key", "logout",
)  # fmt: skip
"""Bring a signature of their own, or have a rule of their own, or need none."""
NEEDS: Final[dict[str, Need]] = {
    f"private/{name}": need
    for need, names in (
        (Need.READ, _READS),
        (Need.CANCEL, _CANCELS),
        (Need.TRADE, _SETTINGS),
        (Need.OWNER, _OWNERS),
        (Need.NOTHING, _SIGNED),
    )
    for name in names
}
"""By path; a private method that is not here is the owner's alone."""


class KeyRules:
    """Answers for one gateway."""

    def __init__(self, directory: Directory) -> None:
        """Look keys and limits up in `directory`."""
        self._directory = directory

    def check(self, call: Call) -> None:
        """First failing code of: 14021 no login, 14026 or 14030 key without power, 14029 address, 14031 right."""
        identity = call.client.identity
        if identity is None:
            raise WireError(14021)
        key = self._directory.key_of(identity)
        is_signed = call.is_signed_order
        if self._directory.has_limits:
            self._check_addresses(call, identity, is_signed=is_signed)
        if key is None or is_signed:
            return
        need = NEEDS.get(call.method.path, Need.OWNER)
        if not has_right(key, self._directory.limits_of(identity.owner, identity.signer), need):
            raise WireError(14031, {"needs": need.value, "method": call.method.path})

    def _check_addresses(self, call: Call, identity: Identity, *, is_signed: bool) -> None:
        """The key behind the login, and the one that signed an order for it."""
        self.check_address(identity, call.client.address)
        if is_signed and call.params.signer is not None:
            signer = parse_wallet(text_of(call.params.signer), "signer")
            if signer != identity.signer:
                check_address(self._directory.limits_of(identity.owner, signer), call.client.address)

    def check_address(self, identity: Identity, address: str) -> None:
        """14029 unless the login's key may be used from `address`."""
        if identity.signer != identity.owner:
            check_address(self._directory.limits_of(identity.owner, identity.signer), address)

    def check_read(self, identity: Identity) -> None:
        """14031 unless the login may see its account; for channels."""
        key = self._directory.key_of(identity)
        limits = self._directory.limits_of(identity.owner, identity.signer)
        if key is not None and not has_right(key, limits, Need.READ):
            raise WireError(14031, {"needs": Need.READ.value})


def has_right(key: SessionKeyView, limits: KeyLimits, need: Need) -> bool:
    """Tell whether a key has what is needed: admin has all but the owner's, trade has cancel."""
    if need is Need.NOTHING or (key.scopes & 1 and need is not Need.OWNER):
        return True
    trades = bool(key.scopes & _TRADE_SCOPES)
    if need is Need.READ:
        return bool(limits.rights & KeyRight.ACCOUNT_INFO)
    if need is Need.CANCEL:
        return trades or bool(limits.rights & KeyRight.CANCEL)
    return trades and need is Need.TRADE


def check_address(limits: KeyLimits, address: str) -> None:
    """14029 unless `address` lies in one of the networks, or none is given."""
    if limits.ip_whitelist and not _is_inside(limits.ip_whitelist, address):
        raise WireError(RpcCode.IP_NOT_ALLOWED, {"address": address})


def check_instrument(limits: KeyLimits, instrument: Instrument) -> None:
    """14031 unless a key's limits name the instrument or its currency, or none; what it is worth the engine checks."""
    named = limits.instruments or limits.underlyings
    if named and instrument.instrument_id not in limits.instruments and instrument.underlying not in limits.underlyings:
        raise WireError(14031, {"instrument_name": instrument.name, "needs": "another session key"})


@lru_cache(maxsize=_NETWORKS_KEPT)
def _is_inside(networks: tuple[str, ...], address: str) -> bool:
    try:
        place = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(place, ipaddress.IPv6Address) and place.ipv4_mapped is not None:
        place = place.ipv4_mapped
    return any(place in ipaddress.ip_network(network) for network in networks)
