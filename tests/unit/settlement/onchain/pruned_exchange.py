"""Contracts, requests and batches on an embedded chain in this process that keeps few blocks."""

import msgspec

from settlement.onchain.claims import mint_and_deposit
from settlement.onchain.contract import PostCall, encode_post
from settlement.onchain.deploy import DeploymentSettings, deploy_demo
from settlement.onchain.funded_accounts import DEPLOYER_INDEX, OPERATOR_INDEX, account_address, account_key
from settlement.onchain.local_chain import LocalChain, LocalSettings
from settlement.onchain.local_rpc import LocalRpc
from settlement.onchain.rpc import RpcChain, classify_refusal
from settlement.onchain.wallet import Wallet
from settlement.protocol.encoding import Header, encode_batch
from settlement.protocol.keccak import keccak256
from settlement.protocol.netting import Fill, net_fills

HISTORY = 16
FILL = Fill(
    buyer=2, seller=3, instrument=1, quantity_lots=1, notional_e6=1_000, buyer_fee_e6=1, seller_fee_e6=1,
    buyer_ref=bytes(32), seller_ref=bytes(32),
)  # fmt: skip


class InProcessChain(RpcChain):
    """The production adapter with the HTTP left out."""

    def __init__(self, chain):
        super().__init__("http://in.process")
        self._answer = LocalRpc(chain).answer

    def _request(self, method, params):
        reply = msgspec.json.decode(self._answer(msgspec.json.encode({"id": 1, "method": method, "params": params})))
        if reply.get("error") is not None:
            raise classify_refusal(method, reply["error"])
        return reply["result"]


class PrunedExchange:
    """A deployment on a chain of `HISTORY` blocks; each block is a second after the one before."""

    def __init__(self, directory):
        self.now_s = 1_800_000_000
        self.local = LocalChain(directory, LocalSettings(history_blocks=HISTORY), clock=self._tick)
        self.chain = InProcessChain(self.local)
        operator = account_address(account_key(1, OPERATOR_INDEX))
        settings = DeploymentSettings(finality_window_s=1)
        self.deployment = deploy_demo(self.chain, account_key(1, DEPLOYER_INDEX), operator, settings)
        self._operator = Wallet(self.chain, account_key(1, OPERATOR_INDEX))

    def _tick(self):
        self.now_s += 1
        return self.now_s

    def mine_until_pruned(self, block):
        """Empty blocks until `block` is below the horizon."""
        while self.local.horizon <= block:
            self.local.mine()

    def deposit(self, user):
        """A request by a funded user into a new account."""
        keys = account_key(1, DEPLOYER_INDEX), account_key(1, user)
        return mint_and_deposit(self.chain, self.deployment, *keys, 10_000_000)

    def post(self, seq):
        """Post a batch of one fill; its block number."""
        deltas, at_s = net_fills([FILL]), self.chain.block("latest").timestamp_s
        header = Header(request_up_to=0, match_from_s=at_s, match_to_s=at_s, fee_e6=deltas.fee_e6)
        root, data = keccak256(b"root%d" % seq), encode_batch(deltas, ())
        call = PostCall(seq=seq, new_root=root, orders_root=bytes(32), h=header.pack(), data=data)
        return self._operator.send(self.deployment.settlement, encode_post(call)).block_number

    def close(self):
        """Release the file."""
        self.local.close()
