"""What one engine is built with. The same journal needs the same configuration."""

import msgspec

from exchange.domain.limits import (
    INDEX_HALT_NS,
    INDEX_LIFE_NS,
    MAX_ACCOUNTS_PER_BATCH,
    MAX_INSTRUMENTS_PER_BATCH,
    MAX_OPEN_ORDERS_PER_OWNER,
    MAX_OPEN_ORDERS_PER_SUBACCOUNT,
    MAX_ORDERS_PER_ACCOUNT_AND_BATCH,
    MAX_POSITIONS_PER_SUBACCOUNT,
    MAX_TRIGGER_ORDERS,
    MAX_TRIGGER_ORDERS_PER_SUBACCOUNT,
    OPTION_MARK_LIFE_NS,
    RECENT_CLOSED_ORDERS,
)
from exchange.risk.adaptive import AdaptiveRules
from exchange.risk.auction import AuctionParameters
from exchange.risk.expiry import WINDOW_NS
from exchange.risk.parameters import StandardParameters
from exchange.risk.portfolio_parameters import PortfolioParameters

__all__ = ["EngineConfig", "LiquidationRules"]


class LiquidationRules(msgspec.Struct, frozen=True, kw_only=True):
    """How an account below maintenance is closed (risk.md 10); parts in 1e-6."""

    step_ns: int = 1_000_000_000
    buffer_ppm: int = 150_000
    """Won back beyond maintenance, of the requirement."""
    share_ppm: int = 200_000
    """Most of a position that one step closes, when it is worth more than `threshold_e6`."""
    threshold_e6: int = 100_000_000_000
    aggressiveness_ppm: int = 1_000_000
    spread_ppm: int = 100_000
    """Of the maintenance fraction: how far a liquidation order gives way when all collateral is gone."""
    fee_ppm: int = 10_000
    """Most that the fund takes of what was closed."""
    patience_s: int = 30
    fund_event_ppm: int = 200_000
    fund_day_ppm: int = 400_000
    adaptive: AdaptiveRules | None = None
    """None: the steps above as they are (`fixed`); else size, price and buffer follow depth and volatility."""
    auction: AuctionParameters = AuctionParameters(
        one=1_000_000, start=950_000, knee=700_000, buffer=150_000, fast_s=60, slow_s=600, insolvent_s=300
    )


class EngineConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Rules and bounds. The batch caps keep a batch inside one proof and 65,536 bytes of calldata."""

    margin: StandardParameters = StandardParameters()
    portfolio: PortfolioParameters = PortfolioParameters()
    liquidation: LiquidationRules = LiquidationRules()
    option_fee_cap_ppm: int = 125_000
    """A taker fee on an option is at most this part of the option's value."""
    open_orders_max: int = MAX_OPEN_ORDERS_PER_SUBACCOUNT
    owner_orders_max: int = MAX_OPEN_ORDERS_PER_OWNER
    """Of all subaccounts of an owner, those that wait for a trigger left out."""
    trigger_orders_max: int = MAX_TRIGGER_ORDERS_PER_SUBACCOUNT
    all_trigger_orders_max: int = MAX_TRIGGER_ORDERS
    positions_max: int = MAX_POSITIONS_PER_SUBACCOUNT
    closed_orders_max: int = RECENT_CLOSED_ORDERS
    closed_orders_life_ns: int = 86_400_000_000_000
    batch_accounts_max: int = MAX_ACCOUNTS_PER_BATCH
    batch_instruments_max: int = MAX_INSTRUMENTS_PER_BATCH
    batch_legs_max: int = 1_450
    """102 x 12 + 255 x 60 + 64 x 8 bytes of frame of 28,672 leave room for 1,454 legs of 8 bytes."""
    batch_orders_max: int = MAX_ORDERS_PER_ACCOUNT_AND_BATCH
    """Filled orders of one account; an orders tree with more of them cannot be built."""
    short_move_ppm: int = 50_000
    """A perpetual's trade that would move its price by more than this part in 10 s begins a call."""
    long_move_ppm: int = 100_000
    """The same in 5 minutes."""
    auction_length_ns: int = 60_000_000_000
    """Of a call that the engine begins, and of an extension."""
    auction_corridor_ppm: int = 100_000
    """A call is extended while its indicative price is farther than this part from the index."""
    index_life_ns: int = INDEX_LIFE_NS
    """An older index is stale, and so is an older perpetual's mark: its markets only reduce, nothing accrues on it, no
    trigger fires and nobody is liquidated."""
    halt_after_ns: int = INDEX_HALT_NS
    """An index that was silent for longer is halted: it needs good prices in a row before its markets open again."""
    halt_good_rows: int = 3
    option_mark_life_ns: int = OPTION_MARK_LIFE_NS
    """An older mark of an option is stale."""
    settlement_window_ns: int = WINDOW_NS
    """The index is averaged over so much time before an expiry; samples are kept for twice as long."""
    batch_requests_max: int = 64
    """The contract takes no more per batch."""
