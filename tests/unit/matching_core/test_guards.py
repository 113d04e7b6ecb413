"""Guards: four limits per window, counted per fill before the next; a breach freezes, quotes met later are canceled."""

import pytest

from matching_core.errors import CapacityExhausted
from tests.unit.matching_core.book_drawing import INSTRUMENT, DrawnBook

ASKS = """
bid | price | ask
    |   103 | d:9
    |   102 | c:5:g1
    |   101 | a:5:g1 b:5:g1
"""

LIMITS = [
    # limits of guard 1 with weights (delta 2, vega -3), events behind the accept, (lots, delta, vega, fills)
    (
        {"quantity_lots": 7},
        ["trade a 5@101", "trade b 2@101", "guard_tripped g1 7 GUARD_QUANTITY", "canceled b 3@101 MMP_TRIGGERED",
         "canceled c 5@102 MMP_TRIGGERED", "trade d 9@103", "canceled t 4@103 IOC_REMAINDER"],
        (7, -14, 21, 2),
    ),
    (
        {"delta_e9": 11},
        ["trade a 5@101", "trade b 5@101", "guard_tripped g1 10 GUARD_DELTA", "canceled c 5@102 MMP_TRIGGERED",
         "trade d 9@103", "canceled t 1@103 IOC_REMAINDER"],
        (10, -20, 30, 2),
    ),
    (
        {"vega_e9": 15},
        ["trade a 5@101", "guard_tripped g1 5 GUARD_VEGA", "canceled b 5@101 MMP_TRIGGERED",
         "canceled c 5@102 MMP_TRIGGERED", "trade d 9@103", "canceled t 6@103 IOC_REMAINDER"],
        (5, -10, 15, 1),
    ),
    (
        {"count": 3},
        ["trade a 5@101", "trade b 5@101", "trade c 5@102", "guard_tripped g1 15 GUARD_COUNT", "trade d 5@103"],
        (15, -30, 45, 3),
    ),
    (
        {},
        ["trade a 5@101", "trade b 5@101", "trade c 5@102", "trade d 5@103"],
        (15, -30, 45, 3),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("limits", "events", "sums"), LIMITS, ids=["quantity", "delta", "vega", "count", "none"])
def test_breach_freezes_before_the_next_fill(order_book_class, limits, events, sums):
    """Quantity is never exceeded; the other limits are reached by the fill that trips them."""
    drawn = DrawnBook(order_book_class, ASKS, guards={1: limits})
    drawn.book.set_weights(INSTRUMENT, delta_e9=2, vega_e9=-3)
    assert drawn.run("buy 20@103 ioc")[1:] == events
    assert drawn.book.guard(1) == (bool(limits), 0, *sums)


def test_frozen_guard_refuses_new_quotes(order_book_class):
    """NEW, amend to the back and mass quote; canceling and shrinking in place stay possible."""
    drawn = DrawnBook(order_book_class, ASKS, guards={1: {"quantity_lots": 2}})
    assert drawn.run("buy 2@101") == ["accepted t 2@101", "trade a 2@101", "guard_tripped g1 2 GUARD_QUANTITY"]
    assert drawn.run("sell 1@105 g1") == ["rejected GUARD_FROZEN"]
    assert drawn.run("amend b 6@101") == ["rejected b GUARD_FROZEN"]
    assert drawn.run("quote g1 5@90/5@110") == ["rejected GUARD_FROZEN"]
    assert drawn.run("amend b 4@101") == ["amended b 4@101"]
    assert drawn.run("cancel c") == ["canceled c 5@102 USER_REQUEST"]
    drawn.book.reset_guard(1)
    assert drawn.run("sell 1@105 g1") == ["accepted t 1@105"]


def test_quotes_of_a_frozen_guard_rest_until_they_are_met(order_book_class):
    """The taker that is done leaves them; FOK and self-trade look past them, the next taker ends them."""
    drawn = DrawnBook(order_book_class, ASKS, guards={1: {"count": 1}})
    drawn.run("buy 1@101")
    assert drawn.draw() == [" | 103 | d:9", " | 102 | c:5", " | 101 | a:4 b:5"]
    assert drawn.run("buy 1@102 fok") == ["rejected FOK_NOT_FILLED"]
    assert drawn.book.fillable(INSTRUMENT, 0, 103, 99) == 9
    assert drawn.run("buy 1@102 ioc") == [
        "accepted t 1@102", "canceled a 4@101 MMP_TRIGGERED", "canceled b 5@101 MMP_TRIGGERED",
        "canceled c 5@102 MMP_TRIGGERED", "canceled t 1@102 NO_LIQUIDITY",
    ]  # fmt: skip


def test_fok_is_judged_with_guards(order_book_class):
    """It fills across the clip of a guard if others make up for it, and changes nothing if not."""
    drawn = DrawnBook(order_book_class, ASKS, guards={1: {"quantity_lots": 7}})
    before = drawn.book.snapshot()
    assert drawn.run("buy 17@103 fok") == ["rejected FOK_NOT_FILLED"]
    assert drawn.book.snapshot() == before
    assert drawn.run("buy 16@103 fok")[-1] == "trade d 9@103"


WINDOWS = [
    # interval, times of two fills of 3 with a limit of 5 lots, lots of the second
    (10, (0, 9), 2),
    (10, (0, 10), 3),
    (10, (7, 16), 2),
    (10, (7, 17), 3),
    (0, (0, 2**62), 2),
]


@pytest.mark.parametrize(("interval_ns", "times", "lots"), WINDOWS)
def test_window_starts_with_a_fill_and_lasts_its_interval(order_book_class, interval_ns, times, lots):
    """The first fill at or after start + interval begins the next; interval 0 never ends."""
    guard = {"interval_ns": interval_ns, "quantity_lots": 5}
    drawn = DrawnBook(order_book_class, "bid | price | ask\n | 101 | a:9:g1", guards={1: guard})
    drawn.now_ns = times[0]
    drawn.run("buy 3@101")
    drawn.now_ns = times[1]
    assert drawn.run("buy 3@101 ioc")[1] == f"trade a {lots}@101"
    assert drawn.book.guard(1)[1] == (times[1] if lots == 3 else times[0])


def test_sides_offset_in_delta_but_not_in_quantity(order_book_class):
    """A bought lot adds its weights, a sold one takes them."""
    picture = """
    bid    | price | ask
           |   101 | a:5:g1
    b:3:g1 |    99 |
    """
    drawn = DrawnBook(order_book_class, picture, guards={1: {"delta_e9": 100}})
    drawn.book.set_weights(INSTRUMENT, delta_e9=10, vega_e9=1)
    drawn.run("buy 5@101")
    drawn.run("sell 3@99")
    assert drawn.book.guard(1) == (False, 0, 8, -20, -2, 2)


def test_taker_is_not_counted(order_book_class):
    """A guarded order that takes moves no sum; its rest does when it is met."""
    drawn = DrawnBook(order_book_class, "bid | price | ask\n | 101 | a:5", guards={1: {"quantity_lots": 4}})
    assert drawn.run("buy 9@101 g1") == ["accepted t 9@101", "trade a 5@101"]
    assert drawn.book.guard(1)[2:] == (0, 0, 0, 0)


def test_sums_stop_at_the_bound(order_book_class):
    """The largest quantity times the largest weight does not wrap."""
    drawn = DrawnBook(order_book_class, guards={1: {}, 2: {"delta_e9": 2**62}})
    drawn.book.set_weights(INSTRUMENT, delta_e9=2**62, vega_e9=-(2**62))
    for guard in (1, 2):
        drawn.run(f"sell {2**47}@101 g{guard}")
    events = drawn.run(f"buy {2**47}@101 ioc") + drawn.run(f"buy {2**47}@101 ioc")
    assert events[-1] == f"guard_tripped g2 {2**47} GUARD_DELTA"
    assert drawn.book.guard(1) == (False, 0, 2**47, -(2**62), 2**62, 1)


def test_new_limits_start_the_window_anew_but_do_not_thaw(order_book_class):
    """set_guard keeps the freeze; reset_guard takes it away."""
    drawn = DrawnBook(order_book_class, ASKS, guards={1: {"count": 1}})
    drawn.run("buy 1@101")
    drawn.book.set_guard(1, interval_ns=5, count=9)
    assert drawn.book.guard(1) == (True, 0, 0, 0, 0, 0)
    drawn.book.reset_guard(1)
    assert drawn.book.guard(1) == (False, 0, 0, 0, 0, 0)


def test_cancel_guard_takes_its_line(order_book_class):
    """Oldest first across levels, each with its depth; others stay; the freeze stays."""
    drawn = DrawnBook(order_book_class, ASKS, guards={1: {"count": 1}, 2: {}})
    drawn.run("buy 1@101")
    assert drawn.run_with_depth("cancel-guard g1") == [
        "applied", "canceled c 5@102 USER_REQUEST", "depth ask 0@102", "canceled a 4@101 USER_REQUEST",
        "depth ask 5@101", "canceled b 5@101 USER_REQUEST", "depth ask 0@101",
    ]  # fmt: skip
    assert drawn.draw() == [" | 103 | d:9"]
    assert drawn.book.guard_orders(1) == []
    assert drawn.run("cancel-guard g2") == ["applied"]
    assert drawn.run("cancel-guard g3") == ["rejected UNKNOWN_GUARD"]
    assert drawn.run("cancel-guard g0") == ["rejected UNKNOWN_GUARD"]


BAD_GUARDS = [
    (0, {}), (2**32, {}), (1, {"interval_ns": -1}), (1, {"interval_ns": 2**62 + 1}), (1, {"quantity_lots": -1}),
    (1, {"delta_e9": 2**62 + 1}), (1, {"vega_e9": -1}), (1, {"count": -1}),
]  # fmt: skip


@pytest.mark.parametrize(("guard", "limits"), BAD_GUARDS)
def test_bad_guard_is_refused(order_book_class, guard, limits):
    """Ids are 1..2**32-1, limits and interval 0..2**62."""
    book = order_book_class()
    with pytest.raises(ValueError, match="guard"):
        book.set_guard(guard, **{"interval_ns": 0, **limits})
    for look in (book.guard, book.reset_guard, book.guard_orders):
        with pytest.raises(KeyError):
            look(guard)


@pytest.mark.parametrize("weights", [(2**62 + 1, 0), (0, -(2**62) - 1)])
def test_bad_weights_are_refused(order_book_class, weights):
    """Weights stay within 2**62; an unknown instrument has none."""
    book = DrawnBook(order_book_class).book
    with pytest.raises(ValueError, match="weight"):
        book.set_weights(INSTRUMENT, delta_e9=weights[0], vega_e9=weights[1])
    assert book.weights(INSTRUMENT) == (0, 0)
    with pytest.raises(KeyError):
        book.weights(99)


@pytest.mark.parametrize("now_ns", [-1, 2**63])
def test_bad_time_is_refused(order_book_class, now_ns):
    """Time is 0..2**63-1 ns; nothing is applied."""
    drawn = DrawnBook(order_book_class)
    with pytest.raises(ValueError, match="time"):
        drawn.book.submit(drawn.pack("buy 1@95")[0], now_ns)
    assert drawn.book.resting_count == 0


def test_full_tables_say_so(order_book_class):
    """One instrument, cell or guard too many raises and changes nothing; a NEW with one is refused with CAPACITY."""
    drawn = DrawnBook(order_book_class, instrument_capacity=1, cell_capacity=2, guard_capacity=1, guards={1: {}})
    before = drawn.book.snapshot()
    with pytest.raises(CapacityExhausted):
        drawn.book.list_instrument(5, price_min_ticks=1, price_max_ticks=2)
    with pytest.raises(CapacityExhausted):
        drawn.book.set_cell(3, 1)
    with pytest.raises(CapacityExhausted):
        drawn.book.set_guard(2, interval_ns=0)
    assert drawn.run("buy 1@95 c3") == ["rejected CAPACITY"]
    assert drawn.book.snapshot() == before
    assert drawn.run("buy 1@95 c2") == ["accepted t 1@95"]
    drawn.run("cancel t")
    drawn.book.delist_instrument(INSTRUMENT)
    drawn.book.list_instrument(5, price_min_ticks=1, price_max_ticks=2)
