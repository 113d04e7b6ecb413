"""The list of what is shown of the settlement is true: its tests and targets exist, every item has one."""

import re
from pathlib import Path

import pytest

from tests.threats.rows import ROOT, exists

PAGE = (ROOT / "settlement/VERIFICATION.md").read_text()
ROWS = {
    cells[1]: cells
    for line in PAGE.splitlines()
    if line.startswith("| [") and (cells := [cell.strip() for cell in line.strip("|").split(" | ")])
}
NODES = sorted(set(re.findall(r"`([\w/.]+::\w+)`", PAGE)))
TARGETS = sorted(set(re.findall(r"`make ([\w-]+)", PAGE)))
ITEMS = (
    "gas and bytes",
    "codec: Python = Solidity",
    "codec: one encoding per batch",
    "codec: a changed bit",
    "tree",
    "transition",
    "disputes",
    "exactly once",
    "escape",
    *(f"artifacts {number}" for number in range(1, 6)),
)


def parts_of_the_gate() -> set[str]:
    """What `make check` runs."""
    makefile = Path(ROOT / "Makefile").read_text()
    found = re.search(r"^PARTS := (.*)$", makefile, re.MULTILINE)
    assert found
    return set(found[1].split())


def test_a_name_that_is_gone_is_noticed():
    """An unknown test, an unknown file."""
    assert not exists("tests/unit/settlement/test_verification.py::test_nothing")
    assert not exists("settlement/contracts/test/symbolic/Nothing.sol::check_nothing")


@pytest.mark.parametrize("node", NODES)
def test_named_tests_exist(node):
    """A test that was renamed or deleted shows nothing."""
    assert exists(node)


@pytest.mark.parametrize("target", sorted({*TARGETS} - {"test", "check"}))
def test_named_targets_are_parts_of_the_gate(target):
    """What is a part of `make check` is run; a target beside it may rot."""
    assert target in parts_of_the_gate()


def test_every_item_stands_once_and_in_order():
    """An item that nobody lists is not shown."""
    assert tuple(ROWS) == ITEMS
    assert PAGE.count("\n| [") == len(ITEMS)


@pytest.mark.parametrize("item", ITEMS)
def test_a_tick_has_a_test_or_a_target_and_its_sizes(item):
    """A tick without either is a wish."""
    mark, _, passes, shown, gate, most = ROWS[item]
    assert mark == "[x]"
    assert "::" in shown or "`make " in shown
    assert passes
    assert gate
    assert most
