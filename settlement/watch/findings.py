"""What can be proven of a batch whose root is right: its round (F4), refusals (F5), approvals and accounts (F3)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import NamedTuple

from settlement.watch import chain_calls as calls
from settlement.watch.accounts import WatchedAccount, leaf_bytes
from settlement.watch.floors import Rounds, deficits
from settlement.watch.history import History
from settlement.watch.posts import HeaderWord, PostedData
from settlement.watch.refusals import Refusal, over_approvals, read_index_prices, read_terms, wrong_refusals
from settlement.watch.replay import NO_MARKS, QueuedRequest, read_vector
from settlement.watch.rounds import WatchedRound, broken_bounds

__all__ = ["Finding", "first_deficit", "first_finding"]


class Finding(NamedTuple):
    """Why a batch is fraudulent, and the call that proves it, given its number, the header before and its own."""

    reason: str
    accuse: Callable[[int, calls.PostedHeader, calls.PostedHeader], bytes]
    staged: bytes = b""
    """The proof alone, where it may be larger than a transaction: `accuse_of_deficit_staged` takes it in chunks."""


def first_finding(
    history: History, opening: HeaderWord, word: HeaderWord, requests: Sequence[QueuedRequest], data: PostedData
) -> Finding | None:
    """Return the first one about the batch behind `history`; `opening` is the word of the batch before."""
    return next(
        chain(
            _rounds(history, opening.oracle_round, word.oracle_round),
            _withdrawals(history, opening.request_up_to + 1, word.oracle_round, requests, data),
        ),
        None,
    )


def _rounds(history: History, before: int, after: int) -> Iterator[Finding]:
    if before in {0, after}:
        return
    rounds = [WatchedRound(number, history.round_times[number], history.vectors[number]) for number in (before, after)]
    terms = {number: read_terms(listing) for number, listing in history.listings.items()}
    for broken in broken_bounds(rounds[0], rounds[1], terms, history.tree):
        leaf, path = _leaf(history, broken.holder) if broken.holder else (b"", b"")
        vectors = rounds[0].vector, rounds[1].vector
        proof = (*vectors, broken.instrument, broken.spec, broken.holder, leaf, path)

        def accuse(
            seq: int, previous: calls.PostedHeader, header: calls.PostedHeader, proof: calls.BoundProof = proof
        ) -> bytes:
            return calls.accuse_of_bound(seq, previous, header, proof)

        yield Finding(broken.what, accuse)


def _withdrawals(
    history: History, first_id: int, round_: int, requests: Sequence[QueuedRequest], data: PostedData
) -> Iterator[Finding]:
    vector = history.vectors[round_] if round_ else b""
    marks, prices = (read_vector(vector), read_index_prices(vector)) if round_ else (NO_MARKS, {})
    terms = {number: read_terms(listing) for number, listing in history.listings.items()}
    refused = wrong_refusals(
        history.tree, first_id, requests, data.approved_e6, history.collateral_e6, marks, prices, terms
    )
    for row in refused:
        reason = f"request {row.id} of account {row.account} was refused {row.amount_e6} that were there"
        yield _about(history, row, vector, reason, calls.REFUSAL)
    for row in over_approvals(history.tree, first_id, requests, data.approved_e6, marks):
        reason = f"request {row.id} of account {row.account} was approved for {row.amount_e6} without cover"
        yield _about(history, row, vector, reason, calls.OVER_APPROVAL)


def first_deficit(
    history: History,
    opening: HeaderWord,
    word: HeaderWord,
    data: PostedData,
    raw: bytes,
    after: Mapping[int, WatchedAccount],
) -> Finding | None:
    """Return the first account that the batch, which `history` has taken, leaves below its floor; arguments as above.

    `raw` is the batch's data as it was posted, `after` the accounts that it touched.
    """
    before, own = opening.oracle_round, word.oracle_round
    has_before = before not in {0, own}
    vector = history.vectors[own] if own else b""
    earlier = history.vectors[before] if has_before else b""
    rounds = Rounds(
        read_vector(earlier) if has_before else None,
        read_vector(vector) if own else NO_MARKS,
        read_index_prices(vector) if own else {},
    )
    terms = {number: read_terms(listing) for number, listing in history.listings.items()}
    row = next(deficits(after, data, rounds, terms), None)
    if row is None:
        return None
    leaf, path = _leaf(history, row.account)
    proof = (row.account, raw, leaf, path, earlier, vector, row.specs)
    reason = f"account {row.account} is left below its margin floor: {row.reason}"
    accuse = partial(_accuse_of_deficit, proof)
    return Finding(reason, accuse, calls.staged_floor_proof(proof))


def _accuse_of_deficit(
    proof: calls.FloorProof, seq: int, previous: calls.PostedHeader, header: calls.PostedHeader
) -> bytes:
    return calls.accuse_of_deficit(seq, previous, header, proof)


def _about(history: History, row: Refusal, vector: bytes, reason: str, name: str) -> Finding:
    leaf, path = _leaf(history, row.account)
    proof = (row.id, vector, leaf, path, row.specs)
    return Finding(reason, lambda seq, previous, header: calls.accuse_of_withdrawal(name, seq, previous, header, proof))


def _leaf(history: History, index: int) -> tuple[bytes, bytes]:
    return leaf_bytes(history.tree.account(index)), history.tree.siblings([index])
