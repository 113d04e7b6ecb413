"""exchange.sequencer.replay: the state is a function of the journal, and another function is refused."""

from dataclasses import replace

import pytest

from exchange.domain.commands import BatchCut, ChainRequest, ChainRequestKind, ListInstrument, Side
from exchange.engine.snapshot import dump
from exchange.engine.state import State
from exchange.engine.state_hash import state_hash
from exchange.journal.reader import read_groups
from exchange.journal.snapshot import Snapshot, write_snapshot
from exchange.sequencer.replay import ReplayDiverged, apply_group, rebuild, replay, state_of_snapshot
from exchange.sequencer.sequencer import Sequencer
from matching_core import OrderBook, ReferenceOrderBook
from tests.simulation.sim_disk import SimDisk
from tests.unit.exchange.engine.world import SECOND_NS, START_S, World, instruments, owner
from tests.unit.exchange.journal.building import open_writer


def traded_disk(orders=12):
    """A journal of listings, deposits, prices and crossing orders, one commit each, and the state that wrote it."""
    disk = SimDisk()
    writer = open_writer(disk)
    now_ns = [START_S * SECOND_NS]
    state = State(OrderBook)
    sequencer = Sequencer(state, writer, None, epoch=1, clock_ns=lambda: now_ns[0], wake=lambda: None)
    for command in commands(orders):
        now_ns[0] += 300_000_000
        sequencer.submit(command)
        sequencer.tick()
        sequencer.committed(writer.commit_staged())
    return disk, state


def commands(orders):
    """The small market of the engine's tests, as commands."""
    world = World()
    yield from (ListInstrument(instrument=instrument) for instrument in instruments())
    deposit = ChainRequestKind.DEPOSIT
    for index, account in enumerate((2, 3), 1):
        yield ChainRequest(index=index, kind=deposit, account=account, amount_e6=10**11, owner=owner(account))
    yield BatchCut()
    for number in range(orders):
        world.now_ns += 300_000_000
        yield world.order(2 + number % 2, Side(number % 2), 600_000, 1 + number)


def snapshot_of(state, **changes):
    """A snapshot of this state."""
    fields = {
        "sequence": state.sequence,
        "epoch": 1,
        "timestamp_ns": state.timestamp_ns,
        "state_hash": state_hash(state),
        "config_hash": bytes(32),
        "sections": dump(state),
    }
    return Snapshot(**(fields | changes))


def test_other_events_than_were_released_are_refused():
    """The message names the sequences and the fix."""
    disk, _ = traded_disk()
    group = next(iter(read_groups(disk)))
    with pytest.raises(ReplayDiverged, match=r"sequences 1 to 2: replay gives other events .* start the build"):
        apply_group(State(OrderBook), replace(group, output_crc=group.output_crc ^ 1))


def test_a_gap_between_state_and_journal_is_refused():
    """A group that does not continue the state."""
    disk, _ = traded_disk()
    groups = list(read_groups(disk))
    with pytest.raises(ReplayDiverged, match="the journal goes on at 3, the state ends at 0"):
        apply_group(State(OrderBook), groups[1])


@pytest.mark.parametrize(("section", "content"), [("batch", b"\x90"), ("meta", b"\x90"), ("orders", b"\xc1")])
def test_a_snapshot_of_another_form_is_refused_with_the_fix(section, content):
    """A snapshot that another build wrote stops the start with one line, not with a crash."""
    _, state = traded_disk()
    sections = dump(state) | {section: content}
    with pytest.raises(ReplayDiverged, match=r"has a form this build does not read .* `offbook reset`"):
        state_of_snapshot(snapshot_of(state, sections=sections), OrderBook)


@pytest.mark.parametrize("changes", [{"state_hash": bytes(32)}, {"sequence": 3}])
def test_a_snapshot_that_is_not_what_it_says_is_refused(changes):
    """Its hash and its sequence are compared with the loaded state."""
    _, state = traded_disk()
    with pytest.raises(ReplayDiverged, match="does not give the state hash"):
        state_of_snapshot(snapshot_of(state, **changes), OrderBook)


@pytest.mark.parametrize("book", [OrderBook, ReferenceOrderBook])
def test_replay_gives_the_state_that_wrote_the_journal(book):
    """With either book."""
    disk, state = traded_disk()
    assert state_hash(rebuild(disk, book)) == state_hash(state)


def test_replay_stops_before_a_group_beyond_the_bound():
    """Groups are taken whole or not at all."""
    disk, _ = traded_disk()
    assert rebuild(disk, OrderBook, up_to=1).sequence == 0
    half = rebuild(disk, OrderBook, up_to=10)
    assert 0 < half.sequence <= 10
    seen = []
    replay(disk, half, on_group=seen.append)
    assert seen[0].group.first_sequence <= half.sequence


def test_rebuild_starts_from_the_newest_snapshot_that_is_not_too_new():
    """Both ways end in the same state; `on_group` sees only what lies behind the snapshot."""
    disk, state = traded_disk()
    for up_to in (6, 14):
        write_snapshot(disk, snapshot_of(rebuild(disk, OrderBook, up_to=up_to)))
    firsts = []
    for at_most in (None, 13, 1):
        seen = []
        assert state_hash(rebuild(disk, OrderBook, at_most=at_most, on_group=seen.append)) == state_hash(state)
        firsts.append(seen[0].group.first_sequence)
    assert firsts[0] > firsts[1] > firsts[2] == 1
