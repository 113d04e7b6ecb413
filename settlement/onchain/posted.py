"""Posted batches read back from the chain alone: the event, then the calldata of its transaction.

A node may have pruned its oldest blocks; what was posted in them is told apart from what was never posted.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from settlement.onchain.chain import Chain, Log
from settlement.onchain.contract import BATCH_POSTED, PostedEvent, SettlementReader, decode_post, read_posted
from settlement.onchain.deployment import Deployment
from settlement.onchain.errors import HistoryPruned, RpcRefused, RpcUnavailable
from settlement.protocol.encoding import Header
from settlement.protocol.keccak import keccak256

__all__ = ["KeptBatches", "PostedBatch", "kept_batches", "kept_logs", "posted_event", "read_batch_calldata"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PostedBatch:
    """One batch as the chain has it; `header` is the unpacked word `h`."""

    seq: int
    header: Header
    h: int
    data: bytes
    new_root: bytes
    orders_root: bytes
    tx_hash: bytes
    gas_used: int
    block_number: int


@dataclass(frozen=True, slots=True)
class KeptBatches:
    """Seqs whose posts the chain still holds, and the number of newest blocks that it keeps."""

    blocks: int
    first_seq: int
    last_seq: int


def posted_event(chain: Chain, deployment: Deployment, seq: int) -> PostedEvent | None:
    """BatchPosted event of a batch on the current best chain, the newest of its number; None when it was not posted.

    Raises `HistoryPruned` when the contract has the batch but the node no longer keeps its block.
    """
    head = chain.block("latest")
    if head is None:
        return None
    found, first_block = kept_logs(chain, deployment, [BATCH_POSTED, seq.to_bytes(32, "big")], head.number)
    if found:
        return read_posted(found[-1])
    if first_block > deployment.deploy_block and SettlementReader(chain, deployment.settlement).head() >= seq:
        raise HistoryPruned(f"batch {seq} was posted in a block that the chain no longer keeps")
    return None


def kept_batches(chain: Chain, deployment: Deployment) -> KeptBatches | None:
    """What can still be read back; None when no kept block has a post."""
    head = chain.block("latest")
    if head is None:
        return None
    found, first_block = kept_logs(chain, deployment, [BATCH_POSTED], head.number)
    seqs = [read_posted(log).seq for log in found]
    return KeptBatches(head.number + 1 - first_block, min(seqs), max(seqs)) if seqs else None


def kept_logs(chain: Chain, deployment: Deployment, topics: Sequence[bytes], last_block: int) -> tuple[list[Log], int]:
    """Logs since the deployment, or since the oldest block that the node keeps, and the block they start from."""
    first_block = deployment.deploy_block
    try:
        return chain.logs(deployment.settlement, topics, first_block, last_block), first_block
    except HistoryPruned:
        oldest = chain.block("earliest")
        if oldest is None:
            raise
        return chain.logs(deployment.settlement, topics, oldest.number, last_block), oldest.number


def read_batch_calldata(chain: Chain, deployment: Deployment, seq: int) -> PostedBatch | None:
    """Header, data and roots of a posted batch from calldata; None when it was not posted.

    Raises `RpcRefused` when the calldata contradicts the event, `HistoryPruned` when its block is no longer kept,
    `RpcUnavailable` when the node has dropped the transaction alone.
    """
    event = posted_event(chain, deployment, seq)
    if event is None:
        return None
    transaction, receipt = chain.transaction(event.tx_hash), chain.receipt(event.tx_hash)
    if transaction is None or receipt is None:
        raise RpcUnavailable(f"the node does not serve transaction 0x{event.tx_hash.hex()} of batch {seq}")
    call = decode_post(transaction.data)
    if (call.seq, call.new_root, keccak256(call.data)) != (event.seq, event.new_root, event.data_hash):
        raise RpcRefused(f"calldata of transaction 0x{event.tx_hash.hex()} is not that of batch {seq}")
    return PostedBatch(
        seq=seq,
        header=Header.unpack(call.h),
        h=call.h,
        data=call.data,
        new_root=call.new_root,
        orders_root=call.orders_root,
        tx_hash=event.tx_hash,
        gas_used=receipt.gas_used,
        block_number=event.block_number,
    )
