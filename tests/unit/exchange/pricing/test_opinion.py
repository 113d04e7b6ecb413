"""A maker's opinion: sound smiles, integers in and out."""

import itertools

import msgspec
import pytest

from exchange.feeds.catalogue import demo_catalogue
from exchange.pricing.gates import failed_gate
from exchange.pricing.opinion import Opinion, SmileShape, plain_smile
from exchange.pricing.smile import crosses_calendar

NOW_MS = 1_795_363_200_000
BTC = Opinion({"BTC": SmileShape(0.5, -0.3)})
CALL = next(row for row in demo_catalogue(NOW_MS // 1_000) if row.is_option and row.underlying == "BTC")
ETHER = next(row for row in demo_catalogue(NOW_MS // 1_000) if row.is_option and row.underlying == "ETH")
PERPETUAL = next(row for row in demo_catalogue(NOW_MS // 1_000) if row.is_perpetual)


@pytest.mark.parametrize(
    ("instrument", "change"),
    [
        (PERPETUAL, {}),
        (ETHER, {}),
        (CALL, {"index_e9": 0}),
        (CALL, {"now_ms": CALL.expiry_s * 1_000}),
    ],
)
def test_no_opinion_where_there_is_nothing_to_value(instrument, change):
    """A perpetual, an underlying without a smile, no index, no time."""
    assert BTC.value_e9(instrument, **{"index_e9": 84_000 * 10**9, "now_ms": NOW_MS} | change) is None


@pytest.mark.parametrize("level", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("tilt", [-0.5, -0.2, 0.0, 0.5])
def test_plain_smiles_pass_every_gate(level, tilt):
    """Alone, and beside one another at any two times from a minute to two years."""
    smiles = [plain_smile(SmileShape(level, tilt), years) for years in (2e-6, 1 / 365, 7 / 365, 0.1, 1.0, 2.0)]
    for smile in smiles:
        assert failed_gate(smile, forward=2_000.0, strikes=(1_500.0, 2_000.0, 2_500.0), tolerance=0.05) is None
    for earlier, later in itertools.pairwise(smiles):
        assert not crosses_calendar(earlier, later)


def test_the_value_is_that_of_the_smile():
    """Intrinsic value and some time value for each option of a chain; calls less puts are forward less strike."""
    rows = [row for row in demo_catalogue(NOW_MS // 1_000) if row.underlying == "BTC" and row.expiry_s == CALL.expiry_s]
    values = {
        row.name[-1:] + str(row.strike_e9): BTC.value_e9(row, index_e9=84_000 * 10**9, now_ms=NOW_MS)
        for row in rows
        if row.is_option
    }
    for name, value in values.items():
        if name.startswith("C"):
            strike = int(name[1:])
            assert value - values["P" + name[1:]] == pytest.approx(84_000 * 10**9 - strike, abs=2)
            assert value > max(84_000 * 10**9 - strike, 0)


def test_the_level_swings_and_comes_back():
    """Five percent within half an hour, to where it was after it."""
    values = [
        BTC.value_e9(CALL, index_e9=CALL.strike_e9, now_ms=NOW_MS + 1_000 * second) for second in (0, 450, 1_350, 1_800)
    ]
    assert values[1] / values[0] == pytest.approx(1.05, rel=2e-3)
    assert values[2] / values[0] == pytest.approx(0.95, rel=3e-3)
    assert values[3] / values[0] == pytest.approx(1.0, rel=3e-3)
    shifted = msgspec.structs.replace(BTC, phase=0.25)
    assert shifted.value_e9(CALL, index_e9=CALL.strike_e9, now_ms=NOW_MS) > values[0]
