"""Call auction: orders wait crossed, the uncross trades them at one price, then matching is continuous again."""

import pytest

from matching_core.fills import COMMAND, EVENT, CoreCode, CoreCommand, CoreEvent, CorePhase
from tests.unit.matching_core.book_drawing import INSTRUMENT, DrawnBook


def auction_of(order_book_class, picture, **options):
    """Draw a book whose orders all came during an auction."""
    drawn = DrawnBook(order_book_class, **options)
    drawn.run("auction")
    for line in picture.strip().splitlines()[1:]:
        bids, price, asks = (part.strip() for part in line.split("|"))
        for side, orders in (("buy", bids), ("sell", asks)):
            for order in orders.split():
                name, quantity, *attributes = order.split(":")
                drawn.run(f"{side} {quantity}@{price} {' '.join(attributes)} as {name}")
    return drawn


REFUSED = [
    (CoreCommand.SET_PHASE, 2, INSTRUMENT, 0, CoreCode.BAD_SIDE),
    (CoreCommand.SET_PHASE, 2, 5, 0, CoreCode.UNKNOWN_INSTRUMENT),
    (CoreCommand.UNCROSS, 0, 5, 100, CoreCode.UNKNOWN_INSTRUMENT),
    (CoreCommand.UNCROSS, 0, INSTRUMENT, 89, CoreCode.PRICE_OUT_OF_RANGE),
    (CoreCommand.UNCROSS, 0, INSTRUMENT, 100, CoreCode.WRONG_PHASE),
]


@pytest.mark.parametrize(("kind", "side", "instrument", "price", "code"), REFUSED)
def test_phase_command_is_refused(order_book_class, kind, side, instrument, price, code):
    """Unknown instrument or phase, reference beyond the band, uncross outside an auction."""
    book = DrawnBook(order_book_class).book
    before = book.state_hash()
    events = list(EVENT.iter_unpack(book.submit(COMMAND.pack(kind, side, 0, instrument, price, 0, 0, 0))))
    assert events == [(CoreEvent.REJECTED, side, code, instrument, 0, 0, 0)]
    assert book.state_hash() == before


@pytest.mark.parametrize("word", ["ioc", "fok"])
def test_immediate_orders_are_refused_in_an_auction(order_book_class, word):
    """There is nothing to trade with until the uncross."""
    drawn = auction_of(order_book_class, "bid | price | ask\n | 100 | a:5")
    assert drawn.run(f"buy 5@100 {word}") == ["rejected WRONG_PHASE"]


@pytest.mark.parametrize("word", ["", "post", "slide", "o9"])
def test_orders_rest_crossed_in_an_auction(order_book_class, word):
    """Plain, post-only and own orders alike; best is crossed, nothing is fillable."""
    drawn = auction_of(order_book_class, "bid | price | ask\n | 100 | a:5:o9")
    assert drawn.run(f"buy 3@102 {word} as b") == ["accepted b 3@102"]
    assert drawn.book.best(INSTRUMENT) == (102, 3, 100, 5)
    assert drawn.book.fillable(INSTRUMENT, 0, 110, 9) == 0
    assert drawn.run("amend b 4@103") == ["amended b 4@103"]
    assert drawn.run("continuous") == ["rejected BOOK_CROSSED"]
    assert drawn.run("cancel b") == ["canceled b 4@103 USER_REQUEST"]
    assert drawn.run("continuous") == ["applied"]
    assert drawn.book.phase(INSTRUMENT) == CorePhase.CONTINUOUS


PRICES = [
    # bids, asks, reference, price, volume, surplus: one rule after the other decides
    ("105:10", "95:10", 101, 101, 10, 0),
    ("105:10", "95:10", 90, 95, 10, 0),
    ("105:10", "95:10", 110, 105, 10, 0),
    ("105:10 100:5", "95:10 102:9", 95, 101, 10, 0),
    ("105:10 100:5", "95:10 102:9", 104, 101, 10, 0),
    ("105:10 100:5", "95:12 102:9", 104, 100, 12, 3),
    ("105:10 100:5", "95:12 102:9", 95, 95, 12, 3),
    ("105:4 103:4 101:4", "100:4 102:4 104:4", 100, 102, 8, 0),
    ("105:4 103:4 101:4", "100:4 102:4 104:4", 110, 103, 8, 0),
    ("101:7", "101:5", 90, 101, 5, 2),
    ("102:5 101:5", "101:5 102:5", 110, 102, 5, -5),
    ("102:5 101:5", "101:5 102:5", 90, 101, 5, 5),
    ("104:5 103:5", "103:5 104:5", 100, 103, 5, 5),
]


