"""The whole exchange in real processes: what users meet when ports, processes, disk and chain fail.

The tests share one data directory and follow each other: run the file as a whole.
"""

import json
import os
import signal
import socket

import pytest

from exchange.app.batch_reports import list_batches
from exchange.app.chaos_host import ExchangeUnderTest, free_port
from tests.faults.running_exchange import NAMES, await_true, journal_end, offbook, processes_of, trade

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def exchange(tmp_path_factory):
    """Start one exchange for the module; tests stop it and start it again."""
    under_test = ExchangeUnderTest(tmp_path_factory.mktemp("offbook"), free_port(), 3)
    under_test.start()
    yield under_test
    under_test.stop()


def _one_line(text):
    lines = text.strip().splitlines()
    assert len(lines) == 1, text
    return lines[0]


def _all_final(exchange):
    fills = exchange.metrics().get("offbook_fills_total")
    rows = list_batches(exchange.settings, 10_000)
    return fills is not None and fills == sum(row["fills"] for row in rows if row["state"] == "FINALIZED")


def test_core_that_is_not_compiled_is_named(tmp_path):
    """One line with the command that compiles it, and nothing is written."""
    prelude = "import matching_core; matching_core.COMPILED = False"
    code, _, errors = offbook("up", "--data", tmp_path / "data", "--port", free_port(), prelude=prelude)
    assert code == 1
    assert "make build" in _one_line(errors)
    assert not (tmp_path / "data").exists()


