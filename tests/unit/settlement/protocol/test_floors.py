"""Margin floors by hand: who falls below, at which rounds, and whether the batch did it."""

from dataclasses import replace

import pytest

from settlement.protocol.floors import broken_floor
from settlement.protocol.linear_bounds import LARGE_CAP, MAJOR, BoundTerms, ListedTerms
from settlement.protocol.oracle import NO_ROUND, MarkRow, OracleVector
from settlement.protocol.state_tree import Account

PERP, SMALL, OPTION = 0x80000001, 0x80000002, 1
OPENED = "opened risk below its floor"
LOST = "lost more against the marks than it had"
E6 = 10**6


def terms(instrument: int, factor_class: int) -> ListedTerms:
    """A hundred lots of the option are one unit of the underlying."""
    bounds = BoundTerms(is_perpetual=instrument != OPTION, lot_e18=10**16, factor_class=factor_class)
    return ListedTerms(bounds=bounds, underlying=1)


TERMS = {PERP: terms(PERP, LARGE_CAP), SMALL: terms(SMALL, MAJOR), OPTION: terms(OPTION, LARGE_CAP)}
MARKS = {PERP: MarkRow(mark_e6=100 * E6), SMALL: MarkRow(mark_e6=100 * E6), OPTION: MarkRow(mark_e6=10 * E6)}
OWN = OracleVector(round_number=2, rows=MARKS, index_e6={1: 50_000 * E6})
BEFORE = replace(OWN, round_number=1)


def cause(
    cash_e6: int,
    held: dict[int, int],
    moved_e6: int,
    lots: dict[int, int],
    *,
    before: OracleVector = BEFORE,
    own: OracleVector = OWN,
    account: int = 2,
) -> str:
    """Verdict about an account that a batch left with `cash_e6` and `held`."""
    after = Account(b"\x02" * 20, cash_e6, {key: (amount, 0) for key, amount in held.items()})
    return broken_floor(account, after, moved_e6, lots, before, own, TERMS)


def bought(had_e6: int, instrument: int = PERP, **fields: object) -> str:
    """A hundred lots at the mark by an account that had this much."""
    return cause(had_e6 - 10_000 * E6, {instrument: 100}, -10_000 * E6, {instrument: 100}, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("account", [0, 1])
def test_fund_and_clearing_account_have_no_floor(account: int) -> None:
    """They are on the other side of what everybody owes; F1 holds the fund's."""
    assert bought(0, account=account) == ""


def test_nothing_is_said_without_terms() -> None:
    """What is not listed on chain nobody can prove."""
    after = Account(b"\x02" * 20, -1, {7: (1, 0)})
    assert broken_floor(2, after, -(10**9), {7: 1}, BEFORE, OWN, TERMS) == ""


@pytest.mark.parametrize(
    ("instrument", "had_e6", "found"),
    [
        # low is 1 % or 2.5 %, what it had counts half as much again, a mark may be a unit per lot higher
        (PERP, 66_666_600, ""),
        (PERP, 66_666_599, OPENED),
        (SMALL, 166_666_600, ""),
        (SMALL, 166_666_599, OPENED),
        (PERP, -1, OPENED),
    ],
)
def test_opening_needs_low(instrument: int, had_e6: int, found: str) -> None:
    """To the unit, by class."""
    assert bought(had_e6, instrument) == found


def test_both_rounds_must_say_so() -> None:
    """Marks that fell since the round before are nobody's fault; no round, the same and an unmarked one say nothing."""
    higher = replace(BEFORE, rows={PERP: MarkRow(mark_e6=102 * E6)})
    assert bought(0, before=higher) == ""
    for before in (NO_ROUND, OWN, replace(BEFORE, rows={})):
        assert bought(0, before=before) == OPENED


def test_prices_alone_convict_nobody() -> None:
    """Far below zero, touched, with no delta of its own, or with one that only reduces at the mark."""
    assert cause(-20_000 * E6, {PERP: 100}, 0, {}) == ""
    assert cause(-19_000 * E6, {PERP: 90}, 1_000 * E6, {PERP: -10}) == ""


def test_a_long_option_is_paid_for_in_cash() -> None:
    """Its value covers nothing, as in the exchange; with the cash for it anybody may buy one."""
    assert cause(-100 * E6, {OPTION: 10}, -100 * E6, {OPTION: 10}) == OPENED
    assert cause(0, {OPTION: 10}, -100 * E6, {OPTION: 10}) == ""


@pytest.mark.parametrize(("loss_e6", "found"), [(2_515_000_025, ""), (2_515_000_026, LOST), (9_999 * E6, LOST)])
def test_closing_may_lose_the_band_and_what_there_was(loss_e6: int, found: str) -> None:
    """A hundred lots of one who had 10 USDC: a quarter of them, the 10, and half of the 10."""
    assert cause(10 * E6 - loss_e6, {}, 10_000 * E6 - loss_e6, {PERP: -100}) == found


@pytest.mark.parametrize(("paid_e6", "found"), [(1, LOST), (500 * E6, "")])
def test_slices_of_a_bankrupt_account_have_no_room(paid_e6: int, found: str) -> None:
    """Five lots of a hundred for nothing are as bad as all of them; at the mark they are fine."""
    assert cause(-10_001 * E6 + paid_e6, {PERP: 95}, paid_e6, {PERP: -5}) == found


def test_an_option_given_away_is_found_where_its_mark_is_known() -> None:
    """A deep call for nothing; without its mark, or an index price, nobody can say what was lost."""
    deep = {OPTION: MarkRow(mark_e6=400 * E6)}
    own = replace(OWN, rows=deep)
    assert cause(0, {OPTION: -100}, 0, {OPTION: -100}, before=NO_ROUND, own=own) == LOST
    assert cause(0, {OPTION: -100}, 0, {OPTION: -100}, before=NO_ROUND, own=replace(own, rows={})) == ""
    assert cause(0, {OPTION: -100}, 0, {OPTION: -100}, before=NO_ROUND, own=replace(own, index_e6={})) == ""
