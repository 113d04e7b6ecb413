"""Ticks: frames of all connections become calls, calls become commands, each connection in its own order.

A later message never overtakes an earlier order whose signature is still being checked, except cancels, and a cancel
also removes what it matches among those orders. Orders are checked on the loop while that is cheap and in the pool
beyond; results of one connection are used in the order of arrival.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, cast

from exchange.gateway.calls import Call, Client
from exchange.gateway.order_checks import CheckedOrder
from exchange.gateway.quote_checks import CheckedQuotes
from exchange.gateway.settings import GatewaySettings
from exchange.gateway.verify import SignatureChecker, VerifyPool
from exchange.wire.errors import WireError, busy

__all__ = ["Intake", "Lane", "Unverified", "Work"]

_RETRY_MS: Final = 20
Outcome = tuple[int, bytes] | WireError


class Unverified:
    """An order or a mass quote between its cheap checks and its signature's verdict."""

    __slots__ = ("account", "call", "checked", "lane", "outcome", "removed", "submit")

    def __init__(
        self,
        call: Call,
        account: int,
        checked: CheckedOrder | CheckedQuotes,
        submit: Callable[["Unverified", int, bytes], None],
    ) -> None:
        """`submit` is called with (self, domain index, digest) when the signature is good."""
        self.call = call
        self.account = account
        self.checked = checked
        self.submit = submit
        self.lane: Lane | None = None
        self.outcome: Outcome | None = None
        self.removed = False


class Lane:
    """Requests of one client in their order. `blocks` > 0 while a login is on its way.

    `is_slow` while the client takes its answers too slowly: then only cancels go on.
    """

    __slots__ = ("blocks", "client", "inbox", "is_closed", "is_queued", "is_slow", "plain_waiting", "waiting")

    def __init__(self, client: Client) -> None:
        """Start empty."""
        self.client = client
        self.inbox: deque[bytes | Call] = deque()
        self.waiting: deque[Call | Unverified] = deque()
        self.plain_waiting = 0
        self.blocks = 0
        self.is_queued = False
        self.is_closed = False
        self.is_slow = False


class Work:
    """What the dispatcher does for the intake."""

    def parse(self, client: Client, frame: bytes) -> Call | None:
        """Turn a frame into a call, or reply and return None."""
        raise NotImplementedError

    def run(self, call: Call) -> Unverified | None:
        """Perform a call; a signed order comes back for its signature check. Raises WireError."""
        raise NotImplementedError


