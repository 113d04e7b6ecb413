"""Answers challenges (F2) by itself, with what was kept when the batch was built.

Theory of operation. Whoever challenges puts up a bond and the clock starts: no answer, and the operator is slashed. All
that is open is read from the chain: the Challenged events, how each stands, how far the parts of an answer have come.
So there is nothing to lose in a crash. An instrument is listed when it was traded for the first time, answer or not:
who holds it can prove a wrongly refused withdrawal (F5) only with its terms on chain.
The calls go through the poster (`settlement.onchain.errands`), which owns the key's nonces.
"""

import logging
from collections.abc import Iterable
from typing import Final

from settlement.onchain.answers import (
    CHALLENGED,
    AssetRow,
    Challenge,
    encode_answer,
    encode_listing,
    orders_tree,
    parts_of,
    read_asset,
    read_challenge,
    read_challenged,
)
from settlement.onchain.chain import BlockRef, Chain
from settlement.onchain.contract import SettlementReader
from settlement.onchain.deployment import Deployment
from settlement.onchain.errands import Errand
from settlement.onchain.errors import HistoryPruned, RpcRefused
from settlement.onchain.evidence_store import EvidenceStore
from settlement.onchain.forced_answers import ForcedAnswers
from settlement.onchain.outbox import BatchRow, Outbox, Purpose
from settlement.onchain.posted import kept_logs
from settlement.protocol.evidence import ForcedLeaf, LeafEvidence

__all__ = ["Responder"]

_logger: Final = logging.getLogger(__name__)
_NO_STATE: Final = bytes(32)
_REORG_BLOCKS: Final = 64
_LISTED_AT_ONCE: Final = 32
_LISTING: Final = b"listing"
"""Subject of errands that are about no challenge."""


