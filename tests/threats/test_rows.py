"""The table of threats is true: every test that it names exists, and what has none is said to be open."""

import pytest

from tests.threats.rows import OPEN, ROWS, exists


@pytest.mark.parametrize("node", sorted({test for tests in ROWS.values() for test in tests}))
def test_named_tests_exist(node):
    """A test that was renamed or deleted shows nothing."""
    assert exists(node)


@pytest.mark.parametrize("node", ["tests/threats/rows.py::nothing", "tests/threats/nowhere.py::exists"])
def test_a_test_that_is_not_there_is_noticed(node):
    """An unknown name and an unknown file."""
    assert not exists(node)


@pytest.mark.parametrize("threat", ROWS)
def test_a_threat_without_tests_is_open(threat):
    """Nothing counts as shown because nobody looked."""
    assert ROWS[threat] or threat in OPEN


def test_open_rows_are_rows():
    """A reservation about a threat that is not in the table would never be read."""
    assert set(OPEN) <= set(ROWS)


def test_what_is_open_is_counted():
    """Forty threats; fourteen reservations when the table was first written, two came with what was found since."""
    assert len(ROWS) == 40
    assert len(OPEN) <= 8
