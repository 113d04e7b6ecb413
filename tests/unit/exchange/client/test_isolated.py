"""One instrument in a subaccount of its own, against the real gateway and engine."""

from decimal import Decimal

import pytest

from exchange.client.isolated import IsolatedPosition, NotIsolated
from tests.unit.exchange.client.test_live_gateway import with_clients


def test_a_subaccount_with_something_else_is_not_isolated():
    """An order in, or a position of, another instrument; the message names it."""

    async def steps(maker, taker):
        option = "BTC-20261225-100000-C"
        await maker.sell("BTC-PERP", "1", "84000")
        with pytest.raises(NotIsolated, match="also has BTC-PERP"):
            await IsolatedPosition.open(maker, option)
        held = await IsolatedPosition.open(taker, "BTC-PERP")
        await held.buy("0.1", "84000")
        with pytest.raises(NotIsolated, match="also has BTC-PERP"):
            await IsolatedPosition.open(taker, option)

    with_clients(steps)


def test_a_position_is_opened_watched_and_closed():
    """Long and short; closing cancels what rests, and of nothing closes nothing."""

    async def steps(maker, taker):
        await maker.sell("BTC-PERP", "1", "84010")
        await maker.buy("BTC-PERP", "1", "83990")
        position = await IsolatedPosition.open(taker, "BTC-PERP")
        assert await position.close() is None
        await position.buy("0.4", "84010")
        await position.sell("0.1", "85000")
        assert await position.amount() == Decimal("0.4")
        assert (await taker.ticker("BTC-PERP"))["stats"]["oi"] == "0.4"
        assert 0 < await position.left() <= Decimal(10**9)
        closed = await position.close()
        assert (closed["order"]["direction"], closed["order"]["order_status"]) == ("sell", "filled")
        assert (await taker.open_orders(), await position.amount()) == ([], 0)
        await position.sell("0.2", "83990")
        assert (await position.close())["order"]["direction"] == "buy"

    with_clients(steps)
