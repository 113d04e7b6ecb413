"""What must hold after a chain-fault scenario: the chain's calldata alone gives the ledger that the fills give."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from random import Random
from typing import Any, Final

from exchange.app.chaos_faults import Plan
from exchange.app.chaos_market import Story, rpc_over
from exchange.app.chaos_node import ChaosNode
from settlement.onchain.chain import Chain
from settlement.onchain.contract import (
    BATCH_POSTED,
    POST,
    PostCall,
    SettlementReader,
    decode_post,
    read_posted,
    selector,
)
from settlement.onchain.deployment import Deployment
from settlement.onchain.forking_chain import ForkingChain
from settlement.protocol.encoding import Header, decode_batch
from settlement.protocol.ledger import LedgerState
from settlement.protocol.netting import NetDeltas, reference_net_fills
from settlement.protocol.transition import apply_batch, withdraw_count

__all__ = ["check_books", "check_nonces"]

_POST_SELECTOR: Final = selector(POST)


def check_nonces(accepted: Iterable[Any], sender: bytes) -> str:
    """Which nonce of `sender` was signed for two calls; "" for none: a nonce belongs to one call for ever."""
    calls: dict[int, bytes] = {}
    for transaction in accepted:
        if transaction.sender != sender:
            continue
        call = calls.setdefault(transaction.nonce, bytes(transaction.data))
        if call != transaction.data:
            return f"nonce {transaction.nonce} was signed for two different calls"
    return ""


def check_books(chain: ForkingChain, deployment: Deployment, story: Story) -> str:
    """What differs between fills, builder's ledger, calldata and contract; "" when nothing does."""
    rpc, _ = rpc_over(ChaosNode(chain), Plan((), ()), Random(0), lambda _: None)  # noqa: S311 - draws nothing
    calls = list(_posted_calls(rpc, deployment))
    found = [call.seq for call in calls]
    if found != [batch.seq for batch in story.batches]:
        return f"batches {found} were posted, not 1 to {len(story.batches)}, each once"
    rebuilt = LedgerState()
    for call, given in zip(calls, story.inputs, strict=True):
        data = decode_batch(call.data, withdraw_count(given.requests))
        wanted = reference_net_fills(given.fills)
        if _without_touches(data.deltas) != _without_touches(wanted):
            return f"batch {call.seq} does not move what its fills do"
        effect = apply_batch(rebuilt, Header.unpack(call.h), data, given.requests, given.opening)
        if rebuilt.commit(effect) != call.new_root:
            return f"batch {call.seq} has another root than its own calldata gives"
    if rebuilt.to_bytes() != story.ledger.to_bytes():
        return "the ledger rebuilt from calldata is not the builder's"
    rebuilt.check()
    return _positions_differ(rebuilt, story) or _money_differs(rpc, deployment, rebuilt, story)


def _posted_calls(rpc: Chain, deployment: Deployment) -> Iterator[PostCall]:
    """Calldata of each BatchPosted event on the best branch, in order."""
    head = rpc.block("latest")
    if head is None:
        return
    for log in rpc.logs(deployment.settlement, [BATCH_POSTED], deployment.deploy_block, head.number):
        transaction = rpc.transaction(read_posted(log).tx_hash)
        if transaction is not None and transaction.data[:4] == _POST_SELECTOR:
            yield decode_post(transaction.data)


def _without_touches(deltas: NetDeltas) -> tuple[dict[int, int], dict[tuple[int, int], int]]:
    """An account that is listed at zero cash moves nothing."""
    return {account: cash for account, cash in deltas.cash_e6.items() if cash}, dict(deltas.positions_lots)


def _positions_differ(ledger: LedgerState, story: Story) -> str:
    """Every fill counts once: lots per account and instrument, added up fill by fill."""
    lots: defaultdict[tuple[int, int], int] = defaultdict(int)
    for fill in (fill for fills in story.fills for fill in fills):
        lots[fill.buyer, fill.instrument] += fill.quantity_lots
        lots[fill.seller, fill.instrument] -= fill.quantity_lots
    held = {
        (index, instrument): row[0]
        for index, account in ledger.accounts.items()
        for instrument, row in account.positions.items()
    }
    return "" if held == {cell: sum_ for cell, sum_ in lots.items() if sum_} else "positions are not the sum of fills"


def _money_differs(rpc: Chain, deployment: Deployment, ledger: LedgerState, story: Story) -> str:
    """Contract, vault and ledger agree to the unit."""
    reader = SettlementReader(rpc, deployment.settlement)
    token = SettlementReader(rpc, deployment.token)
    approved_e6 = sum(amount for given in story.inputs for amount in given.approvals_e6)
    collateral_e6 = reader.view("collateral()", ["uint96"])
    bond_e6 = reader.view("bond()", ["uint64"])
    vault_e6 = token.view("balanceOf(address)", ["uint256"], deployment.settlement)
    pairs = {
        "head": (reader.head(), len(story.batches)),
        "finalized": (reader.finalized(), len(story.batches)),
        "root": (reader.root(), ledger.root),
        "collateral": (collateral_e6, ledger.collateral_e6),
        "final collateral": (reader.view("collateralFinal()", ["uint96"]), ledger.collateral_e6),
        "sum of cash": (sum(account.cash_e6 for account in ledger.accounts.values()), collateral_e6),
        "vault": (vault_e6, collateral_e6 + approved_e6 + bond_e6),
    }
    return "; ".join(f"{name} is {found}, not {wanted}" for name, (found, wanted) in pairs.items() if found != wanted)
