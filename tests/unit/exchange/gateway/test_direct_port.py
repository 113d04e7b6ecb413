"""The tests' own port: what it promises must hold, or the tests built on it say nothing."""

import asyncio

import pytest

from exchange.bus.interface import Busy
from exchange.domain.commands import BatchCut, CancelMany
from exchange.domain.views import GetSummary
from tests.fakes.small_exchange import SmallExchange


def test_a_full_port_refuses_all_but_cancels() -> None:
    """Busy for orders, cancels pass."""

    async def story() -> None:
        port = SmallExchange().port
        port.is_full = True
        with pytest.raises(Busy):
            port.submit(BatchCut())
        port.submit(CancelMany(subaccount=2))

    asyncio.run(story())


def test_replies_and_answers_come_in_order_and_before_the_outputs() -> None:
    """One commit: deliveries in the order of submission, then the listener once."""

    async def story() -> None:
        port, seen = SmallExchange().port, []
        port.listen(lambda outputs: seen.append(len(outputs)))
        port.submit(BatchCut(), lambda _: seen.append("first"))
        port.ask(GetSummary(), lambda _: seen.append("answer"))
        port.submit_together([BatchCut(), BatchCut()], lambda outputs: seen.append(f"{len(outputs)} together"))
        assert seen == []
        await asyncio.sleep(0)
        assert seen == ["first", "answer", "2 together", 3]

    asyncio.run(story())


def test_held_commits_wait() -> None:
    """Nothing is delivered while the port is held."""

    async def story() -> None:
        port, seen = SmallExchange().port, []
        port.held = True
        port.submit(BatchCut(), lambda _: seen.append(1))
        await asyncio.sleep(0)
        assert seen == []
        port.commit()
        assert seen == [1]

    asyncio.run(story())
