"""Integer fixed point: every division names its rounding. Amounts are 1e-6 USDC (`_e6`)."""

__all__ = ["ceil_div", "floor_div", "ppm_ceil", "ppm_floor", "truncate_div"]


def floor_div(numerator: int, denominator: int) -> int:
    """Toward minus infinity; `denominator` > 0."""
    return numerator // denominator


def ceil_div(numerator: int, denominator: int) -> int:
    """Toward plus infinity; `denominator` > 0."""
    return -(-numerator // denominator)


def truncate_div(numerator: int, denominator: int) -> int:
    """Toward zero; `denominator` > 0."""
    quotient = abs(numerator) // denominator
    return quotient if numerator >= 0 else -quotient


def ppm_ceil(amount_e6: int, ppm: int) -> int:
    """`amount x ppm / 10^6` toward plus infinity: a fee or requirement never favours the account."""
    return ceil_div(amount_e6 * ppm, 1_000_000)


def ppm_floor(amount_e6: int, ppm: int) -> int:
    """`amount x ppm / 10^6` toward minus infinity: a credit never favours the account."""
    return floor_div(amount_e6 * ppm, 1_000_000)
