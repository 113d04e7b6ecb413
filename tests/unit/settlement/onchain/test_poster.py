"""The poster on a chain in memory: every loss, crash and reorganization ends with each batch on chain once."""

import sqlite3

import pytest

from settlement.onchain.errors import OutboxMismatch
from settlement.onchain.outbox import BatchState, BuiltBatch, Outbox
from settlement.onchain.poster import Poster, PosterSettings
from settlement.onchain.wallet import bumped_fees
from settlement.protocol.keccak import keccak256
from tests.simulation.fake_chain import FakeChain

KEY = keccak256(b"operator key of the poster tests")
BATCHES = 3
ROUNDS = 1


class Crash(BaseException):
    """The process dies here."""


def built(seq, data=b"data"):
    """Batch `seq` of a chain of roots; from the second on they begin with rounds, two with each."""
    round_ = seq // 2
    return BuiltBatch(
        seq=seq,
        first_sequence=seq * 10,
        last_sequence=seq * 10 + 9,
        h=round_ << 144 | 1 << 104 | 1 << 64 | seq,
        data=data + bytes([seq]),
        previous_root=keccak256(b"root%d" % (seq - 1)) if seq > 1 else bytes(32),
        new_root=keccak256(b"root%d" % seq),
        orders_root=keccak256(b"orders%d" % seq),
        collateral_e6=0,
        stats={"fills": seq},
        vector=b"values of round %d" % round_ if round_ else b"",
    )


class Rig:
    """A chain that outlives the processes that post to it."""

    def __init__(self, path, **chain_options):
        self.path = path
        self.chain = FakeChain(**chain_options)
        self.settings = PosterSettings(safe_confirmations=2, final_confirmations=3, replace_after_s=20)
        self.restart()

    def restart(self):
        """Open the outbox again and make a new poster, as after a crash."""
        self.outbox = Outbox(self.path)
        deployment, clock = self.chain.deployment, lambda: self.chain.now_s
        self.poster = Poster(self.chain, deployment, self.outbox, KEY, self.settings, clock)

    def add(self, count=BATCHES):
        """The batcher builds the same batches after every start."""
        for seq in range(1, count + 1):
            self.outbox.add(built(seq), 0)

    def run(self, steps=40):
        """Step and mine until everything is final."""
        status = self.poster.step()
        for _ in range(steps):
            self.chain.mine()
            status = self.poster.step()
            if status.finalized_seq == (self.outbox.last_seq() or 0):
                break
        return status

    def check(self, count=BATCHES):
        """Each batch is on chain once and final."""
        assert self.chain.posted() == [built(seq).data_hash for seq in range(1, count + 1)]
        assert self.chain.post_count() == count
        assert self.chain.finalized_seq == count
        assert {row.state for row in self.outbox.batches()} == {BatchState.FINAL}
        assert all(row.finalized for row in self.outbox.batches())


@pytest.fixture
def rig(tmp_path):
    """Chain, outbox file and a poster."""
    return Rig(tmp_path / "outbox.sqlite")


def test_a_rebuilt_batch_that_differs_is_refused(rig):
    """The payload is a pure function of the journal, so a difference stops the settler."""
    rig.outbox.add(built(1), 0)
    assert rig.outbox.add(built(1), 5) is False
    with pytest.raises(OutboxMismatch, match="data hash"):
        rig.outbox.add(built(1, b"other"), 0)
    with pytest.raises(OutboxMismatch, match="does not follow"):
        rig.outbox.add(built(3), 0)


def test_a_foreign_spend_of_our_nonce_halts(rig):
    """A nonce used by another program is never answered with a second nonce for the same batch."""
    rig.add(1)
    rig.chain.automine = False
    rig.poster.step()
    rig.chain.drop_mempool()
    rig.chain.spend_nonce(rig.poster.address)
    status = rig.run(8)
    assert status.state == "halted"
    assert "used by another program" in status.detail
    assert rig.chain.posted() == []


def test_a_chain_that_lost_batches_is_not_idle(rig):
    """Batches that were final are missing: no later one can be posted, and the status says so."""
    rig.add()
    rig.run()
    rig.chain = FakeChain()
    rig.restart()
    rig.outbox.add(built(BATCHES + 1), 0)
    status = rig.poster.step()
    assert status.state == "blocked"
    assert "head is 0" in status.detail
    assert rig.chain.post_count() == 0


