"""Order signatures: EIP-712 digest and recovery against the accepted domains, inline or in a small thread pool.

Keys are cached: verifying against a known key costs a fifth less than recovering the signer. secp256k1 releases the
interpreter lock, so pool threads run beside the loop. Results come back in the order of submission.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import ClassVar, Final, Protocol

import msgspec

from exchange.domain.instrument import Instrument
from exchange.wire.envelope import encode
from exchange.wire.errors import RpcCode, WireError
from exchange.wire.venue import VenueInfo, address_text
from settlement.protocol.eip712 import (
    DERIVE_MAINNET_CHAIN_ID,
    DOMAIN_NAME,
    DOMAIN_VERSION,
    TRADE_MODULE,
    VERIFYING_CONTRACT,
    Action,
    EncodingError,
    domain_separator,
    encode_trade,
    trade_digest,
)
from settlement.protocol.signature import BadSignature, VerifierKey, learn_key, recover_address, verify_many

__all__ = ["OrderTerms", "SignatureChecker", "SignedTerms", "VerifyPool", "typed_data"]

_MAX_KEYS: Final = 16_384
_E9: Final = 10**9


class SignedTerms(Protocol):
    """What a signature covers."""

    @property
    def is_trade(self) -> bool:
        """Whether domains that are accepted for the trade module alone are accepted for it."""
        ...

    @property
    def signer(self) -> bytes:
        """Address that must have signed."""
        ...

    def digest(self, separator: bytes, venue: VenueInfo) -> bytes:
        """EIP-712 digest under `separator`."""
        ...

    def action(self, venue: VenueInfo) -> Action:
        """The action as the settlement protocol names it."""
        ...


class OrderTerms(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What an order's signature covers."""

    is_trade: ClassVar[bool] = True
    instrument: Instrument
    price_ticks: int
    quantity_lots: int
    max_fee_e18: int
    subaccount_id: int
    is_bid: bool
    nonce: int
    expiry_s: int
    owner: bytes
    signer: bytes

    def digest(self, separator: bytes, venue: VenueInfo) -> bytes:
        """EIP-712 digest under `separator`."""
        instrument = self.instrument
        return trade_digest(
            separator,
            asset=venue.asset(instrument),
            sub_id=venue.asset_sub_id(instrument),
            limit_price_e18=self.price_ticks * instrument.tick_e9 * _E9,
            amount_e18=self.quantity_lots * instrument.lot_e9 * _E9,
            max_fee_e18=self.max_fee_e18,
            subaccount_id=self.subaccount_id,
            is_bid=self.is_bid,
            nonce=self.nonce,
            expiry_s=self.expiry_s,
            owner=self.owner,
            signer=self.signer,
        )

    def action(self, venue: VenueInfo) -> Action:
        """The action as the settlement protocol names it."""
        instrument = self.instrument
        data = encode_trade(
            asset=venue.asset(instrument),
            sub_id=venue.asset_sub_id(instrument),
            limit_price_e18=self.price_ticks * instrument.tick_e9 * _E9,
            amount_e18=self.quantity_lots * instrument.lot_e9 * _E9,
            max_fee_e18=self.max_fee_e18,
            recipient_subaccount_id=self.subaccount_id,
            is_bid=self.is_bid,
        )
        return Action(
            subaccount_id=self.subaccount_id,
            nonce=self.nonce,
            module=TRADE_MODULE,
            data=data,
            expiry_s=self.expiry_s,
            owner=self.owner,
            signer=self.signer,
        )


