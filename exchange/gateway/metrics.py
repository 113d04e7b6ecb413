"""Counters in Prometheus' text format (requirements.md 12), with the names that exist already."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from exchange.gateway.gateway import Gateway

__all__ = ["metrics_text"]


def metrics_text(gateway: "Gateway", extra: Mapping[str, float]) -> str:
    """Render the gateway's counters and those of `extra` (names without prefix)."""
    queued = sum(connection.queued_bytes() for connection in gateway.sockets)
    plain: dict[str, float] = {
        "ws_clients": len(gateway.sockets),
        "ws_queue_bytes": queued,
        "ws_slow_closed_total": gateway.slow_closed_count,
        "ws_channels": gateway.fanout.channel_count,
        "ws_items_sent_total": gateway.fanout.sent_count
        + gateway.fanout.books.sent_count
        + gateway.fanout.accounts.sent_count,
        "ws_items_conflated_total": gateway.fanout.dropped_count + gateway.fanout.books.dropped_count,
        "frames_refused_total": gateway.dispatcher.refused_count,
        "verify_backlog": gateway.intake.pool_backlog,
        "cancelled_before_admission_total": gateway.intake.removed_count,
        "markets_restricted": len(gateway.core.market.restricted(gateway.core.clock_ns())),
        "book_crossed_total": gateway.core.market.crossed_count,
    }
    lines = [line for name, value in (plain | dict(extra)).items() for line in _plain(name, value)]
    return "\n".join([*lines, *_replies(gateway), ""])


def _plain(name: str, value: float) -> Iterable[str]:
    kind = "counter" if name.endswith("_total") else "gauge"
    yield f"# TYPE offbook_{name} {kind}"
    yield f"offbook_{name} {int(value) if value == int(value) else value!r}"


def _replies(gateway: "Gateway") -> Iterable[str]:
    yield "# TYPE offbook_requests_total counter"
    for (path, code), count in sorted(gateway.replies.items()):
        yield f'offbook_requests_total{{method="{path}",code="{code}"}} {count}'
    orders = {code: count for (path, code), count in gateway.replies.items() if path == "private/order"}
    yield "# TYPE offbook_orders_total counter"
    for code, count in sorted(orders.items()):
        result = "rejected" if code else "accepted"
        yield f'offbook_orders_total{{result="{result}",reason="{code}"}} {count}'