def test_an_outbox_that_lost_batches_is_not_idle(rig):
    """A batch that does not follow the contract's head waits for those before it, and the status says so."""
    rig.outbox.add(built(2), 0)
    status = rig.poster.step()
    assert status.state == "blocked"
    assert "batch 1" in status.detail


def test_a_foreign_batch_at_our_seq_stops_the_settler(rig, tmp_path):
    """A batch on chain that is not ours is never overwritten or skipped."""
    other = Rig(tmp_path / "other.sqlite")
    other.chain = rig.chain
    other.restart()
    other.outbox.add(built(1, b"foreign"), 0)
    other.poster.step()
    rig.add(1)
    with pytest.raises(OutboxMismatch, match="another settler"):
        rig.run()


def test_refuses_a_round_with_other_values(rig):
    """A batch applied with other values than those on chain could be proven wrong: it is never posted."""
    rig.chain.publish(b"other values")
    rig.add()
    with pytest.raises(OutboxMismatch, match="round 1 on chain has other values than batch 2"):
        rig.run()
    assert len(rig.chain.posted()) == 1


def test_takes_a_round_that_is_there_already(rig):
    """After a restore from a copy the round may be on chain before the batch is."""
    rig.chain.publish(b"values of round 1")
    rig.add()
    assert rig.run().state == "idle"
    assert len(rig.chain.posted()) == BATCHES


def test_posts_and_finalizes(rig):
    """The plain path."""
    rig.add()
    status = rig.run()
    assert status.state == "idle"
    rig.check()
    assert rig.outbox.batch(2).gas_used == 100_000


def test_chain_down_keeps_batches_waiting(rig):
    """Nothing is lost and the status says so."""
    rig.add()
    rig.chain.down_calls = 4
    states = [rig.poster.step() for _ in range(4)]
    assert {status.state for status in states} == {"chain_down"}
    assert states[0].waiting_batches == BATCHES
    rig.run()
    rig.check()


@pytest.mark.parametrize("lost", [1, 2, 5])
def test_lost_replies(rig, lost):
    """A reply lost after acceptance leads to the same bytes, not to a second transaction."""
    rig.add()
    rig.chain.lost_replies = lost
    rig.run()
    rig.check()


def test_a_stuck_transaction_is_replaced_by_one_with_both_fees_raised(rig):
    """At most one live transaction per nonce, 12.5 % more on both fees."""
    rig.chain.automine = False
    rig.add(1)
    rig.poster.step()
    before = rig.chain.pending[0]
    parked, rig.chain._mempool = rig.chain._mempool, {}
    for _ in range(12):
        rig.chain.mine()
    rig.chain._mempool = parked
    rig.poster.step()
    after = rig.chain.pending[0]
    assert (after.max_fee, after.priority_fee) == bumped_fees(before.max_fee, before.priority_fee)
    assert len(rig.chain.pending) == 1
    rig.run()
    rig.check(1)


def test_the_fee_cap_blocks_and_takes_no_new_nonce(rig):
    """At the cap the poster waits with an alert."""
    rig.settings = PosterSettings(replace_after_s=5, max_fee_cap_wei=2 * 10**9 + 10**6)
    rig.restart()
    rig.chain.automine = False
    rig.add(1)
    rig.poster.step()
    parked, rig.chain._mempool = rig.chain._mempool, {}
    for _ in range(5):
        rig.chain.mine()
    status = rig.poster.step()
    assert (status.state, rig.outbox.last_nonce()) == ("blocked", 0)
    rig.chain._mempool = parked
    rig.run()
    assert rig.chain.post_count() == 1


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("depth", [1, 2, 3, 5])
@pytest.mark.parametrize("after_steps", [1, 2, 3, 4, 6, 9])
def test_reorganization(rig, after_steps, depth, keep):
    """Blocks vanish at any moment; transactions are sent again as the same bytes."""
    rig.settings = PosterSettings(safe_confirmations=4, final_confirmations=7)
    rig.restart()
    rig.add()
    for _ in range(after_steps):
        rig.poster.step()
        rig.chain.mine()
    rig.chain.reorg(depth, keep=keep)
    rig.run(120)
    rig.check()


