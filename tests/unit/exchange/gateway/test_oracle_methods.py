"""Funding rates and settlement prices on the wire."""

import asyncio
import time

import pytest

from exchange.domain.rounds import FundingRow, OracleRound, SettlementRow
from exchange.gateway.oracle import funding_rows
from exchange.wire.errors import WireError
from tests.fakes.live_gateway import Live, serve
from tests.fakes.small_exchange import E9

PERP = 1 << 31
HOUR_MS = 3_600_000


def test_a_period_that_is_none_is_refused() -> None:
    """The error names the field."""
    with pytest.raises(WireError) as raised:
        funding_rows([], "BTC", period_s=60, start_ms=None, end_ms=None)
    assert raised.value.code == -32602
    assert "period" in str(raised.value.data)


@pytest.mark.parametrize(
    ("start_ms", "end_ms", "timestamps"),
    [(None, None, [0, HOUR_MS]), (HOUR_MS, None, [HOUR_MS]), (None, HOUR_MS - 1, [0]), (2 * HOUR_MS, None, [])],
)
def test_rows_are_those_of_the_range(start_ms: int | None, end_ms: int | None, timestamps: list[int]) -> None:
    """Both ends count."""
    rates = [(10_000, 100_000), (20_000, 100_001), (HOUR_MS, -8)]
    rows = funding_rows(rates, "BTC", period_s=3_600, start_ms=start_ms, end_ms=end_ms)
    assert [row["timestamp"] for row in rows] == timestamps


def test_a_row_has_the_mean_and_the_ends_of_its_period_per_hour() -> None:
    """An eighth of a rate per 8 hours, exactly; the mean is rounded down."""
    rates = [(1, 100_000), (2, 300_000), (3, 200_000), (4, -100_000), (5, 1)]
    (row,) = funding_rows(rates, "BTC", period_s=900, start_ms=None, end_ms=None)
    assert row == {
        "timestamp": 0,
        "funding_rate": "0.000012500025",
        "open": "0.0000125",
        "high": "0.0000375",
        "low": "-0.0000125",
        "close": "0.000000000125",
        "currency": "BTC",
        "risk_universe_id": 1,
    }


def publish(live: Live, rate_e9: int) -> None:
    """A round with this rate of the first perpetual."""
    number = live.exchange.port.state.oracle_round + 1
    live.exchange.port.submit(OracleRound(round=number, funding=(FundingRow(PERP, rate_e9),)))


def test_a_round_shows_in_ticker_instrument_and_history() -> None:
    """Also in a gateway that starts later, but for the history, which begins with the process."""

    async def story() -> None:
        async with serve() as live, live.client() as client:
            named = {"instrument_name": "BTC-PERP"}
            publish(live, 80_000)
            publish(live, 160_000)
            assert (await client.call("public/get_ticker", named))["f"] == "0.00002"
            (row,) = (await client.call("public/get_funding_rate_history", named))["funding_rate_history"]
            assert (row["open"], row["close"], row["funding_rate"]) == ("0.00001", "0.00002", "0.000015")
            async with serve(live.exchange) as late, late.client() as other:
                for one, rows in ((client, 1), (other, 0)):
                    shape = await one.call("public/get_instrument", named)
                    assert shape["perp_details"]["funding_rate"] == "0.00002"
                    history = await one.call("public/get_funding_rate_history", named)
                    assert len(history["funding_rate_history"]) == rows

    asyncio.run(asyncio.wait_for(story(), 30))


def test_settlement_prices_name_listed_and_settled_expiries() -> None:
    """Null until the engine settled it; a gateway that starts later knows it too."""

    async def story() -> None:
        async with serve() as live, live.client() as client:
            method, query = "public/get_option_settlement_prices", {"currency": "BTC"}
            (row,) = (await client.call(method, query))["expiries"]
            assert row["price"] is None
            port, expiry_s = live.exchange.port, row["utc_expiry_sec"]
            port._clock_ns = lambda: time.time_ns() + 40 * 86_400 * E9
            port.submit(OracleRound(round=1, settlements=(SettlementRow("BTC", expiry_s, 84_000 * E9),)))
            async with serve(live.exchange) as late, late.client() as other:
                for one in (client, other):
                    (settled,) = (await one.call(method, query))["expiries"]
                    assert settled == row | {"price": "84000"}
            assert (await client.refused(method, {"currency": "XYZ"}))["code"] == 12002

    asyncio.run(asyncio.wait_for(story(), 30))
