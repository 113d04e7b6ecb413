"""What users and relayers send to the contracts, each call with a private key: deposits, withdrawals, keys, claims.

Amounts are in 1e-6 USDC. Every call waits for its receipt and raises `CallReverted` when the contract refuses.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from settlement.onchain.chain import Chain, Receipt
from settlement.onchain.contract import REQUESTED, encode_call
from settlement.onchain.deployment import Deployment
from settlement.onchain.errors import RpcRefused
from settlement.onchain.wallet import Wallet
from settlement.protocol.eip712 import Action

__all__ = ["NEW_ACCOUNT", "QueuedRequest", "SettlementUser", "mint_and_deposit", "relay"]

NEW_ACCOUNT: Final = 0
_ALLOW_FEE: Final = "allowFee(uint64,uint64)"
_FAST_PAY: Final = "fastPay(uint64,bytes32,uint64)"
_RELAY: Final = "relayRequest((uint256,uint256,address,uint256,address,address),bytes,bytes)"


@dataclass(frozen=True, slots=True)
class QueuedRequest:
    """A request in the queue: its index, the account it is for, and where it was mined."""

    index: int
    account: int
    tx_hash: bytes
    block_number: int


class SettlementUser:
    """One owner's key on one deployment."""

    def __init__(self, chain: Chain, deployment: Deployment, key: bytes) -> None:
        self._deployment = deployment
        self._wallet = Wallet(chain, key)
        self.address = self._wallet.address

    def deposit(self, account: int, amount_e6: int) -> QueuedRequest:
        """Approve and deposit; `NEW_ACCOUNT` opens one. The account is credited in a later batch."""
        settlement = self._deployment.settlement
        self._wallet.send(self._deployment.token, encode_call("approve(address,uint256)", settlement, amount_e6))
        return self._queue(encode_call("deposit(uint32,uint64)", account, amount_e6))

    def request_withdraw(self, account: int, amount_e6: int) -> QueuedRequest:
        """Ask for money back; claimable when the batch that approves it is final."""
        return self._queue(encode_call("requestWithdraw(uint32,uint64)", account, amount_e6))

    def request_close(self, account: int) -> QueuedRequest:
        """Queue a CLOSE_ALL: the fund takes every position at the marks less 1 %, if there is equity enough."""
        return self._queue(encode_call("requestClose(uint32)", account))

    def cancel_all(self, account: int) -> QueuedRequest:
        """No order signed before this counts any more, on chain too."""
        return self._queue(encode_call("cancelAll(uint32)", account))

    def set_session_key(
        self, key_address: bytes, valid_to_s: int, scopes: int, accounts: Sequence[int] = ()
    ) -> QueuedRequest:
        """Register a session key (empty `accounts`: all), or revoke it with `valid_to_s` 0."""
        signature = "setSessionKey(address,uint40,uint32,uint32[])"
        return self._queue(encode_call(signature, key_address, valid_to_s, scopes, list(accounts)))

    def claim(self, request_indices: Sequence[int]) -> Receipt:
        """Pay out final withdrawals to their owners or payees."""
        data = encode_call("claim(uint64[],address,bytes)", list(request_indices), bytes(20), b"")
        return self._wallet.send(self._deployment.settlement, data)

    def allow_fee(self, request_index: int, fee_e6: int) -> Receipt:
        """Let whoever pays this withdrawal ahead keep up to `fee_e6`."""
        return self._wallet.send(self._deployment.settlement, encode_call(_ALLOW_FEE, request_index, fee_e6))

    def fast_pay(self, request_index: int, batch_hash: bytes, fee_e6: int, paid_e6: int) -> Receipt:
        """Approve `paid_e6` and pay a withdrawal that the batch with this hash approved; the claim is ours then.

        `paid_e6` is the approved amount less the fee: what a changed approval asks beyond it, the token refuses.
        """
        settlement = self._deployment.settlement
        self._wallet.send(self._deployment.token, encode_call("approve(address,uint256)", settlement, paid_e6))
        return self._wallet.send(settlement, encode_call(_FAST_PAY, request_index, batch_hash, fee_e6))

    def relay(self, action: Action, signature: bytes) -> QueuedRequest:
        """Queue another owner's signed `withdraw` or `set_session_key`; this key pays the gas."""
        head = (
            action.subaccount_id,
            action.nonce,
            action.module,
            action.expiry_s,
            action.owner,
            action.signer,
        )
        return self._queue(encode_call(_RELAY, head, action.data, signature))

    def _queue(self, data: bytes) -> QueuedRequest:
        receipt = self._wallet.send(self._deployment.settlement, data)
        for log in receipt.logs:
            if log.topics[0] == REQUESTED:
                index, account = (int.from_bytes(topic, "big") for topic in log.topics[1:3])
                return QueuedRequest(index, account, receipt.tx_hash, receipt.block_number)
        raise RpcRefused(f"transaction 0x{receipt.tx_hash.hex()} queued no request")


def mint_and_deposit(
    chain: Chain,
    deployment: Deployment,
    minter_key: bytes,
    owner_key: bytes,
    amount_e6: int,
    account: int = NEW_ACCOUNT,
) -> QueuedRequest:
    """Mint demo dollars to the owner (the deployer's key mints) and deposit them."""
    user = SettlementUser(chain, deployment, owner_key)
    minted = encode_call("mint(address,uint256)", user.address, amount_e6)
    Wallet(chain, minter_key).send(deployment.token, minted)
    return user.deposit(account, amount_e6)


def relay(chain: Chain, deployment: Deployment, relayer_key: bytes, action: Action, signature: bytes) -> QueuedRequest:
    """Send a signed action on its owner's behalf. Use a key other than the poster's: a key has one nonce stream."""
    return SettlementUser(chain, deployment, relayer_key).relay(action, signature)
