"""Pytest plugin: `-p tests.fuzz.canary_plugin --core-canary NAME` runs any suite over a defective book."""

from tests.fuzz.defective_books import DEFECTS, plant

__all__ = ["pytest_addoption", "pytest_configure", "pytest_report_header"]


def pytest_addoption(parser):
    """Add the switch."""
    parser.addoption("--core-canary", choices=sorted(DEFECTS), required=True, help="the deliberate defect")


def pytest_configure(config):
    """Put the defective book in the place of the compiled one, before any test looks for it."""
    plant(config.getoption("--core-canary"))


def pytest_report_header(config):
    """Say in the first lines that this book is broken on purpose."""
    return f"matching core: broken on purpose, {config.getoption('--core-canary')}"
