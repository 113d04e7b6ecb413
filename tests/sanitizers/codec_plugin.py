"""Pytest plugin of `make sanitize` for the gateway's frame codec: the tests see its sanitized extension."""

import pytest

from tests.sanitizers.substitute import NotSanitized, require_codec, substitute_codec

__all__ = ["pytest_report_header", "pytest_sessionfinish", "pytest_sessionstart"]

substitute_codec()


def pytest_sessionstart(session):
    """Refuse to test another build."""
    try:
        require_codec()
    except NotSanitized as reason:
        pytest.exit(f"not sanitized: {reason}", returncode=pytest.ExitCode.USAGE_ERROR)


def pytest_sessionfinish(session):
    """Refuse a result during which the codec was swapped for another."""
    require_codec()


def pytest_report_header(config):
    """Say in the first lines what is tested."""
    return "frame codec: sanitized (address, undefined)"
