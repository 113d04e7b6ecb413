"""When a settling job ends, with which exit code and line: a loop under the exchange, one of its own, a single turn."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Protocol

from exchange.bridge.chain_side import ChainStep
from exchange.bridge.posting_policy import Verdict

__all__ = ["SURE_STEPS", "Ends", "Look", "Once", "SettleCode", "SettleEnd", "UntilFrozen", "UntilStopped"]

_DOWN_STEPS: Final = 3
SURE_STEPS: Final = 20
"""Steps in a row, five seconds, after which what blocks is believed to stay: a node or its clock may be behind."""
_LEAVE: Final = "stop trading, money leaves by `offbook escape`"


class SettleCode(IntEnum):
    """Exit codes of `offbook settle`; the last two are those of sysexits.h for these cases."""

    DONE = 0
    NOTHING_TO_DO = 3
    RETRY_LATER = 75
    NEEDS_PERSON = 78


@dataclass(frozen=True, slots=True)
class SettleEnd:
    """Why a job ends: one line, which names the fix where a person is needed."""

    code: SettleCode
    line: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a job knows after a step. `answer` is the decision on what it was asked for, None before it fell."""

    step: ChainStep
    answer: Verdict | None = None
    has_exchange: bool = True
    has_open: bool = False
    """Whether events wait for a batch to close that only the exchange can close."""
    is_behind: bool = False
    """Whether a batch was cut whose events are not folded yet."""


class Ends(Protocol):
    """A rule for the end of a job, asked after each step."""

    def __call__(self, look: Look) -> SettleEnd | None:
        """Return the end, None to go on."""


class UntilFrozen:
    """Of the job that runs under the exchange: trouble shows in its readiness, and trading goes on meanwhile."""

    def __call__(self, look: Look) -> SettleEnd | None:
        """End once a frozen contract has nothing left to do for: what was posted is final, questions are answered."""
        step = look.step
        if not (step.is_frozen and step.is_drained and step.status.state != "chain_down"):
            return None
        line = f"the contract is frozen: batch {step.status.head_seq} is final and the last for ever; {_LEAVE}"
        return SettleEnd(SettleCode.NEEDS_PERSON, line)


class UntilStopped(UntilFrozen):
    """Of a job of its own: it also ends where it could only stand still for ever."""

    def __call__(self, look: Look) -> SettleEnd | None:
        """As above, and when posting is over for this key: it was slashed, or another program uses it."""
        status = look.step.status
        if status.state == "halted" and not look.step.is_frozen:
            return SettleEnd(SettleCode.NEEDS_PERSON, status.detail)
        return super().__call__(look)


class Once:
    """One turn for a timer: close and post what there is now, wait until it is on chain, say what came of it."""

    def __init__(self) -> None:
        """Before the first step."""
        self._down = 0
        self._stuck = 0

    def __call__(self, look: Look) -> SettleEnd | None:
        """End with the first that holds: a person is needed, the chain does not help, it is on chain, nothing to do."""
        end = self._trouble(look)
        return end or (None if look.step.is_frozen or self._stuck else self._outcome(look))

    def _trouble(self, look: Look) -> SettleEnd | None:
        step, status = look.step, look.step.status
        self._down = self._down + 1 if status.state == "chain_down" else 0
        if step.is_frozen and not status.moved:
            return SettleEnd(SettleCode.NEEDS_PERSON, f"the contract is frozen: no batch is posted any more; {_LEAVE}")
        if status.state == "halted" and not step.is_frozen:
            return SettleEnd(SettleCode.NEEDS_PERSON, status.detail)
        self._stuck = self._stuck + 1 if status.needs_person else 0
        if self._stuck >= SURE_STEPS:
            return SettleEnd(SettleCode.NEEDS_PERSON, status.detail)
        if status.state == "blocked" and not status.needs_person:
            return SettleEnd(SettleCode.RETRY_LATER, f"the chain does not take it: {status.detail}")
        if self._down >= _DOWN_STEPS:
            return SettleEnd(SettleCode.RETRY_LATER, f"the chain does not answer: {status.detail}")
        return None

    def _outcome(self, look: Look) -> SettleEnd | None:
        status, before = look.step.status, look.step.posted_before
        if look.answer is None or status.state == "chain_down" or look.is_behind or status.waiting_batches:
            return None
        if not look.has_exchange and (look.has_open or look.step.confirmed):
            line = "the exchange does not run, and only it can close the open batch and take requests in"
            return SettleEnd(SettleCode.RETRY_LATER, line)
        # Not the head of the first look: bytes that an earlier turn signed may be mined before it.
        if status.head_seq <= before:
            return SettleEnd(SettleCode.NOTHING_TO_DO, f"nothing to post: batch {status.head_seq} is on chain")
        return SettleEnd(SettleCode.DONE, f"batches {before + 1} to {status.head_seq} are on chain")
