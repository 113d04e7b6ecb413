"""LOBSTER rows become commands."""

import pytest

from exchange.app.lobster import BadRow, Conversion, RowKind, parse_rows, resting_account, steps
from exchange.domain.commands import Amend, Cancel, ListInstrument, Place, SetPrices, Side, TimeInForce

MIDNIGHT_NS = 1_340_236_800 * 10**9
NEW, PARTIAL, DELETE, VISIBLE, HIDDEN = 1, 2, 3, 4, 5


def line(kind, order_id, size, price, direction, at="34200.5"):
    """One line of a message file; `price` in cents."""
    return f"{at},{kind},{order_id},{size},{price * 100},{direction}\n"


def rows(*lines):
    """Parsed rows."""
    return list(parse_rows(lines))


def converted(*lines, order_number=0):
    """The commands of a file, hidden executions left out."""
    parsed = rows(*lines)
    conversion = Conversion(MIDNIGHT_NS, "AAPL")
    conversion.opening(parsed[0])
    found = (conversion.command(step, order_number=order_number) for step in steps(parsed))
    return [command for command in found if command is not None]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("34200.5,1,7,100,5850000", "line 1: 5 columns"),
        ("34200.5,9,7,100,5850000,1", "line 1: 9 is not a valid RowKind"),
        ("noon,1,7,100,5850000,1", "line 1: time 'noon'"),
        ("86400,1,7,100,5850000,1", "line 1: time '86400'"),
        ("-1,1,7,100,5850000,1", "line 1: time '-1'"),
        ("34200.5,1,x,100,5850000,1", "line 1: invalid literal"),
        ("34200.5,1,7,0,5850000,1", "line 1: size"),
        ("34200.5,1,7,100,5850000,2", "line 1: size"),
        ("34200.5,1,7,100,5850050,1", "line 1: price 5850050 is no multiple of a cent"),
        ("34200.5,1,7,100,2000000100,1", "line 1: price 2000000100"),
    ],
)
def test_a_line_that_is_no_event_is_named(text, reason):
    """The message has the line and what is wrong with it."""
    with pytest.raises(BadRow, match=reason):
        rows(text)


def test_time_may_not_run_backwards():
    """The second line is earlier than the first."""
    with pytest.raises(BadRow, match="line 2: earlier"):
        rows(line(NEW, 1, 1, 100, 1, at="2.5"), line(NEW, 2, 1, 100, 1, at="2.4"))


@pytest.mark.parametrize(
    ("text", "time_ns"),
    [
        ("34200", 34_200_000_000_000),
        ("34200.5", 34_200_500_000_000),
        ("34200.004241176", 34_200_004_241_176),
        ("35821.088778456004", 35_821_088_778_456),
        ("35821.0887784559999", 35_821_088_778_456),
    ],
)
def test_times_are_exact_nanoseconds(text, time_ns):
    """Digits beyond the ninth are the noise of a binary float and are rounded off."""
    assert rows(line(NEW, 1, 1, 100, 1, at=text))[0].time_ns == time_ns


def test_a_hidden_execution_may_be_off_the_grid():
    """Its price is not looked at."""
    parsed = rows("34200.5,5,0,100,5850050,1")
    assert (parsed[0].kind, parsed[0].price_ticks) == (RowKind.HIDDEN_EXECUTION, 0)


def test_executions_of_one_time_and_direction_are_one_step():
    """Another time, another direction and any other row end a run; hidden executions do not."""
    parsed = rows(
        line(VISIBLE, 1, 10, 100, 1),
        line(HIDDEN, 0, 5, 100, 1),
        line(VISIBLE, 2, 20, 99, 1),
        line(VISIBLE, 3, 30, 101, -1),
        line(DELETE, 4, 40, 102, -1),
        line(VISIBLE, 5, 50, 101, -1),
        line(VISIBLE, 6, 60, 101, -1, at="34201"),
        line(HIDDEN, 0, 5, 100, 1, at="34202"),
    )
    assert [[row.order_id for row in step] for step in steps(parsed)] == [[1, 2], [0], [3], [4], [5], [6], [0]]


