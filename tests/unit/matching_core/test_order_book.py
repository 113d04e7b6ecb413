"""What an order does to a book: refusals, matching, self-trade prevention, reduce-only, cancel and amend."""

import pytest

from tests.unit.matching_core.book_drawing import DrawnBook, rows_of

BOOK = """
bid     | price | ask
        |   103 | f:9
        |   102 | d:4 e:2
        |   101 | a:5 b:3 c:7
g:6 h:1 |    99 |
i:8     |    98 |
"""

OWN = """
bid     | price | ask
        |   102 | d:4
        |   101 | a:5 b:3:o9 c:7
i:8     |    98 |
"""

REFUSED = [
    # command                    refusal
    ("buy 1@100 r1", "REDUCE_ONLY_WOULD_INCREASE"),
    ("sell 1@100 r1", "REDUCE_ONLY_WOULD_INCREASE"),
    ("buy 1@101 post", "15@101 POST_ONLY_WOULD_CROSS"),
    ("buy 1@110 post", "15@101 POST_ONLY_WOULD_CROSS"),
    ("sell 1@99 post", "7@99 POST_ONLY_WOULD_CROSS"),
    ("buy 16@101 fok", "FOK_NOT_FILLED"),
    ("buy 1@100 fok", "FOK_NOT_FILLED"),
    ("sell 16@98 fok", "FOK_NOT_FILLED"),
    ("buy 1@89", "PRICE_OUT_OF_RANGE"),
    ("sell 1@111", "PRICE_OUT_OF_RANGE"),
    ("buy 0@100", "QUANTITY_OUT_OF_RANGE"),
    ("buy -1@100", "QUANTITY_OUT_OF_RANGE"),
    (f"buy {2**47 + 1}@100", "QUANTITY_OUT_OF_RANGE"),
    ("buy 1@100 ioc fok", "BAD_FLAGS"),
    ("buy 1@100 ioc post", "BAD_FLAGS"),
    ("buy 1@100 fok slide", "BAD_FLAGS"),
    ("buy 1@100 r0", "BAD_FLAGS"),
    ("amend a 5@111", "PRICE_OUT_OF_RANGE"),
    ("amend a 0@101", "QUANTITY_OUT_OF_RANGE"),
]


@pytest.mark.parametrize(("command", "refusal"), REFUSED, ids=[row[0] for row in REFUSED])
def test_refusal_names_its_code_and_changes_nothing(order_book_class, command, refusal):
    """One REJECTED event, the same state hash as before."""
    drawn = DrawnBook(order_book_class, BOOK)
    before = drawn.book.state_hash()
    events = drawn.run_with_depth(command)
    name = "a " if command.startswith("amend") else ""
    assert events == [f"rejected {name}{refusal}"]
    assert drawn.book.state_hash() == before


MATCHED = [
    # command            events                                                        rows that changed
    ("buy 4@100", ["accepted t 4@100"], {100: "t:4 | 100 | "}),
    ("buy 2@101", ["accepted t 2@101", "trade a 2@101"], {101: " | 101 | a:3 b:3 c:7"}),
    ("buy 6@101", ["accepted t 6@101", "trade a 5@101", "trade b 1@101"], {101: " | 101 | b:2 c:7"}),
    (
        "buy 17@101",
        ["accepted t 17@101", "trade a 5@101", "trade b 3@101", "trade c 7@101"],
        {101: "t:2 | 101 | "},
    ),
    (
        "buy 18@105",
        ["accepted t 18@105", "trade a 5@101", "trade b 3@101", "trade c 7@101", "trade d 3@102"],
        {101: "", 102: " | 102 | d:1 e:2"},
    ),
    ("sell 8@98", ["accepted t 8@98", "trade g 6@99", "trade h 1@99", "trade i 1@98"], {99: "", 98: "i:7 | 98 | "}),
    ("buy 1@100 ioc", ["accepted t 1@100", "canceled t 1@100 NO_LIQUIDITY"], {}),
    (
        "buy 17@101 ioc",
        ["accepted t 17@101", "trade a 5@101", "trade b 3@101", "trade c 7@101", "canceled t 2@101 IOC_REMAINDER"],
        {101: ""},
    ),
    ("buy 15@101 fok", ["accepted t 15@101", "trade a 5@101", "trade b 3@101", "trade c 7@101"], {101: ""}),
    ("buy 1@100 post", ["accepted t 1@100"], {100: "t:1 | 100 | "}),
    ("buy 1@103 slide", ["accepted t 1@100"], {100: "t:1 | 100 | "}),
    ("sell 1@95 slide", ["accepted t 1@100"], {100: " | 100 | t:1"}),
    ("cancel b", ["canceled b 3@101 USER_REQUEST"], {101: " | 101 | a:5 c:7"}),
    ("cancel i", ["canceled i 8@98 USER_REQUEST"], {98: ""}),
    ("amend a 2@101", ["amended a 2@101"], {101: " | 101 | a:2 b:3 c:7"}),
    ("amend a 5@101", ["amended a 5@101"], {}),
    ("amend a 6@101", ["amended a 6@101"], {101: " | 101 | b:3 c:7 a:6"}),
    ("amend a 1@102", ["amended a 1@102"], {101: " | 101 | b:3 c:7", 102: " | 102 | d:4 e:2 a:1"}),
    ("amend f 2@104", ["amended f 2@104"], {103: "", 104: " | 104 | f:2"}),
    (
        "amend i 20@101",
        ["amended i 20@101", "trade a 5@101", "trade b 3@101", "trade c 7@101"],
        {98: "", 101: "i:5 | 101 | "},
    ),
    ("amend i 2@101", ["amended i 2@101", "trade a 2@101"], {98: "", 101: " | 101 | a:3 b:3 c:7"}),
]


