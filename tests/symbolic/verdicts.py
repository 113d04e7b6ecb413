"""What halmos must say of the sources, and of a copy that is broken on purpose."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

__all__ = ["BREAKS", "Break", "expected", "faults", "missed"]

_SYMBOLIC: Final = Path(__file__).parents[2] / "settlement/contracts/test/symbolic"
_PROVEN, _COUNTEREXAMPLE = 0, 1
_VERDICTS: Final = {2: "timeout", 3: "stuck", 4: "every path reverts", 5: "exception"}


@dataclass(frozen=True, slots=True)
class Break:
    """A slip in one source, and the check that must notice it."""

    path: str
    old: str
    new: str
    check: str


BREAKS: Final = (
    Break(
        "src/libraries/BatchData.sol",
        "WIDE_BIAS = 0x0000800000000000000080000000000000008000000000000000800000000000",
        "WIDE_BIAS = 0x0000800000000000000080000000000000008000000000000000400000000000",
        "check_sum_of_a_wide_word_is_the_plain_sum",
    ),
    Break(
        "src/libraries/BatchCells.sol",
        "faults := or(lt(entry, 0x400000), or(lt(local, above)",
        "faults := or(lt(entry, 0x200000), or(lt(local, above)",
        "check_a_delta_has_one_form",
    ),
    Break(
        "src/Batches.sol",
        "require(approved <= row.amount && approved <= collateral_, BadApproval());",
        "require(approved <= collateral_, BadApproval());",
        "check_an_approval_is_within_request_and_collateral",
    ),
    Break(
        "src/Claims.sol",
        "row.aux = uint40(row.aux);",
        "row.aux = row.aux;",
        "check_a_final_withdrawal_is_paid_once",
    ),
    Break(
        "src/Batches.sol",
        "require(cash + BatchData.unzigzag(uint64(h)) == 0, BadCash());",
        "require(cash - BatchData.unzigzag(uint64(h)) == 0, BadCash());",
        "check_posted_cash_is_minus_the_fee",
    ),
    Break(
        "src/Escape.sol",
        "uint256 left = assets > total ? assets - total - _escapeLatePaid : 0;",
        "uint256 left = assets > total ? assets - _escapeLatePaid : 0;",
        "check_a_late_claim_takes_what_is_left",
    ),
)


def expected() -> frozenset[str]:
    """Names of the checks that the sources hold."""
    texts = (path.read_text() for path in sorted(_SYMBOLIC.glob("*.sol")))
    return frozenset(name for text in texts for name in re.findall(r"function (check_\w+)\(", text))


def faults(results: Mapping[str, Any], names: frozenset[str]) -> list[str]:
    """One line per check that was not run, not proven, or proven for some lengths of a loop alone."""
    rows = dict(_rows(results))
    lines = [f"{name}: was not run" for name in sorted(names - rows.keys())]
    lines += [f"{name}: {_verdict(row)}" for name, row in sorted(rows.items()) if row["exitcode"] != _PROVEN]
    return lines + [f"{name}: a loop was cut" for name, row in sorted(rows.items()) if row["num_bounded_loops"]]


def missed(results: Mapping[str, Any]) -> list[str]:
    """One line per break without a counterexample."""
    rows = dict(_rows(results))
    found = {name for name, row in rows.items() if row["exitcode"] == _COUNTEREXAMPLE}
    return [f"{row.path}: a break was not found by {row.check}" for row in BREAKS if row.check not in found]


def _rows(results: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for rows in results.values():
        for row in rows:
            yield row["name"].split("(")[0], row


def _verdict(row: Mapping[str, Any]) -> str:
    return "counterexample" if row["exitcode"] == _COUNTEREXAMPLE else _VERDICTS.get(row["exitcode"], "no verdict")
