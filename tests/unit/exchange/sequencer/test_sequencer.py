"""exchange.sequencer.sequencer: order, time, admission, release, and what stops it."""

import errno

import pytest

from exchange.bus.interface import Busy
from exchange.domain.commands import BatchCut, Cancel, CancelMany, Clock, SessionClose, SessionOpen, Side
from exchange.domain.events import OrderClosed
from exchange.domain.limits import MAX_GROUP_COMMANDS, MAX_TIMERS_PER_CLOCK
from exchange.domain.packing import unpack_commands
from exchange.domain.safeguards import CancelAllAfter, RevokeKey
from exchange.domain.views import GetSummary, SimulateAccount, Unanswered
from exchange.engine.apply import apply_outputs
from exchange.sequencer.sequencer import SequencerFailed
from tests.unit.exchange.engine.world import SECOND_NS, owner
from tests.unit.exchange.sequencer.hosting import Host

LOGIN = SessionOpen(owner=owner(2), signer=owner(2))


def commands_of(group):
    """The commands that a staged group holds."""
    return list(unpack_commands(group.records, group.attachments))


@pytest.mark.parametrize("name", ["busy", "cancel_only"])
def test_new_work_is_shed_while_the_disk_lags(name):
    """Busy before admission: nothing is queued, the counter says so."""
    host = Host()
    setattr(host.journal, name, True)
    with pytest.raises(Busy):
        host.sequencer.submit(LOGIN)
    with pytest.raises(Busy):
        host.sequencer.submit_together([LOGIN, LOGIN])
    assert host.sequencer.backlog == 0
    assert host.sequencer.stats.shed == 2


@pytest.mark.parametrize(
    "command",
    [
        Cancel(subaccount=2, order=1),
        CancelMany(subaccount=2),
        SessionClose(session=1),
        RevokeKey(owner=owner(2), key=owner(3)),
        CancelAllAfter(subaccount=2, timeout_ms=1_000),
    ],
)
def test_cancels_are_taken_when_nothing_else_is(command):
    """Up to twice the inbox, and while the journal is busy; beyond that they are shed too."""
    host = Host(inbox_limit=2)
    host.sequencer.submit(LOGIN)
    host.sequencer.submit(LOGIN)
    with pytest.raises(Busy):
        host.sequencer.submit(LOGIN)
    with pytest.raises(Busy):
        host.sequencer.ask(GetSummary(), lambda _: None)
    host.journal.busy = True
    host.sequencer.submit(command)
    host.sequencer.submit(command)
    with pytest.raises(Busy):
        host.sequencer.submit(command)


def test_more_together_than_a_group_holds_is_refused():
    """A ValueError, and nothing is queued."""
    host = Host()
    with pytest.raises(ValueError, match="commands together"):
        host.sequencer.submit_together([LOGIN] * MAX_GROUP_COMMANDS)
    assert host.sequencer.backlog == 0


def test_a_command_without_a_record_is_the_callers_error():
    """A number out of its field raises at submit; the sequencer goes on."""
    host = Host.with_market()
    with pytest.raises(Exception, match=r"out of range|format requires"):
        host.sequencer.submit(host.world.order(2, Side.BUY, 600_000, 1, nonce=-1))
    host.sequencer.submit(LOGIN)
    host.sequencer.tick()
    assert host.sequencer.failure is None


def test_nothing_is_drained_while_the_journal_is_busy():
    """What is staged stays bounded; the next commit wakes the sequencer again."""
    host = Host()
    host.sequencer.submit(LOGIN)
    host.sequencer.tick()
    host.sequencer.submit(LOGIN)
    host.journal.busy = True
    host.sequencer.tick()
    assert len(host.journal.groups) == 1
    wakes = host.wakes
    host.journal.busy = False
    host.commit()
    assert host.wakes == wakes + 1
    host.sequencer.tick()
    assert len(host.journal.groups) == 2


def test_commands_get_sequences_in_order_of_arrival_and_one_time():
    """One tick: a Clock that enters the second, then the inbox, all with the tick's time."""
    host = Host()
    for command in (LOGIN, BatchCut(), CancelMany(subaccount=9)):
        host.sequencer.submit(command)
    host.sequencer.tick()
    (group,) = host.journal.groups
    assert commands_of(group) == [Clock(), LOGIN, BatchCut(), CancelMany(subaccount=9)]
    assert (group.first_sequence, group.command_count, group.timestamp_ns) == (1, 4, host.now_ns)


