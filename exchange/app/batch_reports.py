"""What `offbook batch` shows and checks: outbox rows as numbers, posted batches against the journal."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

from exchange.app.config import Settings
from exchange.app.failures import Failure
from exchange.app.layout import DataDirectory
from exchange.app.verify import RecomputedBatch, compare_with_posted, recompute_batch
from exchange.bridge.batcher import UNBATCHED_FILL_GAS
from exchange.journal.disk import RealDisk
from matching_core import OrderBook
from settlement.onchain.deploy import Deployment, check_same_chain, load_deployment
from settlement.onchain.errors import ChainError, HistoryPruned
from settlement.onchain.outbox import BatchRow, Outbox
from settlement.onchain.posted import PostedBatch, kept_batches, read_batch_calldata
from settlement.onchain.rpc import RpcChain

__all__ = ["BatchPruned", "Verification", "batch_numbers", "list_batches", "show_batch", "verify_batch"]


class BatchPruned(Failure):
    """The chain no longer keeps what verifying the batch needs."""


@dataclass(frozen=True, slots=True)
class Verification:
    """Outcome of verifying one batch; `differences` is empty when journal and chain agree."""

    computed: RecomputedBatch
    posted: PostedBatch
    differences: list[str]


def list_batches(settings: Settings, limit: int) -> list[dict[str, Any]]:
    """Newest first. Raises Failure when no settler ever ran here."""
    with _open_outbox(settings) as outbox:
        return [batch_numbers(row) for row in outbox.rows(limit)]


def show_batch(settings: Settings, seq: int) -> dict[str, Any]:
    """One batch. Raises Failure for a number that does not exist."""
    with _open_outbox(settings) as outbox:
        row = outbox.row(seq)
        if row is None:
            raise Failure(f"no batch {seq}; `offbook batch list` shows what there is")
        return batch_numbers(row)


def verify_batch(settings: Settings, seq: int) -> Verification:
    """Recompute batch `seq` from journal and calldata alone.

    Raises `BatchPruned` when the chain dropped its block, Failure when journal or chain cannot be read.
    """
    directory = DataDirectory(settings.data.resolve())
    directory.check_format()
    deployment = load_deployment(directory.deployment)
    if deployment is None:
        raise Failure(f"{directory.deployment}: not here; give the exchange's --data, or start it once")
    posted, previous_root = _read_posted(RpcChain(settings.chain_url), deployment, seq)
    computed = recompute_batch(RealDisk(directory.exchange), seq, OrderBook)
    return Verification(computed, posted, compare_with_posted(computed.batch, posted, previous_root))


def batch_numbers(row: BatchRow) -> dict[str, Any]:
    """A row as users see it; also the form on the wire (api.md 10.9)."""
    fills, legs = row.stats.get("fills", 0), row.stats.get("legs", 0)
    gas = row.gas_used
    return {
        "seq": row.seq,
        "first_sequence": row.first_sequence,
        "last_sequence": row.last_sequence,
        "fills": fills,
        "legs": legs,
        "requests": row.stats.get("requests", 0),
        "ratio": f"{fills / legs:.2f}" if legs else None,
        "root": "0x" + row.new_root.hex(),
        "previous_root": "0x" + row.previous_root.hex(),
        "orders_root": "0x" + row.orders_root.hex(),
        "data_hash": "0x" + row.data_hash.hex(),
        "tx_hash": "0x" + row.tx_hash.hex() if row.tx_hash else None,
        "calldata_bytes": row.stats.get("calldata_bytes"),
        "gas_used": gas,
        "gas_per_fill": f"{gas / fills:.1f}" if gas is not None and fills else None,
        "gas_saved": fills * UNBATCHED_FILL_GAS - gas if gas is not None else None,
        "state": "FINALIZED" if row.finalized else row.state.name,
        "block_time_s": row.block_time_s,
    }


class _open_outbox:  # noqa: N801 - reads as the function it is
    """The outbox for reading, closed again."""

    def __init__(self, settings: Settings) -> None:
        directory = DataDirectory(settings.data.resolve())
        directory.check_format()
        path = directory.settler / "outbox.sqlite"
        if not path.exists():
            raise Failure(f"{path}: not here; batches appear once `offbook up` ran with this --data")
        self._outbox = Outbox(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._outbox.close()

    def rows(self, limit: int) -> Iterator[BatchRow]:
        yield from self._outbox.batches(limit=limit)

    def row(self, seq: int) -> BatchRow | None:
        return self._outbox.batch(seq)


def _read_posted(chain: RpcChain, deployment: Deployment, seq: int) -> tuple[PostedBatch, bytes | None]:
    try:
        check_same_chain(chain, deployment)
        posted, previous = _read_with_previous(chain, deployment, seq)
    except ChainError as error:
        raise Failure(f"{error}; is the chain running? `offbook up` starts the embedded one") from error
    if posted is None:
        raise Failure(f"batch {seq} is not on chain; `offbook batch list` shows its state")
    return posted, None if previous is None else previous.new_root


def _read_with_previous(
    chain: RpcChain, deployment: Deployment, seq: int
) -> tuple[PostedBatch | None, PostedBatch | None]:
    try:
        posted = read_batch_calldata(chain, deployment, seq)
        return posted, read_batch_calldata(chain, deployment, seq - 1) if seq > 1 else None
    except HistoryPruned as error:
        raise BatchPruned(_pruned_line(chain, deployment, seq)) from error


def _pruned_line(chain: RpcChain, deployment: Deployment, seq: int) -> str:
    kept = kept_batches(chain, deployment)
    if kept is None:
        return f"batch {seq} cannot be verified: the chain no longer keeps the block of any batch"
    first = kept.first_seq + (kept.first_seq > 1)
    return (
        f"batch {seq} cannot be verified: the embedded chain keeps its last {kept.blocks:,} blocks, with which batches"
        f" {first} to {kept.last_seq} can be (setting history_blocks)"
    )