def build(order_book_class, bids, asks):
    """Make an auction from `price:lots` lists."""
    drawn = DrawnBook(order_book_class)
    drawn.run("auction")
    for side, orders in (("buy", bids), ("sell", asks)):
        for order in orders.split():
            price, lots = order.split(":")
            drawn.run(f"{side} {lots}@{price} as {side[0]}{price}")
    return drawn


def best_by_search(bids, asks, reference):
    """Try every price of the band: the definition, without its shortcuts."""
    ranks = []
    for price in range(90, 111):
        demand = sum(int(lots) for at, lots in (order.split(":") for order in bids.split()) if int(at) >= price)
        supply = sum(int(lots) for at, lots in (order.split(":") for order in asks.split()) if int(at) <= price)
        ranks.append((-min(demand, supply), abs(demand - supply), abs(price - reference), price, demand - supply))
    volume, _, _, price, surplus = min(ranks)
    return price, -volume, surplus


@pytest.mark.parametrize(("bids", "asks", "reference", "price", "volume", "surplus"), PRICES)
def test_uncross_price(order_book_class, bids, asks, reference, price, volume, surplus):
    """Most volume, least surplus, nearest to the reference, lowest: as a search over every price says."""
    drawn = build(order_book_class, bids, asks)
    expected = best_by_search(bids, asks, reference)
    assert drawn.book.indicative(INSTRUMENT, reference) == expected
    assert drawn.run(f"uncross {reference}")[-1] == f"uncrossed {expected[1]}@{expected[0]}"
    assert drawn.book.phase(INSTRUMENT) == CorePhase.CONTINUOUS
    assert (price, volume, surplus) == expected


def test_uncross_trades_in_price_time_order(order_book_class):
    """Better prices first, then age; both sides get the one price; what is left rests uncrossed."""
    picture = """
    bid     | price | ask
    a:4 b:4 |   103 |
    c:9     |   102 | x:3
            |   101 | y:8
    d:1     |    99 | z:2
    """
    drawn = auction_of(order_book_class, picture)
    assert drawn.run_with_depth("uncross 102") == [
        "applied 0@102", "fill a 2@102", "fill z 2@102", "fill a 2@102", "fill y 2@102", "fill b 4@102",
        "fill y 4@102", "fill c 2@102", "fill y 2@102", "fill c 3@102", "fill x 3@102", "uncrossed 13@102",
        "depth bid 0@103", "depth bid 4@102", "depth ask 0@99", "depth ask 0@101", "depth ask 0@102",
    ]  # fmt: skip
    assert drawn.draw() == ["c:4 | 102 | ", "d:1 | 99 | "]


def test_uncross_of_a_book_that_does_not_cross(order_book_class):
    """Nothing trades, no price is named, matching goes on."""
    drawn = auction_of(order_book_class, "bid | price | ask\n | 103 | x:3\na:4 | 99 |")
    assert drawn.book.indicative(INSTRUMENT, 100) == (None, 0, 0)
    assert drawn.run_with_depth("uncross 100") == ["applied 0@100"]
    assert drawn.run("buy 1@103") == ["accepted t 1@103", "trade x 1@103"]