def test_time_never_falls():
    """A clock that steps back stands still in the journal."""
    host = Host()
    host.sequencer.submit(LOGIN)
    host.sequencer.tick()
    host.now_ns -= 5 * SECOND_NS
    host.sequencer.submit(LOGIN)
    host.sequencer.tick()
    assert host.journal.groups[1].timestamp_ns == host.journal.groups[0].timestamp_ns


def test_nothing_leaves_before_its_commit():
    """Replies wait for their group, then come in order, and listeners hear of all of it once, afterwards."""
    host = Host()
    host.sequencer.submit(LOGIN, host.reply("a"))
    host.sequencer.tick()
    host.sequencer.submit(LOGIN, host.reply("b"))
    host.sequencer.tick()
    assert host.heard == []
    assert host.log.ranges == []
    host.commit()
    assert host.heard == [("a", 2), ("b", 3), [1, 2, 3]]
    assert host.log.ranges == [(1, 2), (3, 3)]


def test_a_commit_releases_whole_groups_only():
    """What lies behind the committed sequence stays."""
    host = Host()
    for name in "ab":
        host.sequencer.submit(LOGIN, host.reply(name))
        host.sequencer.tick()
    host.sequencer.committed(host.journal.groups[0].last_sequence)
    assert host.heard == [("a", 2), [1, 2]]
    assert host.sequencer.stats.committed_sequence == 2


def test_commands_together_are_consecutive_in_one_group():
    """They do not share a tick that has no room for all of them."""
    host = Host(inbox_limit=4_096)
    for _ in range(MAX_GROUP_COMMANDS - 3):
        host.sequencer.submit(BatchCut())
    host.sequencer.submit_together([LOGIN] * 4, lambda outputs: host.heard.append([o.sequence for o in outputs]))
    host.sequencer.tick()
    host.sequencer.tick()
    first, second = host.journal.groups
    assert commands_of(second) == [LOGIN] * 4
    host.commit()
    assert host.heard[0] == [first.last_sequence + 1 + place for place in range(4)]


def test_a_question_is_held_with_what_it_shows():
    """Its answer waits for the commands before it; alone it is answered at once."""
    host = Host()
    host.sequencer.ask(GetSummary(), lambda answer: host.heard.append(answer.sequence))
    host.sequencer.tick()
    assert host.heard == [0]
    host.sequencer.submit(LOGIN)
    host.sequencer.tick()
    host.sequencer.ask(GetSummary(), lambda answer: host.heard.append(answer.sequence))
    host.sequencer.tick()
    assert host.heard == [0]
    host.commit()
    assert host.heard == [0, 2, [1, 2]]