class SignatureChecker:
    """Verifies orders; safe to call from several threads, since it only adds to its cache."""

    def __init__(self, venue: VenueInfo) -> None:
        """Accept the domains of `venue`."""
        self._venue = venue
        self._keys: dict[bytes, VerifierKey] = {}

    def check(self, terms: SignedTerms, signature: bytes) -> tuple[int, bytes]:
        """Index of the domain that matched and the digest under it; WireError 14014 otherwise."""
        for index, domain in enumerate(self._venue.domains):
            if domain.trade_only and not terms.is_trade:
                continue
            digest = terms.digest(domain.separator, self._venue)
            if self.is_by(terms.signer, digest, signature):
                return index, digest
        raise self._refusal(terms, signature)

    def check_together(self, work: Sequence[tuple[SignedTerms, bytes]]) -> list[tuple[int, bytes] | None]:
        """`check` under the first domain in one go; None where `check` must say more: no key yet, not this domain."""
        separator = self._venue.domains[0].separator
        results: list[tuple[int, bytes] | None] = [None] * len(work)
        places, items = [], []
        for place, (terms, signature) in enumerate(work):
            key = self._keys.get(terms.signer)
            if key is None:
                continue
            with suppress(EncodingError):  # `check` says which one it was
                items.append((key, terms.digest(separator, self._venue), signature))
                places.append(place)
        for place, (_, digest, _), is_good in zip(places, items, verify_many(items), strict=True):
            if is_good:
                results[place] = (0, digest)
        return results

    def is_by(self, signer: bytes, digest: bytes, signature: bytes) -> bool:
        """Tell whether `signer` signed `digest`."""
        key = self._keys.get(signer)
        if key is not None:
            return key.verify(digest, signature)
        try:
            learned = learn_key(digest, signature)
        except BadSignature:
            return False
        if learned.address != signer:
            return False
        if len(self._keys) >= _MAX_KEYS:
            self._keys.clear()
        self._keys[signer] = learned
        return True

    def _refusal(self, terms: SignedTerms, signature: bytes) -> WireError:
        own = self._venue.domain_separator
        digest = terms.digest(own, self._venue)
        data: dict[str, object] = {
            "expected": address_text(terms.signer),
            "recovered": recovered_text(digest, signature),
            "digest": "0x" + digest.hex(),
            "domain_separator": "0x" + own.hex(),
        }
        mainnet = terms.digest(domain_separator(DERIVE_MAINNET_CHAIN_ID), self._venue)
        if self.is_by(terms.signer, mainnet, signature):
            data["hint"] = "signed for Derive mainnet: set sandboxMode"
        data["typed_data"] = typed_data(terms.action(self._venue), self._venue)
        return WireError(RpcCode.SIGNATURE_INVALID, data)


class VerifyPool:
    """Checks batches of orders in threads and hands each batch back on the loop, in order."""

    def __init__(self, checker: SignatureChecker, threads: int) -> None:
        """Start lazily with `threads` workers."""
        self._checker = checker
        self._threads = threads
        self._executor: ThreadPoolExecutor | None = None

    def submit(
        self,
        work: Sequence[tuple[SignedTerms, bytes]],
        done: Callable[[Sequence[tuple[int, bytes] | WireError]], None],
    ) -> None:
        """Check `work` and call `done` with one result each."""
        if self._executor is None:
            self._executor = ThreadPoolExecutor(self._threads, thread_name_prefix="verify")
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._executor, self._check_all, tuple(work))
        future.add_done_callback(lambda finished: done(finished.result()) if not finished.cancelled() else None)

    def close(self) -> None:
        """Stop the threads; work that waits is dropped."""
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)

    def _check_all(self, work: Sequence[tuple[SignedTerms, bytes]]) -> list[tuple[int, bytes] | WireError]:
        known = self._checker.check_together(work)
        results: list[tuple[int, bytes] | WireError] = []
        for (terms, signature), outcome in zip(work, known, strict=True):
            try:
                results.append(outcome or self._checker.check(terms, signature))
            except WireError as error:
                results.append(error)
            except Exception as error:  # noqa: BLE001 - a fault in one order must not lose its neighbours' results
                results.append(WireError(RpcCode.INTERNAL, message=f"Internal error: {type(error).__name__}"))
        return results


def recovered_text(digest: bytes, signature: bytes) -> str | None:
    """Address that `signature` recovers to, None when it recovers to none."""
    try:
        return address_text(recover_address(digest, signature))
    except BadSignature:
        return None


def typed_data(action: Action, venue: VenueInfo) -> str:
    """EIP-712 typed data of an action as wallets show it, as JSON text."""
    fields = ("subaccountId:uint256", "nonce:uint256", "module:address", "data:bytes", "expiry:uint256",
              "owner:address", "signer:address")  # fmt: skip
    domain = ("name:string", "version:string", "chainId:uint256", "verifyingContract:address")
    shape = {
        "types": {"EIP712Domain": _typed_fields(domain), "Action": _typed_fields(fields)},
        "primaryType": "Action",
        "domain": {
            "name": DOMAIN_NAME,
            "version": DOMAIN_VERSION,
            "chainId": venue.chain_id,
            "verifyingContract": address_text(VERIFYING_CONTRACT),
        },
        "message": {
            "subaccountId": str(action.subaccount_id),
            "nonce": str(action.nonce),
            "module": address_text(action.module),
            "data": "0x" + action.data.hex(),
            "expiry": str(action.expiry_s),
            "owner": address_text(action.owner),
            "signer": address_text(action.signer),
        },
    }
    return encode(shape).decode()


def _typed_fields(fields: Sequence[str]) -> list[dict[str, str]]:
    return [{"name": name, "type": kind} for name, _, kind in (field.partition(":") for field in fields)]