def crash_at(rig, monkeypatch, point, *, before):
    """Let the process die around its `point`-th durable write."""
    count = 0
    write = Outbox.write

    def dying(self, *statements):
        nonlocal count
        count += 1
        if count == point and before:
            raise Crash
        write(self, *statements)
        if count == point:
            raise Crash

    monkeypatch.setattr(Outbox, "write", dying)
    try:
        rig.add()
        rig.run()
    except Crash:
        pass
    monkeypatch.setattr(Outbox, "write", write)


@pytest.mark.parametrize("lost", [0, 1])
@pytest.mark.parametrize("depth", range(6))
@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("point", range(1, 20))
def test_death_at_every_write(rig, monkeypatch, point, before, lost, depth):
    """Kill before or after each durable write, with and without a lost reply, with 0 to 5 blocks gone while down."""
    rig.settings = PosterSettings(safe_confirmations=2, final_confirmations=6)
    rig.restart()
    rig.chain.lost_replies = lost
    crash_at(rig, monkeypatch, point, before=before)
    if depth:
        rig.chain.reorg(depth)
    rig.restart()
    rig.add()
    rig.run(120)
    rig.check()


@pytest.mark.parametrize("send", [1, 2, 3, 4])
@pytest.mark.parametrize("accepted", [False, True])
def test_death_while_sending(rig, send, accepted):
    """Kill inside the send, before or after the node took the transaction."""
    count = 0

    def dying():
        nonlocal count
        count += 1
        if count == send and not accepted:
            raise Crash

    rig.chain.on_send = dying
    rig.chain.lost_replies = 1 if accepted else 0
    rig.add()
    try:
        rig.run()
    except Crash:
        rig.restart()
        rig.add()
    rig.run()
    rig.check()


def test_an_empty_outbox_adopts_what_is_on_chain(rig, tmp_path):
    """An outbox that lost its flights takes its batches from the chain and continues."""
    rig.add(2)
    rig.run()
    rig.path = tmp_path / "restored.sqlite"
    rig.restart()
    rig.add()
    rig.run()
    rig.check()


def test_prune_bounds_the_file(rig):
    """Old payloads and flights go, summaries stay."""
    rig.add(14)
    rig.run(200)
    rig.outbox.prune(keep_payloads=2, keep_rows=12)
    rows = rig.outbox.batches()
    assert [row.seq for row in rows] == list(range(14, 2, -1))
    assert [row.seq for row in rows if row.data is not None] == [14, 13]
    assert rows[-1].stats == {"fills": 3}
    flights = sqlite3.connect(rig.path).execute("SELECT count(*) FROM flights").fetchone()[0]
    assert flights <= 3 * 8  # round, post, finalize


def spent_elsewhere(rig):
    """The poster's first nonce is used by another program; returns the poster's state then."""
    rig.add(1)
    rig.chain.automine = False
    rig.poster.step()
    rig.chain.drop_mempool()
    rig.chain.spend_nonce(rig.poster.address)
    return rig.run(8)


def test_a_restart_after_a_foreign_spend_goes_on_once_it_is_final(rig):
    """The person was told, the other transaction stays: the batch leaves under the next nonce."""
    assert spent_elsewhere(rig).state == "halted"
    rig.restart()
    rig.run()
    rig.check(1)
    assert rig.outbox.last_nonce() > 0


def test_a_restart_waits_for_the_finality_of_a_foreign_spend(rig):
    """Until then our own bytes could still be mined."""
    rig.settings = PosterSettings(safe_confirmations=20, final_confirmations=40)
    rig.restart()
    assert spent_elsewhere(rig).state == "halted"
    rig.restart()
    assert rig.run(10).state == "waiting"
    assert rig.outbox.last_nonce() == 0


def test_a_receipt_that_the_node_lacks_halts_nobody(rig):
    """The nonce is used by our own transaction, which the node knows: it has no receipt yet."""
    rig.add(1)
    rig.chain.hidden_receipts = 30
    states = {rig.poster.step().state for _ in range(12)}
    assert "halted" not in states
    rig.chain.hidden_receipts = 0
    rig.run()
    rig.check(1)
