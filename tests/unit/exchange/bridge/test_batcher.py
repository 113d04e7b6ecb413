"""The batcher's memory: a crash anywhere gives the same batches again, a damaged file is named."""

import pytest

from exchange.bridge.assembler import BadEvents
from exchange.bridge.batcher import Batcher, LedgerStore
from exchange.domain.packing import pack_events
from settlement.onchain.errors import OutboxMismatch
from settlement.onchain.outbox import Outbox
from settlement.protocol.ledger import BadSnapshot
from tests.fakes.recorded_market import traded_market


@pytest.fixture(scope="module")
def blobs():
    """One blob per command of three batches."""
    return [pack_events([item]) for item in traded_market().history]


def _fresh(tmp_path):
    store = LedgerStore(tmp_path / "ledger.bin")
    return Batcher(*store.load(), store)


@pytest.mark.parametrize("damage", [b"", b"\x93\x01", b"\xff" * 40])
def test_damaged_file_is_named_with_its_fix(tmp_path, damage):
    """One line with the file."""
    path = tmp_path / "ledger.bin"
    path.write_bytes(damage)
    with pytest.raises(BadEvents, match=r"ledger\.bin is damaged .*delete it"):
        LedgerStore(path).load()


def test_changed_ledger_is_refused(tmp_path, blobs):
    """The ledger's own hash catches a flipped byte."""
    batcher = _fresh(tmp_path)
    batcher.take(blobs)
    batcher.save()
    data = bytearray((tmp_path / "ledger.bin").read_bytes())
    data[-40] ^= 1
    (tmp_path / "ledger.bin").write_bytes(data)
    with pytest.raises((BadSnapshot, BadEvents)):
        LedgerStore(tmp_path / "ledger.bin").load()


def test_rebuilt_batches_are_the_same(tmp_path, blobs):
    """Two batchers over the same events, in other portions."""
    one, two = Batcher(*LedgerStore(tmp_path / "none").load()), Batcher(*LedgerStore(tmp_path / "none").load())
    assert one.take(blobs) == [batch for blob in blobs for batch in two.take([blob])]
    assert one.ledger.root == two.ledger.root


def test_commands_below_the_cursor_are_skipped(tmp_path, blobs):
    """A blob that begins before the cursor is given whole."""
    batcher = _fresh(tmp_path)
    assert len(batcher.take(blobs)) == 3
    assert batcher.take(blobs) == []


def test_crash_between_outbox_and_save_builds_the_same_batch(tmp_path, blobs):
    """At every command: stored in the outbox, not saved, started again; the outbox takes the batch as its own."""
    outbox = Outbox(":memory:")
    for blob in blobs:
        lost = _fresh(tmp_path)
        for batch in lost.take([blob]):
            assert outbox.add(batch, 0)
        again = _fresh(tmp_path)
        for batch in again.take([blob]):
            assert not outbox.add(batch, 0)
        again.save()
    assert outbox.last_seq() == 3
    outbox.close()


def test_another_batch_of_the_same_number_is_refused(tmp_path, blobs):
    """What is in the outbox stays."""
    outbox = Outbox(":memory:")
    batches = _fresh(tmp_path).take(blobs)
    outbox.add(batches[0], 0)
    with pytest.raises(OutboxMismatch):
        outbox.add(batches[2], 0)
    outbox.close()


def test_save_without_news_writes_nothing(tmp_path, blobs):
    """The file changes only with the cursor."""
    batcher = _fresh(tmp_path)
    batcher.save()
    assert not (tmp_path / "ledger.bin").exists()
    batcher.take(blobs[:1])
    batcher.save()
    assert batcher.saved_cursor == 1
    assert (tmp_path / "ledger.bin").exists()
