"""A defence of the contracts switched off, and the test that must miss it."""

from dataclasses import dataclass

__all__ = ["Mutation", "of_threat"]


@dataclass(frozen=True, slots=True)
class Mutation:
    """In `file` (under src) `old`, which stands there once, becomes `new`; `test` (`File::name`) must fail then."""

    threat: str
    file: str
    old: str
    new: str
    test: str

    @property
    def name(self) -> str:
        """Unique in the table; what the log knows it by."""
        return f"{self.test} {self.file} {' '.join(self.old.split())!r}"


def of_threat(threat: str, *rows: tuple[str, str, str, str]) -> tuple[Mutation, ...]:
    """Mutations of one threat: file, old, new, test."""
    return tuple(Mutation(threat, *row) for row in rows)
