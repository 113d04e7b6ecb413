"""private/export: refusals, then what a page says, and that pages join (P44, P45)."""

import asyncio
from collections.abc import Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from exchange.domain.packing import CommandEvents
from exchange.gateway.archive import HistoryUnavailable
from exchange.historian.fold import Fold
from exchange.historian.rows import Page
from tests.fakes.live_gateway import serve

PRICE = "84000"


def run(story: Coroutine[Any, Any, None]) -> None:
    """Run one story with a limit."""
    asyncio.run(asyncio.wait_for(story, 30))


class Kept:
    """The historian's rows without its file: every commit of the exchange, folded."""

    def __init__(self, instruments):
        self.fold, self.rows, self.sequence = Fold(instruments=instruments.values()), {}, 0
        self.instruments = instruments

    def take(self, outputs):
        """Listen to the exchange."""
        for output in outputs:
            command = CommandEvents(output.sequence, output.timestamp_ns, output.events)
            for subaccount, kind, row in self.fold.take(command):
                self.rows.setdefault((subaccount, kind), []).append(row)
            self.sequence = output.sequence

    async def page(self, subaccount, kind, after, limit):
        """See Archive."""
        rows = [row for row in self.rows.get((subaccount, kind), []) if row.place > after]
        return Page(rows[:limit], len(rows) > limit, self.sequence, 1, self.instruments)


class Broken:
    """A history whose file is damaged."""

    async def page(self, *_question):
        """See Archive."""
        raise HistoryUnavailable("history.sqlite: file is not a database")


@asynccontextmanager
async def traded(count):
    """(live gateway, maker, taker) behind `count` fills between the two, with a history of them."""
    async with serve() as live:
        kept = live.gateway.core.archive = Kept(live.gateway.core.market.by_id)
        live.exchange.port.listen(kept.take)
        one, two = live.exchange.traders[:2]
        async with live.client(one) as maker, live.client(two) as taker:
            for number in range(count):
                await maker.place("BTC-PERP", "sell", "0.1", PRICE, label=f"m{number}")
                await taker.place("BTC-PERP", "buy", "0.1", PRICE, label=f"t{number}")
            yield live, maker, taker


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"subaccount_id": None}, -32602),
        ({"kind": None}, -32602),
        ({"kind": "everything"}, -32602),
        ({"from_cursor": "7"}, -32602),
        ({"from_cursor": "1.2.3"}, -32602),
        ({"from_cursor": "-1.0"}, -32602),
        ({"from_cursor": "1.0x"}, -32602),
        ({"from_cursor": "9" * 30 + ".0"}, -32602),
        ({"limit": 0}, -32602),
        ({"limit": 1_001}, -32602),
        ({"subaccount_id": 999}, 14001),
    ],
)
def test_what_is_no_question_is_refused(change, code):
    """Each member by itself; another's history is nobody's business."""

    async def story():
        async with traded(0) as (_, maker, _taker):
            params = {"subaccount_id": maker.trader.subaccount_id, "kind": "trades"} | change
            sent = {name: value for name, value in params.items() if value is not None}
            assert (await maker.refused("private/export", sent))["code"] == code

    run(story())


@pytest.mark.parametrize(("archive", "reason"), [(None, "this server keeps none"), (Broken(), "not a database")])
def test_without_a_history_the_answer_says_so(archive, reason):
    """20040 with the reason; other calls go on."""

    async def story():
        async with serve(archive=archive) as live, live.client(live.exchange.traders[0]) as client:
            asked = {"subaccount_id": client.trader.subaccount_id, "kind": "cash"}
            error = await client.refused("private/export", asked)
            assert error["code"] == 20040
            assert reason in str(error["data"])
            assert await client.call("public/get_time") > 0

    run(story())


def test_pages_join_to_the_whole_history():
    """Fills of both sides with their labels, oldest first; `has_more` until the end, where the cursor waits."""

    async def story():
        async with traded(5) as (_, maker, taker):
            for client, letter, role in ((maker, "m", "maker"), (taker, "t", "taker")):
                asked = {"subaccount_id": client.trader.subaccount_id, "kind": "trades", "limit": 2}
                rows, page = [], {"has_more": True}
                while page["has_more"]:
                    page = await client.call("private/export", asked)
                    assert len(page["trades"]) <= 2
                    rows += page["trades"]
                    asked["from_cursor"] = page["next_cursor"]
                assert [row["label"] for row in rows] == [f"{letter}{number}" for number in range(5)]
                assert {row["liquidity_role"] for row in rows} == {role}
                again = await client.call("private/export", asked)
                assert again["trades"] == []
                assert again["next_cursor"] == page["next_cursor"]
                assert again["begins_sequence"] == 1

    run(story())


def test_an_exported_order_is_the_order_as_it_ended():
    """Same object as private/get_order_history shows, and every ended order is there."""

    async def story():
        async with traded(2) as (_, maker, _taker):
            placed = (await maker.place("BTC-PERP", "buy", "0.1", "70000"))["order"]
            own = {"subaccount_id": maker.trader.subaccount_id}
            await maker.call("private/cancel", own | {"order_id": placed["order_id"], "instrument_name": "BTC-PERP"})
            known = await maker.call("private/get_order_history", own)
            page = await maker.call("private/export", own | {"kind": "orders"})
            assert page["orders"] == list(reversed(known["orders"]))
            assert len(page["orders"]) == 3

    run(story())
