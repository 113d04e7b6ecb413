"""The one exception that a verb may end with: expected, and its text names the fix."""

__all__ = ["Failure"]


class Failure(RuntimeError):
    """Something outside prevents the work; the text is one line for the user."""
