"""The option chain on the wire: quotes, volatilities, Greeks of every option; null and a reason where one is none."""

import asyncio
import math
from collections.abc import Coroutine
from typing import Any

import pytest

from exchange.domain.commands import ExpiryRow, MarkRow, SetPrices, UnderlyingRow
from exchange.domain.instrument import calendar_date
from exchange.pricing.black76 import Option, price
from tests.fakes.live_gateway import Client, Live, serve
from tests.fakes.small_exchange import E9

METHOD = "public/get_option_chain"


def run(story: Coroutine[Any, Any, None]) -> None:
    """Run with a limit."""
    asyncio.run(asyncio.wait_for(story, 20))


def options(live: Live) -> tuple[Any, Any]:
    """The call and the put of the small exchange."""
    rows = sorted((row for row in live.exchange.instruments.values() if row.is_option), key=lambda row: row.strike_e9)
    return rows[1], rows[0]


def years_left(row: Any, chain: dict[str, Any]) -> float:
    """From the reply's own time."""
    return (row.expiry_s - chain["timestamp"] / 1_000) / (365 * 86_400)


async def quote(client: Client, name: str, bid: str, ask: str) -> None:
    """One order on each side."""
    await client.place(name, "buy", "0.5", bid)
    await client.place(name, "sell", "0.25", ask)


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({}, -32602),
        ({"currency": "DOGE"}, 12002),
        ({"currency": "BTC", "expiry_date": "20200101"}, -32602),
        ({"currency": "BTC", "expiry_date": "soon"}, -32602),
        ({"currency": "ETH", "expiry_date": 20_300_101}, -32602),
    ],
)
def test_a_chain_that_does_not_exist_is_refused(params: dict[str, Any], code: int) -> None:
    """No currency, an unknown one, a day on which nothing expires."""

    async def story() -> None:
        async with serve() as live, live.client() as client:
            assert (await client.refused(METHOD, params))["code"] == code

    run(story())


def test_an_empty_book_is_null_with_a_reason() -> None:
    """Never 0: there is no bid at nothing."""

    async def story() -> None:
        async with serve() as live, live.client() as client:
            chain = await client.call(METHOD, {"currency": "BTC"})
            assert len(chain["rows"]) == 2
            for row in chain["rows"]:
                for side in ("bid", "ask"):
                    for name in (f"{side}_price", f"{side}_amount", f"{side}_iv"):
                        assert row[name] is None
                        assert row["null_reasons"][name] == f"no_{side}"
                nulls = {name for name, value in row.items() if value is None}
                assert nulls == set(row["null_reasons"])
            for header in chain["expiries"]:
                assert {name for name, value in header.items() if value is None} == set(header["null_reasons"])

    run(story())


def test_a_price_without_a_volatility_is_null() -> None:
    """A bid below intrinsic value has a price and an amount, and no volatility."""

    async def story() -> None:
        async with serve() as live, live.client(live.exchange.traders[0]) as client:
            call, _ = options(live)
            await client.place(call.name, "buy", "0.5", "1")
            live.exchange.port.submit(SetPrices(round=2, expiries=(ExpiryRow("BTC", call.expiry_s, 95_000 * E9),)))
            (row,) = (r for r in (await client.call(METHOD, {"currency": "BTC"}))["rows"] if r["option_type"] == "C")
            assert (row["bid_price"], row["bid_amount"], row["bid_iv"]) == ("1", "0.5", None)
            assert row["null_reasons"]["bid_iv"] == "no_volatility_at_this_price"

    run(story())


def test_a_currency_without_options_has_an_empty_chain() -> None:
    """Its index stands in the header."""

    async def story() -> None:
        async with serve() as live, live.client() as client:
            chain = await client.call(METHOD, {"currency": "ETH"})
            assert (chain["index_price"], chain["expiries"], chain["rows"]) == ("3000", [], [])

    run(story())


