"""How sure the index is, and what initial margin asks for beside when it is not (risk.md 3.1, 7.4; D-050).

Maintenance knows no doubt: nobody is liquidated because a venue fell silent. Neither does a withdrawal, which the chain
judges by rules that know nothing of it.
"""

from typing import Final

from exchange.engine.state import State
from exchange.risk.standard import confidence_add_on

__all__ = ["SURE_E9", "add_on_e18", "confidence_e9", "is_in_doubt"]

SURE_E9: Final = 1_000_000_000
"""Confidence of a price that nobody doubts."""
_SURE_PPM: Final = 1_000_000
_PPM_TO_E9: Final = 1_000


def confidence_e9(state: State, underlying: str) -> int:
    """Confidence of an underlying's last index row; of a halt it is what the row said: none."""
    return state.prices.confidence_ppm.get(underlying, _SURE_PPM) * _PPM_TO_E9


def add_on_e18(state: State, underlying: str, exposed_e9: int) -> int:
    """Of so many units (1e-9, unsigned) at the index, in 1e-18 USDC, rounded up; 0 above the threshold."""
    exposed_e18 = exposed_e9 * state.prices.index_e9[underlying]
    return confidence_add_on(confidence_e9(state, underlying), exposed_e18, state.config.margin)


def is_in_doubt(state: State) -> bool:
    """Whether any index is below the threshold: what is compiled knows no add-on and leaves orders to the handlers."""
    threshold_ppm = state.config.margin.confidence_threshold_ppm
    return any(confidence_ppm < threshold_ppm for confidence_ppm in state.prices.confidence_ppm.values())
