"""Signed transactions of the posting key: each nonce is taken once and its bytes are durable before they are sent."""

from collections.abc import Callable
from typing import Final

from eth_account import Account

from settlement.onchain.chain import Chain
from settlement.onchain.deployment import Deployment
from settlement.onchain.errors import CallReverted, FeeCapReached, RpcUnavailable
from settlement.onchain.outbox import BatchState, Flight, Outbox, Purpose, RawTransaction
from settlement.onchain.wallet import bumped_fees, sign_transaction, with_margin

__all__ = ["Launcher"]

_FIRST_ATTEMPT: Final = 0
_GAS_OF_NOTHING: Final = 21_000


class Launcher:
    """One per key and outbox; the only place that takes a nonce."""

    def __init__(
        self,
        chain: Chain,
        deployment: Deployment,
        outbox: Outbox,
        key: bytes,
        *,
        max_fee_cap_wei: int,
        clock: Callable[[], float],
    ) -> None:
        """`clock` gives seconds since 1970."""
        self._chain = chain
        self._deployment = deployment
        self._outbox = outbox
        self._key = key
        self._max_fee_cap_wei = max_fee_cap_wei
        self._clock = clock
        self.address = bytes.fromhex(Account.from_key(key).address[2:])

    def prepare(self, seq: int, purpose: Purpose, calldata: bytes, to: bytes = b"") -> tuple[Flight, RawTransaction]:
        """Sign a call of the contract, or of the one at `to`, and store it.

        Raises `CallReverted` when it would revert; nothing is taken then.
        Raises `RpcUnavailable` when the node is behind what was mined.
        """
        to = to or self._deployment.settlement
        try:
            gas = with_margin(self._chain.estimate_gas(self.address, to, calldata))
        except CallReverted as error:
            raise CallReverted(f"{purpose.name.lower()} of batch {seq} would revert: {error}", error.data) from error
        return self._take(self._next_nonce(), seq, purpose, calldata, to, gas)

    def fill(self, nonce: int, seq: int) -> tuple[Flight, RawTransaction]:
        """Sign a transaction of nothing to ourselves for a hole in the nonces, and store it; `seq` waits behind it."""
        return self._take(nonce, seq, Purpose.FILL, b"", self.address, _GAS_OF_NOTHING)

    def _take(
        self, nonce: int, seq: int, purpose: Purpose, calldata: bytes, to: bytes, gas: int
    ) -> tuple[Flight, RawTransaction]:
        flight = Flight(
            nonce=nonce,
            seq=seq,
            purpose=purpose,
            state=BatchState.SIGNED,
            to_address=to,
            calldata=calldata,
            gas=gas,
            signed_ms=self._now_ms(),
        )
        fees = self._chain.fees()
        max_fee = min(2 * fees.base_fee_wei + fees.priority_fee_wei, self._max_fee_cap_wei)
        raw = self._sign(flight, _FIRST_ATTEMPT, max_fee, min(fees.priority_fee_wei, max_fee))
        self._outbox.add_flight(flight, raw)
        return flight, raw

    def replace(self, flight: Flight, old: RawTransaction) -> RawTransaction:
        """Sign the same flight again with fees that replace `old`, and store it. Raises `FeeCapReached`."""
        max_fee, priority = bumped_fees(old.max_fee_wei, old.priority_fee_wei)
        if max_fee > self._max_fee_cap_wei:
            raise FeeCapReached(f"nonce {flight.nonce} needs fees above the cap of {self._max_fee_cap_wei} wei")
        raw = self._sign(flight, old.attempt + 1, max_fee, priority)
        self._outbox.add_raw(raw)
        return raw

    def _next_nonce(self) -> int:
        last = self._outbox.last_nonce()
        on_chain = self._chain.nonce(self.address)
        if last is not None and on_chain < last + 1:
            raise RpcUnavailable(f"the node is behind: nonce {on_chain}, {last} was mined already")
        return on_chain

    def _sign(self, flight: Flight, attempt: int, max_fee_wei: int, priority_fee_wei: int) -> RawTransaction:
        raw, tx_hash = sign_transaction(
            self._key,
            chain_id=self._deployment.chain_id,
            nonce=flight.nonce,
            to=flight.to_address,
            data=flight.calldata,
            gas=flight.gas,
            max_fee_wei=max_fee_wei,
            priority_fee_wei=priority_fee_wei,
        )
        return RawTransaction(
            nonce=flight.nonce,
            attempt=attempt,
            tx_hash=tx_hash,
            raw=raw,
            max_fee_wei=max_fee_wei,
            priority_fee_wei=priority_fee_wei,
            signed_ms=self._now_ms(),
        )

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)
