"""Pytest plugin of `make sanitize`: the tests see the sanitized core, or the run ends before the first of them."""

import pytest

from tests.sanitizers.substitute import NotSanitized, require_sanitized, substitute

__all__ = ["pytest_report_header", "pytest_sessionfinish", "pytest_sessionstart"]

substitute()


def pytest_sessionstart(session):
    """Refuse to test another build."""
    try:
        require_sanitized()
    except NotSanitized as reason:
        pytest.exit(f"not sanitized: {reason}", returncode=pytest.ExitCode.USAGE_ERROR)


def pytest_sessionfinish(session):
    """Refuse a result during which the core was swapped for another."""
    require_sanitized()


def pytest_report_header(config):
    """Say in the first lines which core is tested."""
    return "matching core: sanitized (address, undefined)"
