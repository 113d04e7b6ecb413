"""Every code that the core knows has a meaning to the engine, the same in Python and in C."""

import pytest

from exchange.domain.result_codes import CloseReason, ResultCode
from exchange.engine.book_codes import IMPOSSIBLE, REASONS, REFUSALS, TRIPPED, reason_of, refusal_of
from exchange.engine.state import InvariantViolated
from matching_core.fills import CoreCode

CODES = {name: value for name, value in vars(CoreCode).items() if name.isupper()}
IN_C = pytest.importorskip("exchange.engine._hot_path")


@pytest.mark.parametrize("name", sorted(CODES))
def test_every_code_of_the_core_is_known(name: str) -> None:
    """A code refuses, ends orders, names a guard's limit, or is a bug; one in none of the tables fails here."""
    code = CODES[name]
    roles = [code in table for table in (REFUSALS, REASONS, TRIPPED, IMPOSSIBLE)]
    assert code == CoreCode.OK or any(roles)
    assert sum((roles[0] or roles[1], *roles[2:])) <= 1


def test_no_table_has_a_code_that_the_core_lacks() -> None:
    """What the core no longer sends is taken out here too."""
    assert {*REFUSALS, *REASONS, *TRIPPED, *IMPOSSIBLE} <= set(CODES.values())


@pytest.mark.parametrize("code", sorted({*IMPOSSIBLE, *TRIPPED}))
def test_a_code_that_is_a_bug_stops_the_engine(code: int) -> None:
    """No public code is made up for it."""
    with pytest.raises(InvariantViolated):
        refusal_of(code)
    with pytest.raises(InvariantViolated):
        reason_of(code)


@pytest.mark.parametrize("code", sorted(CODES.values()))
def test_c_gives_a_code_the_meaning_of_the_tables(code: int) -> None:
    """Refusals and reasons of `_answers.pxd` are those of `book_codes`, 0 where it has none."""
    meaning = (REFUSALS.get(code, ResultCode.OK), REASONS.get(code, CloseReason.NONE))
    assert IN_C.meaning_of(code) == tuple(map(int, meaning))