SELF_TRADES = [
    # mode of the older, mode of the younger, events between APPLIED and UNCROSSED
    ("maker", "", ["canceled b 5@101 SELF_TRADE"]),
    ("", "maker", ["canceled a 3@101 SELF_TRADE_MAKER", "fill b 5@101", "fill x 5@101"]),
    ("", "both", ["canceled a 3@101 SELF_TRADE_MAKER", "canceled b 5@101 SELF_TRADE"]),
    (
        "", "decrement",
        ["canceled a 3@101 SELF_TRADE_DECREMENT", "canceled b 3@101 SELF_TRADE_DECREMENT", "fill b 2@101",
         "fill x 2@101"],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("older", "younger", "events"), SELF_TRADES, ids=["taker", "maker", "both", "decrement"])
def test_own_orders_do_not_meet_in_an_uncross(order_book_class, older, younger, events):
    """The younger is the taker, whatever its side, and its mode counts."""
    drawn = DrawnBook(order_book_class)
    drawn.run(f"sell 3@101 o9 {older} as a")
    drawn.run("auction")
    drawn.run("sell 7@101 as x")
    drawn.run(f"buy 5@101 o9 {younger} as b")
    assert [line for line in drawn.run("uncross 101")[1:] if "uncrossed" not in line] == events


def test_age_counts_across_sides(order_book_class):
    """A bid that came before the ask is the older one; an amend to the back makes it the younger."""
    for amend, gone in ((None, "canceled x 3@101 SELF_TRADE"), ("amend b 6@101", "canceled b 6@101 SELF_TRADE")):
        drawn = auction_of(order_book_class, "bid | price | ask\nb:5:o9 | 101 | x:3:o9")
        if amend:
            drawn.run(amend)
        assert drawn.run("uncross 101") == ["applied 0@101", gone]


def test_reduce_only_is_clipped_in_an_uncross(order_book_class):
    """The excess is canceled, and does not count for the price."""
    picture = """
    bid  | price | ask
    b:20 |   103 |
    c:20 |   101 | x:4
         |    95 | r:30:r1
    """
    drawn = auction_of(order_book_class, picture, cells={1: 6})
    assert drawn.book.indicative(INSTRUMENT, 95) == (102, 10, 10)
    assert drawn.run("uncross 95") == [
        "applied 0@95", "fill b 6@102", "fill r 6@102", "canceled r 24@95 REDUCE_ONLY_EXCESS", "fill b 4@102",
        "fill x 4@102", "uncrossed 10@102",
    ]  # fmt: skip
    assert drawn.book.cell(1) == 0


def test_orders_of_one_cell_meet_in_one_fill(order_book_class):
    """An uncross that moves no position is not cut into pieces of the room."""
    drawn = auction_of(order_book_class, "bid | price | ask\nb:20:c1 | 101 | r:30:r1", cells={1: 6})
    assert drawn.run("uncross 101")[1:3] == ["fill b 20@101", "fill r 20@101"]
    assert drawn.book.cell(1) == 6


def test_icebergs_take_part_with_all_they_have(order_book_class):
    """Hidden lots trade at the place of the shown ones; what is left shows a new slice at the back."""
    drawn = auction_of(order_book_class, "bid | price | ask\nb:9 | 101 | x:20:s3 y:5")
    assert drawn.book.indicative(INSTRUMENT, 101) == (101, 9, -16)
    assert drawn.run("uncross 101") == [
        "applied 0@101", "fill b 9@101", "fill x 9@101", "refilled x 3@101", "uncrossed 9@101",
    ]  # fmt: skip
    assert drawn.draw() == [" | 101 | y:5 x:3+8"]


def test_guards_act_in_an_uncross(order_book_class):
    """The quantity limit clips and freezes; the next quote of the guard is canceled; both sides are counted."""
    picture = """
    bid      | price | ask
    b:30     |   101 | x:4:g1 y:5:g1 z:6
    """
    drawn = auction_of(order_book_class, picture, guards={1: {"quantity_lots": 6}})
    assert drawn.run("uncross 101") == [
        "applied 0@101", "fill b 4@101", "fill x 4@101", "fill b 2@101", "fill y 2@101",
        "guard_tripped g1 6 GUARD_QUANTITY", "canceled y 3@101 MMP_TRIGGERED", "fill b 6@101", "fill z 6@101",
        "uncrossed 12@101",
    ]  # fmt: skip


def test_fill_between_two_orders_of_one_guard_counts_once(order_book_class):
    """Without an owner nothing keeps them apart; the guard counts the buyer's fill."""
    drawn = auction_of(order_book_class, "bid | price | ask\nb:5:g1 | 101 | x:5:g1", guards={1: {"quantity_lots": 9}})
    drawn.book.set_weights(INSTRUMENT, delta_e9=2, vega_e9=0)
    drawn.run("uncross 101")
    assert drawn.book.guard(1) == (False, 0, 5, 10, 0, 1)


def test_second_round_uncrosses_what_self_trades_left(order_book_class):
    """When own orders took volume out, the rest may cross beyond the first price: it gets its own round."""
    picture = """
    bid     | price | ask
    a:5     |   106 |
    b:10:o9 |   105 |
            |   103 | y:10
            |   100 | x:15:o9
    """
    drawn = auction_of(order_book_class, picture)
    assert drawn.run("uncross 100") == [
        "applied 0@100", "fill a 5@100", "fill x 5@100", "canceled x 10@100 SELF_TRADE", "uncrossed 5@100",
        "fill b 10@103", "fill y 10@103", "uncrossed 10@103",
    ]  # fmt: skip
    assert drawn.draw() == []


@pytest.mark.parametrize("room", range(16, 48))
def test_uncross_may_pause_at_any_event(order_book_class, room):
    """Wherever the compiled book's first 4,096 events are used up, the answer is that of one alone."""
    picture = """
    bid             | price | ask
    a:4:s1 b:4:g1   |   103 |
    c:9:o9          |   102 | x:3:o9
    d:5:r2          |   101 | y:8 w:30:s2
    """
    options = {"guards": {1: {"count": 2}}, "cells": {2: -3}}
    alone, late = (auction_of(order_book_class, picture, **options) for _ in range(2))
    command = alone.pack("uncross 102")[0]
    filler = COMMAND.pack(0, 0, 0, 0, 0, 0, 0, 0)
    expected = alone.book.submit(command)
    assert late.book.submit(filler * (4096 - room) + command)[(4096 - room) * EVENT.size :] == expected
    assert alone.book.snapshot() == late.book.snapshot()
