"""The fuzz run itself: cases repeat, damage keeps its shape, short cases are shortest, a stopped run goes on."""

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from random import Random

import pytest

import matching_core
from matching_core.fills import COMMAND, COMMAND_BYTES, CoreCommand
from tests.differential.command_streams import KINDS
from tests.fuzz import campaign
from tests.fuzz.attempts import attempt, shortened
from tests.fuzz.commands import commands_of, describe
from tests.fuzz.duties import run_case
from tests.fuzz.findings import Finding, find_again, lines_of, load, save, steps_of
from tests.fuzz.minimizer import minimize, shrink
from tests.fuzz.mutations import MUTATIONS
from tests.fuzz.run_state import RunState
from tests.fuzz.steps import Step, steps_from_json, steps_to_json
from tests.sanitizers.build import ROOT

NEW = COMMAND.pack(CoreCommand.NEW, 0, 0, 7, 20, 5, 1, 0)
CANCEL = COMMAND.pack(CoreCommand.CANCEL, 0, 0, 0, 0, 0, 1, 1)
RUN = (sys.executable, "-m", "tests.fuzz", "--build", "shipped", "--jobs", "1", "--seed", "5")


@pytest.fixture
def defective(monkeypatch):
    """Put a book that acknowledges stale cancels in the place of the compiled one, for one test."""
    from tests.fuzz.defective_books import DEFECTS  # noqa: PLC0415 - it subclasses the compiled book

    monkeypatch.setattr(matching_core, "OrderBook", DEFECTS["stale-cancel"])


def test_a_difference_is_found_made_short_and_replayed(defective, tmp_path):
    """A case over a defective book differs; the orders up to the canceled slot and the cancel are left of hundreds."""
    assert run_case(1, 0)["divergence"].startswith("submit ")
    finding = find_again(1, 0, "stale-cancel")
    kinds = [step.arguments["commands"][0] for step in finding.steps]
    assert (kinds[-1], kinds.count(CoreCommand.CANCEL)) == (CoreCommand.CANCEL, 1)
    assert len(kinds) < 40
    assert load(save(finding, tmp_path)) == finding


def test_books_that_agree_are_no_finding():
    """The same case over the true book has nothing to make short."""
    result = run_case(1, 0)
    assert result["divergence"] == ""
    assert result["commands"] > 100
    assert find_again(1, 0, None) is None


def test_a_case_is_the_same_each_time():
    """Seed and number decide every step; another number gives other steps."""
    assert steps_of(3, 1) == steps_of(3, 1)
    assert steps_of(3, 1) != steps_of(3, 2)


def test_cases_draw_valid_damaged_and_arbitrary_input():
    """Ten cases hold every sort of input."""
    drawn = Counter()
    for number in range(10):
        drawn.update(run_case(4, number)["drawn"])
    calls = {"set_cell", "set_guard", "set_weights", "reset_guard", "listing", "fillable", "restart"}
    assert {*KINDS, "damaged", "arbitrary bytes", "broken length", *calls} <= set(drawn)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=[mutation.__name__ for mutation in MUTATIONS])
@pytest.mark.parametrize("records", [1, 2, 5])
def test_damage_keeps_whole_records(mutation, records):
    """Each mutation changes a command of any length, nearly always, into whole records."""
    command = NEW + bytes(range(32)) * (records - 1)
    damaged = [mutation(Random(seed), command) for seed in range(50)]
    assert {len(one) % COMMAND_BYTES for one in damaged} == {0}
    assert sum(one != command for one in damaged) > 35


@pytest.mark.parametrize("seed", range(20))
def test_cutting_a_batch_loses_no_byte(seed):
    """Commands of any bytes joined again are the batch."""
    batch = Random(seed).randbytes(Random(seed).randrange(400))
    assert b"".join(commands_of(batch)) == batch


@pytest.mark.parametrize(
    ("command", "line"),
    [
        (b"\x01\x02", "2 bytes 0102"),
        (NEW, "NEW side 0 flags 0x0 instrument 7 5@20 owner 1 cell 0"),
        (CANCEL, "CANCEL side 0 flags 0x0 instrument 0 0@0 handle 0x100000001"),
    ],
    ids=["part", "new", "cancel"],
)
def test_a_command_is_described_in_a_line(command, line):
    """Reports show fields, not bytes."""
    assert describe(command) == line


def test_calls_are_described_with_their_arguments():
    """A setter stands in the report as its name and numbers."""
    assert lines_of([Step("set_cell", {"cell": 1, "position_lots": 5})]) == ["set_cell cell 1 position_lots 5"]


def test_shrinking_leaves_the_culprits_alone():
    """Two items far apart that fail together are all that is left of a hundred."""
    assert shrink(list(range(100)), lambda items: 3 in items and 71 in items) == [3, 71]


def test_shrinking_may_leave_nothing():
    """A check that fails always is shown by the empty list."""
    assert shrink([1, 2, 3], lambda _: True) == []


def test_commands_inside_a_batch_go_where_the_batch_must_stay_one():
    """A failure of two commands in one batch keeps the batch and drops the third."""
    steps = [Step("set_cell", {"cell": 1, "position_lots": 5}), Step("submit", {"commands": NEW + CANCEL + NEW})]

    def fails(tried):
        batches = [step.arguments["commands"] for step in tried if step.call == "submit"]
        return any(0 <= batch.find(NEW) < batch.find(CANCEL) for batch in batches)

    (left,) = minimize(steps, fails, seconds=30)
    assert left.arguments["commands"] == NEW + CANCEL


