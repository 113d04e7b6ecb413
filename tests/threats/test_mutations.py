"""The table of switched-off defences fits the contracts and the table of threats; forge itself is not asked here."""

import re
from pathlib import Path

import pytest

from tests.threats.mutation_rows import MUTATIONS, Mutation
from tests.threats.mutation_table import TABLE, UNJUDGED, table
from tests.threats.mutations import CONTRACTS, mutated, verdict
from tests.threats.rows import ROOT, ROWS
from tests.threats.tree_mutation_rows import TREE_MUTATIONS, TreeMutation
from tests.threats.tree_mutations import changed, verdict_of

_VERDICT = re.compile(rf" (caught|{UNJUDGED}) \|$")
_UNREAD = re.compile(r"\(bool (\w+),[^)]*\) = [^;]*\.call\([^;]*;\s*\1;")
SOLIDITY = "settlement/contracts/test/"


def solidity_tests(threat: str) -> set[str]:
    """The row's tests in Solidity, as `File::name`."""
    return {node.removeprefix(SOLIDITY).replace(".t.sol", "") for node in ROWS[threat] if node.startswith(SOLIDITY)}


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda one: one.name)
def test_the_text_of_a_mutation_stands_once_in_its_source(mutation: Mutation) -> None:
    """A defence that was written anew must be found again, or its row would test nothing."""
    text = (CONTRACTS / "src" / mutation.file).read_text()
    assert mutated(text, mutation) != text


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda one: one.name)
def test_the_test_of_a_mutation_is_one_of_its_row(mutation: Mutation) -> None:
    """What must fail is what the row shows."""
    assert mutation.test in solidity_tests(mutation.threat)


@pytest.mark.parametrize("threat", [threat for threat in ROWS if solidity_tests(threat)])
def test_every_row_with_a_test_in_solidity_has_a_mutation(threat: str) -> None:
    """None of them is believed unseen."""
    assert any(one.threat == threat for one in MUTATIONS)


@pytest.mark.parametrize("threat", [threat for threat in ROWS if not solidity_tests(threat)])
def test_every_other_row_has_a_mutation_of_the_tree(threat: str) -> None:
    """Nor of those that Python shows."""
    assert any(one.threat == threat for one in TREE_MUTATIONS)


@pytest.mark.parametrize("mutation", TREE_MUTATIONS, ids=lambda one: one.name)
def test_a_mutation_of_the_tree_stands_once_and_its_test_in_its_row(mutation: TreeMutation) -> None:
    """As for the contracts."""
    text = (ROOT / mutation.file).read_text()
    assert changed(text, mutation) != text
    assert mutation.test in ROWS[mutation.threat]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [(0, 1, "caught"), (0, 0, "survived"), (1, 1, "broken"), (0, 2, "broken"), (0, 5, "broken"), (5, 5, "broken")],
)
def test_only_a_failed_test_has_caught_something(before: int, after: int, expected: str) -> None:
    """Not one that failed before, could not be collected or does not exist."""
    assert verdict_of(before, after) == expected


def test_the_table_has_a_row_per_mutation_and_no_survivor() -> None:
    """What is committed was judged, or says that it was not; a defence that nobody misses would be a missing test."""
    found = [line for line in TABLE.read_text().splitlines() if _VERDICT.search(line)]
    made = [line for line in table([]).splitlines() if _VERDICT.search(line)]
    assert [_VERDICT.sub("", line) for line in found] == [_VERDICT.sub("", line) for line in made]


def test_names_are_unique() -> None:
    """The log goes by them."""
    names = [one.name for one in (*MUTATIONS, *TREE_MUTATIONS)]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("source", sorted((CONTRACTS / "test").rglob("*.sol")), ids=lambda path: path.name)
def test_no_answer_of_a_low_level_call_is_thrown_away(source: Path) -> None:
    """Under `expectRevert` such a call answers whether it failed as expected, and nothing else fails the test."""
    assert not _UNREAD.search(source.read_text())


def test_an_answer_that_is_thrown_away_is_noticed() -> None:
    """The words that two tests had which a mutation survived."""
    assert _UNREAD.search("(bool ok,) = address(vault).call(calls[i]);\n            ok;")


@pytest.mark.parametrize("text", ["", "a b b"])
def test_a_text_that_does_not_stand_once_is_refused(text: str) -> None:
    """Neither a defence that is gone nor one of two."""
    with pytest.raises(ValueError, match=r"stands \d times"):
        mutated(text, Mutation("threat", "A.sol", "b", "", "A::test"))


@pytest.mark.parametrize(
    ("code", "output", "expected"),
    [
        (1, "[FAIL: no] test_it() (gas: 1)", "caught"),
        (1, "[FAIL: no; counterexample: x] test_it(uint256) (runs: 1)", "caught"),
        (1, "[FAIL: no]\n\t[Sequence] (original: 2)\n\t\tsender=0 addr=1\n test_it() (runs: 1)", "caught"),
        (0, "[PASS] test_it() (gas: 1)", "survived"),
        (1, "[PASS] test_it() (gas: 1)", "broken"),
        (1, "[FAIL: no] test_it_again() (gas: 1)", "broken"),
        (1, "[FAIL: no] another() (gas: 1)\nSuite result: FAILED\n test_it() (runs: 1)", "broken"),
        (1, "Error: Compiler run failed", "broken"),
        (0, "No tests to run", "broken"),
    ],
)
def test_only_a_test_that_ran_gives_a_verdict(code: int, output: str, expected: str) -> None:
    """A copy that does not compile has caught nothing."""
    assert verdict(code, output, "test_it") == expected
