"""Rounds rise, values are positive, instruments are known; a bad row refuses the round."""

import pytest

from exchange.domain.commands import ExpiryRow, MarkRow, SetPrices, UnderlyingRow
from exchange.domain.events import CommandRefused, PricesSet
from exchange.domain.result_codes import ResultCode
from tests.unit.exchange.engine.world import CALL, PERP, World


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
