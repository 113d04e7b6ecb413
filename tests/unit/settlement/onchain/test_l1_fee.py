"""The Fjord fee: lengths and the fee that the rollup's own node gives for the same bytes."""

import pytest

from settlement.onchain.l1_fee import L1Prices, fastlz_length, l1_fee_wei

EMPTY_CALL = bytes.fromhex("dd80808094095e7baea6a6c7c4c2dfeb977efac326af552d878080808080")


@pytest.mark.parametrize(
    ("data", "length"),
    [(b"", 0), (b"\x01" * 1_000, 21), (bytes(1_000), 21), (EMPTY_CALL, 31)],
)
def test_lengths(data, length):
    """Reference lengths of the rollup's node."""
    assert fastlz_length(data) == length


def test_the_least_fee():
    """A small transaction counts as 100 bytes."""
    prices = L1Prices(base_fee_wei=10**9, blob_base_fee_wei=10**7, base_fee_scalar_e6=2, blob_base_fee_scalar_e6=3)
    assert l1_fee_wei(EMPTY_CALL, prices) == 3_203_000


def test_the_fee_grows_with_what_cannot_be_compressed():
    """The slope of 0.8365 bytes per compressed byte, above the intercept."""
    prices = L1Prices(base_fee_wei=10**12, blob_base_fee_wei=0, base_fee_scalar_e6=10**6, blob_base_fee_scalar_e6=0)
    data = bytes(index * 7 % 251 ^ index >> 3 & 255 for index in range(400))
    length = fastlz_length(data)
    assert l1_fee_wei(data, prices) == (836_500 * length - 42_585_600) * 16 * 10**6
