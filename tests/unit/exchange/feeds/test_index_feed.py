"""An index of several venues: what they say becomes a price with its confidence or a halt, never an invalid price."""

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.domain.commands import UnderlyingRow
from exchange.feeds.index_feed import MAJORS, OTHERS, IndexFeed, parameters_of
from exchange.feeds.sources import TopOfBook, price_e9
from exchange.feeds.synthetic import START_PRICES_E9, SyntheticIndex
from exchange.feeds.venues import seeded_venues

E9 = 10**9
S = 10**9
NOW = 1_790_000_000 * S
HALT = UnderlyingRow("BTC", 0, 0, is_halted=True)
NAN, INFINITE = float("nan"), float("inf")


class Spoken:
    """A venue that says what it is told to, as of a time."""

    def __init__(self, weight: int = 1) -> None:
        self.name = "spoken"
        self.weight = weight
        self.price: object = 60_000
        self.time_ns = 0
        """0: always as of now."""
        self.resumed: Mapping[str, int] = {}
        self.elapsed_s = 0.0

    def advance(self, elapsed_s: float) -> None:
        """Remember it."""
        self.elapsed_s += elapsed_s

    def resume(self, prices_e9: Mapping[str, int]) -> None:
        """Remember it."""
        self.resumed = prices_e9

    def tops(self, now_ns: int) -> dict[str, TopOfBook]:
        """A last trade at the price."""
        price = price_e9(self.price)
        time_ns = self.time_ns or now_ns
        return {"BTC": TopOfBook(bid_e9=price, ask_e9=price, book_ns=time_ns, last_e9=price, last_ns=time_ns)}


def feed(*weights: int) -> tuple[IndexFeed, list[Spoken]]:
    """A feed of BTC from venues of these weights, five of weight 1 if none are given."""
    venues = [Spoken(weight) for weight in weights or (1,) * 5]
    return IndexFeed(venues, ["BTC"]), venues


def ticks(one: IndexFeed, count: int, start: int = 0) -> list[UnderlyingRow]:
    """Rows of so many seconds."""
    return [row for second in range(start, start + count) for row in one.rows(NOW + second * S)]


BAD = [0, -1, -60_000.5, NAN, INFINITE, -INFINITE, None, "", "price", 1e300]


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_price_drops_out_and_the_rest_goes_on(bad: object) -> None:
    """Four of five at full agreement: four fifths of the confidence."""
    one, venues = feed()
    venues[0].price = bad
    assert ticks(one, 1) == [UnderlyingRow("BTC", 60_000 * E9, 800_000)]


@pytest.mark.parametrize("bad", BAD)
def test_bad_prices_everywhere_are_a_halt(bad: object) -> None:
    """No price is made up, and none is shown."""
    one, venues = feed()
    ticks(one, 1)
    for venue in venues:
        venue.price = bad
    assert ticks(one, 2, 1) == [HALT, HALT]
    assert one.prices_e9 == {}


@pytest.mark.parametrize(("wild", "index"), [(90_000, 60_060), (30_000, 59_940)])
def test_an_outlier_of_half_the_price_moves_the_index_by_a_thousandth(wild: int, index: int) -> None:
    """Capped at half a percent in one of five; the confidence is gone, the price is not."""
    one, venues = feed()
    venues[2].price = wild
    assert ticks(one, 1) == [UnderlyingRow("BTC", index * E9, 0)]


def test_half_of_the_sources_gone_costs_confidence_only() -> None:
    """Three of six; below three the confidence is a half at most, below two there is no price."""
    one, venues = feed(*(1,) * 6)
    rows = []
    for gone in (3, 4, 5):
        for venue in venues[:gone]:
            venue.price = None
        rows += ticks(one, 1)
    assert rows == [UnderlyingRow("BTC", 60_000 * E9, 500_000), UnderlyingRow("BTC", 60_000 * E9, 333_333), HALT]


@pytest.mark.parametrize(("wild", "is_halted"), [(90_000, True), (30_000, True), (61_500, False), (63_000, True)])
@pytest.mark.parametrize("count", [1, 2])
def test_two_camps_are_a_halt_however_long_they_stay(wild: int, is_halted: bool, count: int) -> None:
    """One of two, or two of four, elsewhere: their middle is nobody's price, and no tick confirms it."""
    one, venues = feed(*(1,) * (2 * count))
    ticks(one, 1)
    for venue in venues[:count]:
        venue.price = wild
    assert [row.is_halted for row in ticks(one, 5, 1)] == [is_halted] * 5
    for venue in venues:
        venue.price = 60_000
    assert ticks(one, 1, 6)[0].index_e9 == 60_000 * E9


