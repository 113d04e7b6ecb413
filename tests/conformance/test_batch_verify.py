"""`offbook batch verify` recomputes a batch from the journal and names what differs from the chain."""

from dataclasses import replace

import msgspec
import pytest

from exchange.app import batch_reports
from exchange.app.verify import recompute_batch
from exchange.cli.main import main
from exchange.domain.commands import BatchCut, Place
from exchange.journal.disk import RealDisk
from matching_core import OrderBook
from settlement.onchain.posted import PostedBatch
from settlement.protocol.encoding import decode_batch, encode_batch
from settlement.protocol.netting import NetDeltas
from tests.fakes.recorded_market import CALL, PERP, traded_market, write_journal

BATCH = 2


@pytest.fixture
def market():
    """Three batches of fills."""
    return traded_market()


def _posted(disk, seq):
    """Return what an honest settler posts for `seq`, and the root before it."""
    batch = recompute_batch(disk, seq, OrderBook).batch
    posted = PostedBatch(
        seq=seq, header=batch.header, h=batch.h, data=batch.data, new_root=batch.new_root,
        orders_root=batch.orders_root, tx_hash=bytes(32), gas_used=1, block_number=1,
    )  # fmt: skip
    return posted, batch.previous_root


def _with_deltas(posted, *, cash=None, positions=None):
    """Return `posted` with other deltas, in the one encoding they have."""
    data = decode_batch(posted.data, 0)
    deltas = NetDeltas({**data.deltas.cash_e6, **(cash or {})}, {**data.deltas.positions_lots, **(positions or {})})
    return replace(posted, data=encode_batch(deltas, data.approved_e6))


@pytest.fixture
def verify(tmp_path, monkeypatch, capsys):
    """Return a function that verifies BATCH of the journal in `tmp_path` against a posted batch."""

    def run(posted, previous_root, seq=BATCH):
        monkeypatch.setattr(batch_reports, "load_deployment", lambda _: object())
        monkeypatch.setattr(batch_reports, "_read_posted", lambda *_: (posted, previous_root))
        code = main(["batch", "verify", str(seq), "--data", str(tmp_path)])
        return code, capsys.readouterr().out.splitlines()

    return run


def _journal(tmp_path, steps):
    (tmp_path / "exchange").mkdir()
    disk = RealDisk(tmp_path / "exchange")
    write_journal(disk, steps)
    return disk


def test_altered_fill_in_the_journal_names_cells(tmp_path, market, verify):
    """A journal whose fill has other lots than the posted batch: the two accounts and the instrument."""
    original = tmp_path / "original"
    original.mkdir()
    posted, previous_root = _posted(_journal(original, market.steps), BATCH)
    last = max(
        place for place, (command, _) in enumerate(market.steps)
        if isinstance(command, Place) and command.instrument == CALL
    )  # fmt: skip
    command, at_ns = market.steps[last]
    altered = [*market.steps]
    altered[last] = (msgspec.structs.replace(command, quantity_lots=1), at_ns)
    _journal(tmp_path, altered)
    code, lines = verify(posted, previous_root)
    assert code == 1
    assert f"  differs: account 3 instrument {CALL} (BTC-{CALL}) position_lots: expected 1, found 2" in lines
    assert f"  differs: account 4 instrument {CALL} (BTC-{CALL}) position_lots: expected -1, found -2" in lines
    assert not any(str(PERP) in line for line in lines)


def test_altered_delta_on_chain_names_the_cell(tmp_path, market, verify):
    """One position in the calldata moved by a lot."""
    posted, previous_root = _posted(_journal(tmp_path, market.steps), BATCH)
    code, lines = verify(_with_deltas(posted, positions={(2, PERP): 8}), previous_root)
    assert code == 1
    assert [line for line in lines if "differs: " in line] == [
        f"  differs: account 2 instrument {PERP} (BTC-PERP) position_lots: expected 7, found 8"
    ]


def test_altered_cash_on_chain_names_the_account(tmp_path, market, verify):
    """One cash delta in the calldata lacks 1e-6 USDC."""
    posted, previous_root = _posted(_journal(tmp_path, market.steps), BATCH)
    cash_e6 = decode_batch(posted.data, 0).deltas.cash_e6[3]
    code, lines = verify(_with_deltas(posted, cash={3: cash_e6 - 1}), previous_root)
    assert code == 1
    assert f"  differs: account 3 cash_e6: expected {cash_e6}, found {cash_e6 - 1}" in lines


@pytest.mark.parametrize("name", ["new_root", "orders_root"])
def test_altered_root_on_chain_is_named(tmp_path, market, verify, name):
    """Another root in the calldata."""
    posted, previous_root = _posted(_journal(tmp_path, market.steps), BATCH)
    code, lines = verify(replace(posted, **{name: bytes(32)}), previous_root)
    assert code == 1
    expected = getattr(posted, name).hex()
    assert [line for line in lines if "differs: " in line] == [
        f"  differs: {name}: expected {expected}, found {'00' * 32}"
    ]


def test_altered_previous_root_is_named(tmp_path, market, verify):
    """The batch before it ended in another state."""
    posted, _ = _posted(_journal(tmp_path, market.steps), BATCH)
    code, lines = verify(posted, bytes(32))
    assert code == 1
    assert any("previous_root" in line for line in lines)


def test_batch_beyond_the_journal_is_one_line(tmp_path, market, capsys, monkeypatch):
    """The line says what there is."""
    posted, previous_root = _posted(_journal(tmp_path, market.steps), BATCH)
    monkeypatch.setattr(batch_reports, "load_deployment", lambda _: object())
    monkeypatch.setattr(batch_reports, "_read_posted", lambda *_: (posted, previous_root))
    assert main(["batch", "verify", "9", "--data", str(tmp_path)]) == 1
    assert capsys.readouterr().err == "offbook: the journal holds no batch 9; the newest complete one is 3\n"


def test_honest_batch_is_confirmed(tmp_path, market, verify):
    """Exit code 0 and the root."""
    posted, previous_root = _posted(_journal(tmp_path, market.steps), BATCH)
    code, lines = verify(posted, previous_root)
    assert code == 0
    assert lines[0].startswith("batch 2: 3 fills -> 5 legs")
    assert lines[-1] == f"batch 2: root recomputed = root on chain 0x{posted.new_root.hex()}"


def test_empty_batch_is_confirmed(tmp_path, market, verify):
    """One that the settler posts when nothing happens."""
    last_ns = market.steps[-1][1]
    empty = [(BatchCut(allows_empty=True), last_ns + 5 * 10**9)]
    posted, previous_root = _posted(_journal(tmp_path, [*market.steps, *empty]), 4)
    code, lines = verify(posted, previous_root, seq=4)
    assert code == 0
    assert lines[0].startswith("batch 4: 0 fills -> 0 legs")
    assert posted.data == bytes(3)
