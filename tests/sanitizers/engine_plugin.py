"""Pytest plugin of `make sanitize` for the engine: the tests see its sanitized extensions over the sanitized core."""

import pytest

from tests.sanitizers.substitute import NotSanitized, require_engine, require_sanitized, substitute, substitute_engine

__all__ = ["pytest_report_header", "pytest_sessionfinish", "pytest_sessionstart"]

substitute()
substitute_engine()


def pytest_sessionstart(session):
    """Refuse to test another build."""
    try:
        require_sanitized()
        require_engine()
    except NotSanitized as reason:
        pytest.exit(f"not sanitized: {reason}", returncode=pytest.ExitCode.USAGE_ERROR)


def pytest_sessionfinish(session):
    """Refuse a result during which an extension was swapped for another."""
    require_sanitized()
    require_engine()


def pytest_report_header(config):
    """Say in the first lines what is tested."""
    return "matching core and engine: sanitized (address, undefined)"
