"""What the contract takes for free: worth less its upper bounds, by hand at whole and at broken marks."""

import pytest
from msgspec.structs import replace

from exchange.domain.commands import MarkRow, SetPrices, UnderlyingRow
from exchange.engine.chain_cover import covered_e6
from exchange.engine.config import EngineConfig
from exchange.risk.parameters import StandardParameters
from tests.unit.exchange.engine.world import BUY, CALL, PERP, SELL, World


def traded(instrument: int, lots: int, price_ticks: int, *, large_caps: tuple[str, ...] = ("BTC",)) -> World:
    """Account 2 holds so many lots against account 3."""
    margin = replace(StandardParameters(), large_caps=large_caps)
    world = World(config=EngineConfig(margin=margin)).open()
    one, other = (2, 3) if lots > 0 else (3, 2)
    world.place(one, BUY, price_ticks, abs(lots), instrument)
    world.place(other, SELL, price_ticks, abs(lots), instrument)
    return world


def beyond_cash_e6(world: World) -> int:
    """What positions add to cash, or take from it."""
    account = world.state.accounts[2]
    return covered_e6(world.state, account) - account.ledger_cash_e6


POSITIONS = [
    # A lot of the perpetual is worth 60 USDC, one of the call 15; a millionth more for what was rounded away.
    (PERP, 100, 600_000, 6_000_000_000 - 1_500_000_025),
    (PERP, -100, 600_000, -6_000_000_100 - 1_500_000_025),
    (CALL, 3, 1_500, -1),
    (CALL, -3, 1_500, -45_000_003 - 369_000_001),
]


@pytest.mark.parametrize("more_e9", [0, 999])
@pytest.mark.parametrize(("instrument", "lots", "price_ticks", "expected"), POSITIONS)
def test_positions_by_hand(instrument: int, lots: int, price_ticks: int, expected: int, more_e9: int) -> None:
    """25 % of a perpetual; 20 % of index and mark of a short option; a unit of a long one. Marks are rounded down."""
    world = traded(instrument, lots, price_ticks)
    index = UnderlyingRow("BTC", 60_000 * 10**9 + more_e9)
    marks = (MarkRow(PERP, 60_000 * 10**9 + more_e9), MarkRow(CALL, 1_500 * 10**9 + more_e9 // 10))
    world.run(SetPrices(round=world.round + 1, underlyings=(index,), marks=marks))
    assert beyond_cash_e6(world) == expected


def test_other_assets_are_bounded_higher() -> None:
    """42 % of what is no large cap."""
    assert beyond_cash_e6(traded(PERP, 100, 600_000, large_caps=("ETH",))) == 6_000_000_000 - 2_520_000_042


def test_one_lot_held_long_is_no_short() -> None:
    """And who holds nothing has cash."""
    assert beyond_cash_e6(traded(CALL, 1, 1_500)) == -1
    assert beyond_cash_e6(World().open()) == 0
