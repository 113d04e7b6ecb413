"""Rows of a round of prices: indices, forwards, marks."""

import msgspec

__all__ = ["ExpiryRow", "MarkRow", "UnderlyingRow"]


class UnderlyingRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Index price of an underlying in 1e-9 USDC with its confidence in 1e-6, or that it has none that can be trusted.

    A halted row has price and confidence 0: the last price stands, and the market only reduces.
    """

    underlying: str
    index_e9: int
    confidence_ppm: int = 1_000_000
    is_halted: bool = False


class ExpiryRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Forward price of one expiry of an underlying in 1e-9 USDC."""

    underlying: str
    expiry_s: int
    forward_e9: int


class MarkRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Mark of an instrument, 1e-9 USDC per unit; for options the model values shown to users (units of risk.md 5.2).

    Per USD `delta_e9`, USD^2 `gamma_e12`, vol point `vega_e9`, day `theta_e9`, 1 % `rho_e9`; fraction `volatility_e9`.
    """

    instrument: int
    mark_e9: int
    volatility_e9: int = 0
    delta_e9: int = 0
    gamma_e12: int = 0
    vega_e9: int = 0
    theta_e9: int = 0
    rho_e9: int = 0
