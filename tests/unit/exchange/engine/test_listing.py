"""New instruments."""

from typing import Any

import msgspec
import pytest

from exchange.domain.commands import ListInstrument
from exchange.domain.events import CommandRefused, InstrumentListed
from exchange.domain.result_codes import ResultCode
from tests.unit.exchange.engine.world import PERP, World, instruments

NEW = {"instrument_id": 50, "name": "new"}


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, ResultCode.INSTRUMENT_EXISTS),
        ({"instrument_id": 50}, ResultCode.INSTRUMENT_EXISTS),
        ({"name": "new"}, ResultCode.INSTRUMENT_EXISTS),
        (NEW | {"minimum_lots": 0}, ResultCode.PARAMETER_INVALID),
        (NEW | {"maximum_lots": 1 << 47}, ResultCode.PARAMETER_INVALID),
        (NEW | {"maximum_price_ticks": (1 << 40) + 1}, ResultCode.PARAMETER_INVALID),
        (NEW | {"maker_fee_ppm": -400}, ResultCode.PARAMETER_INVALID),
        (NEW | {"expiry_s": 1}, ResultCode.PARAMETER_INVALID),
        (NEW | {"strike_e9": 0}, ResultCode.PARAMETER_INVALID),
        (NEW | {"instrument_id": 0}, ResultCode.PARAMETER_INVALID),
    ],
)
def test_refusals(fields: dict[str, Any], code: ResultCode) -> None:
    """A taken id or name, and parameters outside the limits."""
    world = World().open()
    instrument = msgspec.structs.replace(instruments()[1], **fields)
    assert world.run(ListInstrument(instrument=instrument)) == [
        CommandRefused(code=code, detail=instrument.instrument_id)
    ]


def test_listed_instruments_have_a_book() -> None:
    """The event carries the instrument, the book is empty."""
    world = World()
    instrument = instruments()[0]
    assert world.run(ListInstrument(instrument=instrument)) == [InstrumentListed(instrument=instrument)]
    assert world.state.book.depth(PERP, 1) == ([], [])