@pytest.mark.parametrize(("command", "events", "changed"), MATCHED, ids=[row[0] for row in MATCHED])
def test_command_matches_in_price_time_order(order_book_class, command, events, changed):
    """Accept first, trades at the makers' prices in line, then the end; partial fills keep their place."""
    drawn = DrawnBook(order_book_class, BOOK)
    rows = {int(row.split("|")[1]): row for row in drawn.draw()} | changed
    assert drawn.run(command) == events
    assert drawn.draw() == [rows[price] for price in sorted(rows, reverse=True) if rows[price]]


SELF_TRADE = [
    # command                    events                                                        book after
    (
        "buy 9@101 o9",
        ["accepted t 9@101", "trade a 5@101", "canceled t 4@101 SELF_TRADE"],
        [" | 102 | d:4", " | 101 | b:3 c:7", "i:8 | 98 | "],
    ),
    (
        "buy 9@101 o9 maker",
        ["accepted t 9@101", "trade a 5@101", "canceled b 3@101 SELF_TRADE_MAKER", "trade c 4@101"],
        [" | 102 | d:4", " | 101 | c:3", "i:8 | 98 | "],
    ),
    (
        "buy 9@101 o9 both",
        [
            "accepted t 9@101",
            "trade a 5@101",
            "canceled b 3@101 SELF_TRADE_MAKER",
            "canceled t 4@101 SELF_TRADE",
        ],
        [" | 102 | d:4", " | 101 | c:7", "i:8 | 98 | "],
    ),
    (
        "buy 7@101 o9 decrement",
        [
            "accepted t 7@101",
            "trade a 5@101",
            "canceled b 2@101 SELF_TRADE_DECREMENT",
            "canceled t 2@101 SELF_TRADE_DECREMENT",
        ],
        [" | 102 | d:4", " | 101 | b:1 c:7", "i:8 | 98 | "],
    ),
    (
        "buy 9@101 o9 decrement",
        [
            "accepted t 9@101",
            "trade a 5@101",
            "canceled b 3@101 SELF_TRADE_DECREMENT",
            "canceled t 3@101 SELF_TRADE_DECREMENT",
            "trade c 1@101",
        ],
        [" | 102 | d:4", " | 101 | c:6", "i:8 | 98 | "],
    ),
    (
        "buy 12@101 fok o9 maker",
        ["accepted t 12@101", "trade a 5@101", "canceled b 3@101 SELF_TRADE_MAKER", "trade c 7@101"],
        [" | 102 | d:4", "i:8 | 98 | "],
    ),
    ("buy 13@101 fok o9 maker", ["rejected FOK_NOT_FILLED"], None),
    ("buy 6@101 fok o9", ["rejected FOK_NOT_FILLED"], None),
    ("buy 6@101 fok o9 both", ["rejected FOK_NOT_FILLED"], None),
    ("buy 6@101 fok o9 decrement", ["rejected FOK_NOT_FILLED"], None),
    ("buy 5@101 fok o9", ["accepted t 5@101", "trade a 5@101"], [" | 102 | d:4", " | 101 | b:3 c:7", "i:8 | 98 | "]),
]


