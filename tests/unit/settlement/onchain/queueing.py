"""Requests in the queue of a deployed contract, and batches that consume nothing else."""

from settlement.onchain.claims import SettlementUser, mint_and_deposit
from settlement.onchain.funded_accounts import DEPLOYER_INDEX, account_key
from settlement.onchain.outbox import BuiltBatch
from settlement.protocol.batch import BatchInput, build_batch
from settlement.protocol.eip712 import WITHDRAW_MODULE, Action, asset_address, digest, encode_withdraw
from settlement.protocol.signature import sign_digest
from settlement.protocol.transition import ChainRequest
from tests.unit.settlement.onchain.conftest import SEED

DOLLARS = 1_000_000


def minted(chain, deployment, user, dollars):
    """Deposit of a funded user into a new account."""
    return mint_and_deposit(
        chain, deployment, account_key(SEED, DEPLOYER_INDEX), account_key(SEED, user), dollars * DOLLARS
    )


def request_batch(state, records, approvals, chain):
    """A batch that consumes `records` and nothing else."""
    now_s = chain.block("latest").timestamp_s
    requests = [
        ChainRequest(index=r.index, kind=r.kind, account=r.account, amount_e6=r.amount_e6, owner=r.owner)
        for r in records
    ]
    batch = build_batch(
        state,
        BatchInput(
            seq=state.seq + 1,
            match_from_s=now_s,
            match_to_s=now_s,
            fills=[],
            order_fills=[],
            requests=requests,
            approvals_e6=approvals,
            request_up_to=records[-1].index,
            fee_e6=0,
        ),
    )
    return BuiltBatch.of(
        batch,
        {"fills": 0},
    )


def signed_withdraw(chain, deployment, account, amount_e6, max_fee_e18=0):
    """A withdraw action of user 0 and its signature."""
    owner = SettlementUser(chain, deployment, account_key(SEED, 0)).address
    asset = asset_address(
        chain_id=deployment.chain_id, settlement_contract=deployment.settlement, currency="USDC", kind="erc20"
    )
    now_s = chain.block("latest").timestamp_s
    action = Action(
        subaccount_id=deployment.subaccount_base + account,
        nonce=now_s * 1000,
        module=WITHDRAW_MODULE,
        data=encode_withdraw(asset=asset, max_fee_usd_e18=max_fee_e18, recipient=owner, amount_native=amount_e6),
        expiry_s=now_s + 600,
        owner=owner,
        signer=owner,
    )
    return action, sign_digest(account_key(SEED, 0), digest(deployment.domain_separator, action))
