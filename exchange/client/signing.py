"""Who signs, and what: the login (EIP-191) and the order (EIP-712) of api.md 4, over `settlement.protocol`.

The private key stays in `Credentials`, whose text form hides it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from exchange.client.errors import BadAccount
from exchange.client.markets import Market
from exchange.domain.instrument import format_e9
from exchange.domain.quotes import QuoteLine, pack_lines
from settlement.protocol.eip712 import MASS_QUOTE_MODULE, Action, digest, encode_mass_quote, trade_digest
from settlement.protocol.signature import address_of, checksum_address, parse_address, personal_digest, sign_digest

__all__ = [
    "ClockNs",
    "Credentials",
    "NonceSource",
    "OrderTerms",
    "QuoteTerms",
    "demo_accounts",
    "login_params",
    "signed_order",
    "signed_quotes",
]

ClockNs = Callable[[], int]
_KEY_BYTES = 32
_NS_PER_MS = 1_000_000
_E9_TO_E18 = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """An account and the key that trades for it. `signer` is the session key's address."""

    owner: bytes
    session_key: bytes = field(repr=False)
    subaccount_id: int
    signer: bytes

    @classmethod
    def parse(cls, owner: str, session_key: str, subaccount_id: int) -> "Credentials":
        """Read the owner's address and the session key's private key from hex. Raises BadAccount."""
        try:
            key = bytes.fromhex(session_key.removeprefix("0x"))
            if len(key) != _KEY_BYTES:
                raise ValueError(f"a key has {_KEY_BYTES} bytes")  # noqa: TRY301 - one exit for all malformed input
            return cls(
                owner=parse_address(owner), session_key=key, subaccount_id=int(subaccount_id), signer=address_of(key)
            )
        except ValueError as error:
            raise BadAccount("owner must be a 20-byte address and session_key a 32-byte key, both in hex") from error


class NonceSource:
    """Nonces in nanoseconds that rise even when the clock stands still or steps back."""

    def __init__(self, clock_ns: ClockNs = time.time_ns) -> None:
        self._clock_ns = clock_ns
        self._last = 0

    def next(self) -> int:
        """Return a nonce that was never given before by this source."""
        self._last = max(self._last + 1, self._clock_ns())
        return self._last


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderTerms:
    """The signed part of an order, in the integers of the exchange."""

    market: Market
    is_buy: bool
    price_ticks: int
    quantity_lots: int
    max_fee_e9: int
    """Most USDC the order may pay per unit of the underlying, in 1e-9."""
    nonce: int
    expiry_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteTerms:
    """The signed part of a mass quote, in the integers of the exchange."""

    lines: tuple[QuoteLine, ...]
    max_fee_e9: int
    """Most USDC a quote may pay per unit of the underlying, in 1e-9."""
    nonce: int
    expiry_s: int


class _DemoAccount(msgspec.Struct, frozen=True):
    owner: str
    session_key: str
    subaccount_id: int


def demo_accounts(path: str | Path) -> list[Credentials]:
    """Accounts of a `demo_accounts.json`, in file order. Raises BadAccount with the fix in its text."""
    try:
        rows = msgspec.json.decode(Path(path).read_bytes(), type=list[_DemoAccount])
    except FileNotFoundError as error:
        raise BadAccount(f"{path} is missing: start the exchange with --demo first") from error
    except msgspec.MsgspecError as error:
        raise BadAccount(f"{path} is no list of accounts: {error}") from error
    if not rows:
        raise BadAccount(f"{path} names no account")
    return [Credentials.parse(row.owner, row.session_key, row.subaccount_id) for row in rows]


def login_params(who: Credentials, now_ns: int) -> dict[str, str]:
    """Params of public/login: the signature covers the decimal text of the time in milliseconds."""
    timestamp = str(now_ns // _NS_PER_MS)
    signature = sign_digest(who.session_key, personal_digest(timestamp.encode()))
    return {"wallet": checksum_address(who.owner), "timestamp": timestamp, "signature": "0x" + signature.hex()}


def signed_order(who: Credentials, separator: bytes, terms: OrderTerms) -> dict[str, object]:
    """Return the signed members of private/order and private/replace, as sent."""
    instrument = terms.market.instrument
    digest = trade_digest(
        separator,
        asset=terms.market.asset,
        sub_id=terms.market.asset_sub_id,
        limit_price_e18=terms.price_ticks * instrument.tick_e9 * _E9_TO_E18,
        amount_e18=terms.quantity_lots * instrument.lot_e9 * _E9_TO_E18,
        max_fee_e18=terms.max_fee_e9 * _E9_TO_E18,
        subaccount_id=who.subaccount_id,
        is_bid=terms.is_buy,
        nonce=terms.nonce,
        expiry_s=terms.expiry_s,
        owner=who.owner,
        signer=who.signer,
    )
    return {
        "subaccount_id": who.subaccount_id,
        "instrument_name": instrument.name,
        "direction": "buy" if terms.is_buy else "sell",
        "limit_price": instrument.price_text(terms.price_ticks),
        "amount": instrument.quantity_text(terms.quantity_lots),
        "max_fee": format_e9(terms.max_fee_e9),
        "nonce": str(terms.nonce),
        "signature_expiry_sec": terms.expiry_s,
        "signer": checksum_address(who.signer),
        "signature": "0x" + sign_digest(who.session_key, digest).hex(),
    }


def signed_quotes(who: Credentials, separator: bytes, contract: bytes, terms: QuoteTerms) -> dict[str, object]:
    """Return the signed members of private/mass_quote but for the lines, as sent; `contract` settles the fills."""
    max_fee_e18 = terms.max_fee_e9 * _E9_TO_E18
    data = encode_mass_quote(
        settlement_contract=contract,
        packed_lines=pack_lines(terms.lines),
        line_count=len(terms.lines),
        max_fee_e18=max_fee_e18,
        subaccount_id=who.subaccount_id,
    )
    action = Action(
        subaccount_id=who.subaccount_id,
        nonce=terms.nonce,
        module=MASS_QUOTE_MODULE,
        data=data,
        expiry_s=terms.expiry_s,
        owner=who.owner,
        signer=who.signer,
    )
    return {
        "subaccount_id": who.subaccount_id,
        "max_fee": format_e9(terms.max_fee_e9),
        "nonce": str(terms.nonce),
        "signature_expiry_sec": terms.expiry_s,
        "signer": checksum_address(who.signer),
        "signature": "0x" + sign_digest(who.session_key, digest(separator, action)).hex(),
    }
