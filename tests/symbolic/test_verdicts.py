"""The verdicts of halmos: what is not proven, not run or cut short is a fault, and so is a break that nobody found."""

import pytest

from tests.symbolic.verdicts import BREAKS, expected, faults, missed
from tests.threats.rows import ROOT

NAME = "check_sum"


def _results(exitcode=0, loops=0, name=NAME):
    row = {"name": f"{name}(uint256)", "exitcode": exitcode, "num_bounded_loops": loops}
    return {"test/symbolic/CodecSymbolic.sol:CodecSymbolic": [row]}


@pytest.mark.parametrize(
    ("results", "told"),
    [
        ({}, "was not run"),
        (_results(1), "counterexample"),
        (_results(2), "timeout"),
        (_results(3), "stuck"),
        (_results(4), "every path reverts"),
        (_results(5), "exception"),
        (_results(9), "no verdict"),
        (_results(0, loops=1), "a loop was cut"),
    ],
)
def test_what_is_not_proven_is_a_fault(results, told):
    """Every way of proving nothing."""
    (line,) = faults(results, frozenset({NAME}))
    assert told in line


def test_what_is_proven_is_no_fault():
    """Exit code 0 and every loop to its end."""
    assert faults(_results(), frozenset({NAME})) == []


@pytest.mark.parametrize("exitcode", [0, 2, 3, 4, 5])
def test_a_break_needs_a_counterexample(exitcode):
    """A timeout is no discovery."""
    assert len(missed(_results(exitcode, name=BREAKS[0].check))) == len(BREAKS)
    assert len(missed(_results(1, name=BREAKS[0].check))) == len(BREAKS) - 1


@pytest.mark.parametrize("broken", BREAKS, ids=lambda row: row.check)
def test_every_break_is_of_one_line_and_has_its_check(broken):
    """The source holds the line once, and the check exists."""
    assert (ROOT / "settlement/contracts" / broken.path).read_text().count(broken.old) == 1
    assert broken.check in expected()
