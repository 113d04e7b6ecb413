"""Rounds rise, values are positive, instruments are known; a bad row refuses the round."""

import pytest

from exchange.domain.commands import ChainRequestKind, ExpiryRow, MarkRow, SetPrices, UnderlyingRow
from exchange.domain.events import BatchClosed, CommandRefused, PricesSet
from exchange.domain.result_codes import ResultCode
from tests.unit.exchange.engine.world import BUY, CALL, E6, PERP, SELL, World


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (SetPrices(round=1), ResultCode.PRICE_OUT_OF_ORDER),
        (SetPrices(round=5, underlyings=(UnderlyingRow("BTC", 0),)), ResultCode.PRICE_INVALID),
        (SetPrices(round=5, expiries=(ExpiryRow("BTC", 1, -1),)), ResultCode.PRICE_INVALID),
        (SetPrices(round=5, marks=(MarkRow(PERP, 0),)), ResultCode.PRICE_INVALID),
        (SetPrices(round=5, marks=(MarkRow(CALL, -1),)), ResultCode.PRICE_INVALID),
        (SetPrices(round=5, marks=(MarkRow(77, 1),)), ResultCode.PRICE_INVALID),
        (SetPrices(round=5, marks=(MarkRow(PERP, 1 << 63),)), ResultCode.PRICE_INVALID),
    ],
)
def test_bad_rounds_change_nothing(command: SetPrices, code: ResultCode) -> None:
    """The round before stays."""
    world = World().open()
    (event,) = world.run(command)
    assert isinstance(event, CommandRefused)
    assert event.code is code
    assert world.state.prices.round == 1


def test_partial_rounds_keep_the_rest() -> None:
    """What a round does not name keeps its value; an option's mark may be 0."""
    world = World().open()
    command = SetPrices(round=9, marks=(MarkRow(CALL, 0),))
    assert world.run(command) == [PricesSet(prices=command)]
    assert world.state.prices.mark(CALL) == 0
    assert world.state.prices.mark(PERP) == 60_000 * 10**9
    assert world.state.prices.forward("BTC", 1) == 60_000 * 10**9


@pytest.mark.parametrize("kind", [ChainRequestKind.WITHDRAW, ChainRequestKind.CANCEL_ALL])
def test_a_batch_with_requests_ends_before_other_prices(kind: ChainRequestKind) -> None:
    """A withdrawal is judged on chain at the prices of its batch: they are the ones that decided it."""
    world = World().open()
    number = world.state.batch.number
    world.request(kind, 2, amount_e6=E6)
    closed, priced = world.prices(50_000)
    assert isinstance(closed, BatchClosed)
    assert isinstance(priced, PricesSet)
    assert (closed.batch, closed.request_up_to) == (number, world.state.request_index)
    world.request(ChainRequestKind.WITHDRAW, 3, amount_e6=E6)
    assert world.state.batch.number == number + 1


def test_a_batch_of_trades_goes_on_over_prices() -> None:
    """Only requests are decided by one set of prices."""
    world = World().open()
    world.place(2, BUY, 600_000, 1)
    world.place(3, SELL, 600_000, 1)
    assert [type(event) for event in world.prices(60_100)] == [PricesSet]


def test_refused_prices_end_no_batch() -> None:
    """What changes nothing changes no batch."""
    world = World().open()
    world.request(ChainRequestKind.WITHDRAW, 2, amount_e6=E6)
    world.round -= 1
    assert [type(event) for event in world.prices(50_000)] == [CommandRefused]
    assert world.state.batch.has_content
