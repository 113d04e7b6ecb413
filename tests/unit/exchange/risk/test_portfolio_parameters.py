"""Our parameters of Portfolio Margin, number by number as risk.md 8.4 prints them, and what quotes reserve by them."""

import pytest

from exchange.risk.portfolio_parameters import OUR_SCENARIOS, PortfolioParameters, Scenario, VolatilityMove

DOWN, NONE, UP, LINEAR, ABSOLUTE = (
    VolatilityMove.DOWN,
    VolatilityMove.NONE,
    VolatilityMove.UP,
    VolatilityMove.LINEAR,
    VolatilityMove.ABSOLUTE,
)
E5 = 10**5
# (spot in tenths of a per cent, what moves, dampening in 1e-5)
REGULAR = [
    (1_180, UP, E5),
    *((spot, move, E5) for spot in (1_135, 1_090, 1_045, 1_000, 955, 910, 865) for move in (DOWN, NONE, UP)),
    (820, UP, E5),
]
TAIL = [
    (340, UP, 21_000),
    (670, UP, 42_000),
    (1_500, UP, 27_720),
    (2_000, UP, 13_860),
    (3_000, UP, 6_930),
    (4_000, UP, 4_620),
    (5_000, UP, 3_465),
    (6_000, UP, 2_772),
]
SKEW = [(1_000, LINEAR, E5), (1_000, ABSOLUTE, E5)]


@pytest.mark.parametrize("changes", [{"one": 0}, {"one": -1}, {"scenarios": ()}])
def test_a_set_without_a_unit_or_scenarios_is_refused(changes: dict[str, object]) -> None:
    """It would divide by nothing, or ask for nothing."""
    with pytest.raises(ValueError, match="needs scenarios"):
        PortfolioParameters(**changes)  # type: ignore[arg-type]


def test_the_smallest_unit_is_one() -> None:
    """Fractions are whole then, and nothing else is wrong with it."""
    assert PortfolioParameters(one=1).one == 1


def test_the_scenarios_are_the_printed_ones() -> None:
    """Derive's 23 of the grid, its 8 tails and the two that bend the smile, in this order."""
    expected = [
        Scenario(spot=spot * 10**6, move=move, dampening=dampening * 10**4)
        for spot, move, dampening in REGULAR + TAIL + SKEW
    ]
    assert (len(REGULAR), len(TAIL)) == (23, 8)
    assert list(OUR_SCENARIOS) == expected


def test_moves_keep_their_numbers() -> None:
    """They are written to journals."""
    assert {move.name: move.value for move in VolatilityMove} == {
        "NONE": 0,
        "UP": 1,
        "DOWN": 2,
        "LINEAR": 3,
        "ABSOLUTE": 4,
    }


OURS = [
    # what                      of one million
    ("basis_up", 1_045_000),
    ("basis_down", 955_000),
    ("maintenance_factor", 800_000),
    ("initial_factor", 1_000_000),
    ("perpetual_maintenance", 30_000),
    ("perpetual_initial", 10_000),
    ("option_maintenance", 3_000),
    ("option_initial", 2_000),
    ("confidence_threshold", 550_000),
    ("confidence_factor", 1_000_000),
    ("peg_threshold", 990_000),
    ("peg_factor", 4_000_000),
]


@pytest.mark.parametrize(("name", "expected_ppm"), OURS, ids=[row[0] for row in OURS])
def test_the_factors_are_the_printed_ones(name: str, expected_ppm: int) -> None:
    """As parts of the unit; and who has less than 10,000 USDC may not choose this margin."""
    ours = PortfolioParameters()
    assert getattr(ours, name) * 10**6 == expected_ppm * ours.one
    assert ours.minimum_equity_e6 == 10_000 * 10**6


@pytest.mark.parametrize(
    ("spots", "expected"),
    [
        ([(10, 10)], 7),  # nothing moves: the contingencies alone
        ([(13, 10)], 10),
        ([(6, 10)], 11),
        ([(13, 3)], 8),  # 0.9 of a unit is one
        ([(13, 10), (4, 2), (12, 10)], 10),
    ],
)
def test_quotes_reserve_the_worst_move_of_the_spot(spots: list[tuple[int, int]], expected: int) -> None:
    """Up or down, dampened, rounded up; and what a perpetual is asked for beside, here 0.2 and 0.5."""
    rows = tuple(Scenario(spot=spot, move=NONE, dampening=dampening) for spot, dampening in spots)
    found = PortfolioParameters(one=10, scenarios=rows, perpetual_maintenance=2, perpetual_initial=5)
    assert found.quote_reserve == expected


def test_our_quotes_reserve_22_percent() -> None:
    """18 % down or up, and 3 % and 1 % beside."""
    assert PortfolioParameters().quote_reserve == 220_000_000
