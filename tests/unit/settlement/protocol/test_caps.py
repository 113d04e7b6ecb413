"""Tests of settlement.protocol.caps: the relations between the limits."""

from settlement.protocol import caps


def test_one_proof_call_stays_below_its_gas_limit() -> None:
    """Touched accounts, positions and sibling bytes at the caps stay within 15M gas at 40 gas per byte."""
    proof_bytes = caps.MAX_TOUCHED * (36 + 20 * caps.MAX_POSITIONS + 330)
    assert proof_bytes * 40 <= 15_000_000


def test_data_fits_the_calldata_limit() -> None:
    """The largest data leaves room for the other arguments of the posting transaction."""
    assert caps.MAX_DATA_BYTES < caps.MAX_CALLDATA_BYTES


def test_listed_accounts_leave_room_for_the_two_that_are_always_touched() -> None:
    """Accounts 0 and 1 count as touched."""
    assert caps.MAX_LISTED + len((caps.FUND_ACCOUNT, caps.CLEARING_ACCOUNT)) == caps.MAX_TOUCHED
