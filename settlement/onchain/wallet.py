"""Signing and waiting for the transactions of one key: deployment, deposits, claims. Batches go through the poster."""

import time
from collections.abc import Callable
from typing import Any

from eth_account import Account

from settlement.onchain.chain import Chain, Receipt
from settlement.onchain.errors import AlreadyKnown, CallReverted, NonceTooLow, RpcUnavailable

__all__ = ["MAX_FEE_FACTOR", "Wallet", "bumped_fees", "sign_transaction", "with_margin"]

MAX_FEE_FACTOR = 2
_GAS_PERCENT = 125


def with_margin(gas: int) -> int:
    """Gas limit for an estimate: 25 % above it, rounded up."""
    return -(-gas * _GAS_PERCENT // 100)


def bumped_fees(max_fee_wei: int, priority_fee_wei: int) -> tuple[int, int]:
    """Both fees x 1.125, rounded up, and at least 1 wei more."""
    return max(max_fee_wei + 1, -(-max_fee_wei * 9 // 8)), max(priority_fee_wei + 1, -(-priority_fee_wei * 9 // 8))


def sign_transaction(
    key: bytes,
    *,
    chain_id: int,
    nonce: int,
    to: bytes | None,
    data: bytes,
    gas: int,
    max_fee_wei: int,
    priority_fee_wei: int,
) -> tuple[bytes, bytes]:
    """Raw bytes and hash of an EIP-1559 transaction without value. `to` None creates a contract."""
    fields: dict[str, Any] = {
        "type": 2,
        "chainId": chain_id,
        "nonce": nonce,
        "value": 0,
        "data": data,
        "gas": gas,
        "maxFeePerGas": max_fee_wei,
        "maxPriorityFeePerGas": priority_fee_wei,
    }
    if to is not None:
        fields["to"] = to
    signed = Account.sign_transaction(fields, key)
    return bytes(signed.raw_transaction), bytes(signed.hash)


class Wallet:
    """One key on one chain, used by one caller at a time. `timeout_s` bounds the wait for a receipt."""

    def __init__(
        self,
        chain: Chain,
        key: bytes,
        *,
        timeout_s: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.chain = chain
        self.address = bytes.fromhex(Account.from_key(key).address[2:])
        self._key = key
        self._timeout_s = timeout_s
        self._clock = clock
        self._pause = pause

    def send(self, to: bytes | None, data: bytes) -> Receipt:
        """Send and wait until mined. Raises `CallReverted` for a revert, `RpcUnavailable` after the timeout."""
        fees = self.chain.fees()
        raw, tx_hash = sign_transaction(
            self._key,
            chain_id=self.chain.chain_id(),
            nonce=self.chain.nonce(self.address, pending=True),
            to=to,
            data=data,
            gas=with_margin(self.chain.estimate_gas(self.address, to, data)),
            max_fee_wei=MAX_FEE_FACTOR * fees.base_fee_wei + fees.priority_fee_wei,
            priority_fee_wei=fees.priority_fee_wei,
        )
        receipt = self._wait(raw, tx_hash)
        if not receipt.succeeded:
            raise CallReverted(f"transaction 0x{tx_hash.hex()} reverted")
        return receipt

    def _wait(self, raw: bytes, tx_hash: bytes) -> Receipt:
        deadline_s = self._clock() + self._timeout_s
        sent = False
        while self._clock() < deadline_s:
            try:
                if not sent:
                    self.chain.send_raw(raw)
                    sent = True
            except (AlreadyKnown, NonceTooLow):
                sent = True
            except RpcUnavailable:
                self._pause(0.2)
                continue
            receipt = self.chain.receipt(tx_hash)
            if receipt is not None:
                return receipt
            self._pause(0.2)
        raise RpcUnavailable(f"transaction 0x{tx_hash.hex()} was not mined within {self._timeout_s:g} s")