def test_quotes_have_the_volatility_of_their_price() -> None:
    """To nine digits, call and put, bid and ask; strikes ascend."""

    async def story() -> None:
        async with serve() as live, live.client(live.exchange.traders[0]) as client:
            call, put = options(live)
            await quote(client, call.name, "2400", "2600")
            await quote(client, put.name, "1400", "1500")
            chain = await client.call(METHOD, {"currency": "BTC"})
            assert [row["instrument_name"] for row in chain["rows"]] == [put.name, call.name]
            for row, instrument in zip(chain["rows"], (put, call), strict=True):
                option = Option(
                    is_call=instrument is call, forward=84_500.0, strike=instrument.strike_e9 / E9,
                    years=years_left(instrument, chain),
                )  # fmt: skip
                for side in ("bid", "ask"):
                    again = price(option, float(row[f"{side}_iv"]))
                    assert math.isclose(again, float(row[f"{side}_price"]), rel_tol=1e-6)
                assert (row["bid_amount"], row["ask_amount"]) == ("0.5", "0.25")
                assert (row["mark_price"], row["mark_iv"], row["delta"]) == ("2500", "0.5", "0.5")

    run(story())


def test_the_header_has_forward_tenor_and_age() -> None:
    """The volatility at the money lies between the strikes' marks; a round that was seen has an age."""

    async def story() -> None:
        async with serve() as live, live.client() as client:
            call, put = options(live)
            (header,) = (await client.call(METHOD, {"currency": "BTC"}))["expiries"]
            assert (header["forward"], header["atm_iv"], header["svi"]) == ("84500", "0.5", None)
            assert header["null_reasons"]["surface_age_ms"] == "no_round_seen"
            live.exchange.port.submit(
                SetPrices(
                    round=2,
                    underlyings=(UnderlyingRow("BTC", 85_000 * E9),),
                    expiries=(ExpiryRow("BTC", call.expiry_s, 82_500 * E9),),
                    marks=(
                        MarkRow(call.instrument_id, 2_000 * E9, volatility_e9=400_000_000),
                        MarkRow(put.instrument_id, 2_000 * E9, volatility_e9=600_000_000),
                    ),
                )
            )
            chain = await client.call(METHOD, {"currency": "btc", "expiry_date": calendar_date(call.expiry_s)})
            (header,) = chain["expiries"]
            # A quarter of the way from 80,000 at 0.6 to 90,000 at 0.4.
            assert (chain["index_price"], header["forward"], header["atm_iv"]) == ("85000", "82500", "0.55")
            assert 0 <= header["surface_age_ms"] < 5_000
            assert math.isclose(float(header["tenor_years"]), years_left(call, chain), abs_tol=1e-9)

    run(story())


def test_no_volatility_at_the_money_outside_of_the_strikes() -> None:
    """A forward above every strike has no neighbours."""

    async def story() -> None:
        async with serve() as live, live.client() as client:
            call, _ = options(live)
            live.exchange.port.submit(SetPrices(round=2, expiries=(ExpiryRow("BTC", call.expiry_s, 99_000 * E9),)))
            (header,) = (await client.call(METHOD, {"currency": "BTC"}))["expiries"]
            assert (header["atm_iv"], header["null_reasons"]["atm_iv"]) == (None, "no_marks_around_forward")

    run(story())


def test_a_ticker_has_the_volatilities_of_its_quotes() -> None:
    """Those of the chain but for the time since the last round; "0" for a side that is empty, as Derive has it."""

    async def story() -> None:
        async with serve() as live, live.client(live.exchange.traders[0]) as client:
            call, _ = options(live)
            named = {"instrument_name": call.name}
            empty = (await client.call("public/get_ticker", named))["option_pricing"]
            assert (empty["bi"], empty["ai"]) == ("0", "0")
            await quote(client, call.name, "2400", "2600")
            shown = (await client.call("public/get_ticker", named))["option_pricing"]
            row = (await client.call(METHOD, {"currency": "BTC"}))["rows"][1]
            assert math.isclose(float(shown["bi"]), float(row["bid_iv"]), rel_tol=1e-4)
            assert math.isclose(float(shown["ai"]), float(row["ask_iv"]), rel_tol=1e-4)
            assert 0.3 < float(shown["bi"]) < float(shown["ai"]) < 1.0

    run(story())
