"""Raw SVI slices against the vectors of the Derive feed's own tests."""

import json
import os
from pathlib import Path

import pytest

from exchange.pricing.smile import SviSlice

SHARED = Path(os.environ.get("OFFBOOK_SHARED", Path(__file__).parents[4] / ".." / "shared"))
VECTORS = SHARED / "vectors" / "risk_vectors.json"


def rows():
    """List the slices of the vector file, or one visible skip."""
    if not VECTORS.exists():
        return [pytest.param(None, marks=pytest.mark.skip(reason=f"{VECTORS} is absent"))]
    found = json.loads(VECTORS.read_text())["vectors"]
    return [pytest.param(row, id=row["id"]) for row in found if row["id"].startswith("derive-svi")]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"b": -0.1}, "b >= 0"),
        ({"rho": 1.0}, "rho"),
        ({"sigma": 0.0}, "sigma"),
        ({"years": 0.0}, "years"),
        ({"a": -0.2}, "negative variance"),
        ({"b": 3.0, "rho": 0.5}, "wings"),
    ],
)
def test_slices_with_arbitrage_are_refused(change, message):
    """Each condition on the parameters."""
    good = {"a": 0.04, "b": 0.4, "rho": -0.1, "m": 0.0, "sigma": 0.1, "years": 0.25}
    with pytest.raises(ValueError, match=message):
        SviSlice(**good | change)


@pytest.mark.parametrize("row", rows())
def test_volatility_equals_the_printed_one(row):
    """Including the flat wings and the cap of the variance."""
    inputs = row["inputs"]
    names = {"a": "a", "b": "b", "rho": "rho", "m": "m", "s": "sigma", "tau": "years"}
    piece = SviSlice(**{ours: inputs[theirs] for theirs, ours in names.items()})
    got = piece.volatility(strike=inputs["K"], forward=inputs["F"])
    assert abs(got - row["expected"]) <= max(row["tolerance"], 2e-15)
