"""What both books raise at the caller: full tables and bytes that are no snapshot. Refused commands are events.

ValueError
├── CapacityExhausted       a table has no room for one more instrument, cell or guard
└── SnapshotRefused         the bytes given to `restore` are not taken
    ├── SnapshotDamaged     truncated, altered, or contradicting itself
    └── SnapshotVersionUnknown
"""

__all__ = ["CapacityExhausted", "SnapshotDamaged", "SnapshotRefused", "SnapshotVersionUnknown"]


class CapacityExhausted(ValueError):
    """The table is as full as the book was told to let it get; nothing changed."""


class SnapshotRefused(ValueError):
    """No book was made of these bytes."""


class SnapshotDamaged(SnapshotRefused):
    """Truncated, altered, or contradicting itself."""


class SnapshotVersionUnknown(SnapshotRefused):
    """Written by a core with another layout."""
