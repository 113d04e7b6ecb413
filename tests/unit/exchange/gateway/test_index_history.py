"""Bars of the index, the price of a day ago, and what the spot feed says."""

import asyncio

import pytest

from exchange.domain.commands import SetPrices, UnderlyingRow
from exchange.domain.events import PricesSet
from exchange.gateway.index_history import IndexHistory, index_bars, spot_feed_item
from exchange.wire.errors import WireError
from tests.fakes.live_gateway import serve

E9 = 10**9
DAY_S = 86_400


def history(*prices: tuple[int, int]) -> IndexHistory:
    """Rounds with these (Unix seconds, whole USDC) of BTC."""
    made = IndexHistory()
    for number, (at_s, price) in enumerate(prices):
        rows = (UnderlyingRow("BTC", price * E9),)
        made.record(PricesSet(prices=SetPrices(round=number + 1, underlyings=rows)), at_s * E9)
    return made


def test_a_halt_is_no_price() -> None:
    """It leaves no bar, and no trace in the minute's low; the feed has its confidence."""
    made, halt = history((0, 10)), UnderlyingRow("BTC", 0, 0, is_halted=True)
    made.record(PricesSet(prices=SetPrices(round=2, underlyings=(halt,)), halted=("BTC",)), 10 * E9)
    assert made.minutes == history((0, 10)).minutes
    item = spot_feed_item("BTC", 7 * E9, None, 5_000, confidence_ppm=640_000)
    assert dict(item["feeds"])["BTC"]["confidence"] == "0.64"  # type: ignore[call-overload]


def test_a_period_that_is_none_is_refused() -> None:
    """The error names the field."""
    with pytest.raises(WireError) as raised:
        index_bars([], period_s=61, start_s=0, end_s=1)
    assert raised.value.code == -32602
    assert "period" in str(raised.value.data)


@pytest.mark.parametrize(
    ("period_s", "start_s", "end_s", "bars"),
    [
        (60, 0, 400, [(0, 10, 12, 9, 9), (60, 20, 20, 20, 20), (300, 5, 5, 5, 5)]),
        (60, 60, 299, [(60, 20, 20, 20, 20)]),
        (300, 0, 400, [(0, 10, 20, 9, 20), (300, 5, 5, 5, 5)]),
        (86_400, 0, 0, [(0, 10, 20, 5, 5)]),
        (60, 400, 500, []),
    ],
)
def test_bars_hold_the_rounds_of_their_period(
    period_s: int, start_s: int, end_s: int, bars: list[tuple[int, ...]]
) -> None:
    """Open, high, low and close; a minute without a round has no bar."""
    minutes = history((1, 10), (20, 12), (59, 9), (60, 20), (301, 5)).minutes["BTC"]
    rows = index_bars(minutes, period_s=period_s, start_s=start_s, end_s=end_s)
    names = ("timestamp", "open_price", "high_price", "low_price", "close_price")
    assert [tuple(int(str(row[name])) for name in names) for row in rows] == bars
    assert all(row["price"] == row["close_price"] for row in rows)


@pytest.mark.parametrize(
    ("now_s", "price"), [(DAY_S + 119, None), (DAY_S + 120, 10), (DAY_S + 180, 11), (3 * DAY_S, 12)]
)
def test_the_price_of_a_day_ago_is_the_newest_that_is_old_enough(now_s: int, price: int | None) -> None:
    """A minute counts once it ended a day ago."""
    found = history((65, 10), (130, 11), (200, 12)).day_ago("BTC", now_s)
    assert (found and found.close_e9 // E9) == price


def test_an_underlying_that_nobody_priced_has_no_past() -> None:
    """None instead of an error."""
    assert history().day_ago("ETH", 10**9) is None


def test_the_feed_names_both_prices() -> None:
    """Without a price of a day ago the present one stands there."""
    (feed,) = dict(spot_feed_item("BTC", 7 * E9, None, 5_000)["feeds"]).values()  # type: ignore[call-overload]
    assert (feed["price"], feed["price_prev_daily"], feed["timestamp_prev_daily"]) == ("7", "7", 5_000)
    before = history((60, 3)).minutes["BTC"][0]
    (feed,) = dict(spot_feed_item("BTC", 7 * E9, before, 5_000)["feeds"]).values()  # type: ignore[call-overload]
    assert (feed["price"], feed["price_prev_daily"], feed["timestamp_prev_daily"]) == ("7", "3", 120_000)


def test_feed_and_bars_of_a_running_gateway() -> None:
    """`spot_feed` comes once a second; the bars hold the index that it shows."""

    async def story() -> None:
        async with serve() as live, live.client() as client:
            await client.call("subscribe", {"channels": ["spot_feed.BTC"]})
            rows = (UnderlyingRow("BTC", 84_500 * E9),)
            number = live.exchange.port.state.prices.round + 1
            live.exchange.port.submit(SetPrices(round=number, underlyings=rows))
            item = await client.note("spot_feed.BTC")
            while item["feeds"]["BTC"]["price"] != "84500":
                item = await client.note("spot_feed.BTC")
            params = {"currency": "btc", "period": 60, "start_timestamp": 0, "end_timestamp": 1 << 40}
            bars = await client.call("public/get_index_chart_data", params)
            assert bars[-1]["price"] == "84500"
            assert (await client.call("subscribe", {"channels": ["spot_feed.DOGE"]}))["status"] == {
                "spot_feed.DOGE": "12002 currency not found"
            }

    asyncio.run(asyncio.wait_for(story(), 30))
