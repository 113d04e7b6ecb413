"""Running sums of an account's open orders per instrument, and its margin cached per group. All derived."""

from dataclasses import dataclass, field

from exchange.domain.commands import Side

__all__ = ["Exposure", "GroupKey", "MarginCache"]

GroupKey = tuple[int] | tuple[str, int]
"""(instrument,) of a perpetual, or (underlying, expiry_s) of options: what is margined together."""


@dataclass(slots=True)
class Exposure:
    """Open orders of one account on one instrument that are not reduce-only; for quotes their group reserves."""

    buy_lots: int = 0
    sell_lots: int = 0
    buy_tick_lots: int = 0
    """Sum of price x remaining over the buys."""
    quote_lots: int = 0
    """Both sides."""
    loss_round: int = -1
    """Price round for which `loss` holds."""
    loss_e18: int = 0

    @property
    def is_open(self) -> bool:
        """Whether an open order may open a position."""
        return bool(self.buy_lots or self.sell_lots or self.quote_lots)

    def add_quote(self, lots: int) -> None:
        """Book `lots` (negative: take off) of a quote."""
        self.quote_lots += lots

    def add(self, side: Side, *, price_ticks: int, lots: int) -> None:
        """Book `lots` (negative: take off) of an order at its price."""
        if side is Side.BUY:
            self.buy_lots += lots
            self.buy_tick_lots += price_ticks * lots
        else:
            self.sell_lots += lots


@dataclass(slots=True)
class MarginCache:
    """Signed worst-fill initial margin (1e-18 USDC) by group, for one price round."""

    price_round: int = -1
    by_group: dict[GroupKey, int] = field(default_factory=dict)
    members: dict[GroupKey, dict[int, None]] = field(default_factory=dict)
    """Instruments of each group that the account ever touched."""
