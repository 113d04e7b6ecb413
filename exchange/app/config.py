"""Settings: one frozen value, read once from arguments, an optional TOML file and the environment, then passed down."""

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

__all__ = ["ConfigError", "Settings", "child_environment", "load_settings", "shared_folder"]

_ENVIRONMENT_PREFIX: Final = "OFFBOOK_"
_HISTORY_BLOCKS_MIN: Final = 256
_GATEWAYS_MAX: Final = 64
_FEEDS_MAX: Final = 16
_PPM: Final = 1_000_000
_PORT_MAX: Final = 65_535
_PRICES: Final = ("seeded", "live")
_SCALARS: Final[dict[type, Callable[[str], object]]] = {int: int, float: float, str: str}


class ConfigError(ValueError):
    """A setting that is unknown or out of range; the text names it and the fix."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything a deployment may choose. Times in seconds, sizes in bytes."""

    data: Path = Path(".offbook")
    host: str = "127.0.0.1"
    port: int = 8700
    gateways: int = 0
    """Market-data gateways beside the exchange; their ports follow the embedded chain's."""
    redis: str = ""
    """Redis that carries public events to gateways; empty: none, everything is in the exchange's process."""
    seed: int = 1
    demo: bool = False
    rpc_url: str = ""
    """Chain to settle on; empty: the embedded chain."""
    chain_port: int = 0
    """Port of the embedded chain's RPC; 0: the exchange's port + 1."""
    chain_id: int = 31337
    history_blocks: int = 4_096
    """Newest blocks that the embedded chain keeps; 0: all. What is older can't be verified any more."""
    confirmations: int = 2
    """Of an external chain, the transaction's own block included; the embedded one has no forks and needs 1."""
    finality_window_s: int = 8
    batch_interval_s: float = 5.0
    """No batch is younger, but for requests and those that rounds and caps close."""
    batch_deadline_s: float = 0.0
    """Longest wait for a cheaper fee; 0, or less than the interval: none, every interval has its batch."""
    feeds: int = 0
    """Signers of oracle rounds that a new deployment has, started beside the exchange; 0: the operator's word alone."""
    feed_threshold: int = 0
    """How many of them sign a round; 0: more than half."""
    feed_urls: str = ""
    """Where the signers are asked, with commas between; empty: those beside the exchange, on ports behind gateways'."""
    feed_bound_ppm: int = 20_000
    """How far a price of a round may stand from a signer's own price of the same second."""
    settler: bool = True
    """Start a settler with the exchange; else `offbook settle run` beside it does that work."""
    fast_budget_usdc: int = 0
    """Money that the operator may have out in withdrawals paid before they are final; 0: none are."""
    fast_largest_usdc: int = 10_000
    """Largest of these payments."""
    fast_fee_bps: int = 5
    """Its fee in 1/10,000 of the amount, taken where the withdrawal's signed max_fee_usd allows it ..."""
    fast_least_fee_usdc: int = 1
    """... and at least so much."""
    portfolio_margin: bool = True
    """Let subaccounts choose Portfolio Margin. Those that have it keep it where the setting is turned off later."""
    price_interval_s: float = 1.0
    prices: str = "seeded"
    """Venues of the index: seeded, recorded:FILE (a dYdX v3 capture among seeded ones), or live (needs ccxt)."""
    accept_derive_sepolia_orders: bool = False
    subaccount_base: int = 1_000_000
    segment_bytes: int = 16 << 20
    snapshot_interval_s: float = 60.0
    event_log_bytes: int = 256 << 20
    account_event_bytes: int = 1 << 30
    """Private events on disk from which streams resume; beyond it, or a day, the oldest go."""
    journal_bytes: int = 256 << 20
    """Sealed segments beyond this are released once snapshots and settlement have passed them."""
    orders_per_second: float = 120.0
    """Demo: what all bots send together, about."""
    allow_reference: bool = False
    """Start with the plain Python book when the compiled one is missing."""

    @property
    def chain_url(self) -> str:
        """RPC URL of the chain in use."""
        return self.rpc_url or f"http://127.0.0.1:{self.chain_port or self.port + 1}"

    @property
    def gateway_ports(self) -> tuple[int, ...]:
        """Port of each market-data gateway."""
        first = max(self.port, self.chain_port) + 1 if self.chain_port else self.port + 2
        return tuple(range(first, first + self.gateways))

    @property
    def feed_ports(self) -> tuple[int, ...]:
        """Port of each signer of rounds beside the exchange."""
        first = max(self.port + 1, self.chain_port, *self.gateway_ports) + 1
        return () if self.feed_urls else tuple(range(first, first + self.feeds))

    @property
    def feed_addresses(self) -> tuple[str, ...]:
        """URL of each signer that the settler asks."""
        given = tuple(url.strip() for url in self.feed_urls.split(",") if url.strip())
        return given or tuple(f"http://127.0.0.1:{port}" for port in self.feed_ports)

    @property
    def feeds_needed(self) -> int:
        """How many signatures a round of a new deployment needs; 0 without signers."""
        return self.feed_threshold or (self.feeds // 2 + 1 if self.feeds else 0)

    @property
    def embedded_chain(self) -> bool:
        """Whether the chain is ours to run."""
        return not self.rpc_url

    @property
    def confirmations_needed(self) -> int:
        """Depth at which a block of the chain in use counts."""
        return 1 if self.embedded_chain else self.confirmations

    def check(self) -> "Settings":
        """Raise ConfigError for values that cannot work."""
        if not 1 <= self.port <= 65_534:
            raise ConfigError(f"port {self.port}: give one from 1 to 65534")
        if not 0 <= self.gateways <= _GATEWAYS_MAX:
            raise ConfigError(f"gateways {self.gateways}: give 0 to {_GATEWAYS_MAX}")
        if self.gateways and not self.redis:
            raise ConfigError("gateways need a Redis: give --redis URL, e.g. redis://127.0.0.1:6379/0")
        if self.gateways and self.gateway_ports[-1] > _PORT_MAX:
            raise ConfigError(f"gateways {self.gateways}: no ports are left behind {self.gateway_ports[0] - 1}")
        if self.confirmations < 1:
            raise ConfigError("confirmations: at least 1, the transaction's own block")
        self._check_prices()
        self._check_payments()
        self._check_feeds()
        if self.batch_interval_s <= 0:
            raise ConfigError("intervals must be positive seconds")
        not_below_zero = (self.finality_window_s, self.orders_per_second, self.batch_deadline_s)
        if min(not_below_zero) < 0 or self.snapshot_interval_s <= 0:
            raise ConfigError(
                "finality_window_s, snapshot_interval_s, orders_per_second, batch_deadline_s: not below zero"
            )
        if self.history_blocks and self.history_blocks < _HISTORY_BLOCKS_MIN:
            raise ConfigError(f"history_blocks: at least {_HISTORY_BLOCKS_MIN}, or 0 to keep every block")
        self._check_sizes()
        return self

    def _check_sizes(self) -> None:
        if self.segment_bytes % 4096 or self.segment_bytes < 1 << 20:
            raise ConfigError("segment_bytes: a multiple of 4096, at least 1 MiB")
        if self.account_event_bytes < 1 << 20:
            raise ConfigError("account_event_bytes: at least 1 MiB")

    def _check_payments(self) -> None:
        fast = (self.fast_budget_usdc, self.fast_largest_usdc, self.fast_fee_bps, self.fast_least_fee_usdc)
        if min(fast) < 0:
            raise ConfigError("fast_budget_usdc, fast_largest_usdc, fast_fee_bps, fast_least_fee_usdc: not below zero")

    def _check_feeds(self) -> None:
        if not 0 <= self.feeds <= _FEEDS_MAX:
            raise ConfigError(f"feeds {self.feeds}: give 0 to {_FEEDS_MAX}")
        if not 0 <= self.feed_threshold <= self.feeds:
            raise ConfigError(f"feed_threshold {self.feed_threshold}: give 1 to {self.feeds} (feeds), 0 for a majority")
        if not 0 < self.feed_bound_ppm < _PPM:
            raise ConfigError(f"feed_bound_ppm {self.feed_bound_ppm}: above 0, below {_PPM}")
        if len(self.feed_addresses) > _FEEDS_MAX:
            raise ConfigError(f"feed_urls: at most {_FEEDS_MAX}")
        if self.feed_ports and self.feed_ports[-1] > _PORT_MAX:
            raise ConfigError(f"feeds {self.feeds}: no ports are left behind {self.feed_ports[0] - 1}")

    def _check_prices(self) -> None:
        if self.prices not in _PRICES and not self.prices.startswith("recorded:"):
            raise ConfigError(f"prices {self.prices!r}: give seeded, recorded:FILE or live")
        if self.price_interval_s <= 0:
            raise ConfigError("intervals must be positive seconds")


def load_settings(arguments: dict[str, Any] | None = None, file: Path | None = None) -> Settings:
    """Defaults, then `file` (TOML), then OFFBOOK_* variables, then given arguments. Raises ConfigError."""
    settings = Settings()
    if file is not None:
        try:
            settings = _merge(settings, tomllib.loads(file.read_text()), str(file))
        except (OSError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"{file}: {error}") from error
    environment = {
        name.removeprefix(_ENVIRONMENT_PREFIX).lower(): value
        for name, value in os.environ.items()
        if name.startswith(_ENVIRONMENT_PREFIX)
    }
    known = {field.name for field in fields(Settings)}
    settings = _merge(settings, {name: text for name, text in environment.items() if name in known}, "environment")
    given = {name: value for name, value in (arguments or {}).items() if value is not None}
    return _merge(settings, given, "command line").check()


def child_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Environment for a program that we start: our own with `extra` on top."""
    return {**os.environ, **extra}


def shared_folder() -> Path:
    """Folder with recorded market data: OFFBOOK_SHARED, else `shared` beside the repository."""
    return Path(os.environ.get("OFFBOOK_SHARED", Path(__file__).resolve().parents[3] / "shared"))


def _merge(settings: Settings, values: dict[str, Any], source: str) -> Settings:
    known = {field.name: type(getattr(settings, field.name)) for field in fields(Settings)}
    changes: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            raise ConfigError(f"{source}: unknown setting {name!r}; `offbook config show` lists them")
        changes[name] = _convert(name, value, known[name], source)
    return replace(settings, **changes)


def _convert(name: str, value: object, kind: type, source: str) -> object:
    if isinstance(value, kind) and isinstance(value, bool) is (kind is bool):
        return value
    try:
        if kind is bool:
            return {"1": True, "true": True, "0": False, "false": False}[str(value).lower()]
        return Path(str(value)) if issubclass(kind, Path) else _SCALARS[kind](str(value))
    except (KeyError, ValueError) as error:
        raise ConfigError(f"{source}: {name} = {value!r} is not a {kind.__name__}") from error
