"""A nonce below ours that nobody holds any more is filled; a receipt of a block that is gone is none."""

import sqlite3

import pytest

from settlement.onchain.nonce_holes import hole_before
from settlement.onchain.outbox import BatchState, Purpose
from settlement.onchain.poster import PosterSettings
from tests.unit.settlement.onchain.test_poster import Rig, built

FINAL_LATE = PosterSettings(safe_confirmations=2, final_confirmations=8, replace_after_s=20)


@pytest.fixture
def rig(tmp_path):
    """Batch 1 is on chain under nonce 0, and another program used nonce 1 while nothing of ours waited."""
    rig = Rig(tmp_path / "outbox.sqlite")
    rig.add(1)
    rig.poster.step()
    rig.poster.step()
    rig.chain.spend_nonce(rig.poster.address)
    rig.chain.automine = False
    rig.outbox.add(built(2), 0)
    return rig


def posted_behind_a_hole(rig):
    """Sign everything that batch 2 needs, then let the other program's block vanish."""
    for _ in range(3):
        rig.poster.step()
    rig.chain.reorg(1)
    waiting = [one for one in rig.outbox.open_flights() if one.state < BatchState.INCLUDED]
    assert waiting[0].nonce == 2
    return waiting[0]


def test_no_hole_where_the_chain_waits_for_ours(rig):
    """The nonce of the flight itself, or of one of ours before it, is no hole."""
    rig.poster.step()
    flight = rig.outbox.open_flights()[-1]
    assert flight.nonce == 2
    assert hole_before(flight, rig.chain, rig.outbox, rig.poster.address) is None


def test_a_hole_is_the_nonce_that_no_flight_has(rig):
    """The other program's transaction is gone for good."""
    flight = posted_behind_a_hole(rig)
    assert hole_before(flight, rig.chain, rig.outbox, rig.poster.address) == 1


def test_a_hole_is_filled_and_everything_behind_it_is_mined(rig):
    """With a transaction of nothing to ourselves, sent when replacements of ours would be due."""
    posted_behind_a_hole(rig)
    rig.run()
    rig.check(2)
    filled = sqlite3.connect(rig.path).execute("SELECT nonce FROM flights WHERE purpose = ?", (Purpose.FILL,))
    assert filled.fetchall() == [(1,)]


def test_the_other_transaction_that_returns_before_the_filler_halts_nothing(rig):
    """The filler is refused then; its flight ends once the nonce is final, and no person is asked."""
    posted_behind_a_hole(rig)
    rig.chain.on_send = lambda: back_again(rig)
    states = {rig.poster.step().state for _ in range(30) if rig.chain.mine() is None}
    assert "halted" not in states
    rig.run()
    rig.check(2)
    assert rig.outbox.open_flights() == []


def back_again(rig):
    """The other program sends again just before our filler arrives."""
    if rig.chain.nonce(rig.poster.address) == 1:
        rig.chain.on_send = lambda: None
        rig.chain.spend_nonce(rig.poster.address)


def test_a_receipt_of_a_block_that_is_gone_makes_nothing_final(tmp_path):
    """The node still shows it while the transaction stands in another block."""
    rig = Rig(tmp_path / "outbox.sqlite")
    rig.settings = FINAL_LATE
    rig.restart()
    rig.add(1)
    rig.poster.step()
    rig.poster.step()
    seen = rig.outbox.open_flights()[0]
    orphan = rig.chain.receipt(seen.tx_hash)
    rig.chain.mine()
    rig.chain.reorg(2, keep=True)
    honest, rig.chain.receipt = (
        rig.chain.receipt,
        lambda tx_hash: orphan if tx_hash == seen.tx_hash else honest(tx_hash),
    )
    for _ in range(12):
        rig.chain.mine()
        rig.poster.step()
    assert rig.outbox.batch(1).state < BatchState.INCLUDED
    rig.chain.receipt = honest
    rig.run()
    rig.check(1)
