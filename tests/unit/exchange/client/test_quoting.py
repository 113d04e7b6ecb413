"""What makers want to show."""

from random import Random

import pytest

from exchange.client.markets import parse_market
from exchange.client.quoting import (
    Style,
    View,
    own_view,
    position_limit_lots,
    seeded_opinion,
    view_of,
    wanted_quotes,
)
from tests.unit.exchange.client.fake_exchange import instrument_row

PERPETUAL = parse_market(instrument_row())
OPTION = parse_market(instrument_row("BTC-20261225-84000-C", "option"))
STYLE = Style(half_spread_ppm=300, size_ppm=1_000_000)
VIEW = View(mark_e9=84_000 * 10**9, index_e9=84_000 * 10**9)


@pytest.mark.parametrize(("mark", "index"), [("0", "84000"), ("84000", "0")])
def test_no_view_without_prices(mark, index):
    """A ticker before the first round of prices."""
    assert view_of({"M": mark, "I": index}) is None


@pytest.mark.parametrize(("market", "timestamp_ms"), [(PERPETUAL, 1_795_363_200_000), (OPTION, 0), (OPTION, 1 << 62)])
def test_a_view_without_an_opinion_is_unchanged(market, timestamp_ms):
    """A perpetual, a ticker without a time, an expired option."""
    view = View(mark_e9=10**9, index_e9=84_000 * 10**9, timestamp_ms=timestamp_ms)
    assert own_view(market, view, seeded_opinion(1)) is view


def test_an_option_is_quoted_around_the_opinion_and_not_the_mark():
    """Equal for every maker of a seed, whatever the mark says; it follows the index."""
    views = [
        own_view(OPTION, View(mark_e9=mark, index_e9=index * 10**9, timestamp_ms=1_795_363_200_000), seeded_opinion(1))
        for mark, index in ((1, 84_000), (10**15, 84_000), (1, 90_000))
    ]
    assert views[0].mark_e9 == views[1].mark_e9 > 1_000 * 10**9
    assert views[2].mark_e9 > views[0].mark_e9
    assert (views[2].index_e9, views[2].timestamp_ms) == (90_000 * 10**9, 1_795_363_200_000)


def test_a_worthless_option_has_no_bid():
    """Where the bid would be below one tick there is only an offer."""
    quotes = wanted_quotes(OPTION, View(mark_e9=10**9, index_e9=84_000 * 10**9), STYLE, position_lots=0)
    assert [quote.is_buy for quote in quotes] == [False]


@pytest.mark.parametrize(("sign", "side"), [(1, False), (-1, True)])
def test_a_full_position_quotes_the_way_out_only(sign, side):
    """At the limit the side that would add to it disappears."""
    held = sign * position_limit_lots(PERPETUAL, VIEW.index_e9)
    assert {quote.is_buy for quote in wanted_quotes(PERPETUAL, VIEW, STYLE, position_lots=held)} == {side}


def test_perpetuals_have_three_levels_around_the_mark():
    """Bids below, offers above, deeper levels bigger and further out, nothing crossed."""
    quotes = wanted_quotes(PERPETUAL, VIEW, STYLE, position_lots=0)
    bids = [quote for quote in quotes if quote.is_buy]
    asks = [quote for quote in quotes if not quote.is_buy]
    assert [quote.price_ticks for quote in bids] == [839_748, 839_622, 839_496]
    assert [quote.price_ticks for quote in asks] == [840_252, 840_378, 840_504]
    assert [quote.quantity_lots for quote in bids] == [95, 190, 285]


def test_inventory_leans_the_quotes():
    """A long position moves both sides down."""
    flat = wanted_quotes(PERPETUAL, VIEW, STYLE, position_lots=0)
    long = wanted_quotes(PERPETUAL, VIEW, STYLE, position_lots=500)
    assert all(after.price_ticks < before.price_ticks for before, after in zip(flat, long, strict=True))


def test_styles_are_reproducible():
    """The same seed draws the same style."""
    assert Style.drawn(Random(5), OPTION) == Style.drawn(Random(5), OPTION)
