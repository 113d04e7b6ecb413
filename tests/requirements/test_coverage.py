"""The table of the sixty requirements is true: a test for each, or a reason why there is none."""

import pytest

from tests.requirements.coverage import ELSEWHERE, MISSING, NUMBERS, PARTLY, ROOT, here, names_in


@pytest.mark.parametrize("number", NUMBERS)
def test_each_requirement_is_shown_once_or_named_as_missing(number):
    """In this folder, elsewhere, or in the list of what is missing: in one of the three."""
    places = [number in here(), number in ELSEWHERE, number in MISSING]
    assert places.count(True) == 1


@pytest.mark.parametrize("node", ELSEWHERE.values())
def test_tests_elsewhere_exist(node):
    """A test that was renamed or deleted shows nothing."""
    path, name = node.split("::")
    assert name in names_in(ROOT / path)


def test_what_is_shown_partly_is_shown():
    """A reservation about a requirement without a test belongs to the missing ones."""
    assert set(PARTLY) <= set(here()) | set(ELSEWHERE)


def test_the_list_of_missing_ones_only_becomes_shorter():
    """Eighteen when it was first written."""
    assert len(MISSING) <= 2
