"""The published batches: rebuilt by the generator, and replayed from header, data and requests alone."""

import json
from typing import Any

from settlement.protocol.encoding import Header, decode_batch
from settlement.protocol.ledger import LedgerState
from settlement.protocol.transition import ChainRequest, RequestKind, apply_batch, withdraw_count
from tests.differential.reference_codec import reference_decode
from tests.golden import batch_vectors

BATCHES = json.loads(batch_vectors.PATH.read_text())["batches"]


def requests_of(batch: dict[str, Any]) -> list[ChainRequest]:
    """Read the requests of one published batch."""
    return [
        ChainRequest(
            index=row["index"],
            kind=RequestKind[row["kind"]],
            account=row["account"],
            amount_e6=row["amount_e6"],
            owner=bytes.fromhex(row["owner"]),
        )
        for row in batch["requests"]
    ]


def test_file_is_what_the_generator_writes() -> None:
    """The committed file equals the generator's output, so the format cannot change unseen."""
    assert batch_vectors.PATH.read_text() == batch_vectors.text()


def test_replay_from_posted_bytes_reaches_every_root() -> None:
    """A watcher with calldata and the queue alone finds the published roots and collateral."""
    state = LedgerState()
    for batch in BATCHES:
        requests = requests_of(batch)
        data = decode_batch(bytes.fromhex(batch["data"]), withdraw_count(requests))
        assert batch["previous_root"] == state.root.hex()
        effect = apply_batch(state, Header.unpack(int(batch["h"], 16)), data, requests)
        assert batch["new_root"] == state.commit(effect).hex()
        assert batch["collateral_e6"] == state.collateral_e6
        state.check()


def test_second_codec_reads_the_same_deltas() -> None:
    """The bit-string codec agrees on the published bytes."""
    for batch in BATCHES:
        raw, withdraws = bytes.fromhex(batch["data"]), withdraw_count(requests_of(batch))
        decoded = decode_batch(raw, withdraws)
        assert (decoded.deltas, decoded.approved_e6) == reference_decode(raw, withdraws)
