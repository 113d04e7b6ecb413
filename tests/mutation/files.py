"""The files that implement margin and liquidation, and for each the tests that are asked whether they notice."""

__all__ = ["COMPILED", "FILES", "SEARCH"]

RISK = "tests/unit/exchange/risk"
ENGINE = "tests/unit/exchange/engine"
SEARCH = "tests/property/test_margin_accounts.py::test_what_accounts_are_told_decides"


def _engine(*names: str) -> tuple[str, ...]:
    return tuple(f"{ENGINE}/test_{name}.py" for name in names)


def _risk(*names: str) -> tuple[str, ...]:
    return tuple(f"{RISK}/test_{name}.py" for name in names)


PORTFOLIO = _engine("cash_floor", "portfolio_margin", "portfolio_rows", "closing", "valuation")
CHAIN = _engine("chain_cover", "closing", "accounts", "forced", "market_limits", "deleveraging")
LIQUIDATION = _engine(
    "liquidation_terms", "liquidation", "liquidation_orders", "deleveraging", "forced", "index_ranges", "closing"
)
MARGIN = (
    *_engine("margin", "mass_quotes", "amendments", "previews", "queries", "funding", "expiry", "doubt", "accounts"),
    *_engine("cash_floor", "portfolio_margin", "portfolio_rows", "market_limits", "valuation"),
    SEARCH,
)
VECTORS = "tests/conformance/test_risk_vectors.py"
FILES: dict[str, tuple[str, ...]] = {
    "exchange/risk/adaptive.py": (*_risk("adaptive"), *LIQUIDATION),
    "exchange/risk/auction.py": (*_risk("auction", "rounding"), *LIQUIDATION, VECTORS),
    "exchange/risk/cash_floor.py": (*_risk("cash_floor"), *_engine("cash_floor")),
    "exchange/risk/insurance.py": (*_risk("insurance", "rounding"), *LIQUIDATION, *_engine("deleveraging_ranks")),
    "exchange/risk/limits.py": (*_risk("limits"), *_engine("market_limits")),
    "exchange/risk/liquidation.py": (*_risk("liquidation"), *LIQUIDATION),
    "exchange/risk/liquidation_ticks.py": (*_risk("liquidation_ticks", "liquidation"), *_engine("previews", "queries")),
    "exchange/risk/open_orders.py": (*_risk("open_orders", "standard"), *MARGIN),
    "exchange/risk/parameters.py": (*_risk("parameters", "standard"), *MARGIN),
    "exchange/risk/portfolio.py": (*_risk("portfolio", "rounding", "scanning"), VECTORS),
    "exchange/risk/portfolio_parameters.py": (
        *_risk("portfolio_parameters", "portfolio", "scanning"),
        VECTORS,
    ),
    "exchange/risk/scanning.py": _risk("scanning", "portfolio"),
    "exchange/risk/scenario_portfolio.py": (*_risk("scenario_portfolio", "cash_floor"), *PORTFOLIO),
    "exchange/risk/standard.py": (*_risk("standard", "rounding"), *MARGIN, VECTORS),
    "exchange/risk/waterfall.py": (*_risk("waterfall"), *LIQUIDATION),
    "exchange/engine/cash_floor.py": PORTFOLIO,
    "exchange/engine/chain_cover.py": CHAIN,
    "exchange/engine/closing.py": CHAIN,
    "exchange/engine/deleveraging.py": LIQUIDATION,
    "exchange/engine/deleveraging_ranks.py": (*_engine("deleveraging_ranks", "queries"), *LIQUIDATION),
    "exchange/engine/exposure.py": MARGIN,
    "exchange/engine/forced.py": LIQUIDATION,
    "exchange/engine/fund.py": CHAIN,
    "exchange/engine/index_ranges.py": LIQUIDATION,
    "exchange/engine/limit_table.py": _engine("market_limits"),
    "exchange/engine/liquidation.py": LIQUIDATION,
    "exchange/engine/liquidation_orders.py": LIQUIDATION,
    "exchange/engine/liquidation_prices.py": MARGIN,
    "exchange/engine/liquidation_snapshot.py": (*LIQUIDATION, *_engine("snapshot")),
    "exchange/engine/liquidation_terms.py": LIQUIDATION,
    "exchange/engine/margin.py": MARGIN,
    "exchange/engine/market_limits.py": _engine("market_limits"),
    "exchange/engine/portfolio_margin.py": PORTFOLIO,
    "exchange/engine/quote_reserve.py": MARGIN,
    "exchange/engine/simulations.py": (*_engine("simulations"), *MARGIN),
    "exchange/engine/valuation.py": (*MARGIN, *LIQUIDATION),
}
"""Within them a mutant meets the tests that ran its lines; the whole list only where a module computes once."""

COMPILED: dict[str, tuple[str, ...]] = {
    "exchange/risk/_margin.pyx": ("tests/unit/exchange/risk/test_scanning.py",),
    "exchange/engine/_margin.pxd": (
        "tests/unit/exchange/engine/test_margin.py",
        "tests/differential/test_compiled_engine.py",
    ),
}
"""Compiled margin code is not mutated: these tests compare it with its twin in Python, number by number."""
