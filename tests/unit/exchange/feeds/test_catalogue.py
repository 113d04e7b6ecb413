"""The demo's instruments: counts, ids, grids and dates."""

from collections import Counter

import pytest

from exchange.domain.ids import is_perpetual_id
from exchange.domain.instrument import InstrumentKind, calendar_date
from exchange.feeds.catalogue import demo_catalogue, expiries_after

NOVEMBER_22 = 1_795_363_200


def test_two_perpetuals_and_132_options():
    """Two underlyings, each with 3 expiries x 11 strikes x call and put."""
    rows = demo_catalogue(NOVEMBER_22)
    assert Counter(row.kind for row in rows) == {
        InstrumentKind.PERPETUAL: 2,
        InstrumentKind.CALL: 66,
        InstrumentKind.PUT: 66,
    }
    assert len({row.instrument_id for row in rows}) == len({row.name for row in rows}) == 134
    assert len({row.expiry_s for row in rows if row.underlying == "BTC"}) == 4


def test_ids_are_u32_and_perpetuals_sort_last():
    """Bit 31 marks the perpetuals; no id is 0."""
    rows = demo_catalogue(NOVEMBER_22)
    assert [row.name for row in rows if is_perpetual_id(row.instrument_id)] == ["BTC-PERP", "ETH-PERP"]
    assert [row.name for row in rows[-2:]] == ["BTC-PERP", "ETH-PERP"]
    assert all(0 < row.instrument_id < 1 << 32 for row in rows)


@pytest.mark.parametrize(
    ("name", "tick", "lot"),
    [("BTC-PERP", "0.1", "0.001"), ("ETH-PERP", "0.01", "0.01"), ("BTC-", "1", "0.01"), ("ETH-", "0.1", "0.1")],
)
def test_grids(name, tick, lot):
    """Ticks and lots as on the wire."""
    row = next(row for row in demo_catalogue(NOVEMBER_22) if row.name.startswith(name))
    assert (row.price_text(1), row.quantity_text(1)) == (tick, lot)


@pytest.mark.parametrize(
    ("now_s", "dates"),
    [
        (NOVEMBER_22, ["20261204", "20261211", "20270101"]),
        (1_795_766_400 - 1, ["20261204", "20261211", "20270101"]),
        (1_795_766_400, ["20261204", "20261211", "20270101"]),
        (1_795_766_400 + 1, ["20261211", "20261218", "20270108"]),
    ],
)
def test_expiries_are_fridays_at_least_a_week_out(now_s, dates):
    """Around Friday 27 November 2026, 08:00 UTC: exactly 7 days still counts."""
    assert [calendar_date(expiry_s) for expiry_s in expiries_after(now_s)] == dates
    assert all(expiry_s % 86_400 == 8 * 3_600 for expiry_s in expiries_after(now_s))


def test_the_same_contract_keeps_its_id_on_another_day():
    """A later catalogue agrees wherever both name the same contract."""
    today = {row.name: row.instrument_id for row in demo_catalogue(NOVEMBER_22)}
    later = {row.name: row.instrument_id for row in demo_catalogue(NOVEMBER_22 + 7 * 86_400)}
    both = today.keys() & later.keys()
    assert len(both) >= 40
    assert all(today[name] == later[name] for name in both)
    assert len(set(today.values()) | set(later.values())) == len(today.keys() | later.keys())