class Intake:
    """The inbox of all connections."""

    def __init__(self, work: Work, checker: SignatureChecker, settings: GatewaySettings) -> None:
        """Verify with `checker`, run calls with `work`."""
        self._work = work
        self._checker = checker
        self._settings = settings
        self._pool = VerifyPool(checker, settings.verify_threads)
        self._ready: deque[Lane] = deque()
        self._is_scheduled = False
        self._inline_left = 0
        self._batch: list[Unverified] = []
        self._unverified: dict[int, dict[Unverified, None]] = {}
        self.pool_backlog = 0
        self.removed_count = 0

    def put(self, lane: Lane, item: bytes | Call) -> None:
        """Queue a frame or a ready call for the next tick."""
        lane.inbox.append(item)
        self._queue(lane)

    def put_all(self, lane: Lane, frames: list[bytes]) -> None:
        """Queue the frames of one read."""
        lane.inbox.extend(frames)
        self._queue(lane)

    def resume(self, lane: Lane) -> None:
        """Go on with what waited in `lane`."""
        items, lane.waiting = lane.waiting, deque()
        lane.plain_waiting = 0
        for item in items:
            if isinstance(item, Call):
                self._feed(lane, item)
            elif not item.removed:
                self._hold_or_finish(lane, item)
        self._send_to_pool()

    def speed_up(self, lane: Lane) -> None:
        """Go on with a lane whose client has caught up, as much in a tick as if its requests had just come."""
        lane.is_slow = False
        if any(isinstance(item, Unverified) for item in lane.waiting):
            self.resume(lane)
            return
        lane.inbox.extendleft(cast("Call", item) for item in reversed(lane.waiting))
        lane.waiting.clear()
        lane.plain_waiting = 0
        self._queue(lane)

    def close(self, lane: Lane) -> None:
        """Drop everything of a closed connection that has no sequence yet."""
        lane.is_closed = True
        for item in lane.waiting:
            if isinstance(item, Unverified):
                self._forget(item)
                item.removed = True
        lane.waiting.clear()
        lane.inbox.clear()

    def stop(self) -> None:
        """End the pool."""
        self._pool.close()

    def remove_unverified(self, account: int, matches: Callable[[CheckedOrder | CheckedQuotes], bool]) -> int:
        """Answer matching orders that wait for verification with 11003; returns how many."""
        found = [item for item in self._unverified.get(account, ()) if matches(item.checked)]
        for item in found:
            item.removed = True
            self._forget(item)
            item.call.fail(WireError(11003, {"reason": "cancelled_before_admission"}))
        self.removed_count += len(found)
        return len(found)

    def _queue(self, lane: Lane) -> None:
        if not lane.is_queued:
            lane.is_queued = True
            self._ready.append(lane)
        self._schedule()

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._tick)

    def _tick(self) -> None:
        self._is_scheduled = False
        self._inline_left = self._settings.inline_verifications
        for _ in range(len(self._ready)):
            lane = self._ready.popleft()
            for _ in range(min(len(lane.inbox), self._settings.frames_per_tick)):
                item = lane.inbox.popleft()
                call = item if isinstance(item, Call) else self._work.parse(lane.client, item)
                if call is not None:
                    self._feed(lane, call)
            if lane.inbox:
                self._ready.append(lane)
            else:
                lane.is_queued = False
        self._send_to_pool()
        if self._ready:
            self._schedule()

    def _feed(self, lane: Lane, call: Call) -> None:
        if lane.is_closed:
            return
        if lane.blocks or ((lane.waiting or lane.is_slow) and not self._may_pass(lane, call)):
            lane.waiting.append(call)
            lane.plain_waiting += 1
            return
        try:
            unverified = self._work.run(call)
        except WireError as error:
            call.fail(error)
            return
        except Exception as error:  # noqa: BLE001 - one call's fault must not stop the tick
            call.crash(error)
            return
        if unverified is not None:
            self._verify(lane, unverified)

    @staticmethod
    def _may_pass(lane: Lane, call: Call) -> bool:
        """A cancel overtakes; an order may be checked early when nothing but orders waits."""
        return call.overtakes or (call.is_signed_order and not lane.plain_waiting and not lane.is_slow)

    def _verify(self, lane: Lane, item: Unverified) -> None:
        item.lane = lane
        if self._inline_left > 0 and not lane.waiting:
            self._inline_left -= 1
            try:
                item.outcome = self._checker.check(item.checked.terms, item.checked.signature)
            except WireError as error:
                item.outcome = error
            self._finish(item)
            return
        if self.pool_backlog + len(self._batch) >= self._settings.verify_queue:
            item.call.fail(busy(_RETRY_MS))
            return
        lane.waiting.append(item)
        self._batch.append(item)
        self._unverified.setdefault(item.account, {})[item] = None

    def _hold_or_finish(self, lane: Lane, item: Unverified) -> None:
        if item.outcome is None or lane.waiting:
            lane.waiting.append(item)
            return
        self._forget(item)
        self._finish(item)

    def _finish(self, item: Unverified) -> None:
        outcome = item.outcome
        if isinstance(outcome, WireError):
            item.call.fail(outcome)
        elif outcome is not None:
            try:
                item.submit(item, *outcome)
            except WireError as error:
                item.call.fail(error)

    def _forget(self, item: Unverified) -> None:
        waiting = self._unverified.get(item.account)
        if waiting is not None:
            waiting.pop(item, None)
            if not waiting:
                del self._unverified[item.account]

    def _send_to_pool(self) -> None:
        if not self._batch:
            return
        batch, self._batch = self._batch, []
        size = -(-len(batch) // self._settings.verify_threads)
        for start in range(0, len(batch), size):
            part = batch[start : start + size]
            self.pool_backlog += len(part)
            work = [(item.checked.terms, item.checked.signature) for item in part]
            self._pool.submit(work, lambda results, part=part: self._verified(part, list(results)))  # type: ignore[misc]

    def _verified(self, part: list[Unverified], results: list[Outcome]) -> None:
        self.pool_backlog -= len(part)
        lanes: dict[Lane, None] = {}
        for item, outcome in zip(part, results, strict=True):
            item.outcome = outcome
            if item.lane is not None and not item.lane.is_closed:
                lanes[item.lane] = None
        self._inline_left = 0
        for lane in lanes:
            self.resume(lane)
