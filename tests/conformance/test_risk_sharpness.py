"""How sharp the vectors are: each deliberate defect (risk.md 15.6) in our own source makes at least one fail."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FunctionType, ModuleType

import pytest

from tests.conformance.test_risk_vectors import FILE, PLACE, evaluate, passes

pytestmark = pytest.mark.risk_search
DEFECTS = [
    # defect, area, module, line as it is, line as it must not be
    (
        "worse of isolated sum and maximum loss",
        "margin.standard",
        "risk.standard",
        "        max(sum(row[0] for row in isolated)",
        "        min(sum(row[0] for row in isolated)",
    ),
    (
        "no unpaired scale",
        "margin.standard",
        "risk.standard",
        "loss + floor_div(unpaired * parameters.unpaired_maintenance_ppm, _PPM)",
        "loss",
    ),
    (
        "put maintenance without its mark",
        "margin.standard",
        "risk.standard",
        "min(spot_part, mark_part) + mark_value",
        "spot_part + mark_value",
    ),
    (
        "put initial below 1.05 maintenance",
        "margin.standard",
        "risk.standard",
        "return min(initial, floor_div(maintenance * parameters.put_offset_ppm, _PPM)), maintenance",
        "return initial, maintenance",
    ),
    (
        "no floor out of the money",
        "margin.standard",
        "risk.standard",
        "parameters.maximum_spot_ppm * index_e9 - out_of_money_e9 * _PPM, parameters.minimum_spot_ppm * index_e9",
        "parameters.maximum_spot_ppm * index_e9 - out_of_money_e9 * _PPM, -(10**30)",
    ),
    (
        "no depeg",
        "margin.standard",
        "risk.standard",
        "max(0, parameters.depeg_threshold_ppm - stable_ppm)",
        "0",
    ),
    (
        "naked shorts net nothing",
        "margin.portfolio",
        "risk.portfolio",
        "total += shorts - min(",
        "total += shorts - 0 * min(",
    ),
    ("collateral stands still", "margin.portfolio", "risk.portfolio", "if row.is_risk_canceling", "if False"),
    ("tails undampened", "margin.portfolio", "risk.portfolio", "if scenario.dampening != one:", "if False:"),
    ("no peg factor", "margin.portfolio", "risk.portfolio", "parameters.peg_threshold - stable)", "0)"),
    (
        "collateral ignores the spot's confidence",
        "margin.portfolio",
        "risk.portfolio",
        "confidence = min(spot, _or_full(asset.confidence, one))",
        "confidence = _or_full(asset.confidence, one)",
    ),
    (
        "no basis",
        "margin.portfolio",
        "risk.portfolio",
        "return min(_basis(account, parameters) + (account.open_basis if open_orders else 0), *profits)",
        "return min(profits)",
    ),
    (
        "skews may gain",
        "margin.portfolio",
        "risk.portfolio",
        "-abs(change) if scenario.is_skew else change",
        "change",
    ),
    (
        "one power for all terms",
        "margin.portfolio",
        "pricing.scenarios",
        "shocks.short_power if years <= _MONTH else shocks.long_power",
        "shocks.short_power",
    ),
    (
        "skew the other way",
        "margin.portfolio",
        "pricing.scenarios",
        "change = distance * cap",
        "change = -distance * cap",
    ),
    (
        "no lowest volatility",
        "margin.portfolio",
        "pricing.scenarios",
        "return max(shocks.lowest_up, volatility * (1.0 + shocks.range_up * _term(years, shocks)))",
        "return volatility * (1.0 + shocks.range_up * _term(years, shocks))",
    ),
    (
        "debts beyond their undiscounted value",
        "margin.portfolio",
        "pricing.scenarios",
        "min(1.0 / discount_factor(rate, years), grown)",
        "grown",
    ),
    ("no discount", "margin.portfolio", "pricing.scenarios", "math.exp(-max(0.0, rate) * years)", "1.0"),
    (
        "another buffer",
        "liquidation.auction",
        "risk.auction",
        "parameters.buffer * (maintenance - value)",
        "parameters.buffer * maintenance",
    ),
    (
        "bankruptcy at the oracle",
        "liquidation.price",
        "risk.liquidation",
        "standing.net_collateral * abs(after - before)",
        "0",
    ),
    ("fillable on one side", "liquidation.price", "risk.liquidation", "if exposure.amount > 0 else", "if True else"),
    (
        "funding floors",
        "perp.funding",
        "risk.funding",
        "return truncate_div(scaled, FUNDING_PERIOD_S)",
        "return scaled // FUNDING_PERIOD_S",
    ),
    (
        "requirement rounds down",
        "margin.oi_scaling",
        "risk.standard",
        "return ceil_div(initial, _PPM), ceil_div(maintenance, _PPM)",
        "return floor_div(initial, _PPM), floor_div(maintenance, _PPM)",
    ),
]

needs_vectors = pytest.mark.skipif(not FILE["vectors"], reason=f"{PLACE.name} is not there")


def failing(area: str) -> str | None:
    """Id of the first vector of the area that does not pass."""
    for vector in FILE["vectors"]:
        if vector["area"] == area and not passes(vector, evaluate(vector, FILE["pmrm2_param_sets"])):
            return vector["id"]
    return None


def packages() -> list[ModuleType]:
    """Every imported module that may hold a function of another one under its own name."""
    return [module for name, module in sys.modules.items() if name.startswith(("exchange.pricing", "exchange.risk"))]


@contextmanager
def defect(name: str, right: str, wrong: str) -> Iterator[None]:
    """Run a changed source in the module that everybody has; functions imported by name are exchanged as well."""
    module = importlib.import_module(f"exchange.{name}")
    text = Path(str(module.__file__)).read_text()
    assert right in text
    before = [(one, dict(vars(one))) for one in packages()]
    original = dict(vars(module))
    try:
        exec(compile(text.replace(right, wrong), str(module.__file__), "exec"), vars(module))
        for one, names in before:
            for key, value in names.items():
                if isinstance(value, FunctionType) and original.get(key) is value:
                    setattr(one, key, vars(module)[key])
        yield
    finally:
        for one, names in before:
            vars(one).update(names)


@needs_vectors
@pytest.mark.parametrize(
    ("area", "name", "right", "wrong"), [row[1:] for row in DEFECTS], ids=[row[0].replace(" ", "-") for row in DEFECTS]
)
def test_a_defect_is_caught(area: str, name: str, right: str, wrong: str) -> None:
    """The vectors of the area tell."""
    with defect(name, right, wrong):
        assert failing(area) is not None


@needs_vectors
@pytest.mark.parametrize("area", sorted({row[1] for row in DEFECTS}))
def test_without_a_defect_the_same_vectors_pass(area: str) -> None:
    """After all of the above: nothing changed stays behind."""
    assert failing(area) is None
