"""The kept surface: what a bad book does to it, and what a good one."""

import itertools
import math

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exchange.pricing.gates import at_years, failed_gate
from exchange.pricing.quotes import OptionQuote, QuotedVolatility
from exchange.pricing.smile import SviSlice, crosses_calendar
from exchange.pricing.surface import ChainBook, ExpirySlice, Surface, blended, mark_volatility
from tests.fakes.chain_books import SMILE, STRIKES, chain_quotes, spoilt
from tests.unit.exchange.pricing.test_quotes import UNREADABLE

YEAR_S = 365 * 86_400
NOW_S = 1_795_363_200.0
NEAR_S, FAR_S = int(NOW_S + 0.1 * YEAR_S), int(NOW_S + 0.2 * YEAR_S)
SPOT = 1_990.0


def level(smile, factor):
    """The smile with all volatilities times `factor`."""
    return msgspec.structs.replace(smile, a=smile.a * factor**2, b=smile.b * factor**2)


def book(expiry_s=NEAR_S, *, now_s=NOW_S, factor=1.0, forward=2_000.0, change=None, outside=None, **options):
    """The book of an expiry around SMILE's volatilities; `change` maps each quote to another or None."""
    smile = level(at_years(SMILE, (expiry_s - now_s) / YEAR_S), factor)
    quotes = chain_quotes(smile, forward=forward, **options)
    if change is not None:
        quotes = [changed for quote in quotes if (changed := change(quote)) is not None]
    return ChainBook(quotes=tuple(quotes), strikes=STRIKES, tick=0.1, outside=outside)


def both(now_s=NOW_S, **options):
    """Books of both expiries."""
    return {expiry_s: book(expiry_s, now_s=now_s, **options) for expiry_s in (NEAR_S, FAR_S)}


def at_money(row):
    """Volatility at the forward."""
    return row.smile.volatility(strike=row.forward, forward=row.forward)


def seeded():
    """A surface that has taken one good book of both expiries."""
    surface = Surface()
    surface.refresh(both(), spot=SPOT, now_s=NOW_S)
    return surface


@pytest.mark.parametrize("spot", [0.0, -1.0, math.nan, math.inf])
def test_a_spot_that_is_no_price_is_refused(spot):
    """And nothing changes."""
    surface = seeded()
    before = surface.published(NEAR_S)
    with pytest.raises(ValueError, match="spot"):
        surface.refresh(both(factor=1.1), spot=spot, now_s=NOW_S + 1)
    assert surface.published(NEAR_S) == before


WILD_HALF = {"wild half": lambda row: spoilt(row, "wild") if int(row.strike) % 200 else row}
DEAD = {how: (lambda row, how=how: spoilt(row, how)) for how in UNREADABLE}
FEW = {"too few": lambda row: row if row.strike in STRIKES[4:6] else None, "empty": lambda row: None}


@pytest.mark.parametrize(("how", "change"), (WILD_HALF | DEAD | FEW).items())
def test_a_bad_book_publishes_nothing_at_first(how, change):
    """No slice before it, none outside: no price at all, and the other expiry is untouched."""
    surface = Surface()
    found = surface.refresh({NEAR_S: book(change=change), FAR_S: book(FAR_S)}, spot=SPOT, now_s=NOW_S)
    assert list(found) == [FAR_S]
    assert surface.published(NEAR_S) is None


@pytest.mark.parametrize(("how", "change"), (WILD_HALF | DEAD | FEW).items())
def test_a_bad_book_leaves_the_last_good_slice_with_less_confidence(how, change):
    """For a minute; then the expiry has none."""
    surface = seeded()
    good = surface.published(NEAR_S)
    held = surface.refresh({NEAR_S: book(change=change, now_s=NOW_S + 30)}, spot=SPOT, now_s=NOW_S + 30)[NEAR_S]
    assert at_money(held) == pytest.approx(at_money(good), rel=1e-4)
    assert held.forward == pytest.approx(good.forward, rel=1e-9)
    assert (held.confidence, held.fitted_s) == (0.5, NOW_S)
    assert held.refused in {"quotes", "agreement"}
    assert surface.refresh({NEAR_S: book(change=change, now_s=NOW_S + 61)}, spot=SPOT, now_s=NOW_S + 61) == {}


def test_a_calendar_crossing_is_held_back():
    """The near expiry jumps above the far one, whose book is old: the near one keeps its slice and says why."""
    surface = seeded()
    found = surface.refresh({NEAR_S: book(now_s=NOW_S + 30, factor=1.6)}, spot=SPOT, now_s=NOW_S + 30)[NEAR_S]
    assert found.refused in {"calendar", "agreement"}
    assert found.confidence == 0.5
    assert at_money(found) == pytest.approx(
        at_money(Surface().refresh(both(), spot=SPOT, now_s=NOW_S)[NEAR_S]), rel=1e-4
    )


