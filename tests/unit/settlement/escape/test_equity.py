"""The escape's own arithmetic against the protocol's: same equity for any account at any marks."""

from hypothesis import given
from hypothesis import strategies as st

from settlement.escape.equity import equity_e6
from settlement.protocol.oracle import MarkRow, OracleVector
from settlement.protocol.positions import equity_e6 as protocol_equity_e6
from settlement.protocol.positions import settle_positions
from settlement.watch.accounts import WatchedAccount
from settlement.watch.replay import read_vector

PERP = 1 << 31
NUMBERS = st.sampled_from([1, 2, 3, PERP | 1, PERP | 2])
INT64 = st.integers(-(1 << 63), (1 << 63) - 1)
U64 = st.integers(0, (1 << 64) - 1)
ROWS = st.dictionaries(NUMBERS, st.tuples(U64, INT64, st.booleans()))
POSITIONS = st.dictionaries(NUMBERS, st.tuples(INT64.filter(bool), INT64))


def mark_row(number: int, value: int, index: int, *, is_settled: bool) -> MarkRow:
    """A row as a vector has it."""
    index = index if number & PERP else 0
    if is_settled:
        return MarkRow(payoff_e12=value, fund_index=index)
    return MarkRow(mark_e6=value, fund_index=index)


@given(cash_e6=st.integers(-(1 << 100), 1 << 100), positions=POSITIONS, rows=ROWS)
def test_equity_is_that_of_the_protocol(
    cash_e6: int, positions: dict[int, tuple[int, int]], rows: dict[int, tuple[int, int, bool]]
) -> None:
    """Funding and payoffs round down per position, marks are exact, and what has no row counts nothing."""
    held = {key: (lots, index if key & PERP else 0) for key, (lots, index) in positions.items()}
    table = {key: mark_row(key, value, index, is_settled=ended) for key, (value, index, ended) in rows.items()}
    vector = OracleVector(round_number=1, rows=table)
    kept, gained_e6 = settle_positions(held, vector)
    expected_e6 = protocol_equity_e6(cash_e6 + gained_e6, kept, vector)
    marks = read_vector(vector.encode())
    assert equity_e6(WatchedAccount(b"\x01" * 20, cash_e6, held), marks) == expected_e6
