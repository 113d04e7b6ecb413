"""Grids, names and dates."""

from decimal import Decimal

import msgspec
import pytest

from exchange.domain.instrument import Instrument, InstrumentKind, OffGrid, calendar_date, format_e9, instrument_name
from tests.unit.exchange.engine.world import instruments

PERPETUAL, CALL, _ = instruments()


@pytest.mark.parametrize("change", [{"tick_e9": 1}, {"instrument_id": 5}])
def test_units_that_need_rounding_are_refused(change: dict[str, int]) -> None:
    """Tick x lot is a whole millionth, and the id says whether it is a perpetual."""
    with pytest.raises(ValueError, match="BTC-PERP"):
        msgspec.structs.replace(PERPETUAL, **change)


@pytest.mark.parametrize(
    ("text", "nearest"), [("60000.05", ("60000", "60000.1")), ("0.01", ("0", "0.1")), ("-0.05", ("-0.1", "0"))]
)
def test_off_grid_names_its_neighbors(text: str, nearest: tuple[str, str]) -> None:
    """A price between two ticks is never rounded; the error names the tick below and the one above."""
    with pytest.raises(OffGrid) as raised:
        PERPETUAL.price_ticks(text)
    assert raised.value.nearest == nearest


@pytest.mark.parametrize(("text", "ticks"), [("60000.1", 600_001), ("6E4", 600_000), ("0.10", 1), ("0", 0)])
def test_prices_on_the_grid(text: str, ticks: int) -> None:
    """Any spelling of the same number is the same tick."""
    assert PERPETUAL.price_ticks(text) == PERPETUAL.price_ticks(Decimal(text)) == ticks


@pytest.mark.parametrize(
    ("value_e9", "text"), [(0, "0"), (10**9, "1"), (1_500_000_000, "1.5"), (-1, "-0.000000001"), (10**10, "10")]
)
def test_canonical_decimals(value_e9: int, text: str) -> None:
    """No exponent, no trailing zero, no plus."""
    assert format_e9(value_e9) == text


def test_text_and_notional() -> None:
    """Ticks and lots back to text; notional is exact."""
    assert (PERPETUAL.price_text(600_001), PERPETUAL.quantity_text(15)) == ("60000.1", "0.015")
    assert PERPETUAL.notional_e6(price_ticks=600_001, quantity_lots=15) == 900_001_500
    assert PERPETUAL.quantity_lots("0.015") == 15
    assert CALL.is_option
    assert not PERPETUAL.is_option


@pytest.mark.parametrize(
    ("timestamp_s", "date"),
    [(0, "19700101"), (951_782_400, "20000229"), (1_790_000_000, "20260921"), (4_107_542_399, "21000228")],
)
def test_calendar(timestamp_s: int, date: str) -> None:
    """Leap days of 2000 are there, of 2100 are not."""
    assert calendar_date(timestamp_s) == date


@pytest.mark.parametrize(
    ("kind", "strike_e9", "name"),
    [
        (InstrumentKind.PERPETUAL, 0, "BTC-PERP"),
        (InstrumentKind.CALL, 100_000 * 10**9, "BTC-20260921-100000-C"),
        (InstrumentKind.PUT, 1_500_000_000, "BTC-20260921-1_5-P"),
    ],
)
def test_names(kind: InstrumentKind, strike_e9: int, name: str) -> None:
    """The point of a fractional strike is written as an underscore."""
    assert instrument_name(underlying="BTC", kind=kind, strike_e9=strike_e9, expiry_s=1_790_000_000) == name


def test_instruments_are_frozen() -> None:
    """Values never change."""
    with pytest.raises(AttributeError):
        PERPETUAL.tick_e9 = 5  # type: ignore[misc]
    assert isinstance(PERPETUAL, Instrument)
