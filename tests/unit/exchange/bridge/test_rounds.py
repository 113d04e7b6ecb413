"""Rounds that batches begin with: another one only where something asks for it, and then all that it must hold."""

from collections.abc import Mapping

import pytest
from msgspec.structs import replace

from exchange.bridge.marks import MARKS_AGE_MAX_S
from exchange.bridge.rounds import ROUND_LIFE_S, RoundBook
from exchange.domain.commands import MarkRow as PricedMark
from exchange.domain.commands import SetPrices, UnderlyingRow
from exchange.domain.events import Event, InstrumentListed, PricesSet
from exchange.domain.rounds import FundingIndexRow, InstrumentDelisted, InstrumentSettled, OracleRoundSet
from exchange.domain.underlyings import underlying_number
from settlement.protocol.caps import MAX_ORACLE_ROWS
from settlement.protocol.oracle import NO_ROUND, MarkRow, OracleVector
from tests.unit.exchange.engine.world import CALL, EXPIRY_S, PERP, PUT, SECOND_NS, START_S, instruments

BTC = underlying_number("BTC")
E6, E9 = 10**6, 10**9
MANY = 3_000
FIRST_OF_MANY = 10


class Venue:
    """Events into a book that is saved and loaded before each command."""

    def __init__(self, *traded: int) -> None:
        """List and price the small market; somebody holds what was traded."""
        self.book = RoundBook()
        self.now_s = START_S
        self.is_fed = False
        for row in instruments():
            self.hear(InstrumentListed(instrument=row))
        self.prices(60_000, (PERP, 60_000), (CALL, 1_500), (PUT, 800))
        for instrument in traded:
            self.book.trade(instrument)

    def hear(self, *events: Event, is_batch_open: bool = False) -> None:
        """One command."""
        self.book = RoundBook.load(self.book.dump())
        self.book.begin_command(self.now_s * SECOND_NS)
        for event in events:
            self.book.note(event, is_batch_open=is_batch_open)

    def prices(self, index: int, *marks: tuple[int, int], is_batch_open: bool = False) -> None:
        """A round of prices in whole dollars."""
        rows = tuple(PricedMark(instrument, dollars * E9) for instrument, dollars in marks)
        prices = SetPrices(round=1, underlyings=(UnderlyingRow("BTC", index * E9),), marks=rows)
        self.hear(PricesSet(prices=prices), is_batch_open=is_batch_open)

    def oracle_round(self, index_e12: int, *more: Event) -> None:
        """Funding of the perpetual so far, and what is paid in the same command."""
        self.hear(OracleRoundSet(round=1, funding=(FundingIndexRow(PERP, index_e12, 0),)), *more)

    def close(
        self, after_s: int = 0, *, is_asked: bool = False, judged: Mapping[int, int] | None = None
    ) -> OracleVector:
        """End a batch that began this much later than the last one."""
        self.now_s += after_s
        self.book.is_fed = self.is_fed
        return self.book.close(self.now_s, self.now_s, judged=judged or {}, is_asked=is_asked)


def settled(instrument: int, value_e12: int = 5, held: int = 2) -> InstrumentSettled:
    """A payoff, paid to so many positions."""
    return InstrumentSettled(instrument=instrument, price_e9=70_000 * E9, value_e12=value_e12, position_count=held)


def marks_of(vector: OracleVector) -> dict[int, int]:
    """Instruments that go on."""
    return {key: row.mark_e6 for key, row in vector.rows.items() if not row.is_settled}


def test_a_batch_of_nothing_begins_with_no_round() -> None:
    """Nobody holds anything, nothing accrued."""
    assert Venue().close() == NO_ROUND


def test_prices_alone_name_a_round_per_minute() -> None:
    """Until then the batch goes on naming the last one."""
    venue = Venue(PERP)
    first = venue.close()
    assert (first.round_number, first.rows) == (1, {PERP: MarkRow(mark_e6=60_000_000)})
    venue.prices(60_100, (PERP, 60_100))
    assert venue.close(MARKS_AGE_MAX_S - 1) == first
    assert marks_of(venue.close(1)) == {PERP: 60_100_000}
    assert venue.close(9_999).round_number == 2


