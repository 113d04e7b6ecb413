"""The trigger book against the plain rule: look at every order at every price."""

from random import Random

import pytest

from exchange.domain.commands import OrderFlag, Place, PriceSource, Side, TimeInForce, Trigger, TriggerKind
from exchange.engine.records import Order, TriggerStage
from exchange.engine.triggers import TriggerBook, fires_at_once, trailing_price_e9
from tests.unit.exchange.engine.world import BUY, PERP, SELL

KEY = (PriceSource.MARK, PERP)
STOP, TAKE, TRAIL = TriggerKind.STOP, TriggerKind.TAKE_PROFIT, TriggerKind.TRAILING


def order(number: int, side: Side, trigger: Trigger, extreme_e9: int = 0) -> Order:
    """An armed order."""
    place = Place(
        subaccount=2,
        instrument=PERP,
        side=side,
        time_in_force=TimeInForce.GTC,
        flags=OrderFlag.NONE,
        price_ticks=1,
        quantity_lots=1,
        nonce=number,
        expiry_s=1,
        signer=b"",
        trigger=trigger,
    )
    return Order(
        number=number,
        place=place,
        price_ticks=1,
        quantity_lots=1,
        created_ns=0,
        updated_ns=0,
        stage=TriggerStage.ARMED,
        trigger_e9=trigger.price_e9,
        offset_e9=trigger.offset_e9,
        extreme_e9=extreme_e9,
    )


@pytest.mark.parametrize(
    ("side", "kind", "below", "at", "above"),
    [
        (BUY, STOP, False, True, True),
        (SELL, STOP, True, True, False),
        (BUY, TAKE, True, True, False),
        (SELL, TAKE, False, True, True),
    ],
)
def test_direction_follows_kind_and_side(side: Side, kind: TriggerKind, *, below: bool, at: bool, above: bool) -> None:
    """Stops fire when the price moves against the order, take-profits in its favor; both at the price itself."""
    for price_e9, expected in ((99, below), (100, at), (101, above)):
        book, one = TriggerBook(), order(7, side, Trigger(kind=kind, price_e9=100))
        assert fires_at_once(one, price_e9) is expected
        book.arm(KEY, one)
        assert book.observe(KEY, price_e9) == ([7] if expected else [])
        assert (7 in book.fired) is expected


@pytest.mark.parametrize(
    ("side", "offset", "prices", "fires_at"),
    [
        (SELL, {"offset_e9": 10}, (100, 109, 120, 111), 110),
        (BUY, {"offset_e9": 10}, (100, 91, 80, 89), 90),
        (SELL, {"offset_ppm": 10_000}, (100, 1_001, 991), 990),  # 1 % of 1,001 is 10.01: rounded up to 11
        (BUY, {"offset_ppm": 10_000}, (100, 99, 100), 100),  # 1 % of 99 is 0.99: rounded up to 1
    ],
)
def test_trailing_orders_follow_their_extreme(
    side: Side, offset: dict[str, int], prices: tuple[int, ...], fires_at: int
) -> None:
    """The distance is kept from the best price seen; a part of it is rounded up, so it never fires early."""
    book = TriggerBook()
    one = order(7, side, Trigger(kind=TRAIL, **offset), extreme_e9=prices[0])
    book.arm(KEY, one)
    fired = [book.observe(KEY, price_e9) for price_e9 in prices]
    if prices[-1] == fires_at:
        assert fired[-1] == [7]
    else:
        assert not any(fired)
        assert trailing_price_e9(one, book.ladders[KEY].extreme_e9(one)) == fires_at
        assert book.observe(KEY, fires_at) == [7]


def test_fired_orders_queue_by_number() -> None:
    """Whatever the order of prices, the lowest number is first; a canceled one leaves the queue."""
    book = TriggerBook()
    orders = {number: order(number, BUY, Trigger(kind=STOP, price_e9=200 - number)) for number in (1, 2, 3)}
    for one in orders.values():
        book.arm(KEY, one)
    book.observe(KEY, 197)
    book.observe(KEY, 199)
    assert list(book.fired) == [1, 2, 3]
    orders[2].stage = TriggerStage.FIRED
    book.disarm(KEY, orders[2])
    assert list(book.fired) == [1, 3]
    assert book.ladders == {}


@pytest.mark.parametrize("seed", range(8))
def test_book_fires_what_a_plain_walk_fires(seed: int) -> None:
    """A random life of 3,000 steps: arm, disarm and prices fire the same orders, with the same extremes on the way."""
    random, book, live = Random(seed), TriggerBook(), dict[int, Order]()
    price_e9, extremes = 5_000, dict[int, int]()
    for number in range(1, 3_001):
        roll = random.random()
        if roll < 0.4:
            one = _random_order(random, number, price_e9)
            if not fires_at_once(one, price_e9):
                book.arm(KEY, one)
                live[number], extremes[number] = one, price_e9
        elif roll < 0.5 and live:
            gone = random.choice(list(live))
            book.disarm(KEY, live.pop(gone))
            del extremes[gone]
        else:
            price_e9 = max(100, price_e9 + random.choice((-120, -20, -3, 0, 3, 20, 120)))
            expected = _walk(live, extremes, price_e9)
            assert sorted(book.observe(KEY, price_e9)) == expected, f"step {number} at {price_e9}"
            for fired in expected:
                del live[fired], extremes[fired]
        for watched, one in live.items():
            trailing = one.place.trigger is not None and one.place.trigger.kind is TRAIL
            assert book.ladders[KEY].extreme_e9(one) == (extremes[watched] if trailing else 0)
        assert len(book.ladders.get(KEY, ())) == len(live)
    assert len(book.fired) > 200


def _random_order(random: Random, number: int, price_e9: int) -> Order:
    side = random.choice((BUY, SELL))
    kind = random.choice((STOP, TAKE, TRAIL, TRAIL))
    if kind is not TRAIL:
        return order(number, side, Trigger(kind=kind, price_e9=max(1, price_e9 + random.randrange(-300, 301))))
    is_ppm = random.random() < 0.5
    offset = {"offset_ppm": random.randrange(1, 40_000)} if is_ppm else {"offset_e9": random.randrange(1, 200)}
    return order(number, side, Trigger(kind=kind, **offset), extreme_e9=price_e9)


def _walk(live: dict[int, Order], extremes: dict[int, int], price_e9: int) -> list[int]:
    """The rule, said plainly: move every extreme, then compare every order."""
    fired = []
    for number, one in live.items():
        trigger = one.place.trigger
        assert trigger is not None
        better = max if one.place.side is SELL else min
        extremes[number] = better(extremes[number], price_e9)
        if trigger.kind is TRAIL:
            distance = trigger.offset_e9 or -(-extremes[number] * trigger.offset_ppm // 1_000_000)
            sells = one.place.side is SELL
            fires = price_e9 <= extremes[number] - distance if sells else price_e9 >= extremes[number] + distance
        elif (trigger.kind is STOP) == (one.place.side is BUY):
            fires = price_e9 >= trigger.price_e9
        else:
            fires = price_e9 <= trigger.price_e9
        if fires:
            fired.append(number)
    return sorted(fired)
