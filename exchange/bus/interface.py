"""The one door to the exchange: gateway, bridge and feeds see nothing else of sequencer and engine."""

from collections.abc import Callable, Sequence
from typing import Protocol

from exchange.domain.commands import Command
from exchange.domain.views import Answer, Output, Query

__all__ = ["AnswerCallback", "Busy", "ExchangePort", "OutputListener", "ReplyCallback"]

ReplyCallback = Callable[[Output], None]
"""Called once, after the command's group is durable, on the event loop that submitted it."""
AnswerCallback = Callable[[Answer], None]
OutputListener = Callable[[Sequence[Output]], None]
"""Called once per commit with the outputs of all committed commands, in sequence order."""


class Busy(Exception):
    """Refused before admission: nothing happened, a retry is safe. `retry_after_ms` is a hint."""

    def __init__(self, retry_after_ms: int = 50) -> None:
        """Remember the hint."""
        super().__init__(f"busy, retry after {retry_after_ms} ms")
        self.retry_after_ms = retry_after_ms


class ExchangePort(Protocol):
    """What a carrier offers. Replies, answers and outputs are delivered in one order: that of the sequence."""

    def submit(self, command: Command, reply: ReplyCallback | None = None) -> None:
        """Queue one command. Raises Busy when the inbox is full (cancels are still taken)."""
        ...

    def submit_together(
        self, commands: Sequence[Command], reply: Callable[[Sequence[Output]], None] | None = None
    ) -> None:
        """Queue commands that get consecutive sequences with nothing between them."""
        ...

    def ask(self, query: Query, answer: AnswerCallback) -> None:
        """Answer at this place in the sequence; delivered with the group like any reply."""
        ...

    def listen(self, listener: OutputListener) -> None:
        """Add a listener for all committed outputs from now on."""
        ...
