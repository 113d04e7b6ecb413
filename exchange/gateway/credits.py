"""Token buckets per wallet and per address, charged before any expensive work. Bounded in number."""

from collections import OrderedDict
from typing import Final

from exchange.gateway.settings import Budget, GatewaySettings
from exchange.wire.errors import RpcCode, WireError
from exchange.wire.methods import Bucket

__all__ = ["Credits"]

_MAX_BUCKETS: Final = 65_536
_SECOND_NS: Final = 1_000_000_000


class _Tokens:
    __slots__ = ("at_ns", "level")

    def __init__(self, level: float, at_ns: int) -> None:
        self.level = level
        self.at_ns = at_ns


class Credits:
    """All budgets. The oldest unused bucket is forgotten first, which can only refill it."""

    def __init__(self, settings: GatewaySettings) -> None:
        """Take the budgets from `settings`."""
        self._budgets: dict[Bucket, Budget] = {
            Bucket.MATCHING: settings.matching,
            Bucket.CANCELS: settings.cancels,
            Bucket.QUOTES: settings.quotes,
            Bucket.READS: settings.reads,
            Bucket.PUBLIC: settings.public,
        }
        self._tokens: OrderedDict[tuple[Bucket, bytes | str], _Tokens] = OrderedDict()

    def charge(self, bucket: Bucket, who: bytes | str, cost: int, now_ns: int) -> tuple[int, int]:
        """Take `cost` tokens; returns (remaining, ms until full). Raises WireError -32000; nothing is closed."""
        budget = self._budgets.get(bucket)
        if budget is None:
            return 0, 0
        tokens = self._refilled((bucket, who), budget, now_ns)
        if tokens.level < cost:
            retry_ms = int((cost - tokens.level) * 1_000 / budget.per_second) + 1
            data: dict[str, object] = {
                "reason": "rate_limit",
                "bucket": bucket.value,
                "cost": cost,
                "remaining": int(tokens.level),
                "retry_after_ms": retry_ms,
            }
            raise WireError(RpcCode.RATE_LIMIT, data)
        tokens.level -= cost
        return int(tokens.level), int((budget.burst - tokens.level) * 1_000 / budget.per_second)

    def state(self, bucket: Bucket, who: bytes | str, now_ns: int) -> dict[str, object]:
        """Describe one bucket the way getRateLimits shows it."""
        budget = self._budgets[bucket]
        tokens = self._refilled((bucket, who), budget, now_ns)
        used = budget.burst - tokens.level
        return {
            "remainingPoints": int(tokens.level),
            "msBeforeNext": int(used * 1_000 / budget.per_second),
            "consumedPoints": int(used),
            "isFirstInDuration": used <= 0,
        }

    def _refilled(self, key: tuple[Bucket, bytes | str], budget: Budget, now_ns: int) -> _Tokens:
        tokens = self._tokens.get(key)
        if tokens is None:
            tokens = self._tokens[key] = _Tokens(budget.burst, now_ns)
            if len(self._tokens) > _MAX_BUCKETS:
                self._tokens.popitem(last=False)
            return tokens
        gained = (now_ns - tokens.at_ns) * budget.per_second / _SECOND_NS
        tokens.level = min(float(budget.burst), tokens.level + max(gained, 0.0))
        tokens.at_ns = now_ns
        self._tokens.move_to_end(key)
        return tokens