def test_a_deadline_alone_makes_a_clock():
    """A resting order's end is due although nobody submits anything."""
    host = Host.with_market()
    host.sequencer.submit(host.world.order(2, Side.BUY, 500_000, 1, expiry_s=host.now_ns // SECOND_NS + 20))
    host.sequencer.tick()
    assert not host.sequencer.clock_due()
    host.now_ns += 21 * SECOND_NS
    assert host.sequencer.clock_due()
    host.sequencer.tick()
    assert commands_of(host.journal.groups[-1]) == [Clock()]
    assert host.sequencer.state.open_orders == {}


def test_all_due_timers_fire_before_newer_commands():
    """More than one Clock's worth: an order that ended meets nobody any more."""
    host = Host.with_market(inbox_limit=4_096)
    count = MAX_TIMERS_PER_CLOCK + 5
    expiry_s = host.now_ns // SECOND_NS + 20
    for number in range(count):
        nonce = host.now_ns + number
        host.sequencer.submit(host.world.order(2, Side.BUY, 600_000, 1, nonce=nonce, expiry_s=expiry_s))
    host.sequencer.tick()
    host.now_ns += 25 * SECOND_NS
    host.sequencer.submit(host.world.order(3, Side.SELL, 600_000, 1, nonce=host.now_ns))
    host.sequencer.tick()
    assert commands_of(host.journal.groups[-1])[:2] == [Clock(), Clock()]
    assert host.sequencer.state.trade_count == 0
    host.sequencer.listen(lambda outputs: host.heard.extend(e for o in outputs for e in o.events))
    host.commit()
    assert sum(isinstance(event, OrderClosed) for event in host.heard) == count


def test_outputs_show_the_orders_they_touched():
    """As they stood right after their command, not later."""
    host = Host.with_market()
    seen = []
    host.sequencer.submit(host.world.order(2, Side.BUY, 600_000, 5), seen.append)
    host.sequencer.submit(host.world.order(3, Side.SELL, 600_000, 2), seen.append)
    host.sequencer.tick()
    host.commit()
    (number,) = seen[0].orders
    assert seen[0].orders[number].filled_lots == 0
    assert seen[1].orders[number].filled_lots == 2


def test_a_failing_callback_takes_no_other_reply_with_it():
    """Its error surfaces when all others were called; the sequencer goes on."""
    host = Host()

    def broken(_):
        raise KeyError("a bug of the caller")

    host.sequencer.submit(LOGIN, broken)
    host.sequencer.submit(LOGIN, host.reply("b"))
    host.sequencer.tick()
    with pytest.raises(KeyError):
        host.commit()
    assert host.heard == [("b", 3), [1, 2, 3]]
    assert host.sequencer.failure is None


def test_an_error_of_the_journal_stops_everything():
    """Memory is ahead of the disk: nothing is taken, sequenced, answered or released any more."""
    host = Host()
    host.sequencer.submit(LOGIN, host.reply("a"))
    host.journal.on_stage = lambda: (_ for _ in ()).throw(RuntimeError("no"))
    with pytest.raises(RuntimeError):
        host.sequencer.tick()
    for attempt in (host.sequencer.tick, lambda: host.sequencer.committed(9)):
        with pytest.raises(SequencerFailed):
            attempt()
    with pytest.raises(Busy):
        host.sequencer.submit(CancelMany(subaccount=2))
    with pytest.raises(Busy):
        host.sequencer.ask(GetSummary(), lambda _: None)
    assert isinstance(host.sequencer.failure, RuntimeError)
    assert host.sequencer.clock_due()
    assert host.heard == []


def test_a_full_disk_under_the_event_log_delays_only_the_log():
    """Replies go out, the blobs follow in order when there is room again."""
    host = Host()
    host.log.refuse = [OSError(errno.ENOSPC, "full")] * 3
    for _ in range(2):
        host.sequencer.submit(LOGIN, host.reply("a"))
        host.sequencer.tick()
        host.commit()
    assert (host.heard[0], host.log.ranges, host.sequencer.stats.unlogged_groups) == (("a", 2), [], 2)
    host.sequencer.tick()
    assert (host.log.ranges, host.sequencer.stats.unlogged_groups) == ([(1, 2), (3, 3)], 0)


def test_a_broken_event_log_is_final():
    """Any other error of it stops the sequencer."""
    host = Host()
    host.log.refuse = [OSError(errno.EIO, "broken")]
    host.sequencer.submit(LOGIN)
    host.sequencer.tick()
    with pytest.raises(OSError, match="broken"):
        host.commit()
    assert host.sequencer.failure is not None


def test_a_tick_crosses_to_the_engine_once(monkeypatch):
    """All commands between two questions are one call; each question sees those before it, each reply its own."""
    host = Host.with_market()
    host.sequencer.tick()
    sizes, heard = [], []

    def counted(state, commands, packed, timestamp_ns):
        sizes.append([type(command).__name__ for command in commands])
        return apply_outputs(state, commands, packed, timestamp_ns)

    monkeypatch.setattr("exchange.sequencer.sequencer.apply_outputs", counted)
    first = host.sequencer.state.sequence
    for _ in range(3):
        host.sequencer.submit(LOGIN, lambda output: heard.append(output.sequence))
    host.sequencer.ask(GetSummary(), lambda answer: heard.append(answer.sequence))
    host.sequencer.submit_together([LOGIN, BatchCut()], lambda outputs: heard.extend(one.sequence for one in outputs))
    host.sequencer.tick()
    host.sequencer.committed(host.sequencer.state.sequence)
    assert [names for names in sizes if names != ["Clock"]] == [["SessionOpen"] * 3, ["SessionOpen", "BatchCut"]]
    clocks = len(sizes) - 2
    assert heard == [first + clocks + at for at in (1, 2, 3, 3, 4, 5)]


def test_a_question_that_cannot_be_answered_stops_nobody(caplog):
    """It is logged and told as unanswered; before, one question ended the sequencer for everybody."""
    host = Host.with_market()
    unpriced = SimulateAccount(subaccount=2, changes=((77, 1, 0),))
    host.sequencer.ask(unpriced, host.heard.append)
    host.sequencer.tick()
    host.commit()
    assert Unanswered() in host.heard
    assert "no answer to SimulateAccount" in caplog.text
    host.sequencer.submit(LOGIN)
    host.sequencer.tick()
    assert commands_of(host.journal.groups[-1])[-1:] == [LOGIN]
