"""exchange.app.recovery: from a disk to a running writer, with the event log filled up again."""

import pytest

from exchange.app.recovery import recover_exchange
from exchange.domain.commands import BatchCut
from exchange.domain.packing import unpack_events
from exchange.engine.snapshot import dump
from exchange.engine.state_hash import state_hash
from exchange.journal.errors import JournalCorrupt
from exchange.journal.event_log import EventLogReader
from exchange.journal.snapshot import Snapshot, write_snapshot
from exchange.sequencer.replay import rebuild
from exchange.sequencer.sequencer import Sequencer
from matching_core import OrderBook
from tests.simulation.sim_disk import Keep, SimDisk

SEGMENT_BYTES = 64 << 10
NOW_NS = 1_790_000_000_000_000_000


def live(disk, count, *, cursors=None):
    """Recover, commit `count` commands one by one, and return what recovery found and the sequencer."""
    recovered = recover_exchange(disk, OrderBook, segment_bytes=SEGMENT_BYTES, cursors=cursors)
    sequencer = Sequencer(
        recovered.state,
        recovered.writer,
        recovered.event_log,
        epoch=recovered.epoch,
        clock_ns=lambda: NOW_NS,
        wake=lambda: None,
    )
    for _ in range(count):
        sequencer.submit(BatchCut())
        sequencer.tick()
        sequencer.committed(recovered.writer.commit_staged())
    return recovered, sequencer


def take_snapshot(disk, up_to):
    """A snapshot of the state after `up_to`."""
    state = rebuild(disk, OrderBook, up_to=up_to)
    write_snapshot(
        disk,
        Snapshot(
            sequence=state.sequence,
            epoch=1,
            timestamp_ns=state.timestamp_ns,
            state_hash=state_hash(state),
            config_hash=bytes(32),
            sections=dump(state),
        ),
    )
    return state.sequence


def logged(disk):
    """Sequences that the event log holds."""
    reader = EventLogReader("events", 0, disk=disk)
    return [item.sequence for blob in reader.poll() for item in unpack_events(blob.data)]


def test_a_consumer_beyond_the_journal_is_refused():
    """It read what the journal does not hold: acknowledged data is gone."""
    disk = SimDisk()
    live(disk, 3)
    with pytest.raises(JournalCorrupt, match="settler stands at sequence 99"):
        live(disk, 0, cursors={"settler": 99})


def test_an_empty_disk_starts_at_nothing():
    """Epoch 1, no commands, an empty log."""
    recovered, _ = live(SimDisk(), 0)
    assert (recovered.state.sequence, recovered.epoch, recovered.replayed_commands) == (0, 1, 0)
    assert recovered.event_log.last_sequence == 0


def test_each_start_has_a_higher_epoch_and_goes_on():
    """The writer continues behind the last command."""
    disk = SimDisk()
    first, sequencer = live(disk, 3)
    second, _ = live(disk, 2)
    assert second.epoch == first.epoch + 1
    assert second.replayed_commands == sequencer.state.sequence
    assert second.writer.last_committed == sequencer.state.sequence + 2


@pytest.mark.parametrize("snapshot_at", [None, 2, 5])
def test_a_lost_event_log_is_filled_from_the_journal(snapshot_at):
    """It is never synced between seals; a snapshot above its end is passed over for an older one, or for none."""
    disk = SimDisk()
    _, sequencer = live(disk, 6)
    if snapshot_at:
        take_snapshot(disk, snapshot_at)
    disk.crash(Keep.NOTHING)
    recovered, _ = live(disk, 0)
    assert state_hash(recovered.state) == state_hash(sequencer.state)
    assert logged(disk) == list(range(1, sequencer.state.sequence + 1))
    assert recovered.replayed_commands == sequencer.state.sequence


def test_a_synced_event_log_lets_older_segments_go():
    """Only what lies behind the snapshot is replayed, and what was released is missed by nobody."""
    disk = SimDisk()
    first, sequencer = live(disk, 40)
    first.event_log.sync()
    at = take_snapshot(disk, 30)
    assert first.writer.release(at + 1) > 0
    disk.crash(Keep.NOTHING)
    recovered, _ = live(disk, 1)
    assert recovered.replayed_commands == sequencer.state.sequence - at
    assert logged(disk) == list(range(1, sequencer.state.sequence + 2))


def test_a_group_that_was_not_committed_is_forgotten_everywhere():
    """Staged is not acknowledged: state, journal and log end before it."""
    disk = SimDisk()
    recovered, sequencer = live(disk, 3)
    committed = sequencer.state.sequence
    sequencer.submit(BatchCut())
    sequencer.tick()
    disk.crash(Keep.RANDOM)
    again, _ = live(disk, 0)
    assert recovered.state.sequence == committed + 1
    assert again.state.sequence == again.event_log.last_sequence == committed
