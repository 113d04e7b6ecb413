"""One word for an instrument's prices: open, stale or halted, by age and by what the engine said."""

import pytest

from exchange.domain.commands import MarkRow
from exchange.domain.limits import INDEX_HALT_NS, INDEX_LIFE_NS, OPTION_MARK_LIFE_NS
from exchange.domain.views import PricesView
from exchange.wire.price_states import index_state, price_state
from tests.unit.exchange.engine.world import CALL, PERP, instruments

E9 = 10**9
NOW = 1_790_000_000 * E9
PERPETUAL, OPTION = instruments()[:2]


def prices(*, index_age_ns: int = 0, mark_age_ns: int = 0, halted: tuple[str, ...] = ()) -> PricesView:
    """Prices of these ages."""
    return PricesView(
        round=1,
        timestamp_ns=NOW,
        index_e9={"BTC": 60_000 * E9},
        forward_e9={},
        marks={PERP: MarkRow(PERP, 60_000 * E9), CALL: MarkRow(CALL, E9)},
        index_ns={"BTC": NOW - index_age_ns},
        mark_ns=dict.fromkeys((PERP, CALL), NOW - mark_age_ns),
        halted=halted,
    )


@pytest.mark.parametrize(
    ("age_ns", "halted", "expected"),
    [
        (INDEX_LIFE_NS, (), "open"),
        (INDEX_LIFE_NS + 1, (), "stale"),
        (INDEX_HALT_NS, (), "stale"),
        (INDEX_HALT_NS + 1, (), "halted"),
        (0, ("BTC",), "halted"),
        (0, ("ETH",), "open"),
    ],
)
def test_an_index_is_stale_and_then_halted(age_ns: int, halted: tuple[str, ...], expected: str) -> None:
    """And all its instruments with it."""
    view = prices(index_age_ns=age_ns, halted=halted)
    assert index_state("BTC", view, NOW) == expected
    assert [price_state(row, view, NOW) for row in (PERPETUAL, OPTION)] == [expected] * 2


def test_an_index_that_never_came_is_halted() -> None:
    """Nothing is known of it."""
    assert index_state("ETH", prices(), NOW) == "halted"


@pytest.mark.parametrize(
    ("age_ns", "perpetual", "option"),
    [
        (INDEX_LIFE_NS, "open", "open"),
        (INDEX_LIFE_NS + 1, "stale", "open"),
        (OPTION_MARK_LIFE_NS + 1, "stale", "stale"),
    ],
)
def test_a_mark_is_stale_by_its_kind(age_ns: int, perpetual: str, option: str) -> None:
    """An option's lives longer; a halt of the index comes first."""
    view = prices(mark_age_ns=age_ns)
    assert [price_state(row, view, NOW) for row in (PERPETUAL, OPTION)] == [perpetual, option]
    assert price_state(OPTION, prices(mark_age_ns=age_ns, halted=("BTC",)), NOW) == "halted"
