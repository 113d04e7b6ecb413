"""Posted batches read back from the chain alone: the event, then the calldata of its transaction."""

from dataclasses import dataclass

from settlement.onchain.chain import Chain
from settlement.onchain.contract import BATCH_POSTED, PostedEvent, decode_post, read_posted
from settlement.onchain.deployment import Deployment
from settlement.onchain.errors import RpcRefused, RpcUnavailable
from settlement.protocol.encoding import Header
from settlement.protocol.keccak import keccak256

__all__ = ["PostedBatch", "posted_event", "read_batch_calldata"]


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


def posted_event(chain: Chain, deployment: Deployment, seq: int) -> PostedEvent | None:
    """BatchPosted event of a batch on the current best chain, None when it was not posted."""
    head = chain.block("latest")
    if head is None:
        return None
    topics = [BATCH_POSTED, seq.to_bytes(32, "big")]
    found = chain.logs(deployment.settlement, topics, deployment.deploy_block, head.number)
    return read_posted(found[-1]) if found else None


def read_batch_calldata(chain: Chain, deployment: Deployment, seq: int) -> PostedBatch | None:
    """Header, data and roots of a posted batch from calldata; None when it was not posted.

    Raises `RpcRefused` when the calldata contradicts the event, `RpcUnavailable` when the node has dropped it.
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