def test_an_outside_slice_stands_in_for_a_dead_book():
    """Until the book lives; its confidence is never high."""
    surface = Surface()
    outside = level(SMILE, 1.2)
    first = surface.refresh({NEAR_S: book(change=lambda row: None, outside=outside)}, spot=SPOT, now_s=NOW_S)[NEAR_S]
    assert (first.from_book, first.confidence, first.forward) == (False, 0.5, SPOT)
    assert first.smile.volatility(strike=2_000.0, forward=2_000.0) == pytest.approx(
        outside.volatility(strike=2_000.0, forward=2_000.0), rel=1e-6
    )
    second = surface.refresh({NEAR_S: book(outside=outside, now_s=NOW_S + 1)}, spot=SPOT, now_s=NOW_S + 1)[NEAR_S]
    assert (second.from_book, second.refused) == (True, "")


def test_an_outside_slice_with_arbitrage_is_refused_too():
    """The gates stand before whatever is published."""
    vogt = SviSlice(a=-0.0410, b=0.1331, m=0.3586, rho=0.3060, sigma=0.4153, years=0.1)
    assert Surface().refresh({NEAR_S: book(change=lambda row: None, outside=vogt)}, spot=SPOT, now_s=NOW_S) == {}


def test_an_expired_chain_has_no_slice():
    """It is forgotten at its expiry."""
    surface = seeded()
    assert list(surface.refresh(both(), spot=SPOT, now_s=float(NEAR_S))) == [FAR_S]
    assert surface.published(NEAR_S) is None
    assert Surface().refresh({NEAR_S: book()}, spot=SPOT, now_s=NEAR_S + 1.0) == {}


def test_a_good_book_is_taken_as_it_is():
    """Forward, slice and full confidence at the first refresh."""
    found = Surface().refresh(both(), spot=SPOT, now_s=NOW_S)
    for expiry_s, row in found.items():
        years = (expiry_s - NOW_S) / YEAR_S
        assert row.forward == pytest.approx(2_000.0, rel=1e-9)
        assert (row.from_book, row.refused, row.confidence) == (True, "", pytest.approx(1.0))
        for strike in STRIKES:
            place = math.log(strike / 2_000.0)
            assert row.smile.raw_variance(place) == pytest.approx(at_years(SMILE, years).raw_variance(place), rel=1e-5)


def test_the_forward_follows_the_spot_at_once_and_the_basis_by_its_average():
    """A spot that moves alone carries the forward with it; a basis that moves is taken over ten seconds."""
    surface = seeded()
    dead = {NEAR_S: book(change=lambda row: None, now_s=NOW_S + 1)}
    assert surface.refresh(dead, spot=2 * SPOT, now_s=NOW_S + 1)[NEAR_S].forward == pytest.approx(4_000.0)
    surface = seeded()
    moved = surface.refresh({NEAR_S: book(forward=2_010.0, now_s=NOW_S + 10)}, spot=SPOT, now_s=NOW_S + 10)[NEAR_S]
    share = 1 - math.exp(-1)
    expected = math.exp((1 - share) * math.log(2_000.0) + share * math.log(2_010.0))
    assert moved.forward == pytest.approx(expected, rel=1e-9)


def test_a_confident_book_is_averaged_over_ten_seconds():
    """After ten seconds 63 % of a change of volatility arrived."""
    surface = seeded()
    before = at_money(surface.published(FAR_S))
    after = at_money(surface.refresh(both(now_s=NOW_S + 10, factor=1.1), spot=SPOT, now_s=NOW_S + 10)[FAR_S])
    assert (after / before) ** 2 - 1 == pytest.approx((1 - math.exp(-1)) * 0.21, rel=1e-3)


def test_a_thin_book_moves_by_a_tenth_per_minute_at_most():
    """Half of the strikes quoted: confidence 0.5, so ten seconds bring a sixth of 10 %."""
    surface = seeded()
    before = at_money(surface.published(FAR_S))
    thin = book(FAR_S, now_s=NOW_S + 10, factor=1.3, change=lambda row: row if row.strike in STRIKES[3:9] else None)
    found = surface.refresh({FAR_S: thin}, spot=SPOT, now_s=NOW_S + 10)[FAR_S]
    assert found.from_book
    assert found.confidence == pytest.approx(0.5)
    assert at_money(found) / before - 1 == pytest.approx(0.1 * 10 / 60, rel=1e-3)


def test_three_strikes_move_the_level_of_a_known_shape():
    """Of the slice before; of a neighbour where there was none. Confidence is three of twelve strikes."""
    three = {"change": lambda row: row if row.strike in STRIKES[4:7] else None}
    surface = seeded()
    found = surface.refresh({NEAR_S: book(now_s=NOW_S + 30, factor=1.04, **three)}, spot=SPOT, now_s=NOW_S + 30)[NEAR_S]
    assert (found.from_book, found.refused, found.confidence) == (True, "", pytest.approx(3 / 12))
    assert at_money(found) / at_money(seeded().published(NEAR_S)) == pytest.approx(1.04, rel=0.005)
    fresh = Surface()
    found = fresh.refresh({NEAR_S: book(**three), FAR_S: book(FAR_S)}, spot=SPOT, now_s=NOW_S)[NEAR_S]
    assert found.from_book
    assert at_money(found) == pytest.approx(at_money(seeded().published(NEAR_S)), rel=0.03)


