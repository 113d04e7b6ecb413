"""The copy of the own orders, on rows by hand and against the real gateway and engine."""

import asyncio

import pytest

from exchange.client import (
    AnswerMissing,
    ConnectionLost,
    OffbookClient,
    OffbookError,
    OrderMirror,
    OrderState,
    StreamBroken,
)
from exchange.client.signing import Credentials
from tests.fakes.live_gateway import serve, until

PERP = "BTC-PERP"


def row(state="open", *, version=1, filled="0", at=1, order_id="1", client_order_id=""):
    """A row as the exchange sends it, with what the copy reads."""
    return {
        "order_id": order_id, "client_order_id": client_order_id, "order_status": state, "version": version,
        "filled_amount": filled, "last_update_timestamp": at,
    }  # fmt: skip


def live(steps):
    """Run `steps(live, client, other)` with two clients of a real gateway."""

    async def run():
        async with serve() as world:
            people = [
                OffbookClient(
                    f"ws://127.0.0.1:{world.port}/v3/ws",
                    Credentials.parse(trader.owner, trader.session_key.hex(), trader.subaccount_id),
                )
                for trader in world.exchange.traders[:2]
            ]
            for client in people:
                await client.open()
            try:
                await steps(world, *people)
            finally:
                for client in people:
                    await client.close()

    asyncio.run(asyncio.wait_for(run(), 30))


async def drain(stream):
    """Read until the stream ends."""
    async for _ in stream:
        pass


@pytest.mark.parametrize(
    ("known", "late"),
    [
        (row("filled", filled="0.5"), row(filled="0.2")),
        (row("cancelled"), row(version=9, filled="9", at=9)),
        (row(filled="0.3"), row(filled="0.2")),
        (row(version=2), row(version=1)),
        (row(), row("untriggered", at=5)),
        (row(at=2), row(at=2)),
    ],
)
def test_late_rows_change_nothing(known, late):
    """A closed order never opens again, a fill is never taken back, and the same row twice is no news."""
    mirror = OrderMirror(None)
    assert mirror.apply(known)
    assert not mirror.apply(late)
    assert mirror.orders["1"].row == known


def test_a_state_of_a_later_version_is_kept_and_counts_as_open():
    """A word that nobody knows yet neither breaks the copy nor lets it forget the order."""
    mirror = OrderMirror(None)
    mirror.apply(row("parked"))
    (order,) = mirror.open
    assert (order.state, order.raw_state) == (OrderState.UNKNOWN, "parked")
    mirror.apply(row("cancelled"))
    assert mirror.open == []


@pytest.mark.parametrize("raw", ["UNKNOWN", "unknown", "", "Open"])
def test_words_that_are_no_state_are_unknown(raw):
    """Not even the name that we have for them."""
    assert OrderState.of(raw) is OrderState.UNKNOWN


def test_the_stream_keeps_the_copy_in_step():
    """Placed elsewhere, filled in parts, cancelled: the copy has it without asking."""

    async def steps(_, client, other):
        before = await client.buy(PERP, "0.1", 80_000)
        async with client.order_mirror() as mirror:
            assert [order.row["order_id"] for order in mirror.open] == [before["order"]["order_id"]]
            made = await mirror.place(PERP, "sell", "0.3", 84_000)
            await other.buy(PERP, "0.1", 84_000)
            await until(lambda: mirror.orders[made.row["order_id"]].row["filled_amount"] == "0.1")
            await client.cancel_all()
            await until(lambda: not mirror.open)
            assert mirror.orders[made.row["order_id"]].state is OrderState.CANCELLED
            assert not await mirror.reconcile()

    live(steps)


def test_orders_of_unknown_outcome_are_found_out():
    """One arrived and rests, one arrived and is closed by now, one never left; twice is once."""

    async def steps(_, client, other):
        mirror = client.order_mirror()
        await client.buy(PERP, "0.1", 80_000, client_order_id="rests")
        await client.sell(PERP, "0.1", 84_000, client_order_id="is filled")
        await other.buy(PERP, "0.1", 84_000)
        mirror.pending |= {"rests", "is filled", "never left"}
        found = await mirror.reconcile()
        assert found.never_arrived == ["never left"]
        assert len(found.added) == 2
        assert {order.row["client_order_id"]: order.state for order in mirror.orders.values()} == {
            "rests": OrderState.OPEN, "is filled": OrderState.FILLED,
        }  # fmt: skip
        assert mirror.pending == set()
        assert not await mirror.reconcile()

    live(steps)


def test_an_order_that_ended_unseen_is_asked_for():
    """The copy holds it open, the exchange no longer lists it: its end is fetched."""

    async def steps(_, client, _other):
        mirror = client.order_mirror()
        made = await mirror.place(PERP, "buy", "0.1", 80_000)
        await client.cancel(made.row["order_id"], PERP)
        assert (await mirror.reconcile()).changed == [made.row["order_id"]]
        assert mirror.open == []

    live(steps)


@pytest.mark.parametrize(
    ("error", "is_pending"),
    [
        (ConnectionLost("gone", sent=True), True),
        (AnswerMissing("late"), True),
        (ConnectionLost("not connected"), False),
        (OffbookError(11000, "Insufficient margin", None), False),
    ],
)
def test_only_unknown_outcomes_are_pending(error, is_pending):
    """A refusal and a request that never left are no riddle."""

    class Failing:
        async def order(self, *_, **__):
            raise error

    async def story():
        mirror = OrderMirror(Failing())
        with pytest.raises(type(error)):
            await mirror.place(PERP, "buy", "1", 1, client_order_id="mine")
        return mirror.pending

    assert asyncio.run(story()) == ({"mine"} if is_pending else set())


def test_the_copy_follows_over_a_reconnection():
    """The socket dies, the exchange goes on, the copy catches up by itself."""

    async def steps(world, client, other):
        async with client.order_mirror() as mirror:
            made = await mirror.place(PERP, "sell", "0.1", 84_000)
            for connection in list(world.server.server_state.connections):
                connection.close(1012, "test")
            await until(lambda: other.reconnections)
            await other.buy(PERP, "0.1", 84_000)
            await until(lambda: mirror.orders[made.row["order_id"]].state is OrderState.FILLED)

    live(steps)


def test_a_client_with_full_queues_closes():
    """Nobody reads two bounded queues while their channels go on: the close waits for neither."""

    async def steps(_, client, other):
        book = await client.subscribe(f"book.{PERP}.raw", queue_items=2)
        fills = await client.subscribe(f"{client.who.subaccount_id}.trades", queue_items=2)
        for _ in range(10):
            await client.sell(PERP, "0.1", 84_000)
            await other.buy(PERP, "0.1", 84_000)
        await until(lambda: book.dropped >= 10)
        await client.close()
        with pytest.raises(StreamBroken, match="behind"):
            await drain(fills)

    live(steps)
