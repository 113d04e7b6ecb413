"""The exit drill: everybody is paid by a process that has an RPC URL and an address, and nothing else."""

import re

import pytest

from exchange.app.exit_drill import DrillPlan, run_drill
from exchange.app.failures import Failure


@pytest.mark.parametrize("accounts", [3, 101])
def test_too_few_or_too_many_accounts_are_refused(accounts: int) -> None:
    """Four are needed for a ruin, a hundred are enough."""
    with pytest.raises(Failure, match="4 to 100 accounts"):
        run_drill(DrillPlan(accounts, is_bankrupt=False, seed=1), lambda _: None)


@pytest.mark.dispute_search
@pytest.mark.parametrize("is_bankrupt", [False, True])
def test_everybody_leaves_without_the_operator(is_bankrupt: bool) -> None:
    """Whole where nobody is bankrupt, pro rata where somebody is; any order pays the same; no second exit."""
    said: list[str] = []
    assert run_drill(DrillPlan(5, is_bankrupt=is_bankrupt, seed=2), said.append) == 0
    text = "\n".join(said)
    assert ("pro rata" in text) == is_bankrupt
    assert ("to the unit for every account" in text) != is_bankrupt
    assert "everybody was paid the same" in text
    assert "a second exit is refused" in text
    positions = re.search(r"(\d+) positions open", text)
    assert positions is not None
    assert int(positions[1]) > 0
