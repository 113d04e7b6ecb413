"""Which test shows which of the sixty requirements: those of this folder by their names, others by a list.

`MISSING` may only become shorter: `test_coverage.py` holds it to what no test shows.
"""

import ast
import re
from pathlib import Path
from typing import Final

__all__ = ["ELSEWHERE", "MISSING", "NUMBERS", "PARTLY", "here", "names_in"]

ROOT: Final = Path(__file__).parents[2]
NUMBERS: Final = range(1, 61)
_CLIENT: Final = "tests/unit/exchange/client"
_POSTER: Final = "tests/unit/settlement/onchain/test_poster.py"

ELSEWHERE: Final = {
    6: "tests/unit/exchange/gateway/test_session_keys.py::test_a_key_that_runs_out_says_so_a_minute_before",
    7: "bench/bench_client.py::test_signing",
    19: f"{_CLIENT}/test_orders.py::test_a_state_of_a_later_version_is_kept_and_counts_as_open",
    23: "tests/unit/exchange/wire/test_account_items.py::test_every_numbered_event_reaches_the_stream",
    24: "tests/unit/exchange/engine/test_deleveraging_ranks.py::"
    "test_more_leverage_on_the_winning_side_is_reduced_first",
    27: f"{_CLIENT}/test_orders.py::test_orders_of_unknown_outcome_are_found_out",
    35: "tests/unit/exchange/gateway/test_connection.py::test_a_stalled_reader_is_conflated_then_closed",
    37: "tests/unit/exchange/gateway/test_book_streams.py::test_stalled_socket_gets_a_snapshot_when_it_reads_again",
    38: "tests/unit/exchange/gateway/test_connection.py::test_a_burst_of_requests_is_slowed_down_and_not_punished",
    39: f"{_CLIENT}/test_orders.py::test_a_client_with_full_queues_closes",
    43: "tests/unit/exchange/engine/test_funding.py::test_many_rounds_sum_to_zero_to_the_unit",
    53: "tests/faults/test_running_exchange.py::test_reset_clears",
    56: f"{_POSTER}::test_death_while_sending",
    57: f"{_POSTER}::test_a_foreign_spend_of_our_nonce_halts",
    58: f"{_POSTER}::test_a_stuck_transaction_is_replaced_by_one_with_both_fees_raised",
}
"""Shown by the part that owns it, below the websocket or behind the chain."""

PARTLY: Final = {
    1: "3,000 orders in flight, not 10,000: the budget of one account",
    6: "the notice and the end of channels; not on a running exchange, whose keys live for months",
    11: "fills and order updates carry account_seq, balances do not",
    15: "no `replaced` event of its own",
    17: "open, filled, cancelled; `expired`, `untriggered` and every reason have unit tests only",
    18: "reason_code and cancel_reason, no free text `detail`",
    24: "on each position and in public feed, history and report; no event tells that a rank changed",
    29: "twenty cuts, not a thousand",
    30: "from the newest 65,536 private events and not over a restart, instead of 24 h",
    32: "a short session, no soak run",
    37: "the snapshot comes in band, so the client has nothing to buffer",
    39: "closes within the test's limit; that it takes at most a second is not measured",
    48: "not yet on a million random accounts",
    52: "the client does not compare the environment with what it was told to expect",
    59: "call auction; the other modes of a market do not exist yet",
    60: "mass cancel, cancel on disconnect and the dead-man timer; no measured p99 of cancels against places",
}
"""Has a test that shows less than the requirement says."""

MISSING: Final[dict[int, str]] = {}
"""No test shows it; mostly because it is not built."""

_NAME: Final = re.compile(r"test_p(\d\d)_")


def names_in(path: Path) -> list[str]:
    """Names of the test functions of a file, in its order."""
    nodes = ast.walk(ast.parse(path.read_text()))
    return [node.name for node in nodes if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]


def here() -> dict[int, list[str]]:
    """Tests of this folder by the requirement in their names."""
    found: dict[int, list[str]] = {}
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        for name in names_in(path):
            if match := _NAME.match(name):
                found.setdefault(int(match[1]), []).append(f"{path.relative_to(ROOT)}::{name}")
    return found
