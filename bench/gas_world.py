"""A settlement contract that takes real batches on the embedded chain, and the contract that verifies every trade.

A batch goes the way of a production batch: fills -> netting -> transition of the ledger -> root, orders' root, data ->
`post`. The light verifier then rebuilds every state from the chain alone and compares the roots.
"""

import json
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from eth_abi.abi import encode
from eth_keys.datatypes import PrivateKey

from bench.fills import ACCOUNTS, drawn_fill
from settlement.offbook_verify import Rpc, verify
from settlement.onchain.claims import NEW_ACCOUNT, SettlementUser
from settlement.onchain.contract import PostCall, encode_call, encode_post
from settlement.onchain.deploy import Deployment, deploy_demo
from settlement.onchain.funded_accounts import DEPLOYER_INDEX, OPERATOR_INDEX, account_address, account_key
from settlement.onchain.requests import RequestReader
from settlement.onchain.rpc import RpcChain
from settlement.onchain.wallet import Wallet
from settlement.protocol.batch import Batch, BatchInput, build_batch
from settlement.protocol.caps import MAX_REQUESTS
from settlement.protocol.keccak import keccak256
from settlement.protocol.ledger import LedgerState
from settlement.protocol.netting import Fill, order_fills_of
from settlement.protocol.transition import ChainRequest

__all__ = ["GasWorld", "Posted", "embedded_chain", "make_fills", "per_trade_gas"]

ROOT = Path(__file__).resolve().parents[1]
SEED = 1
DEPOSIT_E6 = 1_000 * 10**6
FILLS_OF_AN_ORDER = 4
TRADES_A_CALL = 150
"""833 bytes each: as many as a pool's 128 kB hold. The 200 of settlement.md section 9 come to 167 kB."""
_ORDER = "(address,uint256,uint256,bool,uint256,uint256,uint256,uint256,uint256,uint8,bytes32,bytes32)"
_SETTLE = f"settle(({_ORDER},{_ORDER},uint256,uint256)[])"