def test_other_funding_names_a_round_with_the_time_and_the_prices_of_its_own() -> None:
    """What accrued between two oracle rounds fits the time between them, whenever a batch begins."""
    venue = Venue(PERP)
    venue.oracle_round(0)
    assert venue.close(30).index_e6 == {BTC: 60_000 * 10**6}
    assert venue.book.named_s == START_S
    venue.oracle_round(7)
    venue.prices(61_000, (PERP, 61_000))
    second = venue.close(50)
    assert second.rows == {PERP: MarkRow(mark_e6=61_000_000, fund_index=7)}
    assert second.index_e6 == {BTC: 60_000 * 10**6}
    assert venue.book.named_s == START_S + 30


def test_equal_values_keep_the_round() -> None:
    """An oracle round that says nothing else is no transaction."""
    venue = Venue(PERP)
    venue.oracle_round(7)
    first = venue.close()
    venue.oracle_round(7)
    assert venue.close(5) == first


def test_marks_that_leaves_are_judged_by_overrule() -> None:
    """A round of their own where they differ, also right behind another one."""
    venue = Venue(PERP, CALL)
    venue.close()
    assert marks_of(venue.close(1, judged={PERP: 59_000_000})) == {PERP: 59_000_000, CALL: 15_000_000}
    assert venue.close(1, judged={PERP: 59_000_000}).round_number == 2
    assert marks_of(venue.close(1, judged={PUT: 1, PERP: 0})) == {PERP: 0, CALL: 15_000_000, PUT: 1}


def test_where_somebody_withdraws_all_that_is_listed_has_the_mark_of_then() -> None:
    """With the index prices of then; the same prices again are the same round."""
    venue = Venue(PERP)
    venue.oracle_round(0)
    venue.close()
    venue.prices(61_000, (PERP, 61_000), (CALL, 1_900), is_batch_open=True)
    asked = venue.close(1, is_asked=True)
    assert marks_of(asked) == {PERP: 61_000_000, CALL: 19_000_000, PUT: 8_000_000}
    assert asked.index_e6 == {BTC: 61_000 * 10**6}
    assert venue.close(1, is_asked=True) is asked
    assert venue.close(1) is asked
    assert venue.book.named_s == START_S


def test_a_jump_takes_the_marks_of_options_from_who_withdraws_and_the_next_batch_has_them_again() -> None:
    """The exchange weighed a short option at the index that the round cannot have yet: nobody is judged by it."""
    venue = Venue(PERP, CALL)
    venue.oracle_round(0)
    venue.close()
    venue.prices(90_000, (PERP, 90_000), (CALL, 21_000))
    asked = venue.close(1, is_asked=True)
    assert marks_of(asked) == {PERP: 90_000_000}
    assert asked.index_e6 == {BTC: 66_120 * 10**6}
    again = venue.close(1)
    assert marks_of(again) == {PERP: 90_000_000, CALL: 210_000_000}
    assert again.round_number == asked.round_number + 1


def test_a_jump_of_another_round_leaves_all_marks() -> None:
    """Nobody is judged by them; the escape pays by them."""
    venue = Venue(PERP, CALL)
    venue.oracle_round(0)
    venue.close()
    venue.prices(90_000, (PERP, 90_000), (CALL, 21_000))
    venue.oracle_round(7)
    named = venue.close(1)
    assert (named.index_e6, len(marks_of(named))) == ({BTC: 66_120 * 10**6}, 2)


def test_an_index_price_that_was_published_is_never_gone() -> None:
    """A withdrawal before the engine's first oracle round, then a first trade (F4)."""
    venue = Venue()
    assert venue.close(is_asked=True).index_e6 == {BTC: 60_000 * 10**6}
    venue.book.trade(CALL)
    assert venue.close(MARKS_AGE_MAX_S).index_e6 == {BTC: 60_000 * 10**6}


def test_a_payoff_stands_while_its_share_is_paid_and_never_has_a_mark_again() -> None:
    """Over all batches of its command; what an earlier command paid is gone, what nobody held was never there."""
    venue = Venue(PERP, CALL, PUT)
    venue.close()
    venue.oracle_round(7, settled(CALL), settled(PUT, held=0))
    first = venue.close(1)
    assert first.rows == {PERP: MarkRow(mark_e6=60_000_000, fund_index=7), CALL: MarkRow(payoff_e12=5)}
    assert first.settlement_e6 == {(BTC, EXPIRY_S): 70_000 * 10**6}
    venue.prices(60_000, (CALL, 1_600), (PUT, 900))
    assert venue.close(1, is_asked=True).ending == {CALL}
    venue.oracle_round(8)
    assert venue.close(1, is_asked=True).rows == {PERP: MarkRow(mark_e6=60_000_000, fund_index=8)}


