"""Who owns what: wallets, their subaccounts and session keys, asked for once and then kept current by events."""

from collections.abc import Callable
from typing import ClassVar, Final

import msgspec

from exchange.bus.interface import ExchangePort
from exchange.domain.events import AccountOpened, Event, SessionKeySet
from exchange.domain.safeguards import DisconnectRuleSet, KeyLimits, SessionKeyLimited
from exchange.domain.views import Answer, GetWallet, SessionKeyView, WalletView
from exchange.gateway.calls import Identity
from exchange.wire.errors import RpcCode, WireError

__all__ = ["NO_LIMITS", "TRADE_SCOPES", "Directory", "WalletCallback", "has_trade_scope"]

TRADE_SCOPES: Final = {"perp": 1 << 0 | 1 << 2 | 1 << 3 | 1 << 5, "option": 1 << 0 | 1 << 2 | 1 << 3 | 1 << 6}
"""Scope bits that let a key sign orders, by type: admin, trade:all, trade:orderbook:all, :perp or :option."""
NO_LIMITS: Final = KeyLimits()
WalletCallback = Callable[[WalletView | None], None]


class Directory:
    """Cache of wallets. Unknown wallets are not remembered, so nobody can fill it with questions."""

    EVENTS: ClassVar[frozenset[type]] = frozenset({AccountOpened, SessionKeySet, SessionKeyLimited, DisconnectRuleSet})

    def __init__(self, port: ExchangePort, clock_ns: Callable[[], int]) -> None:
        """Ask `port` on a miss."""
        self._port = port
        self._clock_ns = clock_ns
        self._wallets: dict[bytes, WalletView] = {}
        self._keys: dict[bytes, SessionKeyView] = {}
        self._limits: dict[bytes, KeyLimits] = {}

    def known(self, owner: bytes) -> WalletView | None:
        """Wallet of `owner` if it was asked for before."""
        return self._wallets.get(owner)

    def fetch(self, owner: bytes, callback: WalletCallback) -> None:
        """Call back with the wallet, at once when it is known."""
        wallet = self._wallets.get(owner)
        if wallet is not None:
            callback(wallet)
            return

        def learned(answer: Answer) -> None:
            if isinstance(answer, WalletView) and owner not in self._wallets:
                self._remember(answer)
            callback(self._wallets.get(owner))

        self._port.ask(GetWallet(owner=owner), learned)

    def apply(self, event: Event, timestamp_ns: int) -> None:
        """Keep known wallets current."""
        if isinstance(event, AccountOpened):
            wallet = self._wallets.get(event.owner)
            if wallet is not None and event.subaccount not in wallet.subaccounts:
                grown = (*wallet.subaccounts, event.subaccount)
                self._wallets[event.owner] = msgspec.structs.replace(wallet, subaccounts=grown)
        elif isinstance(event, SessionKeySet):
            wallet = self._wallets.get(event.owner)
            if wallet is not None:
                self._remember(_with_key(wallet, event, timestamp_ns))
        elif isinstance(event, SessionKeyLimited):
            if event.owner in self._wallets:
                self._limits[event.owner + event.key] = event.limits
        elif isinstance(event, DisconnectRuleSet):
            wallet = self._wallets.get(event.owner)
            if wallet is not None:
                rule = {"cancels_on_disconnect": event.is_enabled}
                self._wallets[event.owner] = msgspec.structs.replace(wallet, **rule)

    def key_of(self, identity: Identity) -> SessionKeyView | None:
        """Session key behind `identity`, None for the owner. WireError 14026 or 14030 when it lost its power."""
        if identity.signer == identity.owner:
            return None
        key = self.find_key(identity.owner, identity.signer)
        if key is None:
            raise WireError(RpcCode.KEY_NOT_FOUND)
        if key.valid_to_s * 1_000_000_000 <= self._clock_ns():
            raise WireError(14030, {"expiry_sec": key.valid_to_s})
        return key

    def find_key(self, owner: bytes, signer: bytes) -> SessionKeyView | None:
        """Registered key `signer` of `owner`, expired or not."""
        return self._keys.get(owner + signer)

    @property
    def has_limits(self) -> bool:
        """Whether any known key has limits."""
        return bool(self._limits)

    def limits_of(self, owner: bytes, signer: bytes) -> KeyLimits:
        """Limits of a key, registered or to come."""
        return self._limits.get(owner + signer, NO_LIMITS)

    def _remember(self, wallet: WalletView) -> None:
        self._wallets[wallet.owner] = wallet
        for signer, limits in wallet.limits:
            self._limits.setdefault(wallet.owner + signer, limits)
        for key in wallet.keys:
            self._keys[wallet.owner + key.key] = key

    def check_subaccount(self, identity: Identity, account: int) -> None:
        """Raise 14001 unless the wallet owns `account`, 14031 when its key is limited to others."""
        wallet = self._wallets.get(identity.owner)
        if wallet is None or account not in wallet.subaccounts:
            raise WireError(14001)
        key = self.key_of(identity)
        if key is not None and key.accounts and account not in key.accounts:
            raise WireError(14031, {"reason": "the session key is limited to other subaccounts"})


def has_trade_scope(key: SessionKeyView, instrument_type: str) -> bool:
    """Tell whether `key` may sign orders for perpetuals or options."""
    return bool(key.scopes & TRADE_SCOPES[instrument_type])


def _with_key(wallet: WalletView, event: SessionKeySet, timestamp_ns: int) -> WalletView:
    others = tuple(key for key in wallet.keys if key.key != event.key)
    new = SessionKeyView(
        key=event.key,
        valid_to_s=event.valid_to_s,
        scopes=event.scopes,
        accounts=event.accounts,
        registered_ns=timestamp_ns,
    )
    return msgspec.structs.replace(wallet, keys=(*others, new))
