"""Many accounts at once: the compiled scan gives the integers of the plain one, or hands the account back."""

from array import array
from pathlib import Path
from random import Random

import msgspec
import pytest

from exchange.risk import scanning
from exchange.risk.portfolio_parameters import PortfolioParameters, Scenario, VolatilityMove
from exchange.risk.scanning import (
    AccountLegs,
    GridView,
    Leg,
    Losses,
    Multipliers,
    PreparedAccounts,
    PreparedGrid,
    plain_losses,
    scan_words,
    worst_losses,
)

E9, E18 = 10**9, 10**18
OURS = PortfolioParameters()
needs_compiled = pytest.mark.skipif(not scanning.COMPILED, reason="exchange.risk._margin is not built: make build")


def view(seed, rows=40, *, expiries=5, width=33, highest=10**14):
    """A drawn grid."""
    source = Random(seed)
    return GridView(
        cells=array("q", [source.randrange(highest) for _ in range(rows * width)]),
        width=width,
        scenarios=33,
        mark=11,
        forward_up=8,
        forward_down=14,
        multipliers=tuple(
            Multipliers(source.randrange(E9 // 2, E9), source.randrange(E9, 2 * E9), source.randrange(3 * E9))
            for _ in range(expiries)
        ),
    )


def drawn_accounts(seed, count, *, rows=40, expiries=5):
    """Accounts of up to thirty legs, some with a perpetual, some with nothing."""
    source = Random(seed)

    lot = source.choice((1, 10**7))

    def amount():
        return round(source.uniform(-1, 1) * 10 ** source.uniform(0, 5)) * lot

    return [
        AccountLegs(
            legs=tuple(
                Leg(source.randrange(rows), source.randrange(expiries), amount()) for _ in range(source.randrange(30))
            ),
            linear_e18=source.choice((0, 1, -1)) * source.randrange(10**25),
        )
        for _ in range(count)
    ]


@needs_compiled
@pytest.mark.parametrize("seed", range(5))
def test_both_twins_give_the_same_integers(seed):
    """To the unit of 1e-18 USDC, 400 accounts each."""
    grid, accounts = view(seed), drawn_accounts(seed, 400)
    expected = [plain_losses(account, grid, OURS) for account in accounts]
    prepared = PreparedAccounts(accounts)
    assert not any(scan_words(prepared, PreparedGrid(grid, OURS).scan)[1])
    assert worst_losses(prepared, PreparedGrid(grid, OURS)) == expected


@needs_compiled
def test_other_columns_and_scenarios():
    """Mark and basis in columns of their own, two scenarios, a dampened skew."""
    parameters = PortfolioParameters(
        scenarios=(
            Scenario(spot=E9 // 3, move=VolatilityMove.UP, dampening=E9 // 7),
            Scenario(spot=E9, move=VolatilityMove.ABSOLUTE, dampening=E9 // 2),
        )
    )
    grid = msgspec.structs.replace(view("other", width=5), scenarios=2, mark=2, forward_up=3, forward_down=4)
    accounts = drawn_accounts("other", 300)
    assert worst_losses(PreparedAccounts(accounts), PreparedGrid(grid, parameters)) == [
        plain_losses(account, grid, parameters) for account in accounts
    ]


@needs_compiled
def test_sums_of_64_and_of_128_bits_are_the_same():
    """One unit more makes the common unit 1, and the counts too large for the short path."""
    grid = view("paths")
    legs = tuple(Leg(at, at % 5, (at - 9) * 10**11) for at in range(20))
    rows = [AccountLegs(legs=legs), AccountLegs(legs=(*legs, Leg(0, 0, 1)))]
    prepared = PreparedAccounts(rows)
    assert list(prepared.units) == [10**11, 1]
    found = worst_losses(prepared, PreparedGrid(grid, OURS))
    assert found == [plain_losses(row, grid, OURS) for row in rows]
    assert not any(scan_words(prepared, PreparedGrid(grid, OURS).scan)[1])


GIANTS = [
    AccountLegs(legs=(Leg(0, 0, 9 * 10**18), Leg(1, 0, -9 * 10**18), Leg(2, 1, 1))),
    AccountLegs(legs=(Leg(0, 0, 9 * 10**18),)),
    AccountLegs(legs=(Leg(0, 0, 1),), linear_e18=2**93),
    AccountLegs(legs=(Leg(0, 0, 1),), linear_e18=-(2**93)),
]


@needs_compiled
def test_accounts_beyond_the_range_go_to_the_plain_twin():
    """They come out right all the same; their neighbors stay compiled."""
    grid, accounts = view("large"), drawn_accounts("large", 20)
    prepared = PreparedAccounts([*accounts, *GIANTS])
    assert list(scan_words(prepared, PreparedGrid(grid, OURS).scan)[1]) == [0] * 20 + [1] * len(GIANTS)
    expected = [plain_losses(row, grid, OURS) for row in prepared.accounts]
    assert worst_losses(prepared, PreparedGrid(grid, OURS)) == expected


@needs_compiled
@pytest.mark.parametrize("word", [2**63 - 1, 2**63, 2**63 + 1, 2**64, -(2**63), -(2**63) - 1, -1])
def test_numbers_are_handed_over_as_two_words(word):
    """Around every place where a word changes its sign."""
    grid, row = view("words"), AccountLegs(legs=(Leg(0, 0, E9),), linear_e18=word)
    assert worst_losses(PreparedAccounts([row]), PreparedGrid(grid, OURS)) == [plain_losses(row, grid, OURS)]


def test_the_scan_is_compiled_where_an_extension_is_built():
    """A tree without one still answers; one that is there is used."""
    built = list(Path(scanning.__file__).parent.glob("_margin.*.so"))
    assert bool(built) is scanning.COMPILED


@needs_compiled
def test_what_fits_is_answered_by_the_compiled_scan(monkeypatch):
    """The plain twin, a hundred times slower, is asked for nothing."""
    grid, rows = view("fits"), PreparedAccounts(drawn_accounts("fits", 20))
    expected = worst_losses(rows, PreparedGrid(grid, OURS))
    monkeypatch.setattr(scanning, "plain_losses", None)
    assert worst_losses(rows, PreparedGrid(grid, OURS)) == expected


def test_a_grid_without_contracts_is_no_error():
    """Before the first listing: nobody holds a contract, a perpetual has its worst move all the same."""
    grid = msgspec.structs.replace(view("empty"), cells=array("q"), multipliers=())
    rows = [AccountLegs(legs=()), AccountLegs(legs=(), linear_e18=60_000 * E18)]
    found = worst_losses(PreparedAccounts(rows), PreparedGrid(grid, OURS))
    assert found == [Losses(0, 0, 0), Losses(-10_800 * E18, 0, 0)]


def test_an_account_without_anything_loses_nothing():
    """Before its first trade, alone and beside others."""
    grid = view("nothing")
    nothing = AccountLegs(legs=())
    assert worst_losses(PreparedAccounts([nothing]), PreparedGrid(grid, OURS)) == [Losses(0, 0, 0)]
    assert worst_losses(PreparedAccounts([]), PreparedGrid(grid, OURS)) == []
    some = AccountLegs(legs=(Leg(0, 0, E9),))
    assert worst_losses(PreparedAccounts([nothing, some]), PreparedGrid(grid, OURS))[0] == Losses(0, 0, 0)


def test_a_perpetual_alone():
    """One unit at 60,000: 18 % down is worse than any dampened tail."""
    account = AccountLegs(legs=(Leg(0, 0, 0),), linear_e18=60_000 * E18)
    (found,) = worst_losses(PreparedAccounts([account]), PreparedGrid(view("alone"), OURS))
    assert found == Losses(-10_800 * E18, 0, 0)


BAD = [
    # what is wrong                                                          message
    ({"rows": array("i", [40])}, "without a row"),
    ({"rows": array("i", [-1])}, "without a row"),
    ({"expiries": array("i", [5])}, "without a row"),
    ({"expiries": array("i", [0, 0])}, "different length"),
    ({"counts": array("q", [])}, "different length"),
    ({"starts": array("q", [0])}, "different length"),
    ({"counts": array("i", [1])}, "another type"),
    ({"counts": array("d", [1.0])}, "another type"),
    ({"counts": memoryview(array("q", [1])).cast("B").cast("q", (1, 1))}, "another type or shape"),
    ({"starts": array("q", [0, 2])}, "not there"),
    ({"starts": array("q", [1, 0])}, "out of order"),
    ({"linear": array("q", [0])}, "different length"),
    ({"units": array("q", [])}, "different length"),
    ({"rows": array("i"), "expiries": array("i"), "counts": array("q"), "starts": array("q", [0, 0])}, "no legs"),
]


@needs_compiled
@pytest.mark.parametrize(("changes", "message"), BAD)
def test_arrays_that_do_not_fit_are_refused(changes, message):
    """Nothing is read outside of them."""
    prepared = PreparedAccounts([AccountLegs(legs=(Leg(0, 0, 1),))])
    for name, value in changes.items():
        setattr(prepared, name, value)
    with pytest.raises(ValueError, match=message):
        scan_words(prepared, PreparedGrid(view("bad"), OURS).scan)


GRIDS = [
    ({"scenarios": 32}, "different length"),
    ({"mark": 33}, "columns"),
    ({"forward_down": -1}, "columns"),
    ({"multipliers": (Multipliers(2**32, 0, 0),)}, "multiplier"),
    ({"multipliers": (Multipliers(0, -1, 0),)}, "multiplier"),
    ({"cells": array("q", [9 * 10**15 + 1] * 33)}, "cell"),
]


@needs_compiled
@pytest.mark.parametrize(("changes", "message"), GRIDS)
def test_grids_outside_their_range_are_refused(changes, message):
    """The bounds on which the absence of overflow rests."""
    grid = msgspec.structs.replace(view("bad"), **changes)
    with pytest.raises(ValueError, match=message):
        PreparedGrid(grid, OURS)


@needs_compiled
@pytest.mark.parametrize("dampening", [-1, E9 + 1])
def test_dampening_is_a_fraction(dampening):
    """More than one would be no dampening."""
    first, *rest = OURS.scenarios
    parameters = msgspec.structs.replace(OURS, scenarios=(msgspec.structs.replace(first, dampening=dampening), *rest))
    with pytest.raises(ValueError, match="dampening"):
        PreparedGrid(view("bad"), parameters)