@pytest.mark.parametrize(("command", "events", "after"), SELF_TRADE, ids=[row[0] for row in SELF_TRADE])
def test_own_orders_never_trade(order_book_class, command, events, after):
    """Each mode ends what it says, and FOK is judged by the same rules."""
    drawn = DrawnBook(order_book_class, OWN)
    assert drawn.run(command) == events
    assert drawn.draw() == (rows_of(OWN) if after is None else after)


def test_self_trade_before_any_fill_is_refused(order_book_class):
    """Cancel-taker met first is a refusal, behind a reduce-only maker without room too; nothing changes."""
    picture = """
    bid | price | ask
        |   101 | a:5:r1 b:3:o9
    """
    drawn = DrawnBook(order_book_class, picture)
    before = drawn.book.state_hash()
    assert drawn.run("buy 4@101 o9") == ["rejected SELF_TRADE"]
    assert drawn.book.state_hash() == before
    assert drawn.run("buy 4@101 o8") == [
        "accepted t 4@101", "canceled a 5@101 REDUCE_ONLY_EXCESS", "trade b 3@101",
    ]  # fmt: skip


def test_amend_onto_an_own_order_is_refused(order_book_class):
    """An amend that would meet itself first leaves the order where it was."""
    picture = """
    bid    | price | ask
           |   101 | b:3:o9
    a:2:o9 |    99 |
    """
    drawn = DrawnBook(order_book_class, picture)
    assert drawn.run("amend a 2@101") == ["rejected a SELF_TRADE"]
    assert drawn.draw() == rows_of(picture)


