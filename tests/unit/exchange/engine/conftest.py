"""Every test of the engine that builds a World runs twice: over the Python twin and over the compiled rows."""

import pytest

from exchange.engine.state import State
from exchange.engine.states import COMPILED, state_class
from matching_core import OrderBook
from tests.unit.exchange.engine.world import World

OF_THE_TWIN = {
    "test_damage_is_found",
    "test_a_book_that_forgot_an_order_is_found",
    "test_ended_and_unpriced_instruments_are_not_live",
    "test_nonces_of_any_scale_are_unique_within_the_window",
}
"""Tests that reach into the twin's dicts to damage or to count them."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Name the states a test runs over."""
    if "world_state" in metafunc.fixturenames:
        is_twin_only = metafunc.function.__name__ in OF_THE_TWIN or not COMPILED
        metafunc.parametrize("world_state", ["twin"] if is_twin_only else ["twin", "rows"], indirect=True)


@pytest.fixture(autouse=True)
def world_state(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give every World of a test the same class of state."""
    chosen = state_class(OrderBook) if request.param == "rows" else State
    monkeypatch.setattr(World, "state_class", chosen)