def test_port_in_use_is_named(tmp_path):
    """One line with port and fix."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, _, errors = offbook("up", "--data", tmp_path / "data", "--port", port)
    assert code == 1
    line = _one_line(errors)
    assert str(port) in line
    assert "--port" in line


def test_second_up_on_a_directory_is_refused(exchange):
    """One line names the process that holds it; the first exchange goes on."""
    code, _, errors = offbook("up", "--data", exchange.settings.data, "--port", free_port())
    assert code == 1
    line = _one_line(errors)
    assert "runs on this data directory" in line
    assert "--data" in line
    assert exchange.ready()["ready"]


def test_reset_of_a_running_exchange_is_refused(exchange):
    """Nothing is deleted under its feet."""
    code, _, errors = offbook("reset", "--data", exchange.settings.data)
    assert code == 1
    assert "runs on this data directory" in _one_line(errors)


def test_status_names_every_process(exchange):
    """Ids of living processes, and readiness."""
    code, output, _ = offbook("status", "--data", exchange.settings.data)
    assert code == 0
    assert all(exchange.pid(name) is not None and str(exchange.pid(name)) in output for name in NAMES)


def test_status_follows_a_restart(exchange):
    """After a crash, status names the new process."""
    old = exchange.kill("pricer")
    await_true(lambda: exchange.pid("pricer") not in (None, old), 10, "the restart")


def test_chain_that_hangs_degrades_and_drains(exchange):
    """Trading goes on, /ready and batches say why they wait; afterwards everything becomes final."""
    chain = exchange.pid("chain")
    os.kill(chain, signal.SIGSTOP)
    try:
        trade(exchange, fills=3)
        await_true(lambda: exchange.ready()["degraded"], 30, "a degraded /ready")
        assert exchange.ready()["ready"]
        assert "batches wait" in exchange.ready()["reason"]
        await_true(lambda: exchange.metrics().get("offbook_batch_waiting", 0) > 0, 30, "a waiting batch")
        trade(exchange)
    finally:
        os.kill(chain, signal.SIGCONT)
    await_true(lambda: _all_final(exchange), 60, "the settlement of every fill")
    await_true(lambda: not exchange.ready()["degraded"], 30, "a healthy /ready")


def test_chain_that_is_killed_comes_back_with_its_blocks(exchange):
    """The embedded chain continues from disk and batches go on."""
    before = list_batches(exchange.settings, 1)[0]["seq"]
    old = exchange.kill("chain")
    trade(exchange)
    await_true(lambda: exchange.pid("chain") not in (None, old), 20, "the chain's restart")
    await_true(lambda: _all_final(exchange), 60, "the settlement of every fill")
    assert list_batches(exchange.settings, 1)[0]["seq"] > before


def test_watcher_that_is_killed_comes_back_and_checks_on(exchange):
    """It takes up its history, and finds what was posted meanwhile in order."""
    old = exchange.kill("watcher")
    trade(exchange)
    await_true(lambda: _all_final(exchange), 60, "the settlement of every fill")
    await_true(lambda: exchange.pid("watcher") not in (None, old), 20, "the watcher's restart")
    newest = list_batches(exchange.settings, 1)[0]["seq"]
    report = exchange.directory.watcher / "report.json"

    def verdict():
        return json.loads(report.read_bytes())

    await_true(lambda: verdict()["checked"] >= newest, 60, "the check of the newest batch")
    assert verdict()["trouble"] == ""


def test_interrupt_leaves_nothing(exchange):
    """Ctrl-C: exit code 0, no process, no lock, no socket."""
    assert exchange.stop() == 0
    assert processes_of(exchange.settings.data) == []
    assert not (exchange.settings.data / "lock").exists()
    assert not exchange.directory.socket.exists()
    assert offbook("status", "--data", exchange.settings.data)[1] == "not running\n"
    assert offbook("down", "--data", exchange.settings.data)[:2] == (0, "nothing runs here\n")


def test_second_run_continues_and_a_killed_supervisor_leaves_no_child(exchange):
    """Positions, blocks and batches are those of before; SIGKILL of the supervisor ends all its children."""
    seqs = [row["seq"] for row in list_batches(exchange.settings, 10_000)]
    deployment = exchange.directory.deployment.read_bytes()
    exchange.start()
    assert trade(exchange) == 7
    assert exchange.directory.deployment.read_bytes() == deployment
    await_true(lambda: _all_final(exchange), 60, "the settlement of every fill")
    assert max(row["seq"] for row in list_batches(exchange.settings, 10_000)) > max(seqs)
    supervisor = int((exchange.settings.data / "lock").read_text())
    os.kill(supervisor, signal.SIGKILL)
    exchange.stop()
    await_true(lambda: not processes_of(exchange.settings.data), 10, "the end of all children")
    assert offbook("down", "--data", exchange.settings.data)[:2] == (0, "nothing runs here\n")


def test_torn_tail_is_cut_and_reported(exchange):
    """Bytes of a write that nobody was told about are cut; the report names file and offset; trading continues."""
    path, offset = journal_end(exchange.settings.data)
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\xab" * 300)
    exchange.start()
    report = (exchange.directory.logs / "exchange.log").read_text()
    line = next(line for line in report.splitlines() if line.startswith("journal: "))
    assert path.name in line
    assert str(offset) in line
    assert trade(exchange) == 8
    code, output, _ = offbook("down", "--data", exchange.settings.data)
    assert (code, output) == (0, "stopped\n")
    # The lock goes last but one: the supervisor itself still has to leave.
    await_true(lambda: not processes_of(exchange.settings.data), 10, "the end of the supervisor")


def test_flipped_bit_stops_the_start(exchange):
    """Exit code 1 and one line with file, offset and fix; nothing is left running and the journal is untouched."""
    path, end = journal_end(exchange.settings.data)
    exchange.stop()
    for snapshot in (exchange.settings.data / "exchange" / "snapshots").iterdir():
        snapshot.unlink()
    data = bytearray(path.read_bytes())
    data[end // 2] ^= 4
    path.write_bytes(data)
    settings = exchange.settings
    code, _, errors = offbook("up", "--data", settings.data, "--port", settings.port, "--seed", settings.seed)
    assert code == 1
    line = _one_line(errors)
    assert path.name in line
    assert "offset" in line
    assert "offbook journal repair" in line
    assert processes_of(settings.data) == []
    assert path.read_bytes() == data


def test_reset_clears(exchange):
    """Only files of others stay."""
    code, output, _ = offbook("reset", "--data", exchange.settings.data)
    assert code == 0
    assert "cleared" in output
    assert [path.name for path in exchange.settings.data.iterdir()] == ["up.log"]


def test_kill9_keeps_every_promise():
    """Two kills under load: nothing lost, nothing twice."""
    code, output, errors = offbook("chaos", "kill9", "--n", 2, "--seed", 1, timeout_s=220)
    assert code == 0, output + errors
    assert output.strip().splitlines()[-1].endswith("lost 0, duplicated 0")
