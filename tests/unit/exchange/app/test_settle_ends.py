"""When a settling job ends: the table of its exit codes."""

from dataclasses import replace

import pytest

from exchange.app.settle_ends import SURE_STEPS, Look, Once, SettleCode, UntilFrozen, UntilStopped
from exchange.bridge.chain_side import ChainStep
from exchange.bridge.posting_policy import Reason, Verdict
from settlement.onchain.poster import PosterStatus
from settlement.onchain.requests import ChainRequestRecord
from settlement.protocol.transition import RequestKind

NOTHING = Verdict(is_post=False, reason=Reason.NOTHING)
POSTED = Verdict(is_post=True, reason=Reason.ASKED)
DEPOSIT = ChainRequestRecord(
    index=1, kind=RequestKind.DEPOSIT, account=2, amount_e6=5, owner=bytes(20), block_number=1, tx_hash=bytes(32)
)


def step(state="idle", detail="", head=4, waiting=0, moved=False, lasts=False, **more):
    """What one look at the chain found."""
    status = PosterStatus(
        state=state,
        detail=detail,
        waiting_batches=waiting,
        head_seq=head,
        finalized_seq=0,
        moved=moved,
        needs_person=lasts,
    )
    found = {"confirmed": (), "rows": (), "final_sequence": 0, "last_sequence": 0, "posted_before": 4, **more}
    return ChainStep(status=status, **found)


@pytest.mark.parametrize(
    ("seen", "job", "child"),
    [
        (step(), None, None),
        (step("chain_down"), None, None),
        (step("blocked", "fees"), None, None),
        (step("halted", "slashed"), "slashed", None),
        (step("halted", "frozen", is_frozen=True, is_drained=False), None, None),
        (step(is_frozen=True, is_drained=False), None, None),
        (step("chain_down", is_frozen=True), None, None),
        (step("halted", "x", is_frozen=True), "batch 4 is final", "batch 4 is final"),
        (step(is_frozen=True), "batch 4 is final", "batch 4 is final"),
    ],
)
def test_a_job_ends_where_it_would_stand_still_for_ever(seen, job, child):
    """A frozen contract is left when all that was posted is final; the exchange's own settler shows other halts."""
    for ends, line in ((UntilStopped(), job), (UntilFrozen(), child)):
        end = ends(Look(step=seen))
        assert (end is None) is (line is None)
        if end is not None:
            assert end.code == SettleCode.NEEDS_PERSON == 78
            assert line in end.line


@pytest.mark.parametrize(
    ("looks", "code", "line"),
    [
        ([Look(step=step(), answer=NOTHING)], 3, "batch 4 is on chain"),
        ([Look(step=step(waiting=1), answer=POSTED), Look(step=step(head=5), answer=POSTED)], 0, "batches 5 to 5"),
        ([Look(step=step(), answer=POSTED, is_behind=True), Look(step=step(head=6), answer=POSTED)], 0, "5 to 6"),
        ([Look(step=step(head=5), answer=POSTED)], 0, "batches 5 to 5"),
        ([Look(step=step("blocked", "fee cap"), answer=POSTED)], 75, "fee cap"),
        ([Look(step=step("blocked", "no ether", lasts=True))] * SURE_STEPS, 78, "no ether"),
        ([Look(step=step("chain_down", "away"))] * 3, 75, "away"),
        ([Look(step=step("halted", "slashed"))], 78, "slashed"),
        ([Look(step=step("halted", "x", is_frozen=True))], 78, "frozen"),
        ([Look(step=step(), answer=NOTHING, has_exchange=False, has_open=True)], 75, "exchange does not run"),
        ([Look(step=replace(step(), confirmed=(DEPOSIT,)), answer=NOTHING, has_exchange=False)], 75, "does not run"),
        ([Look(step=step(), answer=NOTHING, has_exchange=False)], 3, "nothing to post"),
    ],
    ids=[
        "nothing",
        "posted",
        "folded later",
        "signed by an earlier turn and mined before the first look",
        "blocked",
        "for good",
        "down",
        "slashed",
        "frozen",
        "open",
        "deposit",
        "alone",
    ],
)
def test_one_turn_says_what_came_of_it(looks, code, line):
    """Code and line of the last look; those before it go on."""
    once = Once()
    *before, last = looks
    assert [once(look) for look in before] == [None] * len(before)
    end = once(last)
    assert (end.code, line in end.line) == (code, True)


@pytest.mark.parametrize(
    "look",
    [
        Look(step=step()),
        Look(step=step("chain_down"), answer=NOTHING),
        Look(step=step(waiting=2), answer=POSTED),
        Look(step=step(is_frozen=True, moved=True), answer=NOTHING),
    ],
    ids=["not decided", "one silence", "not on chain", "frozen but at work"],
)
def test_one_turn_goes_on(look):
    """Nothing is said before it is known."""
    assert Once()(look) is None


def test_silence_counts_in_a_row():
    """A chain that comes back between two silences is no trouble."""
    once = Once()
    rows = [step("chain_down"), step("chain_down"), step(), step("chain_down"), step("chain_down")]
    assert [once(Look(step=row)) for row in rows] == [None] * 5


def test_what_blocks_for_good_counts_in_a_row():
    """A node that was behind for a moment calls nobody."""
    once = Once()
    blocked = step("blocked", "refused", lasts=True)
    rows = [*[blocked] * (SURE_STEPS - 1), step(waiting=1), *[blocked] * (SURE_STEPS - 1)]
    assert [once(Look(step=row, answer=POSTED)) for row in rows] == [None] * len(rows)
    assert once(Look(step=blocked, answer=POSTED)).code == SettleCode.NEEDS_PERSON
