"""The triage of slither's findings: each has a reason, each reason has its finding."""

import pytest

from tests.slither.triage import accepted, findings, judged

_FUNCTION = {
    "type": "function",
    "name": "post",
    "type_specific_fields": {"parent": {"type": "contract", "name": "Batches"}},
}
_NODE = {"type": "node", "name": "x = 1", "type_specific_fields": {"parent": _FUNCTION}}


def _report(*rows):
    return {"success": True, "error": None, "results": {"detectors": list(rows)}}


def _row(impact, element):
    return {"check": "reentrancy", "impact": impact, "elements": [element]}


def test_a_failed_run_is_not_taken_for_a_clean_one():
    """A report without success has no findings to judge."""
    with pytest.raises(ValueError, match="no source"):
        findings({"success": False, "error": "no source", "results": {}})


@pytest.mark.parametrize(("impact", "count"), [("High", 1), ("Medium", 1), ("Low", 0), ("Informational", 0)])
def test_high_and_medium_impact_count(impact, count):
    """What is below is not asked for a reason."""
    assert len(findings(_report(_row(impact, _FUNCTION)))) == count


@pytest.mark.parametrize("element", [_FUNCTION, _NODE])
def test_a_place_is_a_function(element):
    """A line moves, a function has a name."""
    assert findings(_report(_row("High", element))) == {("reentrancy", "Batches.post")}


@pytest.mark.parametrize(
    ("reasons", "told"),
    [
        ({}, "no reason"),
        ({("reentrancy", "Batches.post"): "  "}, "empty reason"),
        ({("reentrancy", "Batches.post"): "guarded", ("reentrancy", "gone"): "guarded"}, "not found"),
    ],
)
def test_faults_of_the_reasons(reasons, told):
    """Missing, empty and left over."""
    (line,) = judged({("reentrancy", "Batches.post")}, reasons)
    assert told in line


def test_every_accepted_finding_has_a_reason():
    """The committed file can be read and holds no empty reason."""
    assert all(reason.strip() for reason in accepted().values())