def test_minimizing_stops_when_its_time_is_up():
    """Without time the steps stay as they were."""
    steps = [Step("submit", {"commands": NEW}), Step("submit", {"commands": CANCEL})]
    assert minimize(steps, lambda _: True, seconds=0) == steps


@pytest.mark.parametrize(
    ("work", "words"),
    [
        (lambda: "", ""),
        (lambda: "record 3 differs", "record 3 differs"),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "process died: SIGKILL"),
        (lambda: os._exit(23), "process died: exit 23"),
        (lambda: 1 // 0, "process died: exit 1"),
    ],
    ids=["agrees", "differs", "killed", "exits", "raises"],
)
def test_an_attempt_says_how_it_ended(work, words):
    """Words of the work itself, or the way its process died."""
    assert attempt(work).words == words


def test_a_report_keeps_its_summary_and_the_innermost_frames():
    """Outer frames and the shadow bytes tell nothing."""
    frames = "".join(f"    #{depth} in f{depth}\n" for depth in range(30))
    short = shortened(f"ERROR: overflow\n{frames}SUMMARY: overflow\nShadow bytes\n")
    assert short.splitlines() == [
        "ERROR: overflow",
        *(f"    #{depth} in f{depth}" for depth in range(8)),
        "SUMMARY: overflow",
    ]


def test_steps_survive_the_file():
    """Calls, numbers and bytes come back as they went."""
    steps = [Step("set_cell", {"cell": 1, "position_lots": -(2**61)}), Step("submit", {"commands": NEW, "now_ns": 3})]
    assert steps_from_json(steps_to_json(steps)) == steps


def test_a_finding_names_its_case(tmp_path):
    """The file is named after seed and case."""
    finding = Finding(7, 12, None, {"order_capacity": 5}, [], "words", "report")
    assert save(finding, tmp_path).name == "divergence-7-12.json"


def test_a_state_goes_on_only_with_the_same_books(tmp_path):
    """Counts of other code start at nothing; those of the same code are kept."""
    path = tmp_path / "state.json"
    state = RunState(1, "books")
    state.add({"commands": 40, "drawn": {"NEW": 40}, "codes": {"OK": 12}})
    state.save(path)
    assert RunState.load(path, seed=1, core="books") == state
    assert RunState.load(path, seed=1, core="others") == RunState(1, "others")
    assert RunState.load(path, seed=2, core="books") == RunState(2, "books")


def test_a_stopped_run_goes_on_where_it_stood(tmp_path):
    """Ctrl-C ends a run with its counts on disk; the same command starts at the next case and adds to them."""
    command = [*RUN, "--minutes", "20", "--folder", str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert re.match(r"fuzz: seed 5 starts", process.stdout.readline())
        while " 0 commands" in (line := process.stdout.readline()):
            assert line
        process.send_signal(signal.SIGINT)
        text = process.stdout.read()
    assert process.returncode == 130
    assert "0 divergences\nstopped; the same command goes on from here\n" in text
    (path,) = tmp_path.glob("state-*.json")
    state = RunState.load(path, seed=5, core=re.search(r'"core": "(\w+)"', path.read_text())[1])
    assert state.next_case > 0
    assert 0 < state.seconds_left < 1_200
    state.seconds_left = 0.5
    state.save(path)
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert f"goes on at case {state.next_case:,} after {state.commands:,} commands" in again.stdout


@pytest.fixture
def worker_of(monkeypatch):
    """Make a worker of a process that runs `code` and says when it does."""
    monkeypatch.setattr(campaign, "SILENCE_SECONDS", 0.2)
    started = []

    def make(code):
        line = f"print(0, flush=True)\n{code}"
        process = subprocess.Popen(
            [sys.executable, "-c", line], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        worker = campaign.Worker.__new__(campaign.Worker)
        worker.process = process
        started.append(worker)
        process.stdout.readline()
        worker._note_time()
        return worker

    yield make
    for worker in started:
        worker.end()


def test_a_worker_that_uses_its_time_in_silence_hangs(worker_of):
    """It turns round and round: two tenths of a second of its own time are enough here."""
    worker = worker_of("while True: pass")
    deadline_s = time.monotonic() + 30
    while not worker.hangs():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def test_a_worker_that_gets_no_time_does_not_hang(worker_of):
    """Stopped by the system for longer than the limit: a machine that is busy elsewhere makes no finding."""
    worker = worker_of("while True: pass")
    worker.process.send_signal(signal.SIGSTOP)
    worker._note_time()
    time.sleep(0.5)
    assert not worker.hangs()


def test_a_case_that_takes_too_long_to_shorten_is_reported_as_it_is(monkeypatch, tmp_path):
    """The run goes on with the case's number; before, it ended with a traceback."""
    monkeypatch.setattr(campaign, "MINIMIZE_SECONDS_MAX", 0.01)
    monkeypatch.setattr(campaign, "sanitized_environment", lambda: dict(os.environ))
    state = RunState(seed=1, core="")
    run = campaign.Campaign(state, folder=tmp_path, jobs=1, build="shipped", canary=None, divergences_max=1)
    assert run._minimize(7).startswith("case 7 of seed 1, not made short within")