def test_the_next_share_of_an_expiry_replaces_the_one_before() -> None:
    """An instrument is paid whole: nobody holds what the command before paid."""
    venue = Venue(CALL, PUT)
    venue.hear(settled(CALL))
    assert venue.close().ending == {CALL}
    venue.hear(settled(PUT, 6))
    assert venue.close(1).rows == {PUT: MarkRow(payoff_e12=6)}


def test_what_is_delisted_has_no_mark_any_more() -> None:
    """Also when it expired unsettled, with nobody holding it."""
    venue = Venue(CALL, PUT)
    venue.hear(InstrumentDelisted(instrument=CALL))
    assert marks_of(venue.close()) == {PUT: 8_000_000}
    assert CALL not in venue.book.terms()


@pytest.mark.parametrize("is_asked", [False, True])
def test_a_vector_never_has_more_rows_than_the_contract_takes(is_asked: bool) -> None:
    """The cheapest options give way, those that nobody trades first; and what gave way is no reason for a round."""
    venue = Venue(PERP, CALL)
    numbers = range(FIRST_OF_MANY, FIRST_OF_MANY + MANY)
    for number in numbers:
        row = replace(instruments()[1], instrument_id=number, name=f"BTC-{number}")
        venue.book.note(InstrumentListed(instrument=row), is_batch_open=False)
    venue.prices(60_000, *((number, number) for number in numbers))
    for number in numbers[::2]:
        venue.book.trade(number)
    venue.oracle_round(7, settled(PUT))
    named = venue.close(is_asked=is_asked)
    rows = len(named.rows) + len(named.index_e6) + len(named.settlement_e6)
    assert rows == (MAX_ORACLE_ROWS if is_asked else 3 + 2 + MANY // 2)
    assert set(numbers[::2]) | {PERP, CALL, PUT} <= named.rows.keys()
    assert len(named.encode()) < 30_000
    assert venue.close(1) is named


def test_more_than_fits_of_what_is_held_loses_the_cheapest() -> None:
    """Perpetuals, payoffs, what leaves are judged by, and the dearest options stay."""
    venue = Venue(PERP, CALL)
    numbers = range(FIRST_OF_MANY, FIRST_OF_MANY + MANY)
    for number in numbers:
        row = replace(instruments()[1], instrument_id=number, name=f"BTC-{number}")
        venue.book.note(InstrumentListed(instrument=row), is_batch_open=False)
        venue.book.trade(number)
    venue.prices(60_000, *((number, number) for number in numbers))
    named = venue.close(judged={numbers[0]: 1})
    assert len(named.rows) == MAX_ORACLE_ROWS
    assert {PERP, CALL, numbers[0], numbers[-1]} <= named.rows.keys()
    assert numbers[1] not in named.rows
    assert venue.close(1) is named
    lacking = venue.close(1, judged={numbers[1]: numbers[1] * 10_000})
    assert (lacking.round_number, numbers[1] in lacking.rows) == (2, True)


def test_where_feeds_sign_no_batch_is_without_a_fresh_round() -> None:
    """From the first batch on, each with its own number once a minute has passed, though nothing changed."""
    venue = Venue(PERP)
    venue.is_fed = True
    assert [venue.close(after_s).round_number for after_s in (0, 30, 30, 1, 60, 61)] == [1, 1, 1, 2, 2, 3]
    assert venue.book.named_s == venue.now_s


def test_a_signed_round_has_the_time_of_the_last_oracle_round_while_that_is_fresh() -> None:
    """What accrued fits the time between (F4); later it is the first that is fresh: what follows needs time too."""
    venue = Venue(PERP)
    venue.is_fed = True
    venue.oracle_round(5)
    set_s = venue.now_s
    venue.close(ROUND_LIFE_S)
    assert venue.book.named_s == set_s
    venue.close(1)
    assert venue.book.named_s == venue.now_s - ROUND_LIFE_S


def test_a_signed_round_marks_every_perpetual() -> None:
    """A funding index alone would look like a mark of nothing, which no feed signs."""
    venue = Venue()
    venue.is_fed = True
    venue.oracle_round(5)
    assert venue.close().rows == {PERP: MarkRow(mark_e6=60 * E6, fund_index=5)}