def test_a_run_becomes_one_immediate_order_of_its_sum_at_its_worst_price():
    """Bids that were hit give a sell at the lowest price, asks that were lifted a buy at the highest."""
    sell, buy = converted(
        line(VISIBLE, 1, 10, 100, 1),
        line(VISIBLE, 2, 20, 98, 1),
        line(VISIBLE, 3, 30, 101, -1),
        line(VISIBLE, 4, 5, 103, -1),
    )
    assert isinstance(sell, Place)
    assert isinstance(buy, Place)
    assert (sell.side, sell.quantity_lots, sell.price_ticks) == (Side.SELL, 30, 98)
    assert (buy.side, buy.quantity_lots, buy.price_ticks) == (Side.BUY, 35, 103)
    assert (sell.time_in_force, sell.client_order_id) == (TimeInForce.IOC, "")


def test_a_new_row_becomes_a_resting_order_with_the_files_id():
    """GTC, the row's side, price and size; nonces rise within one nanosecond."""
    first, second = converted(line(NEW, 77, 10, 58_500, -1), line(NEW, 78, 10, 58_500, -1))
    assert isinstance(first, Place)
    assert (first.side, first.time_in_force, first.price_ticks, first.quantity_lots, first.client_order_id) == (
        Side.SELL,
        TimeInForce.GTC,
        58_500,
        10,
        "77",
    )
    assert first.nonce == MIDNIGHT_NS + 34_200_500_000_000
    assert second.nonce == first.nonce + 1


def test_sides_never_share_an_account():
    """So self-trade prevention never meets two orders of one account."""
    bid, ask = rows(line(NEW, 77, 10, 100, 1), line(NEW, 77, 10, 100, -1))
    assert resting_account(bid) != resting_account(ask)


def test_a_partial_cancel_lowers_the_total():
    """The second one counts from what the first one left; nothing left is a cancel; unknown orders are cancelled."""
    commands = converted(
        line(NEW, 7, 10, 100, 1),
        line(PARTIAL, 7, 3, 100, 1),
        line(PARTIAL, 7, 3, 100, 1),
        line(PARTIAL, 7, 4, 100, 1),
        line(PARTIAL, 8, 4, 100, 1),
        order_number=512,
    )
    account = resting_account(rows(line(NEW, 7, 10, 100, 1))[0])
    assert commands[1:4] == [
        Amend(subaccount=account, order=512, quantity_lots=7),
        Amend(subaccount=account, order=512, quantity_lots=4),
        Cancel(subaccount=account, client_order_id="7"),
    ]
    assert isinstance(commands[4], Cancel)


def test_a_delete_becomes_a_cancel_by_the_files_id():
    """Also for an order that no row opened: the engine is asked and refuses."""
    (command,) = converted(line(DELETE, 9, 10, 100, -1))
    assert command == Cancel(subaccount=resting_account(rows(line(DELETE, 9, 10, 100, -1))[0]), client_order_id="9")


def test_hidden_executions_give_no_command():
    """They are counted only."""
    assert converted(line(HIDDEN, 0, 10, 100, -1)) == []


def test_the_market_opens_with_instrument_price_and_deposits():
    """Tick one cent, lot one share, mark the first row's price."""
    opening = Conversion(MIDNIGHT_NS, "AAPL").opening(rows(line(NEW, 1, 1, 58_533, 1))[0])
    listing, prices = opening[:2]
    assert isinstance(listing, ListInstrument)
    assert (listing.instrument.name, listing.instrument.price_text(1), listing.instrument.quantity_text(1)) == (
        "AAPL-PERP",
        "0.01",
        "1",
    )
    assert isinstance(prices, SetPrices)
    assert prices.marks[0].mark_e9 == 585_330_000_000
    assert [request.index for request in opening[2:]] == list(range(1, 34))
