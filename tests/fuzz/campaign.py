"""The fuzz run: workers under the sanitizers, a line of progress each second, findings made short and kept."""

import json
import os
import selectors
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.fuzz.attempts import shortened
from tests.fuzz.run_state import RunState
from tests.sanitizers.build import ROOT, sanitized_environment

__all__ = ["Campaign"]

SILENCE_SECONDS = 120
"""Of the worker's own processor time: a case takes about one second, so who is silent for so long hangs: a finding."""
SILENCE_SECONDS_OF_THE_CLOCK = 1_800
"""A worker that waits for ever uses no time of its own."""
MINIMIZE_SECONDS_MAX = 300
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Worker:
    """One process that runs cases; `case` is the number it works on."""

    def __init__(self, arguments: list[str], environment: dict[str, str], log: Path) -> None:
        self.log = log
        with log.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.fuzz.worker", *arguments],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                bufsize=1,
                # Ctrl-C is for the run, which ends its workers itself.
                start_new_session=True,
            )
        self.case = -1
        self._heard_s, self._heard_busy_s = time.monotonic(), 0.0
        if self.process.stdout is None or self.process.stdout.readline() != "ready\n":
            self.process.wait()
            raise RuntimeError(f"a worker did not start:\n{log.read_text()}")

    def give(self, case: int) -> None:
        """Hand over the next case; the answer is one line."""
        self.case = case
        self._note_time()
        try:
            self.process.stdin.write(f"{case}\n")
        except BrokenPipeError:
            return  # It died; its empty answer says so.

    def hear(self) -> dict[str, Any] | None:
        """Return the result that is there to read, None when the worker died instead."""
        line = self.process.stdout.readline()
        self._note_time()
        return json.loads(line) if line.endswith("\n") else None

    def hangs(self) -> bool:
        """Whether it is silent for longer than any case takes; a machine that gives it no time is not its fault."""
        is_busy = busy_seconds(self.process.pid) - self._heard_busy_s > SILENCE_SECONDS
        return is_busy or time.monotonic() - self._heard_s > SILENCE_SECONDS_OF_THE_CLOCK

    def end(self) -> None:
        """Kill the process and collect it."""
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def _note_time(self) -> None:
        self._heard_s, self._heard_busy_s = time.monotonic(), busy_seconds(self.process.pid)


def busy_seconds(pid: int) -> float:
    """Processor time that a process has used, 0 when it is gone."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(words[11]) + int(words[12])) / _TICKS_PER_S


class Campaign:
    """Runs cases of `state` until its time is up, a stop, or `divergences_max` findings."""

    def __init__(
        self, state: RunState, *, folder: Path, jobs: int, build: str, canary: str | None, divergences_max: int
    ) -> None:
        self.state = state
        self._folder = folder
        self._jobs = jobs
        self._divergences_max = divergences_max
        self._arguments = ["--seed", str(state.seed), "--build", build, "--folder", str(folder)]
        self._arguments += ["--canary", canary] if canary else []
        self._environment = sanitized_environment() if build == "sanitized" else dict(os.environ)
        self._workers: list[Worker] = []
        self._given = state.next_case
        self._done: set[int] = set()
        self._printed_s = self._printed_commands = 0.0

    def run(self, seconds: float, state_file: Path | None) -> bool:
        """Run for `seconds`; True when stopped by Ctrl-C. The state is saved each second and at the end."""
        started_s = time.monotonic()
        before_s = self.state.seconds
        stopped = False
        try:
            self._start_workers()
            while time.monotonic() - started_s < seconds and len(self.state.divergences) < self._divergences_max:
                self._listen()
                self.state.seconds = before_s + time.monotonic() - started_s
                self.state.seconds_left = max(0.0, seconds - (time.monotonic() - started_s))
                self._tick(state_file)
        except KeyboardInterrupt:
            stopped = True
        finally:
            for worker in self._workers:
                worker.end()
        if not stopped:
            self.state.seconds_left = 0.0
        if state_file:
            self.state.save(state_file)
        return stopped

    def _start_workers(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        for index in range(self._jobs):
            self._workers.append(self._start(index))
            self._give(self._workers[-1])

    def _start(self, index: int) -> Worker:
        return Worker(self._arguments, self._environment, self._folder / f"worker-{index}.log")

    def _give(self, worker: Worker) -> None:
        worker.give(self._given)
        self._given += 1

    def _listen(self) -> None:
        """Wait at most a quarter of a second for answers and deal with them."""
        with selectors.DefaultSelector() as selector:
            for index, worker in enumerate(self._workers):
                selector.register(worker.process.stdout, selectors.EVENT_READ, index)
            for key, _ in selector.select(0.25):
                self._deal_with(key.data, self._workers[key.data].hear())
        for index, worker in enumerate(self._workers):
            if worker.hangs():
                self._deal_with(index, None)

    def _deal_with(self, index: int, result: dict[str, Any] | None) -> None:
        worker = self._workers[index]
        if result is not None:
            self.state.add(result)
        if result is None or result["divergence"]:
            words = result["divergence"] if result else "the worker died or hung"
            sys.stdout.write(f"case {worker.case}: {words}\n")
            self.state.divergences.append(self._minimize(worker.case))
        if result is None:
            worker.end()
            sys.stdout.write(shortened(worker.log.read_text()))
            self._workers[index] = self._start(index)
        self._done.add(worker.case)
        while self.state.next_case in self._done:
            self._done.remove(self.state.next_case)
            self.state.next_case += 1
        self._give(self._workers[index])

    def _minimize(self, case: int) -> str:
        """Let a fresh worker make the case short; returns the file it wrote, or the case when it did not."""
        sys.stdout.write(f"case {case}: making it short\n")
        sys.stdout.flush()
        command = [sys.executable, "-m", "tests.fuzz.worker", *self._arguments, "--minimize", str(case)]
        try:
            ended = subprocess.run(
                command,
                cwd=ROOT,
                env=self._environment,
                capture_output=True,
                text=True,
                timeout=MINIMIZE_SECONDS_MAX,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"case {case} of seed {self.state.seed}, not made short within {MINIMIZE_SECONDS_MAX} s"
        if ended.returncode:
            sys.stdout.write(ended.stderr[-2000:])
            return f"case {case} of seed {self.state.seed}, which did not fail a second time"
        return ended.stdout.strip()

    def _tick(self, state_file: Path | None) -> None:
        """Once a second: a line of progress, and the state on disk."""
        state = self.state
        if state.seconds - self._printed_s < 1:
            return
        rate = (state.commands - self._printed_commands) / (state.seconds - self._printed_s)
        drawn = state.drawn.total() or 1
        kinds = " ".join(f"{name} {100 * count / drawn:.1f}%" for name, count in state.drawn.most_common())
        sys.stdout.write(
            f"{state.seconds:7.0f} s  {state.commands:,} commands  {rate:,.0f}/s  "
            f"{len(state.divergences)} divergences  {len(state.codes)} codes  {kinds}\n"
        )
        sys.stdout.flush()
        self._printed_s, self._printed_commands = state.seconds, state.commands
        if state_file:
            state.save(state_file)
