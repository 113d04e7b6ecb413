"""Every limit of the gateway, with the relations between them checked at construction."""

import msgspec

from exchange.domain.limits import MAX_FRAME_BYTES

__all__ = ["Budget", "GatewaySettings", "Readiness"]


class Budget(msgspec.Struct, frozen=True):
    """A token bucket: refill per second and size."""

    per_second: int
    burst: int


class GatewaySettings(msgspec.Struct, frozen=True, kw_only=True):
    """Defaults are those of gateway.md 6 and api.md 10.1 (maker tier)."""

    frames_per_tick: int = 64
    """Of one connection; the rest waits for the next tick."""
    pause_at: int = 256
    """Unanswered requests of a connection at which its reading pauses."""
    resume_at: int = 64
    inline_verifications: int = 16
    """Signatures checked on the loop per tick; more go to the pool."""
    verify_threads: int = 2
    verify_queue: int = 512
    """Orders that may wait for the pool; beyond it new orders are busy."""
    dirty_bytes: int = 64 << 10
    clean_bytes: int = 16 << 10
    close_bytes: int = 1 << 20
    close_after_s: float = 10.0
    send_buffer_bytes: int = 128 << 10
    max_frame_bytes: int = MAX_FRAME_BYTES
    compiled_frames: bool = True
    """Off, or without the extension, websockets' own protocol reads every frame."""
    max_sockets: int = 4_096
    sockets_per_ip: int = 256
    channels_per_socket: int = 1_000
    auth_skew_ms: int = 60_000
    ping_interval_s: float = 30.0
    idle_close_s: float = 600.0
    stream_interval_s: float = 0.1
    quiet_interval_s: float = 1.0
    confirmation_timeout_s: float = 10.0
    orders_kept: int = 1_000
    """Closed orders in memory per subaccount."""
    trades_kept: int = 1_000
    """Trades in memory per subaccount and per instrument."""
    transfers_kept: int = 200
    batches_kept: int = 1_000
    liquidations_kept: int = 1_000
    """Public rows of an instrument, and events of an account."""
    account_events_kept: int = 65_536
    """Private events in memory of all subaccounts together, from which streams resume; older ones come from disk."""
    replay_stall_s: float = 30.0
    """A reader that resumes from disk and takes nothing for so long is closed with its place."""
    subaccounts_kept: int = 4_096
    """Subaccounts whose histories are kept; the longest silent one is dropped."""
    offers_portfolio_margin: bool = True
    """Whether a subaccount may choose Portfolio Margin."""
    matching: Budget = Budget(1_000, 5_000)
    cancels: Budget = Budget(1_000, 5_000)
    quotes: Budget = Budget(5_000, 20_000)
    """Lines of mass quotes."""
    reads: Budget = Budget(200, 1_000)
    public: Budget = Budget(50, 250)

    def __post_init__(self) -> None:
        """Refuse limits that contradict each other."""
        if not 0 < self.clean_bytes < self.dirty_bytes < self.close_bytes:
            raise ValueError("clean_bytes < dirty_bytes < close_bytes must hold")
        if not 0 < self.resume_at < self.pause_at:
            raise ValueError("resume_at < pause_at must hold")


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """What `/ready` says. Only `ready` decides the status: a chain that is down degrades, it does not stop trading."""

    ready: bool = True
    reason: str = ""
    chain: str = "unknown"
    degraded: bool = False
    markets: dict[str, str] = {}
    """Underlyings whose markets only reduce now, each stale or halted."""