@contextmanager
def embedded_chain(folder: Path) -> Iterator[RpcChain]:
    """Serve an embedded chain in a process of its own."""
    command = [sys.executable, "-m", "settlement.onchain.local_chain", "--data", str(folder), "--port", "0"]
    process = subprocess.Popen([*command, "--seed", str(SEED)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield RpcChain(process.stdout.readline().split()[1])
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=20)
        process.stdout.close()


def make_fills(count: int) -> list[Fill]:
    """Return seeded fills; every tenth account trades four times as much as the others."""
    rng = random.Random(SEED)
    weights = [4 if number % 10 == 0 else 1 for number in range(len(ACCOUNTS))]
    fills: list[Fill] = []
    while len(fills) < count:
        buyer, seller = rng.choices(ACCOUNTS, weights, k=2)
        if buyer != seller:
            fills.append(drawn_fill(rng, buyer, seller, refs=False))
    return list(_with_orders(fills))


def _with_orders(fills: Sequence[Fill]) -> Iterator[Fill]:
    """Put an order behind each side; one fills four times, for an account has at most 4,480 of them in a batch."""
    counts: Counter[tuple[int, int, bool]] = Counter()
    for fill in fills:
        buys, sells = (fill.buyer, fill.instrument, True), (fill.seller, fill.instrument, False)
        counts.update((buys, sells))
        refs = (keccak256(repr((*side, counts[side] // FILLS_OF_AN_ORDER)).encode()) for side in (buys, sells))
        yield replace(fill, buyer_ref=next(refs), seller_ref=next(refs))


@dataclass(frozen=True)
class Posted:
    """What the chain took: the receipt's gas, the whole calldata, the batch as it was built."""

    gas: int
    calldata: bytes
    batch: Batch


class GasWorld:
    """100 accounts with deposits, a ledger, and a contract that has posted the batches of the deposits."""

    def __init__(self, chain: RpcChain) -> None:
        self.chain, self.ledger = chain, LedgerState()
        operator = account_key(SEED, OPERATOR_INDEX)
        self.deployment = deploy_demo(chain, account_key(SEED, DEPLOYER_INDEX), account_address(operator))
        self.operator = Wallet(chain, operator)
        taken = self._deposits(self.deployment)
        self.post((), taken[:MAX_REQUESTS])
        self.post(make_fills(100), taken[MAX_REQUESTS:])

    def _deposits(self, deployment: Deployment) -> list[ChainRequest]:
        user = SettlementUser(self.chain, deployment, account_key(SEED, 0))
        minted = encode_call("mint(address,uint256)", user.address, len(ACCOUNTS) * DEPOSIT_E6)
        Wallet(self.chain, account_key(SEED, DEPLOYER_INDEX)).send(deployment.token, minted)
        for _ in ACCOUNTS:
            user.deposit(NEW_ACCOUNT, DEPOSIT_E6)
        reader, taken = RequestReader(self.chain, deployment), list[ChainRequest]()
        while len(taken) < len(ACCOUNTS):  # a look reads a bounded number of them
            taken += [
                ChainRequest(
                    index=one.index, kind=one.kind, account=one.account, amount_e6=one.amount_e6, owner=one.owner
                )
                for one in reader.poll(len(taken)).confirmed
            ]
        return taken

    def post(self, fills: Sequence[Fill], taken: Sequence[ChainRequest] = ()) -> Posted:
        """Build the next batch of these fills, post it, and move the ledger past it."""
        batch = self._build(fills, taken)
        call = PostCall(
            seq=batch.seq, new_root=batch.new_root, orders_root=batch.orders_root, h=batch.h, data=batch.data
        )
        calldata = encode_post(call)
        return Posted(self.operator.send(self.deployment.settlement, calldata).gas_used, calldata, batch)

    def _build(self, fills: Sequence[Fill], taken: Sequence[ChainRequest]) -> Batch:
        block = self.chain.block("latest")
        assert block is not None
        given = BatchInput(
            seq=self.ledger.seq + 1,
            match_from_s=block.timestamp_s,
            match_to_s=block.timestamp_s,
            fills=fills,
            order_fills=order_fills_of(fills),
            requests=taken,
            approvals_e6=(),
            request_up_to=self.ledger.request_done + len(taken),
            fee_e6=sum(fill.buyer_fee_e6 + fill.seller_fee_e6 for fill in fills),
        )
        return build_batch(self.ledger, given)

    def verified(self) -> bool:
        """Whether a reader of the chain alone comes to every posted root."""
        said: list[str] = []
        rpc = Rpc(self.chain.url, "0x" + self.deployment.settlement.hex())
        return verify(rpc, None, 0, said.append) == 0


def per_trade_gas(chain: RpcChain) -> tuple[float, int]:
    """Gas per trade where the chain verifies each, and the calldata of the call in bytes.

    The call before it has made the same positions, so that theirs is an update; orders are new, as those of S1 are.
    """
    artifact = json.loads((ROOT / "bench/contracts/PerTrade.json").read_text())
    wallet = Wallet(chain, account_key(SEED, OPERATOR_INDEX))
    created = wallet.send(None, bytes.fromhex(artifact["bytecode"][2:])).contract_address
    assert created is not None
    keys = [PrivateKey(keccak256(b"offbook.bench.trader.%d" % number)) for number in ACCOUNTS]
    wallet.send(created, encode_call("open(address[])", [key.public_key.to_canonical_address() for key in keys]))
    separator = chain.call(created, encode_call("domainSeparator()"))
    fills = make_fills(TRADES_A_CALL)
    for nonce in range(2):
        trades = [_trade(separator, keys, fill, 2 * TRADES_A_CALL * nonce + 2 * at) for at, fill in enumerate(fills)]
        calldata = encode_call(_SETTLE, trades)
        gas = wallet.send(created, calldata).gas_used
    return gas / len(fills), len(calldata)


def _trade(separator: bytes, keys: Sequence[PrivateKey], fill: Fill, nonce: int) -> tuple[Any, ...]:
    price_e6 = fill.notional_e6 // fill.quantity_lots
    sides = (fill.buyer, True, nonce), (fill.seller, False, nonce + 1)
    return (*(_order(separator, keys, fill, price_e6, *side) for side in sides), price_e6, fill.quantity_lots)


def _order(
    separator: bytes, keys: Sequence[PrivateKey], fill: Fill, price_e6: int, account: int, is_bid: bool, nonce: int
) -> tuple[Any, ...]:
    key = keys[account - ACCOUNTS[0]]
    owner = key.public_key.to_canonical_address()
    terms = (owner, account, fill.instrument, is_bid, price_e6, fill.quantity_lots, 10**6, nonce, 1 << 40)
    typehash = keccak256(
        b"Order(address owner,uint256 account,uint256 instrument,bool isBid,uint256 priceE6,uint256 quantityLots,"
        b"uint256 maxFeeE6,uint256 nonce,uint256 expiryS)"
    )
    types = ["bytes32", "address", "uint256", "uint256", "bool", *["uint256"] * 5]
    content = keccak256(encode(types, (typehash, *terms)))
    signed = key.sign_msg_hash(keccak256(b"\x19\x01" + separator + content))
    return (*terms, 27 + signed.v, signed.r.to_bytes(32, "big"), signed.s.to_bytes(32, "big"))
