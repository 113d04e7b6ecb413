"""Marks from books: integers of the surface where the book speaks, the outside's where it is silent, none without."""

import itertools
import math

import pytest

from exchange.domain.commands import MarkRow
from exchange.domain.instrument import InstrumentKind
from exchange.domain.views import BookView
from exchange.feeds.book_surface import BookSurface, quotes_of
from exchange.feeds.catalogue import demo_catalogue
from exchange.feeds.volatility import SeededSurface
from exchange.pricing.black76 import Option, implied_volatility, price
from exchange.pricing.opinion import SmileShape, plain_smile

NOW_NS = 1_795_363_200 * 10**9
NOW_S = NOW_NS // 10**9
INDEX_E9 = {"BTC": 84_000 * 10**9, "ETH": 2_800 * 10**9}
BASIS = 1.004
LEVEL = 0.9
"""Far from what the seeded surface says (0.52), so that nobody confuses the two."""


def chains_of(underlying="BTC"):
    """The options of an underlying by chain."""
    chains = {}
    for row in demo_catalogue(NOW_S):
        if row.is_option and row.underlying == underlying:
            chains.setdefault((row.underlying, row.expiry_s), []).append(row)
    return chains


def value(row, *, level=LEVEL, forward=84_000.0 * BASIS):
    """Value of an option on a plain smile."""
    years = (row.expiry_s - NOW_S) / (365 * 86_400)
    volatility = plain_smile(SmileShape(level, -0.2), years).volatility(strike=row.strike_e9 / 1e9, forward=forward)
    option = Option(is_call=row.kind is InstrumentKind.CALL, forward=forward, strike=row.strike_e9 / 1e9, years=years)
    return price(option, volatility)


def book_of(row, *, half=0.02, lots=10, auction=0, **options):
    """One level a side, on the tick, around the value."""
    middle = value(row, **options) * 1e9 / row.tick_e9
    bid, ask = max(math.floor(middle * (1 - half)), 1), math.ceil(middle * (1 + half))
    return BookView(
        instrument=row.instrument_id, bids=((bid, lots, 1),), asks=((ask, lots, 1),), auction_deadline_ns=auction
    )


def books_of(chains, **options):
    """Books of every option."""
    return {row.instrument_id: book_of(row, **options) for rows in chains.values() for row in rows}


def priced(books, *, outside=None, chains=None, surface=None, now_ns=NOW_NS):
    """One round of a surface."""
    surface = BookSurface(outside) if surface is None else surface
    return surface.price(chains or chains_of(), books, index_e9=INDEX_E9, now_ns=now_ns)


SILENT = {
    "no books": lambda row: None,
    "empty books": lambda row: BookView(instrument=row.instrument_id, bids=(), asks=()),
    "bids only": lambda row: BookView(instrument=row.instrument_id, bids=book_of(row).bids, asks=()),
    "asks only": lambda row: BookView(instrument=row.instrument_id, bids=(), asks=book_of(row).asks),
    "crossed": lambda row: BookView(instrument=row.instrument_id, bids=book_of(row).asks, asks=book_of(row).bids),
    "no size": lambda row: book_of(row, lots=0),
    "call auction": lambda row: book_of(row, auction=NOW_NS + 1),
    "wild half": lambda row: book_of(row, level=3.0 if row.strike_e9 // 10**12 % 4 else LEVEL),
}


@pytest.mark.parametrize(("how", "make"), SILENT.items())
def test_a_book_that_says_nothing_publishes_nothing_of_its_own(how, make):
    """No row without an outside source; with one its marks, on the index."""
    chains = dict(itertools.islice(chains_of().items(), 1))
    books = {row.instrument_id: book for rows in chains.values() for row in rows if (book := make(row)) is not None}
    assert priced(books, chains=chains).marks == ()
    outside = priced(books, chains=chains, outside=SeededSurface.seeded(1))
    assert len(outside.marks) == 22
    assert all(0.4e9 < row.volatility_e9 < 0.8e9 for row in outside.marks)


def test_one_dead_expiry_leaves_the_others():
    """Two chains are marked, the third has no row."""
    chains = chains_of()
    dead = list(chains)[1]
    books = books_of({chain: rows for chain, rows in chains.items() if chain != dead})
    found = priced(books)
    assert [row.expiry_s for row in found.expiries] == [chain[1] for chain in chains if chain != dead]
    assert len(found.marks) == 44


def test_marks_are_integers_of_the_books_volatility_and_forward():
    """Forward within two ticks' worth, marks within their quotes, volatilities near the book's smile."""
    chains = chains_of()
    books = books_of(chains)
    found = priced(books, outside=SeededSurface.seeded(1))
    assert all(type(part) is int for row in found.marks for part in (row.mark_e9, row.volatility_e9, row.delta_e9))
    for row in found.expiries:
        assert row.forward_e9 / 1e9 == pytest.approx(84_000 * BASIS, rel=1e-4)
    marks = {row.instrument: row for row in found.marks}
    assert isinstance(next(iter(marks.values())), MarkRow)
    assert len(marks) == 66
    for rows in chains.values():
        for row in rows:
            book, mark = books[row.instrument_id], marks[row.instrument_id]
            assert book.bids[0][0] * row.tick_e9 <= mark.mark_e9 <= book.asks[0][0] * row.tick_e9
            assert mark.mark_e9 / 1e9 == pytest.approx(value(row), rel=0.02)


def test_delta_is_per_unit_of_the_index():
    """Call less put is F / S, which a carry makes more than one."""
    chains = dict(itertools.islice(chains_of().items(), 1))
    marks = {row.instrument: row for row in priced(books_of(chains), chains=chains).marks}
    (rows,) = chains.values()
    call, put = (next(row for row in rows if row.kind is kind) for kind in (InstrumentKind.CALL, InstrumentKind.PUT))
    if call.strike_e9 == put.strike_e9:
        difference = (marks[call.instrument_id].delta_e9 - marks[put.instrument_id].delta_e9) / 1e9
        assert difference == pytest.approx(BASIS, rel=5e-3)


def test_what_was_published_stands_a_minute_without_a_book():
    """Then the outside source takes over, slowly."""
    chains, surface = chains_of(), BookSurface(SeededSurface.seeded(1))
    first = priced(books_of(chains), surface=surface)
    held = priced({}, surface=surface, now_ns=NOW_NS + 59 * 10**9)
    for before, after in zip(first.marks, held.marks, strict=True):
        assert after.volatility_e9 == pytest.approx(before.volatility_e9, rel=0.02)
    levels = []
    for minute in range(1, 15):
        rows = priced({}, surface=surface, now_ns=NOW_NS + (minute * 60 + 1) * 10**9)
        levels.append(rows.marks[10].volatility_e9)
    assert all(before >= after * 0.999 for before, after in itertools.pairwise(levels))
    assert levels[0] > 0.75e9
    assert levels[-1] < 0.62e9


def test_quotes_are_read_in_units():
    """Prices in USDC, sizes in units of the underlying."""
    row = next(iter(chains_of().values()))[0]
    (quote,) = quotes_of([row], {row.instrument_id: book_of(row)})
    assert quote.bid == pytest.approx(value(row) * 0.98, abs=row.tick_e9 / 1e9)
    assert quote.bid_size == pytest.approx(0.1)
    option = Option(
        is_call=quote.is_call, forward=84_000.0 * BASIS, strike=quote.strike, years=(row.expiry_s - NOW_S) / 31_536_000
    )
    assert implied_volatility(option, quote.middle) == pytest.approx(LEVEL, rel=0.2)