def test_what_is_published_never_crosses_while_everything_moves():
    """Both expiries swing for five minutes, the far one with a late and sometimes broken book."""
    surface, count = Surface(), 0
    for step in range(30):
        now_s, swing = NOW_S + 10 * step, 1.0 + 0.35 * math.sin(step / 5)
        late = 1.0 + 0.35 * math.sin((step - 3) / 5)
        change = (lambda row: spoilt(row, "wild") if int(row.strike) % 200 else row) if step % 7 == 3 else None
        books = {
            NEAR_S: book(now_s=now_s, factor=swing),
            FAR_S: book(FAR_S, now_s=now_s, factor=late, change=change),
        }
        surface.refresh(books, spot=SPOT, now_s=now_s)
        rows = [
            (at_years(row.smile, (expiry_s - now_s) / YEAR_S), row.forward)
            for expiry_s in (NEAR_S, FAR_S)
            if (row := surface.published(expiry_s)) is not None
        ]
        count += len(rows)
        assert all(failed_gate(smile, forward=forward, strikes=STRIKES) is None for smile, forward in rows)
        assert not any(crosses_calendar(near, far) for (near, _), (far, _) in itertools.pairwise(rows))
    assert count == 60


ANYTHING = st.one_of(
    st.floats(), st.sampled_from([0.0, -1.0, 1e-300, 1e300, 1.0, 50.0, 200.0]), st.floats(0.1, 1_000.0)
)
GARBAGE = st.builds(
    OptionQuote,
    is_call=st.booleans(),
    strike=st.one_of(st.sampled_from(STRIKES), ANYTHING),
    bid=ANYTHING,
    ask=ANYTHING,
    bid_size=st.one_of(st.just(1.0), ANYTHING),
    ask_size=st.one_of(st.just(1.0), ANYTHING),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(first=st.lists(GARBAGE, max_size=40), mixed=st.integers(0, 24), spot=st.sampled_from([SPOT, 1e-9, 1e12]))
def test_no_garbage_is_published_and_none_raises(first, mixed, spot):
    """Whatever stands in the books, alone or beside true quotes: no slice, or one that passes every gate."""
    surface = Surface()
    true = book(outside=SMILE).quotes[:mixed]
    for step in range(2):
        now_s = NOW_S + 10 * step
        garbage = ChainBook(quotes=(*first, *true), strikes=STRIKES, tick=0.1, outside=SMILE if step else None)
        for row in surface.refresh({NEAR_S: garbage}, spot=spot, now_s=now_s).values():
            assert failed_gate(row.smile, forward=row.forward, strikes=STRIKES, tolerance=0.05) is None
            assert 0.0 <= row.confidence <= 1.0
            for strike in STRIKES:
                marks = [mark_volatility(row, strike=strike, is_call=is_call) for is_call in (True, False)]
                assert all(math.isfinite(mark) and mark >= 0.0 for mark in marks)


def quoted(bid, ask, strike=2_000.0):
    """A call's quote in volatilities."""
    return QuotedVolatility(
        is_call=True, strike=strike, log_moneyness=0.0, bid=bid, mid=(bid + ask) / 2, ask=ask, weight=1.0
    )


@pytest.mark.parametrize(
    ("bid", "ask", "expected"),
    [
        (0.30, 0.60, 0.40),  # wide: the fit stands
        (0.38, 0.42, 0.40),  # inside
        (0.42, 0.45, 0.42),  # the bid pulls
        (0.35, 0.38, 0.38),  # the ask pulls
        (0.90, 0.92, 0.40),  # narrow and wild: not believed
    ],
)
def test_a_narrow_quote_clamps_the_mark(bid, ask, expected):
    """Five points wide at most, and by five points at most; another option's quote does nothing."""
    flat = SviSlice(a=0.4**2 * 0.1, b=0.0, rho=0.0, m=0.0, sigma=0.1, years=0.1)
    row = ExpirySlice(
        smile=flat, forward=2_000.0, confidence=1.0, fitted_s=0.0, from_book=True, quoted=(quoted(bid, ask),)
    )
    assert mark_volatility(row, strike=2_000.0, is_call=True) == pytest.approx(expected)
    assert mark_volatility(row, strike=2_000.0, is_call=False) == pytest.approx(0.4)
    assert mark_volatility(row, strike=2_100.0, is_call=True) == pytest.approx(0.4)


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_every_mixture_of_slices_is_a_slice(share):
    """Its lowest variance lies between theirs."""
    old, new = SMILE, SviSlice(a=0.0, b=0.3, rho=0.8, m=-0.1, sigma=0.01, years=0.1)
    mixed = blended(old, new, share)
    assert mixed.years == new.years
    assert mixed.rho == pytest.approx(old.rho + share * (new.rho - old.rho))
