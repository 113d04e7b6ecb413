"""The triage of slither's findings: each has a reason, each reason has its finding."""

import re

import pytest

from tests.slither.triage import accepted, findings, judged
from tests.threats.rows import ROOT

_FUNCTION = {
    "type": "function",
    "name": "post",
    "type_specific_fields": {"parent": {"type": "contract", "name": "Batches"}},
}
_NODE = {"type": "node", "name": "x = 1", "type_specific_fields": {"parent": _FUNCTION}}


_LOCAL = {"type": "variable", "name": "last", "type_specific_fields": {"parent": _FUNCTION}}
_STATE = {
    "type": "variable",
    "name": "_head",
    "type_specific_fields": {"parent": {"type": "contract", "name": "Storage"}},
}
_REQUIRED = _NODE | {"name": "require(bool,error)(seq == head,revert BadSeq()())"}


def _report(*rows):
    return {"success": True, "error": None, "results": {"detectors": list(rows)}}


def _row(impact, *elements):
    return {"check": "reentrancy", "impact": impact, "elements": list(elements)}


def test_a_failed_run_is_not_taken_for_a_clean_one():
    """A report without success has no findings to judge."""
    with pytest.raises(ValueError, match="no source"):
        findings({"success": False, "error": "no source", "results": {}})


@pytest.mark.parametrize(("impact", "count"), [("High", 1), ("Medium", 1), ("Low", 0), ("Informational", 0)])
def test_high_and_medium_impact_count(impact, count):
    """What is below is not asked for a reason."""
    assert len(findings(_report(_row(impact, _FUNCTION)))) == count


@pytest.mark.parametrize(
    ("elements", "place"),
    [
        ([_FUNCTION], "Batches.post"),
        ([_FUNCTION, _NODE], "Batches.post | x = 1"),
        ([_FUNCTION, _REQUIRED], "Batches.post | seq == head"),
        ([_NODE], "Batches.post | x = 1"),
        ([_LOCAL], "Batches.post | last"),
        ([_STATE, _FUNCTION], "Storage._head"),
        ([{"type": "contract", "name": "Batches"}], "Batches"),
    ],
)
def test_a_place_is_a_member_of_a_contract_and_the_line_in_it(elements, place):
    """Numbers of lines move, text does not: a reason is of one line of one function."""
    assert findings(_report(_row("High", *elements))) == {("reentrancy", place)}


def test_a_second_line_of_a_function_needs_a_reason_of_its_own():
    """What was said of one line is not said of the next."""
    found = findings(_report(_row("High", _FUNCTION, _NODE), _row("High", _FUNCTION, _REQUIRED)))
    (line,) = judged(found, {("reentrancy", "Batches.post | x = 1"): "guarded"})
    assert "seq == head: no reason" in line


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


def test_what_slither_does_not_always_find_may_be_absent_but_needs_its_reason():
    """Absent it is no fault; found without the reason it is one."""
    row = ("reentrancy", "Batches.post")
    assert judged(set(), {row: "not always found: guarded"}) == []
    assert judged({row}, {row: "not always found: guarded"}) == []
    assert len(judged({row}, {})) == 1


_WRITTEN = r"(?<!delete )\b{name}\b(\[[^=;]*\])*(\.\w+)?( [-+]?= |\.push\()"
_ALIASED = r" storage \w+ = {name}\b"
_STORED = sorted(place.removeprefix("Storage.") for check, place in accepted() if check == "uninitialized-state")


@pytest.mark.parametrize("name", _STORED)
def test_what_slither_calls_never_initialized_is_written_by_a_part(name):
    """The one reason of all these findings, held to the sources: some line gives the variable or its row a value."""
    sources = (ROOT / "settlement/contracts/src").glob("*.sol")
    code = "\n".join(path.read_text() for path in sources)
    assert re.search(_WRITTEN.format(name=name), code) or re.search(_ALIASED.format(name=name), code)
