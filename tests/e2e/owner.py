"""An account holder of the demo: its keys, its view of the chain, and its signatures for what owners alone may do."""

import itertools
import time
from decimal import Decimal
from typing import Any

from exchange.app.config import Settings
from exchange.app.keys import deployer_key, owner_key, session_key
from exchange.client import OffbookClient
from exchange.client.signing import Credentials
from settlement.onchain.claims import QueuedRequest, SettlementUser, mint_and_deposit
from settlement.onchain.contract import SettlementReader
from settlement.onchain.deploy import load_deployment
from settlement.onchain.rpc import RpcChain
from settlement.protocol.eip712 import (
    SET_SESSION_KEY_MODULE,
    WITHDRAW_MODULE,
    Action,
    asset_address,
    digest,
    encode_set_session_key,
    encode_withdraw,
)
from settlement.protocol.signature import address_of, checksum_address, sign_digest
from tests.e2e.running import Running

__all__ = ["Owner"]

_nonces = itertools.count()
_ACTION_LIFE_S = 600
_KEY_LIFE_S = 7 * 86_400


class Owner:
    """Demo account number `place`, with the private key that the demo derives from its seed."""

    def __init__(self, demo: Running, place: int) -> None:
        settings = Settings()
        deployment = load_deployment(demo.data / "deployment.json")
        assert deployment is not None
        self.demo = demo
        self.deployment = deployment
        self.chain = RpcChain(f"http://127.0.0.1:{demo.port + 1}")
        self.key = owner_key(settings, place)
        self.session_key = session_key(settings, place)
        self.minter_key = deployer_key(settings)
        self.address = address_of(self.key)
        self.subaccount_id: int = demo.accounts[place]["subaccount_id"]
        self.user = SettlementUser(self.chain, deployment, self.key)
        assert demo.accounts[place]["owner"] == checksum_address(self.address)

    def client(self, key: bytes | None = None) -> Any:
        """A client with the session key of the demo, or with another one."""
        credentials = Credentials(
            owner=self.address,
            session_key=key or self.session_key,
            subaccount_id=self.subaccount_id,
            signer=address_of(key or self.session_key),
        )
        return OffbookClient(self.demo.socket, credentials)

    def tokens_e6(self) -> int:
        """Tokens in the owner's own wallet on the chain."""
        token = SettlementReader(self.chain, self.deployment.token)
        return int(token.view("balanceOf(address)", ["uint256"], self.address))

    def finalized_requests(self) -> int:
        """How many requests of the contract's queue are in final batches."""
        return SettlementReader(self.chain, self.deployment.settlement).request_counts()[2]

    def deposit(self, amount_e6: int) -> QueuedRequest:
        """Get demo dollars and pay them in."""
        account = self.subaccount_id - self.deployment.subaccount_base
        return mint_and_deposit(self.chain, self.deployment, self.minter_key, self.key, amount_e6, account)

    def withdrawal(self, amount_e6: int, max_fee_usd: int = 0) -> dict[str, Any]:
        """Params of private/withdraw, signed by the owner; with a fee it may be paid ahead."""
        usdc = asset_address(
            chain_id=self.deployment.chain_id,
            settlement_contract=self.deployment.settlement,
            currency="USDC",
            kind="erc20",
        )
        fee_e18 = max_fee_usd * 10**18
        data = encode_withdraw(asset=usdc, max_fee_usd_e18=fee_e18, recipient=self.address, amount_native=amount_e6)
        return {
            "subaccount_id": self.subaccount_id,
            "asset_name": "USDC",
            "amount_in_underlying": str(Decimal(amount_e6).scaleb(-6)),
            "max_fee_usd": str(max_fee_usd),
            **self._signed(WITHDRAW_MODULE, data, self.subaccount_id),
        }

    def key_registration(self, key_address: bytes) -> dict[str, Any]:
        """Params of private/set_session_key for a key that may trade everything, signed by the owner."""
        expiry_s = int(time.time()) + _KEY_LIFE_S
        data = encode_set_session_key(key=key_address, expiry_s=expiry_s, scopes=[2], subaccount_ids=[])
        return {
            "wallet": checksum_address(self.address),
            "public_session_key": checksum_address(key_address),
            "expiry_sec": expiry_s,
            "protocol_scopes": ["trade:all"],
            **self._signed(SET_SESSION_KEY_MODULE, data, 0),
        }

    def _signed(self, module: bytes, data: bytes, subaccount_id: int) -> dict[str, Any]:
        action = Action(
            subaccount_id=subaccount_id,
            nonce=time.time_ns() + next(_nonces),
            module=module,
            data=data,
            expiry_s=int(time.time()) + _ACTION_LIFE_S,
            owner=self.address,
            signer=self.address,
        )
        signature = sign_digest(self.key, digest(self.deployment.domain_separator, action))
        return {
            "nonce": str(action.nonce),
            "signer": checksum_address(self.address),
            "signature": "0x" + signature.hex(),
            "signature_expiry_sec": action.expiry_s,
        }
