"""What a chain-fault scenario settles: contracts with funded accounts, made once, and drawn batches of fills."""

from collections.abc import Callable, Sequence
from functools import cache
from random import Random
from typing import Final, NamedTuple

from exchange.app.chaos_faults import Plan
from exchange.app.chaos_node import ChaosNode, FaultyProvider
from settlement.onchain.claims import NEW_ACCOUNT, SettlementUser, mint_and_deposit
from settlement.onchain.deploy import DeploymentSettings, deploy_demo
from settlement.onchain.deployment import Deployment
from settlement.onchain.forking_chain import ForkingChain
from settlement.onchain.funded_accounts import DEPLOYER_INDEX, OPERATOR_INDEX, account_address, account_key
from settlement.onchain.local_chain import LocalSettings
from settlement.onchain.outbox import BuiltBatch
from settlement.onchain.requests import RequestReader
from settlement.onchain.rpc import RpcChain, RpcSettings
from settlement.protocol.batch import Batch, BatchInput, build_batch
from settlement.protocol.ledger import LedgerState
from settlement.protocol.netting import Fill, order_fills_of
from settlement.protocol.oracle import NO_ROUND, MarkRow, OracleVector
from settlement.protocol.transition import ChainRequest, RequestKind

__all__ = ["OPERATOR_KEY", "START_S", "ChaosBase", "Story", "chaos_base", "draw_story", "rpc_over"]

START_S: Final = 1_800_000_000
_SEED: Final = 1
OPERATOR_KEY: Final = account_key(_SEED, OPERATOR_INDEX)
_FIRST: Final = 2
_ACCOUNTS: Final = 4
_PERP: Final = 0x80000001
_INSTRUMENTS: Final = (1, 2, _PERP)
_DEPOSIT_E6: Final = 50_000 * 10**6
_WITHDRAWN_E6: Final = (700 * 10**6, 1_300 * 10**6)
_WINDOW_S: Final = 10
_MOST_BATCHES: Final = 5
_MOST_FILLS: Final = 9


class ChaosBase(NamedTuple):
    """A chain with the contracts on it, `requests` in their queue, and nothing posted."""

    chain: ForkingChain
    deployment: Deployment
    requests: tuple[ChainRequest, ...]


class Story(NamedTuple):
    """Batches to settle with their fills, and the ledger after the last one."""

    batches: tuple[BuiltBatch, ...]
    fills: tuple[tuple[Fill, ...], ...]
    inputs: tuple[BatchInput, ...]
    ledger: LedgerState


def rpc_over(
    node: ChaosNode, plan: Plan, rng: Random, pause: Callable[[float], None]
) -> tuple[RpcChain, FaultyProvider]:
    """The production adapter over a provider that misbehaves."""
    provider = FaultyProvider(node, plan, rng)
    return RpcChain("http://chaos", RpcSettings(), pause, provider), provider


@cache
def chaos_base() -> ChaosBase:
    """Deploy, fund four accounts, queue two withdrawals; once per process."""
    chain = ForkingChain(LocalSettings(seed=_SEED, history_blocks=0), lambda: START_S)
    node = ChaosNode(chain)
    node.automine = True
    rpc, _ = rpc_over(node, Plan((), ()), Random(0), lambda _: None)  # noqa: S311 - draws nothing
    deployer = account_key(_SEED, DEPLOYER_INDEX)
    settings = DeploymentSettings(finality_window_s=_WINDOW_S)
    deployment = deploy_demo(rpc, deployer, account_address(OPERATOR_KEY), settings)
    for user in range(_ACCOUNTS):
        mint_and_deposit(rpc, deployment, deployer, account_key(_SEED, user), _DEPOSIT_E6, NEW_ACCOUNT)
    for user, amount_e6 in enumerate(_WITHDRAWN_E6):
        SettlementUser(rpc, deployment, account_key(_SEED, user)).request_withdraw(_FIRST + user, amount_e6)
    found = RequestReader(rpc, deployment).poll(0).confirmed
    requests = tuple(
        ChainRequest(index=one.index, kind=one.kind, account=one.account, amount_e6=one.amount_e6, owner=one.owner)
        for one in found
    )
    return ChaosBase(chain, deployment, requests)


def draw_story(base: ChaosBase, rng: Random) -> Story:
    """Two to five batches; the first takes the deposits, one of the others the withdrawals, some begin with a round."""
    ledger = LedgerState()
    count = rng.randint(2, _MOST_BATCHES)
    withdrawing = rng.randint(2, count)
    built: list[BuiltBatch] = []
    inputs: list[BatchInput] = []
    opening = NO_ROUND
    for seq in range(1, count + 1):
        kinds = {1: RequestKind.DEPOSIT, withdrawing: RequestKind.WITHDRAW}
        taken = [one for one in base.requests if one.kind is kinds.get(seq)]
        if rng.random() < 0.5:
            opening = _draw_round(rng, opening.round_number + 1)
        given = _draw_input(rng, ledger, taken, opening)
        batch = build_batch(ledger, given)
        ledger.check()
        inputs.append(given)
        built.append(_as_built(batch, given))
    return Story(tuple(built), tuple(tuple(one.fills) for one in inputs), tuple(inputs), ledger)


def _draw_round(rng: Random, number: int) -> OracleVector:
    rows = {one: MarkRow(mark_e6=rng.randint(1, 10_000)) for one in _INSTRUMENTS[:2]}
    rows[_PERP] = MarkRow(mark_e6=rng.randint(1, 10_000), fund_index=number * 10**9)
    return OracleVector(round_number=number, rows=rows, index_e6={1: 60_000 * 10**6})


def _draw_input(
    rng: Random, ledger: LedgerState, requests: Sequence[ChainRequest], opening: OracleVector
) -> BatchInput:
    fills = [_draw_fill(rng) for _ in range(rng.randint(1, _MOST_FILLS))]
    return BatchInput(
        seq=ledger.seq + 1,
        match_from_s=START_S,
        match_to_s=START_S,
        fills=fills,
        order_fills=order_fills_of(fills),
        requests=requests,
        approvals_e6=[one.amount_e6 for one in requests if one.kind is RequestKind.WITHDRAW],
        request_up_to=ledger.request_done + len(requests),
        fee_e6=sum(fill.buyer_fee_e6 + fill.seller_fee_e6 for fill in fills),
        opening=opening,
    )


def _draw_fill(rng: Random) -> Fill:
    buyer, seller = rng.sample(range(_FIRST, _FIRST + _ACCOUNTS), 2)
    lots = rng.randint(1, 1_000_000)
    notional_e6 = lots * rng.randint(1, 10_000)
    return Fill(
        buyer=buyer,
        seller=seller,
        instrument=rng.choice(_INSTRUMENTS),
        quantity_lots=lots,
        notional_e6=notional_e6,
        buyer_fee_e6=notional_e6 // 2_000,
        seller_fee_e6=-(notional_e6 // 10_000),
        buyer_ref=rng.randbytes(32),
        seller_ref=rng.randbytes(32),
    )


def _as_built(batch: Batch, given: BatchInput) -> BuiltBatch:
    return BuiltBatch.of(
        batch,
        {"fills": len(given.fills), "legs": batch.legs, "round_s": START_S},
        vector=given.opening.encode() if given.opening.round_number else b"",
    )
