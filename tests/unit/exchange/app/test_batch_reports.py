"""A stored batch in the words of users."""

import pytest

from exchange.app.batch_reports import BatchPruned, _read_posted, batch_numbers, list_batches, show_batch
from exchange.app.config import Settings
from exchange.app.failures import Failure
from exchange.cli import batches
from settlement.onchain.outbox import BatchRow, BatchState, Outbox
from settlement.protocol.keccak import keccak256
from tests.unit.settlement.onchain.pruned_exchange import PrunedExchange


def _row(**fields):
    values = {
        "seq": 3, "first_sequence": 10, "last_sequence": 20, "data_hash": bytes(32), "h": 0, "data": b"", "vector": b"",
        "previous_root": bytes(32), "new_root": b"\x01" * 32, "orders_root": bytes(32), "collateral_e6": 0,
        "stats": {"fills": 40, "legs": 8, "requests": 0}, "state": BatchState.INCLUDED, "built_ms": 0, "sent_ms": None,
        "included_ms": None, "final_ms": None, "tx_hash": b"\x02" * 32, "block_hash": None, "block_number": 5,
        "block_time_s": 77, "gas_used": 100_000, "finalized": False,
    }  # fmt: skip
    return BatchRow(**values | fields)


def test_batches_of_a_directory_without_settler_are_refused(tmp_path):
    """The line names the file and what makes it."""
    with pytest.raises(Failure, match="offbook up"):
        list_batches(Settings(data=tmp_path), 5)


def test_unknown_batch_is_refused(tmp_path):
    """The line names the verb that lists."""
    (tmp_path / "settler").mkdir()
    Outbox(tmp_path / "settler" / "outbox.sqlite").close()
    assert list_batches(Settings(data=tmp_path), 5) == []
    with pytest.raises(Failure, match=r"no batch 4.*batch list"):
        show_batch(Settings(data=tmp_path), 4)


def test_numbers_of_a_posted_batch():
    """Ratio, gas per fill and what netting saved."""
    numbers = batch_numbers(_row())
    assert (numbers["ratio"], numbers["gas_per_fill"]) == ("5.00", "2500.0")
    assert numbers["gas_saved"] == 40 * 67_800 - 100_000
    assert (numbers["state"], numbers["tx_hash"]) == ("INCLUDED", "0x" + "02" * 32)


@pytest.mark.parametrize(
    ("fields", "name", "value"),
    [
        ({"finalized": True}, "state", "FINALIZED"),
        ({"gas_used": None}, "gas_per_fill", None),
        ({"gas_used": None}, "gas_saved", None),
        ({"tx_hash": None}, "tx_hash", None),
        ({"stats": {"fills": 0, "legs": 0}}, "ratio", None),
        ({"stats": {"fills": 0, "legs": 0}}, "gas_per_fill", None),
        ({"stats": {}}, "requests", 0),
    ],
)
def test_numbers_that_are_not_known_are_none(fields, name, value):
    """Nothing is made up before it is on chain."""
    assert batch_numbers(_row(**fields))[name] == value


@pytest.fixture
def pruned(tmp_path):
    """A chain of few blocks with a deployment."""
    exchange = PrunedExchange(tmp_path)
    yield exchange
    exchange.close()


def test_a_pruned_batch_names_what_can_be_verified(pruned):
    """One line: how many blocks are kept and which batches they hold; the first of them lacks its predecessor."""
    blocks = [pruned.post(seq) for seq in range(1, 5)]
    pruned.mine_until_pruned(blocks[1])
    for seq in (5, 6):
        pruned.post(seq)
    posted = range(1, 7)
    first = min(seq for seq in posted if seq > 4 or blocks[seq - 1] >= pruned.local.horizon)
    kept = pruned.local.head_number + 1 - pruned.local.horizon
    line = f"keeps its last {kept} blocks, with which batches {first + 1} to 6 can be"
    for seq in range(1, first + 1):
        with pytest.raises(BatchPruned, match=f"batch {seq} cannot be verified: the embedded chain {line}"):
            _read_posted(pruned.chain, pruned.deployment, seq)
    found, previous_root = _read_posted(pruned.chain, pruned.deployment, first + 1)
    assert (found.seq, previous_root) == (first + 1, keccak256(b"root%d" % first))


def test_a_chain_that_kept_no_batch_says_so(pruned):
    """Nothing can be verified any more."""
    pruned.mine_until_pruned(pruned.post(1))
    with pytest.raises(BatchPruned, match="no longer keeps the block of any batch"):
        _read_posted(pruned.chain, pruned.deployment, 1)


def test_verifying_all_counts_what_was_pruned(monkeypatch, capsys):
    """The rest is verified; only pruned ones is a failure, as nothing was checked."""

    def verify(_settings, seq):
        if seq < 3:
            raise BatchPruned(f"batch {seq}")
        return 0

    monkeypatch.setattr(batches, "_verify_one", verify)
    assert batches._verify_kept(Settings(), [1, 2, 3, 4]) == 0
    assert capsys.readouterr().out == "2 older batches were not checked: the chain dropped their blocks\n"
    assert batches._verify_kept(Settings(), [1, 2]) == 1
    assert batches._verify_kept(Settings(), []) == 0
