"""Orders die of time: by (deadline, number), so many per Clock."""

from exchange.domain.events import OrderClosed
from exchange.domain.limits import MAX_TIMERS_PER_CLOCK
from exchange.domain.result_codes import CloseReason, OrderStatus
from tests.unit.exchange.engine.world import BUY, CALL, EXPIRY_S, SECOND_NS, World


def test_each_end_has_its_reason() -> None:
    """Signature, own date and the instrument's end; the earliest one counts."""
    world = World().open()
    now_s = world.now_ns // SECOND_NS
    world.place(2, BUY, 500_000, 1, expiry_s=now_s + 20)
    world.place(2, BUY, 500_000, 1, expires_at_s=now_s + 15)
    world.place(2, BUY, 100, 1, CALL, expiry_s=EXPIRY_S + 900)
    closed = [event for event in world.clock(31 * 86_400) if isinstance(event, OrderClosed)]
    assert [(event.reason, event.status) for event in closed] == [
        (CloseReason.GOOD_TILL_DATE_REACHED, OrderStatus.EXPIRED),
        (CloseReason.SIGNATURE_EXPIRED, OrderStatus.EXPIRED),
        (CloseReason.INSTRUMENT_EXPIRED, OrderStatus.CANCELED),
    ]


def test_a_clock_does_bounded_work() -> None:
    """More timers than one Clock fires wait for the next, and the state says so."""
    world = World().open()
    world.checks = False
    for _ in range(MAX_TIMERS_PER_CLOCK + 3):
        world.place(2, BUY, 500_000, 1)
    assert len([e for e in world.clock(4_000) if isinstance(e, OrderClosed)]) == MAX_TIMERS_PER_CLOCK
    assert world.state.work_pending()
    assert len([e for e in world.clock() if isinstance(e, OrderClosed)]) == 3
    assert not world.state.work_pending()