def test_frozen_venues_grow_old_and_drop_out() -> None:
    """Their own clock stands still: ten seconds they count, then they do not."""
    one, venues = feed()
    for venue in venues[:4]:
        venue.time_ns = NOW
    assert [row.is_halted for row in ticks(one, 12)] == [False] * 11 + [True]


def test_a_frozen_price_with_a_running_clock_is_an_outlier() -> None:
    """While the others walk away from it, it holds the index back by the cap at most."""
    one, venues = feed()
    ticks(one, 1)
    for venue in venues[1:]:
        venue.price = 63_000
    (row,) = ticks(one, 1, 1)
    assert abs(row.index_e9 - 63_000 * E9) * 1_000 <= 63_000 * E9


def test_a_jump_is_a_halt_until_the_third_tick_confirms_it() -> None:
    """All venues half as high again; one wild tick leaves no trace."""
    one, venues = feed()
    ticks(one, 1)
    for venue in venues:
        venue.price = 90_000
    assert ticks(one, 2, 1) == [HALT, HALT]
    assert ticks(one, 2, 3) == [UnderlyingRow("BTC", 90_000 * E9)] * 2
    for venue in venues:
        venue.price = 60_000
    assert ticks(one, 1, 5) == [HALT]
    for venue in venues:
        venue.price = 90_000
    assert ticks(one, 1, 6) == [UnderlyingRow("BTC", 90_000 * E9)]


def test_a_jump_over_a_restart_is_a_jump() -> None:
    """The first price is compared with the one that was published before; what is unknown or zero is not."""
    one, venues = feed()
    one.resume({"BTC": 40_000 * E9, "DOGE": 1})
    assert venues[0].resumed == {"BTC": 40_000 * E9, "DOGE": 1}
    assert [row.is_halted for row in ticks(one, 3)] == [True, True, False]
    one, _ = feed()
    one.resume({"BTC": 0})
    assert not ticks(one, 1)[0].is_halted


def test_weights_count() -> None:
    """Three against two: the heavier price is the median, the other is drawn to half a percent of it."""
    one, venues = feed(3, 1, 1)
    for venue in venues[1:]:
        venue.price = 60_600
    assert ticks(one, 1) == [UnderlyingRow("BTC", 60_120 * E9, 500_000)]


def test_majors_have_narrower_rules() -> None:
    """BTC and ETH: half a percent, ten seconds; others one percent, thirty."""
    assert (parameters_of("BTC"), parameters_of("ETH"), parameters_of("SOL")) == (MAJORS, MAJORS, OTHERS)
    assert (OTHERS.cap_ppm, OTHERS.oldest_ns) == (10_000, 30 * S)


def test_same_seed_same_index_near_its_walk() -> None:
    """Five seeded venues give rows within a tenth of a percent of the walk that the first of them moves."""

    def run(seed: int) -> list[tuple[UnderlyingRow, ...]]:
        one = IndexFeed(seeded_venues(SyntheticIndex.seeded(seed), seed), list(START_PRICES_E9))
        rows = []
        for second in range(60):
            one.advance(1.0)
            rows.append(one.rows(NOW + second * S))
        return rows

    walk = SyntheticIndex.seeded(5)
    for rows in run(5):
        truth = walk.advance(1.0)
        assert {row.underlying for row in rows} == set(truth)
        assert all(abs(row.index_e9 - truth[row.underlying]) * 1_000 <= truth[row.underlying] for row in rows)
        assert all(row.confidence_ppm > 900_000 for row in rows)
    assert run(5) == run(5) != run(6)


def test_seeded_venues_go_on_from_what_was_published() -> None:
    """A restart is no jump."""
    one = IndexFeed(seeded_venues(SyntheticIndex.seeded(1), 1), ["BTC"])
    one.resume({"BTC": 20_000 * E9})
    (row,) = one.rows(NOW)
    assert not row.is_halted
    assert abs(row.index_e9 - 20_000 * E9) * 1_000 <= 20_000 * E9


SAID = st.lists(
    st.one_of(st.floats(), st.none(), st.integers(-5, 10**12), st.sampled_from(BAD)), min_size=3, max_size=3
)


@settings(max_examples=100)
@given(st.lists(SAID, min_size=1, max_size=12))
def test_whatever_venues_say_a_row_is_valid_and_between_them(rounds: list[list[object]]) -> None:
    """A price on the scale between the lowest and the highest that was said in its tick, or a halt without one."""
    one, venues = feed(1, 1, 1)
    for second, said in enumerate(rounds):
        for venue, price in zip(venues, said, strict=True):
            venue.price = price
        (row,) = one.rows(NOW + second * S)
        prices = [found for found in map(price_e9, said) if found is not None]
        if row.is_halted:
            assert (row.index_e9, row.confidence_ppm) == (0, 0)
        else:
            assert min(prices) <= row.index_e9 <= max(prices)
            assert 0 <= row.confidence_ppm <= 10**6
