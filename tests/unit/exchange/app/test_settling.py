"""Commands about the settling job: the lease, questions and answers, the report, the simulation."""

import json
import os
import subprocess
import sys
import threading
import time

import pytest

from exchange.app import settling
from exchange.app.config import Settings
from exchange.app.failures import Failure
from exchange.app.job_board import JobBoard, ask_job
from exchange.app.layout import DataDirectory
from exchange.app.settle_lease import LeaseHeld, LeaseHolder, SettlerLease, lease_holder
from exchange.cli.main import main
from settlement.onchain.deploy import save_deployment
from settlement.onchain.outbox import Outbox
from tests.faults.settler_child import built
from tests.simulation.fake_chain import FakeChain

HOLD = """
import sys
from pathlib import Path
from exchange.app.layout import DataDirectory
from exchange.app.settle_lease import SettlerLease
with SettlerLease(DataDirectory(Path(sys.argv[1])), "offbook up"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def directory(tmp_path):
    """A prepared data directory with a deployment."""
    made = DataDirectory(tmp_path)
    made.prepare()
    save_deployment(FakeChain().deployment, made.deployment)
    return made


@pytest.fixture
def holder(directory):
    """Another process with the lease."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(directory.root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    process.stdout.readline()
    yield process
    process.kill()
    process.communicate()


def lines_of(call, *arguments, **options):
    """Code, and what was said and complained of."""
    said, complained = [], []
    code = call(*arguments, said.append, complained.append, **options)
    return code, said, complained


def test_a_second_job_is_told_who_settles(directory, holder):
    """One line with process, command and fix; the code says to come back later."""
    with pytest.raises(LeaseHeld, match=f"process {holder.pid} \\(`offbook up`\\)"), SettlerLease(directory, "x"):
        pass
    settings = Settings(data=directory.root)
    code, said, (line,) = lines_of(settling.run_job, settings, is_once=True, timeout_s=1)
    assert (code, said) == (75, [])
    assert f"process {holder.pid}" in line
    assert "--no-settler" in line
    assert lease_holder(directory) == LeaseHolder(holder.pid, "offbook up")


def test_a_killed_job_leaves_its_lease(directory, holder):
    """The kernel lets it go: nobody has to delete a file."""
    holder.kill()
    holder.wait(10)
    assert lease_holder(directory) is None
    with SettlerLease(directory, "offbook settle run"):
        assert lease_holder(directory) == LeaseHolder(os.getpid(), "offbook settle run")
    assert lease_holder(directory) is None


def test_nothing_is_reset_under_a_running_job(directory, holder, capsys):
    """One line with its process; afterwards the directory can go, lease and all."""
    assert main(["reset", "--data", str(directory.root)]) == 1
    assert f"process {holder.pid}" in capsys.readouterr().err
    assert directory.deployment.exists()
    holder.kill()
    holder.wait(10)
    assert main(["reset", "--data", str(directory.root)]) == 0
    assert not directory.settler.exists()


def test_without_a_deployment_a_person_is_needed(tmp_path):
    """The line names the file."""
    code, _, (line,) = lines_of(settling.run_job, Settings(data=tmp_path), is_once=True, timeout_s=1)
    assert code == 78
    assert "deployment.json" in line


def test_nobody_to_ask_is_said(directory):
    """With what to start."""
    code, _, (line,) = lines_of(settling.settle_now, Settings(data=directory.root), timeout_s=1)
    assert code == 78
    assert "offbook settle run" in line


def test_a_job_that_does_not_answer_is_asked_no_longer(directory, holder):
    """The question is taken back: an answer after the end of the command would surprise."""
    code, _, (line,) = lines_of(settling.settle_now, Settings(data=directory.root), timeout_s=0.1)
    assert code == 75
    assert str(holder.pid) in line
    assert not JobBoard(directory).asked()


@pytest.mark.parametrize(("is_post", "code"), [(True, 0), (False, 3)])
def test_the_answer_is_that_of_the_job(directory, holder, is_post, code):
    """Asked once, answered once, with the batch that it goes up to."""
    board = JobBoard(directory)

    def serve():
        while not board.asked():
            time.sleep(0.01)
        board.answer({"is_post": is_post, "reason": "x", "up_to_batch": 7})
        board.say(dict)

    job = threading.Thread(target=serve)
    job.start()
    found, (line,), complained = lines_of(settling.settle_now, Settings(data=directory.root), timeout_s=20)
    job.join()
    assert (found, complained) == (code, [])
    assert ("up to 7" in line) is is_post
    assert not board.asked()


