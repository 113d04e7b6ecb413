"""How a settling job and the commands about it talk: two small files in its folder, replaced whole.

`job.json` is what the job last said: about once a second, and at once when it answers. `ask` is a token that somebody
left; the job takes it, decides, and puts token and answer into `job.json`.
"""

import json
import os
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from exchange.app.layout import DataDirectory

__all__ = ["JobBoard", "ask_job"]

_SAY_EVERY_S: Final = 1.0
_POLL_S: Final = 0.05


class JobBoard:
    """The job's side, and what readers see."""

    def __init__(self, directory: DataDirectory, clock_s: Callable[[], float] = time.time) -> None:
        """Nothing is written yet."""
        self._said = directory.settler / "job.json"
        self._ask = directory.settler / "ask"
        self._clock_s = clock_s
        self._said_s = float("-inf")
        self._token = ""
        self._answer: dict[str, Any] = {}

    def asked(self) -> bool:
        """Whether somebody waits for an answer."""
        if not self._token:
            with suppress(OSError):
                self._token = self._ask.read_text().strip()
        return bool(self._token)

    def answer(self, answer: dict[str, Any]) -> None:
        """Answer whoever asked; the next `say` tells it at once."""
        if self._token:
            self._answer = {"token": self._token, **answer}
            self._ask.unlink(missing_ok=True)
            self._token, self._said_s = "", float("-inf")

    def say(self, report: Callable[[], dict[str, Any]]) -> None:
        """Write what the job has to say, when it is time again."""
        now_s = self._clock_s()
        if now_s - self._said_s < _SAY_EVERY_S:
            return
        self._said_s = now_s
        text = json.dumps({"pid": os.getpid(), "time_s": now_s, **report(), "answer": self._answer})
        temporary = self._said.with_suffix(".new")
        temporary.write_text(text + "\n")
        temporary.replace(self._said)

    def read(self) -> dict[str, Any]:
        """Return what the job last said; empty when none ever did."""
        try:
            found: dict[str, Any] = json.loads(self._said.read_text())
        except (OSError, ValueError):
            return {}
        return found

    def leave(self, token: str) -> None:
        """Ask with this token; a question that nobody took yet is replaced."""
        temporary = self._ask.with_suffix(".new")
        temporary.write_text(token + "\n")
        temporary.replace(self._ask)

    def withdraw(self) -> None:
        """Take an unanswered question back."""
        self._ask.unlink(missing_ok=True)


def ask_job(board: JobBoard, timeout_s: float) -> dict[str, Any] | None:
    """Ask the running job for a batch and return its answer; None when none came in time, and the question is gone."""
    token = secrets.token_hex(8)
    board.leave(token)
    until_s = time.monotonic() + timeout_s
    while time.monotonic() < until_s:
        answer: dict[str, Any] = board.read().get("answer") or {}
        if answer.get("token") == token:
            return answer
        time.sleep(_POLL_S)
    board.withdraw()
    return None
