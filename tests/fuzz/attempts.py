"""Running steps in a process of their own, so that a core that dies is a finding and not the end of the run."""

import os
import re
import signal
import tempfile
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Outcome", "attempt", "shortened"]

FRAME = re.compile(r"\s*#(\d+) ")
SECONDS_MAX = 60
INNERMOST_FRAMES = 8


@dataclass(frozen=True, slots=True)
class Outcome:
    """What went wrong in words, empty when nothing did, and what the process wrote to stderr."""

    words: str
    report: str


def attempt(work: Callable[[], str]) -> Outcome:
    """Run `work` in a forked process; its text, or how the process died."""
    with tempfile.TemporaryFile() as words, tempfile.TemporaryFile() as errors:
        child = os.fork()
        if child == 0:
            _work(work, words.fileno(), errors.fileno())
        _, status = os.waitpid(child, 0)
        words.seek(0)
        errors.seek(0)
        report = shortened(errors.read().decode(errors="replace"))
        if status == 0:
            return Outcome(words.read().decode(), report)
        return Outcome(f"process died: {death(status, report)}", report)


def _work(work: Callable[[], str], words: int, errors: int) -> None:
    code = 1
    try:
        os.dup2(errors, 2)
        signal.alarm(SECONDS_MAX)
        os.write(words, work().encode())
        code = 0
    finally:
        os._exit(code)


def shortened(report: str) -> str:
    """A sanitizer's report up to its summary, with the innermost frames of each stack; other text as it is."""
    lines = []
    for line in report.splitlines():
        frame = FRAME.match(line)
        if frame is None or int(frame[1]) < INNERMOST_FRAMES:
            lines.append(line)
        if line.startswith("SUMMARY:"):
            break
    return "".join(f"{line}\n" for line in lines)


def death(status: int, report: str) -> str:
    """Say in one line how a process ended: the sanitizer's summary where there is one."""
    for line in report.splitlines():
        if "runtime error:" in line or line.startswith("SUMMARY:"):
            return line.strip()
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    return f"exit {os.waitstatus_to_exitcode(status)}"
