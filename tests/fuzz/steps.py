"""What a case is made of: calls on a book, as values that can be kept in a file."""

from dataclasses import dataclass
from typing import Any

__all__ = ["Step", "steps_from_json", "steps_to_json"]


@dataclass(frozen=True, slots=True)
class Step:
    """One call: the name of a book's method and its keyword arguments, integers or packed bytes."""

    call: str
    arguments: dict[str, Any]

    def on(self, book: Any) -> Any:
        """Make the call and return the answer."""
        return getattr(book, self.call)(**self.arguments)


def steps_to_json(steps: list[Step]) -> list[Any]:
    """Steps as JSON values; bytes become hexadecimal text."""
    return [
        [step.call, {key: value.hex() if isinstance(value, bytes) else value for key, value in step.arguments.items()}]
        for step in steps
    ]


def steps_from_json(rows: list[Any]) -> list[Step]:
    """Inverse of steps_to_json: text is bytes again."""
    return [
        Step(call, {key: bytes.fromhex(value) if isinstance(value, str) else value for key, value in arguments.items()})
        for call, arguments in rows
    ]
