"""Decimals: exact in, canonical out, absurd ones refused with the field's name."""

from decimal import Decimal

import pytest

from exchange.wire.decimals import fee_cap_e18, format_e6, format_e12, format_e18, format_ppm, on_grid_value
from exchange.wire.errors import RpcCode, WireError


@pytest.mark.parametrize(
    "text", ["NaN", "sNaN", "Infinity", "-Infinity", "1e15", "1e999999", "1e-999999", "-1", "0.0000000000001"]
)
def test_refused_fee_caps(text: str) -> None:
    """No finite value, too large, too fine or negative is -32602 and names the field."""
    with pytest.raises(WireError) as caught:
        fee_cap_e18(Decimal(text), "max_fee")
    assert caught.value.code == RpcCode.INVALID_PARAMS
    assert caught.value.data["field"] == "max_fee"  # type: ignore[index]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("100", 100 * 10**18),
        ("1E+2", 100 * 10**18),
        ("0.50", 5 * 10**17),
        ("0.000000000001", 10**6),
        ("999999999999999.123456789012", 999999999999999123456789012000000),
        ("100.000000000000000000", 100 * 10**18),
    ],
)
def test_fee_caps_are_exact(text: str, expected: int) -> None:
    """Twelve fractional digits beside fifteen whole ones survive."""
    assert fee_cap_e18(Decimal(text), "max_fee") == expected


@pytest.mark.parametrize(
    ("text", "value", "was_cut"),
    [
        ("84000.0", "84000", False),
        ("0.5000000000000000", "0.5", False),
        ("0.1234567890123", "0.123456789012", True),
        ("-0.1234567890123", "-0.123456789012", True),
    ],
)
def test_grid_values(text: str, value: str, was_cut: bool) -> None:
    """Trailing zeros are nothing, digits beyond the twelfth are cut and reported."""
    assert on_grid_value(Decimal(text), "amount") == (Decimal(value), was_cut)


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (format_e6(0), "0"),
        (format_e6(-1), "-0.000001"),
        (format_e6(1_500_000), "1.5"),
        (format_e6(-2_000_000), "-2"),
        (format_e12(1), "0.000000000001"),
        (format_e18(100 * 10**18), "100"),
        (format_ppm(300), "0.0003"),
        (format_ppm(-50), "-0.00005"),
    ],
)
def test_output_is_canonical(shown: str, expected: str) -> None:
    """No exponent, no plus, no trailing zeros."""
    assert shown == expected