class Responder:
    """Finds open challenges and the next call that answers one. One per operator, beside its poster."""

    def __init__(
        self, chain: Chain, deployment: Deployment, outbox: Outbox, evidence: EvidenceStore, address: bytes
    ) -> None:
        """`address` is the poster's: parts of an answer count for their sender."""
        self._chain = chain
        self._deployment = deployment
        self._outbox = outbox
        self._evidence = evidence
        self._address = address
        self._reader = SettlementReader(chain, deployment.settlement)
        self._forced = ForcedAnswers(self._reader, outbox, evidence)
        self._next_block = 0
        self._open: dict[bytes, Challenge] = {}
        self._failed: dict[bytes, str] = {}
        self._assets: dict[bytes, AssetRow] = {}
        self._listed: set[int] = set()
        self._traded: dict[int, tuple[int, bytes, int]] = {}
        self._lists_one = False

    def note(self, seq: int, leaves: Iterable[LeafEvidence | ForcedLeaf]) -> None:
        """Remember what batch `seq` traded: it is listed as soon as no answer is more urgent.

        What nobody signed shrinks positions, so it was traded before.
        """
        for leaf in leaves:
            if isinstance(leaf, LeafEvidence) and leaf.fill.instrument not in self._listed:
                self._traded.setdefault(leaf.fill.instrument, (seq, leaf.asset, leaf.sub_id))

    @property
    def trouble(self) -> str:
        """One line about the challenge that most urgently lacks an answer; empty when none does."""
        stuck = sorted((self._open[id_] for id_ in self._failed if id_ in self._open), key=lambda row: row.deadline_s)
        if not stuck:
            return ""
        worst = stuck[0]
        return (
            f"challenge of account {worst.account} in batch {worst.seq} cannot be answered before {worst.deadline_s}: "
            f"{self._failed[worst.id]}"
        )

    def next(self, head: BlockRef) -> Errand | None:
        """Return the next call towards an answer, the nearest deadline first, those that failed before last."""
        self._scan(head)
        for challenge in sorted(self._open.values(), key=lambda row: (row.id in self._failed, row.deadline_s)):
            try:
                errand = self._errand(challenge)
            except RpcRefused as error:
                self._fail(challenge.id, str(error))
                continue
            if errand is not None:
                return errand
        return self._listing()

    def refused(self, errand: Errand, reason: str) -> None:
        """Remember why the contract would not take it; an answer is tried again after the others.

        A listing of several is tried again one by one, what cannot be listed alone is not.
        """
        if errand.subject != _LISTING:
            self._fail(errand.subject, reason)
        elif not self._lists_one:
            self._lists_one = True
        else:
            number = next(iter(self._traded))
            del self._traded[number]
            _logger.error("instrument %d of batch %d cannot be listed: %s", number, errand.seq, reason)

    def holds(self, seq: int) -> bool:
        """Tell whether a challenge of batch `seq` is open."""
        return any(challenge.seq == seq for challenge in self._open.values())

    def _fail(self, id_: bytes, reason: str) -> None:
        if self._failed.get(id_) != reason:
            self._failed[id_] = reason
            _logger.error("challenge 0x%s is not answered: %s", id_.hex(), reason)

    def _listing(self) -> Errand | None:
        """Return the call that lists what was traded and is not listed yet, what was traded first."""
        for number in list(self._traded):
            if any(self._reader.view("instrument(uint32)", ["bytes32"], number)):
                self._listed.add(number)
                del self._traded[number]
        chosen = list(self._traded.items())[: 1 if self._lists_one else _LISTED_AT_ONCE]
        if not chosen:
            return None
        rows = [(number, asset, sub_id) for number, (_, asset, sub_id) in chosen]
        return Errand(Purpose.LIST, chosen[0][1][0], encode_listing(rows), _LISTING)

    def _scan(self, head: BlockRef) -> None:
        """Read the events of new blocks, and of those that a reorganization may have put in place of known ones."""
        if head.number < self._next_block:
            return
        first_block = max(self._deployment.deploy_block, self._next_block - _REORG_BLOCKS)
        try:
            logs = self._chain.logs(self._deployment.settlement, [CHALLENGED], first_block, head.number)
        except HistoryPruned:
            logs, _ = kept_logs(self._chain, self._deployment, [CHALLENGED], head.number)
        for log in logs:
            challenge = read_challenged(log)
            self._open[challenge.id] = challenge
        self._next_block = head.number + 1

    def _errand(self, challenge: Challenge) -> Errand | None:
        """Return the call that brings this challenge forward; None when it is over or its batch is void."""
        row = self._outbox.batch(challenge.seq)
        state = read_challenge(self._reader, challenge.id)
        if not state.is_open or row is None or row.block_number is None:
            self._forget(challenge, still_open=state.is_open and row is not None)
            return None
        header = row.header(self._reader.batch_hash(challenge.seq - 1))
        if header.digest() != state.batch_hash:
            self._forget(challenge, still_open=False)
            return None
        leaves = self._evidence.of_account(challenge.seq, challenge.account)
        if any(isinstance(leaf, ForcedLeaf) for _, leaf in leaves):
            return self._forced.errand(challenge, row, header)
        return self._signed_errand(
            challenge, row, [(place, leaf) for place, leaf in leaves if isinstance(leaf, LeafEvidence)]
        )

    def _signed_errand(
        self, challenge: Challenge, row: BatchRow, leaves: list[tuple[int, LeafEvidence]]
    ) -> Errand | None:
        unlisted = self._unlisted(leaf for _, leaf in leaves)
        if unlisted:
            return Errand(Purpose.LIST, challenge.seq, encode_listing(unlisted), challenge.id)
        calldata = self._next_part(challenge, row, leaves)
        return None if calldata is None else Errand(Purpose.ANSWER, challenge.seq, calldata, challenge.id)

    def _forget(self, challenge: Challenge, *, still_open: bool) -> None:
        """Drop what is over. A batch whose block was dropped comes back, and its challenge with it."""
        if not still_open:
            del self._open[challenge.id]
            self._failed.pop(challenge.id, None)

    def _next_part(self, challenge: Challenge, row: BatchRow, leaves: list[tuple[int, LeafEvidence]]) -> bytes | None:
        hashes = self._evidence.leaf_hashes(challenge.seq)
        if hashes is None or row.data is None:
            self._fail(challenge.id, "the evidence of this batch is not here")
            return None
        reached = bytes(self._reader.view("answerOf(bytes32,address)", ["bytes32"], challenge.id, self._address))
        header = row.header(self._reader.batch_hash(challenge.seq - 1))
        for part in parts_of(orders_tree(hashes), leaves):
            if reached == (_NO_STATE if not part.before.next_leaf else part.before.digest()):
                return encode_answer(challenge.id, header, part, row.data, self._rows(leaf for _, leaf in part.leaves))
        self._fail(challenge.id, "the parts on chain are not those of this answer")
        return None

    def _unlisted(self, leaves: Iterable[LeafEvidence]) -> list[tuple[int, bytes, int]]:
        """Return (id, asset, sub id) of the instruments that the contract does not know yet."""
        traded = {leaf.fill.instrument: (leaf.asset, leaf.sub_id) for leaf in leaves}
        for instrument in traded.keys() - self._listed:
            if any(self._reader.view("instrument(uint32)", ["bytes32"], instrument)):
                self._listed.add(instrument)
        return [(instrument, *traded[instrument]) for instrument in sorted(traded.keys() - self._listed)]

    def _rows(self, leaves: Iterable[LeafEvidence]) -> dict[bytes, AssetRow]:
        for asset in {leaf.asset for leaf in leaves} - self._assets.keys():
            self._assets[asset] = read_asset(self._reader, asset)
        return self._assets