def test_a_job_says_something_once_a_second(directory):
    """And nothing twice between; an unread board is empty."""
    now_s = 100.0
    board = JobBoard(directory, lambda: now_s)
    assert board.read() == {}
    texts = []
    for now_s, state in ((100.0, "a"), (100.9, "b"), (101.0, "c")):  # noqa: B007 - the board's clock
        board.say(lambda state=state: {"state": state})
        texts.append(board.read()["state"])
    assert texts == ["a", "a", "c"]


def test_an_answer_is_told_at_once(directory):
    """Whoever asks does not wait for the next second."""
    board = JobBoard(directory, lambda: 100.0)
    board.say(dict)
    board.leave("abc")
    assert board.asked()
    board.answer({"is_post": True})
    board.say(dict)
    assert board.read()["answer"] == {"token": "abc", "is_post": True}
    assert ask_job(board, 0.05) is None


def store(directory, count, posted):
    """An outbox with `count` batches of which the first `posted` are on chain."""
    outbox = Outbox(directory.settler / "outbox.sqlite")
    for seq in range(1, count + 1):
        outbox.add(built(seq, 1_000), 0)
    for seq in range(1, posted + 1):
        outbox.adopt(seq, tx_hash=b"\1" * 32, block_hash=b"\2" * 32, block_number=1, block_time_s=1_040, gas=60_000)
    outbox.mark_finalized(posted - 1)
    outbox.close()


def test_status_before_any_run_is_one_line(directory):
    """Nothing is made up."""
    with pytest.raises(Failure, match="outbox"):
        settling.settle_status(Settings(data=directory.root))


def test_status_shows_what_is_posted_and_what_waits(directory):
    """Without a job too: numbers of the outbox, ages from the chain's and the batch's own times."""
    store(directory, 5, 3)
    status = settling.settle_status(Settings(data=directory.root), now_s=1_100.0)
    shown = {name: status[name] for name in ("posted_batch", "final_batch", "posted_age_s", "waiting_batches")}
    assert shown == {"posted_batch": 3, "final_batch": 2, "posted_age_s": 60, "waiting_batches": 2}
    assert (status["waiting_age_s"], status["mean_gas"], status["job"]) == (100, 60_000, None)
    text = "\n".join(settling.status_lines(status))
    assert "job      none runs" in text
    assert "2 closed batches" in text
    assert settling.status_code(status) == 75


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"state": "idle", "reason": "dear"}, 0),
        ({"state": "idle", "reason": "nothing"}, 3),
        ({"state": "chain_down", "reason": "dear"}, 75),
        ({"state": "blocked", "reason": "dear"}, 75),
        ({"state": "halted", "reason": "dear"}, 78),
        ({"state": "idle", "reason": "nothing", "is_frozen": True}, 78),
    ],
)
def test_status_tells_why_nothing_is_posted(directory, holder, said, code):
    """The running job's own words, and a code for programs."""
    store(directory, 2, 2)
    row = {"detail": "", "posting": "waits: because", "fee_wei": 2 * 10**9, "cells": 10, "is_frozen": False}
    JobBoard(directory).say(lambda: row | said)
    status = settling.settle_status(Settings(data=directory.root))
    assert settling.status_code(status) == code
    text = "\n".join(settling.status_lines(status))
    assert f"process {holder.pid} (`offbook up`)" in text
    assert "now      waits: because" in text
    assert "2 gwei now" in text
    assert json.loads(json.dumps(status))["post_gwei"] == (57_700 + 1_410) * 2


def test_what_a_dead_job_said_is_not_shown(directory, holder):
    """Its reasons are old: only the outbox speaks."""
    store(directory, 2, 2)
    JobBoard(directory, lambda: time.time() - 60).say(lambda: {"state": "idle"})
    assert settling.settle_status(Settings(data=directory.root))["said"] is None


def test_simulation_says_that_its_trace_is_made_up(capsys):
    """Posts, mean fee and worst age of both ways."""
    assert main(["settle", "simulate", "--seed", "3", "--every", "10"]) == 0
    output = capsys.readouterr().out.splitlines()
    assert output[0].startswith("trace: SYNTHETIC, seed 3")
    assert [line.split()[-1] for line in output[3:]] == ["600", "600"]


def test_simulation_replays_a_file(tmp_path, capsys):
    """A bad one is one line."""
    trace = tmp_path / "fees.csv"
    trace.write_text("time_s,fee_wei,cells\n0,5000000000,1\n60,1000000000,1\n120,5000000000,1\n")
    assert main(["settle", "simulate", "--trace", str(trace), "--every", "1"]) == 0
    assert "fees.csv, 3 rows over 120 s" in capsys.readouterr().out
    trace.write_text("time_s\n0\n")
    assert main(["settle", "simulate", "--trace", str(trace)]) == 1
    assert "row 1 has no fee_wei" in capsys.readouterr().err
