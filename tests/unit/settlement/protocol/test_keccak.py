"""Tests of settlement.protocol.keccak; the twins are compared in tests/differential."""

import pytest

from settlement.protocol.keccak import keccak256, reference_keccak256


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"),
        (b"abc", "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"),
    ],
)
def test_known_hashes(data: bytes, expected: str) -> None:
    """The original Keccak padding is used, not that of SHA3-256."""
    assert expected == keccak256(data).hex()
    assert expected == reference_keccak256(data).hex()