REDUCE_ONLY = [
    # book asks, cells, command, events, cells after
    (
        "a:5", {2: -3}, "buy 9@101 r2",
        ["accepted t 9@101", "trade a 3@101", "canceled t 6@101 REDUCE_ONLY_EXCESS"], {2: 0},
    ),
    ("a:5", {2: -9}, "buy 3@101 r2", ["accepted t 3@101", "trade a 3@101"], {2: -6}),
    ("a:5", {2: -9}, "buy 10@101 fok r2", ["rejected FOK_NOT_FILLED"], {2: -9}),
    ("a:12", {2: -9}, "buy 10@101 fok r2", ["rejected FOK_NOT_FILLED"], {2: -9}),
    ("a:5:r1", {1: 2}, "buy 5@101", ["accepted t 5@101", "trade a 2@101", "canceled a 3@101 REDUCE_ONLY_EXCESS"],
     {1: 0}),
    ("a:5:r1", {1: 0}, "buy 5@101 ioc",
     ["accepted t 5@101", "canceled a 5@101 REDUCE_ONLY_EXCESS", "canceled t 5@101 NO_LIQUIDITY"], {1: 0}),
    ("a:5:r1 b:4:r1", {1: 7}, "buy 9@101 ioc",
     ["accepted t 9@101", "trade a 5@101", "trade b 2@101", "canceled b 2@101 REDUCE_ONLY_EXCESS",
      "canceled t 2@101 IOC_REMAINDER"], {1: 0}),
    ("a:5:r1 b:4:r1", {1: 7}, "buy 8@101 fok", ["rejected FOK_NOT_FILLED"], {1: 7}),
    ("a:5:r1 b:4:r1", {1: 7}, "buy 7@101 fok",
     ["accepted t 7@101", "trade a 5@101", "trade b 2@101", "canceled b 2@101 REDUCE_ONLY_EXCESS"], {1: 0}),
    ("a:5:r1 b:4", {1: 3, 2: -4}, "buy 9@101 r2",
     ["accepted t 9@101", "trade a 3@101", "canceled a 2@101 REDUCE_ONLY_EXCESS", "trade b 1@101",
      "canceled t 5@101 REDUCE_ONLY_EXCESS"], {1: 0, 2: 0}),
    ("a:5:c1", {1: 3}, "buy 4@101 c2", ["accepted t 4@101", "trade a 4@101"], {1: -1, 2: 4}),
    ("a:5:c1 b:5:r1", {1: 8}, "buy 9@101",
     ["accepted t 9@101", "trade a 5@101", "trade b 3@101", "canceled b 2@101 REDUCE_ONLY_EXCESS"], {1: 0}),
    ("a:5:r1", {1: 5}, "buy 5@101 c1", ["accepted t 5@101", "trade a 5@101"], {1: 5}),
    # Both sides in one cell: the fill moves nothing, so it is one fill and not one for each time the room goes into it.
    ("a:90:c2", {2: -3}, "buy 50@101 r2", ["accepted t 50@101", "trade a 50@101"], {2: -3}),
    ("a:90:r1", {1: 3}, "buy 50@101 c1", ["accepted t 50@101", "trade a 50@101"], {1: 3}),
    ("a:90:c2", {2: -3}, "buy 50@101 fok r2", ["accepted t 50@101", "trade a 50@101"], {2: -3}),
    ("a:9:r1 b:4", {1: 0}, "buy 9@101 ioc c1",
     ["accepted t 9@101", "canceled a 9@101 REDUCE_ONLY_EXCESS", "trade b 4@101", "canceled t 5@101 IOC_REMAINDER"],
     {1: 4}),
    ("a:6:c2 b:9", {2: -3}, "buy 50@101 r2",
     ["accepted t 50@101", "trade a 6@101", "trade b 3@101", "canceled t 41@101 REDUCE_ONLY_EXCESS"], {2: 0}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("asks", "cells", "command", "events", "cells_after"), REDUCE_ONLY, ids=[f"{r[0]}-{r[2]}" for r in REDUCE_ONLY]
)
def test_reduce_only_never_crosses_zero(order_book_class, asks, cells, command, events, cells_after):
    """Both sides are clipped at their cell's room, the excess is canceled with its reason."""
    drawn = DrawnBook(order_book_class, f"bid | price | ask\n | 101 | {asks}", cells)
    assert drawn.run(command) == events
    assert {cell: drawn.book.cell(cell) for cell in cells_after} == cells_after


def test_reduce_only_orders_do_not_block_each_other(order_book_class):
    """Two orders over the same position both rest; the second is clipped when it is met."""
    drawn = DrawnBook(order_book_class, cells={1: 5})
    assert drawn.run("sell 5@101 r1 as a") == ["accepted a 5@101"]
    assert drawn.run("sell 5@102 r1 as b") == ["accepted b 5@102"]
    assert drawn.run("buy 9@103") == [
        "accepted t 9@103", "trade a 5@101", "canceled b 5@102 REDUCE_ONLY_EXCESS",
    ]  # fmt: skip


DEPTH = [
    ("buy 18@102", ["depth ask 0@101", "depth ask 3@102"]),
    ("buy 16@101", ["depth bid 1@101", "depth ask 0@101"]),
    ("sell 8@98", ["depth bid 0@99", "depth bid 7@98"]),
    ("sell 16@98", ["depth bid 0@99", "depth bid 0@98", "depth ask 1@98"]),
    ("cancel b", ["depth ask 12@101"]),
    ("amend a 1@101", ["depth ask 11@101"]),
    ("amend a 9@101", ["depth ask 19@101"]),
    ("amend d 4@103", ["depth ask 2@102", "depth ask 13@103"]),
    ("amend f 1@101", ["depth ask 16@101", "depth ask 0@103"]),
    ("amend g 2@98", ["depth bid 1@99", "depth bid 10@98"]),
    ("amend g 16@101", ["depth bid 1@101", "depth bid 1@99", "depth ask 0@101"]),
    ("amend d 8@99", ["depth bid 0@99", "depth ask 1@99", "depth ask 2@102"]),
    ("buy 1@100 ioc", []),
]


@pytest.mark.parametrize(("command", "depth"), DEPTH, ids=[row[0] for row in DEPTH])
def test_touched_levels_close_the_command(order_book_class, command, depth):
    """One DEPTH per touched level after everything else, bids before asks, best first."""
    drawn = DrawnBook(order_book_class, BOOK)
    events = drawn.run_with_depth(command)
    assert [line for line in events if line.startswith("depth")] == depth
    assert events[len(events) - len(depth) :] == depth


def test_sliding_order_beyond_the_band_is_refused(order_book_class):
    """With the opposite best at the edge there is no tick behind it."""
    drawn = DrawnBook(order_book_class, "bid | price | ask\n | 90 | a:5")
    assert drawn.run("buy 1@95 slide") == ["rejected 5@90 POST_ONLY_WOULD_CROSS"]


def test_amended_post_only_order_stays_post_only(order_book_class):
    """An amend through the spread is refused for a post-only order and slides where that was asked for."""
    drawn = DrawnBook(order_book_class, "bid | price | ask\n | 101 | a:5")
    drawn.run("buy 1@99 post as p")
    drawn.run("buy 1@99 slide as s")
    assert drawn.run("amend p 1@102") == ["rejected p 5@101 POST_ONLY_WOULD_CROSS"]
    assert drawn.run("amend s 1@102") == ["amended s 1@100"]
    assert drawn.draw() == [" | 101 | a:5", "s:1 | 100 | ", "p:1 | 99 | "]
