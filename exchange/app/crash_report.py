"""What `offbook sim crash` prints: both engines side by side, and where adaptive is worse."""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from exchange.app.crash_market import FUND_PPM, CrashMarket, MakerPlan
from exchange.app.crash_path import CrashPath
from exchange.app.crash_tally import CrashCosts
from exchange.engine.config import LiquidationRules
from exchange.risk.adaptive import AdaptiveRules

__all__ = ["ENGINES", "CrashRun", "compare_lines", "path_lines", "run_engine", "table_lines"]

ENGINES: Final = {"fixed": LiquidationRules(), "adaptive": LiquidationRules(adaptive=AdaptiveRules())}
"""risk.md 10 with constant step and margins; the same with steps that follow depth and volatility (D-038)."""
_E6: Final = 10**6
_TIMES: Final = {"published": "published", "interpolated": "placed by us"}


class CrashRun(NamedTuple):
    """One engine's costs, and the digest of all its events."""

    engine: str
    costs: CrashCosts
    digest: str


class _Row(NamedTuple):
    """A line of the table; `sign` 1: more is worse, -1: less is worse, 0: neither."""

    title: str
    value: Callable[[CrashCosts], int]
    sign: int
    unit_e6: bool = True


_ROWS: Final = (
    _Row("bad debt, USDC", lambda row: row.bad_debt_e6, 1),
    _Row("  paid by the fund", lambda row: row.fund_e6, 1),
    _Row("  cut from winners (ADL)", lambda row: row.haircut_e6, 1),
    _Row("  still owed at the end", lambda row: row.owed_e6, 1),
    _Row("accounts liquidated", lambda row: row.liquidated, 1, unit_e6=False),
    _Row("  closed whole", lambda row: row.emptied, 1, unit_e6=False),
    _Row("  bankrupt", lambda row: row.bankrupt, 1, unit_e6=False),
    _Row("size sold on the book, lots", lambda row: row.book_lots, 1, unit_e6=False),
    _Row("size sold on the book, USDC", lambda row: row.book_e6, 1),
    _Row("size closed by ADL, lots", lambda row: row.shared_lots, 1, unit_e6=False),
    _Row("size closed by ADL, USDC", lambda row: row.shared_e6, 1),
    _Row("price impact, average, 1/100 bps", lambda row: row.impact_bps_e2, 1, unit_e6=False),
    _Row("price impact, worst fill, bps", lambda row: row.worst_impact_bps, 1, unit_e6=False),
    _Row("mark away from index, most, bps", lambda row: row.mark_gap_bps, 1, unit_e6=False),
    _Row("lost to the book, USDC", lambda row: row.impact_e6, 1),
    _Row("liquidation fees to the fund", lambda row: row.fee_e6, 0),
    _Row("liquidated accounts had, USDC", lambda row: row.equity_before_e6, 0),
    _Row("liquidated accounts keep, USDC", lambda row: row.equity_after_e6, -1),
)


def run_engine(
    name: str,
    path: CrashPath,
    *,
    accounts: int,
    seed: int,
    makers: MakerPlan,
    progress: Callable[[int, int], None],
) -> CrashRun:
    """Walk the path with one engine."""
    market = CrashMarket(path, ENGINES[name], accounts=accounts, seed=seed, makers=makers)
    digest = market.run(progress)
    return CrashRun(name, market.tally.costs, digest)


def path_lines(path: CrashPath, makers: MakerPlan) -> list[str]:
    """Every point with what of it is published, and the assumptions of the market."""
    lines = [path.title, "index of BTC (price / time):"]
    lines += [
        f"  +{row.at_s:>6} s {row.usd:>8} USD  {row.price_is} / {_TIMES[row.time_is]}: {row.source}"
        for row in path.prices
    ]
    lines.append("depth near the middle:")
    lines += [f"  +{row.at_s:>6} s {row.part_ppm / 10**4:>7.2f} %  {row.depth_is}: {row.source}" for row in path.depths]
    return [
        *lines,
        (
            f"assumed: depth within 1 % is {makers.depth_ppm / 10**4:g} % of the long open interest a side before the"
            f" crash and comes back within {makers.refill_s} s; the fund is {FUND_PPM / 10**4:g} % of it;"
            " nobody adds money or closes by himself"
        ),
    ]


def table_lines(runs: Sequence[CrashRun]) -> list[str]:
    """A column for each engine; money in whole USDC, rounded down."""
    lines = [f"{'':<34}" + "".join(f"{run.engine:>18}" for run in runs)]
    for row in _ROWS:
        values = [row.value(run.costs) // (_E6 if row.unit_e6 else 1) for run in runs]
        lines.append(f"{row.title:<34}" + "".join(f"{value:>18,}" for value in values))
    lines.append(f"{'events (SHA-256)':<34}" + "".join(f"{run.digest[:16]:>18}" for run in runs))
    return lines


def compare_lines(runs: Sequence[CrashRun]) -> list[str]:
    """Where adaptive is worse than fixed, in words; nothing unless both ran."""
    costs = {run.engine: run.costs for run in runs}
    if not costs.keys() >= ENGINES.keys():
        return []
    worse = []
    for row in _ROWS:
        fixed, adaptive = row.value(costs["fixed"]), row.value(costs["adaptive"])
        if row.sign and (adaptive - fixed) * row.sign > 0:
            unit = _E6 if row.unit_e6 else 1
            worse.append(f"  {row.title.strip()}: {adaptive // unit:,} against {fixed // unit:,}")
    return ["adaptive is worse in:", *worse] if worse else ["adaptive is worse in none of these"]
