"""Tests of settlement.protocol.oracle: rows that do not fit, bytes that are not canonical, then the round trip."""

from dataclasses import replace

import pytest

from settlement.protocol.oracle import NO_ROUND, BadVector, MarkRow, OracleVector, decode_vector

PERP = 0x80000001
VECTOR = OracleVector(
    round_number=4,
    rows={PERP: MarkRow(mark_e6=7, fund_index=-8), 9: MarkRow(payoff_e12=6), 1: MarkRow(mark_e6=5)},
    index_e6={2: 10, 1: 9},
    settlement_e6={(1, 1_900_000_000): 11},
)
BYTES = bytes.fromhex(
    "0002 0001 0002 0001"
    "00000001 0000000000000005 00 00000009 0000000000000006 01"
    "80000001 0000000000000007 00 fffffffffffffff8"
    "00000001 0000000000000009 00000002 000000000000000a"
    "00000001 00713fb300 000000000000000b"
)


@pytest.mark.parametrize(
    "vector",
    [
        replace(VECTOR, rows={0: MarkRow(mark_e6=1)}),
        replace(VECTOR, rows={1: MarkRow(mark_e6=1 << 64)}),
        replace(VECTOR, rows={1: MarkRow(mark_e6=-1)}),
        replace(VECTOR, rows={1: MarkRow(payoff_e12=1 << 64)}),
        replace(VECTOR, rows={PERP: MarkRow(mark_e6=1, fund_index=1 << 63)}),
        replace(VECTOR, rows={1 << 32: MarkRow(mark_e6=1)}),
        replace(VECTOR, index_e6={1: -1}),
        replace(VECTOR, settlement_e6={(1, 1 << 40): 1}),
        replace(VECTOR, index_e6=dict.fromkeys(range(1, 2050), 1)),
    ],
)
def test_rows_that_do_not_fit(vector: OracleVector) -> None:
    """What has no place in the layout is refused."""
    with pytest.raises(BadVector):
        vector.encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        BYTES[:7],
        BYTES[:-1],
        BYTES + b"\x00",
        BYTES[:20] + b"\x02" + BYTES[21:],
        BYTES[:8] + BYTES[21:34] + BYTES[8:21] + BYTES[34:],
    ],
    ids=["empty", "short", "cut", "long", "flag", "order"],
)
def test_bytes_that_are_not_canonical(data: bytes) -> None:
    """One encoding exists."""
    with pytest.raises(BadVector):
        decode_vector(4, data)


def test_round_trip() -> None:
    """The layout is the one of the contract."""
    assert VECTOR.encode() == BYTES
    assert decode_vector(4, BYTES) == VECTOR


def test_round_zero_has_no_rows() -> None:
    """Before the first round nothing has a mark."""
    assert NO_ROUND.encode() == bytes(8)
