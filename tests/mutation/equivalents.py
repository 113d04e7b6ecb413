"""Mutants that no test can notice, each with its reason: they count neither as noticed nor as survived."""

__all__ = ["EQUIVALENTS"]

EQUIVALENTS: dict[tuple[str, str, str], str] = {}
"""(file, the line without its indentation, what is changed): why nothing changes."""
