"""The chain against the journal: each batch posted once, each fill in one batch, sums and roots equal."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from exchange.app.chaos_check import Findings, JournalStory
from exchange.app.verify import compare_with_posted, ledger_of
from exchange.bridge.assembler import BatchAssembler
from exchange.domain.commands import Side
from exchange.domain.events import BatchClosed, Trade
from settlement.onchain.chain import Chain
from settlement.onchain.contract import BATCH_POSTED, read_posted
from settlement.onchain.deployment import Deployment
from settlement.onchain.posted import PostedBatch, read_batch_calldata
from settlement.protocol.batch import Batch, build_batch
from settlement.protocol.encoding import decode_batch
from settlement.protocol.ledger import LedgerState

__all__ = ["ChainCopy", "check_settlement", "copy_chain"]

Cells = dict[tuple[int, int], int]
"""(account, instrument) -> lots; instrument 0 -> cash in 1e-6 USDC."""


@dataclass(slots=True)
class ChainCopy:
    """What the chain holds of our batches: how often each seq was posted, and its calldata."""

    posts: Counter[int] = field(default_factory=Counter)
    batches: dict[int, PostedBatch] = field(default_factory=dict)


def copy_chain(chain: Chain, deployment: Deployment) -> ChainCopy:
    """Read every post from the chain alone. Raises ChainError."""
    copy = ChainCopy()
    head = chain.block("latest")
    if head is not None:
        logs = chain.logs(deployment.settlement, [BATCH_POSTED], deployment.deploy_block, head.number)
        copy.posts.update(read_posted(log).seq for log in logs)
    for seq in sorted(copy.posts):
        posted = read_batch_calldata(chain, deployment, seq)
        if posted is not None:
            copy.batches[seq] = posted
    return copy


def check_settlement(story: JournalStory, copy: ChainCopy, findings: Findings) -> None:
    """Add to `findings` whatever journal and chain disagree on."""
    closed = [event for item in story.history for event in item.events if isinstance(event, BatchClosed)]
    findings.duplicated += [f"batch {seq} was posted {count} times" for seq, count in copy.posts.items() if count != 1]
    _compare_sets({event.batch for event in closed}, set(copy.batches), findings)
    _check_ranges(closed, findings)
    _check_fill_counts(story, closed, findings)
    _check_sums(_sums_of_trades(story), _sums_on_chain(copy), findings)
    ledger = _check_batches(story, copy, findings)
    if closed and not story.state.batch.has_content:
        root = ledger_of(story.state, match_to_s=closed[-1].match_to_s).root
        if root != ledger.root:
            findings.different.append(f"root of the replayed state {root.hex()}, of the batches {ledger.root.hex()}")


def _compare_sets(closed: set[int], posted: set[int], findings: Findings) -> None:
    findings.lost += [f"batch {seq} of the journal is not on chain" for seq in sorted(closed - posted)]
    findings.different += [f"batch {seq} on chain is not in the journal" for seq in sorted(posted - closed)]


def _check_ranges(closed: list[BatchClosed], findings: Findings) -> None:
    """Ranges follow each other; a batch that a cap closed shares one sequence with the next."""
    expected = 1
    for number, event in enumerate(closed, start=1):
        if event.batch != number or event.first_sequence not in (expected - 1, expected):
            findings.different.append(f"batch {event.batch} begins at {event.first_sequence}, expected {expected}")
        expected = event.last_sequence + 1


def _check_fill_counts(story: JournalStory, closed: list[BatchClosed], findings: Findings) -> None:
    trades = sum(isinstance(event, Trade) for item in story.history for event in item.events)
    batched = sum(event.fill_count for event in closed)
    if trades != batched:
        findings.lost.append(f"{trades} fills in the journal, {batched} in its closed batches")


def _sums_of_trades(story: JournalStory) -> Cells:
    """Deltas of all trades, from the events alone."""
    sums: defaultdict[tuple[int, int], int] = defaultdict(int)
    for item in story.history:
        for event in item.events:
            if isinstance(event, Trade):
                unit_e6 = story.state.instruments[event.instrument].unit_e6
                notional_e6 = event.quantity_lots * event.price_ticks * unit_e6
                taker_sign = 1 if event.taker_side is Side.BUY else -1
                for side, sign in ((event.taker, taker_sign), (event.maker, -taker_sign)):
                    sums[side.subaccount, event.instrument] += sign * event.quantity_lots
                    sums[side.subaccount, 0] -= sign * notional_e6 + side.fee_e6
    return dict(sums)


def _sums_on_chain(copy: ChainCopy) -> Cells:
    """Deltas of all batches, decoded from calldata. The demo's clients never withdraw."""
    sums: defaultdict[tuple[int, int], int] = defaultdict(int)
    for posted in copy.batches.values():
        deltas = decode_batch(posted.data, 0).deltas
        for cell, lots in deltas.positions_lots.items():
            sums[cell] += lots
        for account, cash_e6 in deltas.cash_e6.items():
            sums[account, 0] += cash_e6
    return dict(sums)


def _check_sums(
    wanted: Mapping[tuple[int, int], int], found: Mapping[tuple[int, int], int], findings: Findings
) -> None:
    for account, instrument in sorted({**wanted, **found}):
        cell = account, instrument
        if wanted.get(cell, 0) != found.get(cell, 0):
            what = f"account {account} " + (f"instrument {instrument} lots" if instrument else "cash_e6")
            findings.different.append(f"{what}: trades {wanted.get(cell, 0)}, chain {found.get(cell, 0)}")


def _check_batches(story: JournalStory, copy: ChainCopy, findings: Findings) -> LedgerState:
    """Build every batch again from the replayed events and compare it with its calldata."""
    assembler, ledger = BatchAssembler(), LedgerState()
    for item in story.history:
        for assembled in assembler.take(item):
            previous_root = ledger.root
            batch: Batch = build_batch(ledger, assembled.input)
            posted = copy.batches.get(batch.seq)
            if posted is not None:
                lines = compare_with_posted(batch, posted, previous_root)
                findings.different += [f"batch {batch.seq}: {line}" for line in lines]
    return ledger
