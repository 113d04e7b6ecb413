"""Calls that the poster carries for others, and what it does when the contract voids its batches."""

import pytest

from settlement.onchain.contract import BatchHeader, encode_finalize
from settlement.onchain.errands import Errand, NoErrands
from settlement.onchain.outbox import BatchState, Outbox, Purpose
from settlement.onchain.poster import Poster
from tests.unit.settlement.onchain.test_poster import BATCHES, KEY, ROUNDS, Rig, built


class Asking:
    """Always wants the same call; hears of refusals."""

    def __init__(self, calldata):
        self.errand = Errand(Purpose.ANSWER, 1, calldata, b"question")
        self.asked = 0
        self.refusals = []
        self.held = set()

    def next(self, head):
        self.asked += 1
        return self.errand

    def refused(self, errand, reason):
        self.refusals.append((errand.subject, reason))

    def holds(self, seq):
        return seq in self.held


class AskingRig(Rig):
    """The poster of the other tests with errands."""

    def __init__(self, path, errands):
        self.errands = errands
        super().__init__(path)

    def restart(self):
        self.outbox = Outbox(self.path)

        def clock():
            return self.chain.now_s

        deployment = self.chain.deployment
        self.poster = Poster(self.chain, deployment, self.outbox, KEY, self.settings, clock, errands=self.errands)


def test_a_refused_errand_holds_nothing_up(tmp_path):
    """The asker hears why; batches go on."""
    wrong = encode_finalize(9, _zero_header())
    rig = AskingRig(tmp_path / "outbox.sqlite", Asking(wrong))
    rig.add()
    assert rig.run().state == "idle"
    rig.check()
    assert rig.errands.refusals[0][0] == b"question"
    assert "answer of batch 1 would revert" in rig.errands.refusals[0][1]


def _zero_header():
    return BatchHeader(
        previous_batch_hash=bytes(32),
        previous_root=bytes(32),
        new_root=bytes(32),
        orders_root=bytes(32),
        data_hash=bytes(32),
        h=0,
        block_time_s=0,
        block_number=0,
        collateral_e6=0,
    )


def test_a_flood_of_errands_holds_up_no_batch(tmp_path):
    """Every second flight is a batch's."""
    rig = AskingRig(tmp_path / "outbox.sqlite", Asking(b"\xaa\xbb\xcc\xdd"))
    rig.add()
    rig.run(steps=80)
    rig.check()
    nonces = rig.chain.nonce(rig.poster.address)
    flights = 2 * BATCHES + ROUNDS
    assert flights < nonces <= 2 * flights + 2


def test_a_batch_in_question_is_not_finalized(tmp_path):
    """The contract would refuse; the poster does not ask."""
    errands = Asking(b"\xaa\xbb\xcc\xdd")
    errands.held = {2}
    rig = AskingRig(tmp_path / "outbox.sqlite", errands)
    rig.add()
    rig.run(steps=30)
    assert rig.chain.finalized_seq == 1
    errands.held = set()
    rig.run(steps=60)
    rig.check()


def test_nobody_asks_for_nothing():
    """The default errands."""
    errands = NoErrands()
    assert errands.next(None) is None
    assert not errands.holds(1)
    with pytest.raises(AssertionError, match="ANSWER of nobody was refused: why"):
        errands.refused(Errand(Purpose.ANSWER, 1, b"", b""), "why")


def test_voided_batches_of_one_who_still_may_post_are_posted_again(tmp_path):
    """The revert hit an operator before; the same bytes go out under new nonces."""
    rig = Rig(tmp_path / "outbox.sqlite")
    rig.add()
    rig.run(steps=4)
    assert rig.chain.posted() == [built(seq).data_hash for seq in range(1, BATCHES + 1)]
    rig.chain.revert_batches(2, rig.poster.address)
    rig.restart()
    rig.run()
    assert rig.chain.posted() == [built(seq).data_hash for seq in range(1, BATCHES + 1)]
    assert rig.chain.finalized_seq == BATCHES
    assert {row.state for row in rig.outbox.batches()} == {BatchState.FINAL}


def test_a_slashed_poster_halts_with_one_line(tmp_path):
    """Batch, transaction, bond, and who posts now; a restart says the same."""
    rig = Rig(tmp_path / "outbox.sqlite")
    rig.add()
    rig.run(steps=4)
    rig.chain.revert_batches(2, b"\x0b" * 20)
    for _ in range(2):
        status = rig.poster.step()
        assert status.state == "halted"
        assert status.detail.startswith("batch 2 was reverted on chain (transaction 0x")
        assert f"0x{'0b' * 20} posts now" in status.detail
        assert "\n" not in status.detail
        rig.restart()
