"""An ExchangePort straight over the engine: every command commits at once, replies come on the next loop turn."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from exchange.bus.interface import AnswerCallback, Busy, OutputListener, ReplyCallback
from exchange.domain.commands import Cancel, CancelMany, Command
from exchange.domain.events import Trade
from exchange.domain.views import OrderView, Output, Query
from exchange.engine.apply import apply
from exchange.engine.queries import answer, order_view
from exchange.engine.state import State

__all__ = ["DirectPort"]


class DirectPort:
    """Delivers replies and answers in order, then the outputs to the listeners, like the sequencer at each commit."""

    def __init__(self, state: State, clock_ns: Callable[[], int]) -> None:
        self.state = state
        self.is_full = False
        self.held = False
        self.log: list[Command] = []
        self._clock_ns = clock_ns
        self._listeners: list[OutputListener] = []
        self._deliveries: deque[Callable[[], None]] = deque()
        self._outputs: list[Output] = []
        self._is_scheduled = False

    def submit(self, command: Command, reply: ReplyCallback | None = None) -> None:
        """Apply `command`; raises Busy when `is_full`, except for cancels."""
        if self.is_full and not isinstance(command, Cancel | CancelMany):
            raise Busy(25)
        output = self.run(command)
        self._outputs.append(output)
        if reply is not None:
            self._deliveries.append(lambda: reply(output))
        self._schedule()

    def submit_together(
        self, commands: Sequence[Command], reply: Callable[[Sequence[Output]], None] | None = None
    ) -> None:
        """Apply several commands in a row."""
        outputs = tuple(self.run(command) for command in commands)
        self._outputs.extend(outputs)
        if reply is not None:
            self._deliveries.append(lambda: reply(outputs))
        self._schedule()

    def ask(self, query: Query, answer_callback: AnswerCallback) -> None:
        """Answer from the present state."""
        value = answer(self.state, query)
        self._deliveries.append(lambda: answer_callback(value))
        self._schedule()

    def listen(self, listener: OutputListener) -> None:
        """Add a listener."""
        self._listeners.append(listener)

    def run(self, command: Command) -> Output:
        """Apply `command` without a loop; tests build their exchange with it."""
        self.log.append(command)
        timestamp_ns = max(self.state.timestamp_ns, self._clock_ns())
        events = apply(self.state, command, timestamp_ns)
        return Output(
            sequence=self.state.sequence,
            timestamp_ns=timestamp_ns,
            events=tuple(events),
            orders=_touched(self.state, events),
        )

    def commit(self) -> None:
        """Deliver everything that waits."""
        self._is_scheduled = False
        deliveries, self._deliveries = self._deliveries, deque()
        outputs, self._outputs = self._outputs, []
        for deliver in deliveries:
            deliver()
        if outputs:
            for listener in self._listeners:
                listener(outputs)

    def _schedule(self) -> None:
        if not self._is_scheduled and not self.held:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self.commit)


def _touched(state: State, events: Sequence[object]) -> dict[int, OrderView]:
    numbers: dict[int, None] = {}
    for event in events:
        if isinstance(event, Trade):
            numbers |= {event.maker.order: None, event.taker.order: None}
        elif hasattr(event, "order"):
            numbers[event.order] = None
    views = ((number, order_view(state, number)) for number in numbers)
    return {number: view for number, view in views if view is not None}
