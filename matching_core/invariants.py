"""The exception both books raise when their own structure is wrong: always a bug, never bad input."""

__all__ = ["InvariantViolated", "require"]


class InvariantViolated(Exception):
    """A book's structure contradicts itself; nothing it answers afterwards can be trusted."""


def require(condition: bool, what: str) -> None:
    """Raise InvariantViolated(what) unless `condition` holds; unlike `assert` it survives `python -O`."""
    if not condition:
        raise InvariantViolated(what)
