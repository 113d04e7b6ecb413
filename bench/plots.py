"""Draw what one figure cannot say: latency by percentile, rate against resting orders, rate against instruments.

    python -m bench.plots [--out FILE]        (default: bench/results/core.png; the table is printed as well)

The flow is W1's, with another target depth or spread evenly over instruments; only the steps behind the preload are
timed, through the core's C entry, and the book they leave is compared with the first pass before a time is kept.
"""

import argparse
import statistics
import sys
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from bench import machine, record_file
from bench.native_build import Missing, core_replay
from bench.record_file import Survey
from bench.replay import batches
from bench.reports import Report, listed_book, match
from bench.selection import FOLDER
from bench.workloads import Flow, SplitMix, Tape
from matching_core import OrderBook

__all__ = ["draw", "main", "measure", "spread_flow", "step_rate"]

DEPTHS: Final = (100, 1_000, 10_000, 100_000, 1_000_000)
INSTRUMENTS: Final = (1, 5, 50, 500, 5_000)
SHARES: Final = (0.1, 0.5, 0.9, 0.99, 0.999, 0.9999)
INSTRUMENT_DEPTH: Final = 50_000
STEPS: Final = 100_000
ROUNDS: Final = 5


def spread_flow(depth: int, instruments: int, steps: int) -> Iterator[bytes]:
    """Records of W1's flow: `depth` orders placed over all instruments in turn, then steps at random ones."""
    random, tape = SplitMix(), Tape()
    each = max(1, depth // instruments)
    # Wide enough that orders of a deep book do not crowd on few prices.
    width = max(100, each // 100)
    flows = [
        Flow(random, tape, middle=1_000_000, width=width, depth=each, instrument=number)
        for number in range(instruments)
    ]
    yield from (flow.new() for _ in range(each) for flow in flows)
    yield from (flows[random.below(instruments)].step() for _ in range(steps))


def step_rate(depth: int, instruments: int, steps: int = STEPS, rounds: int = ROUNDS) -> float:
    """M commands/s of the steps behind the preload, median of rounds."""
    records = b"".join(spread_flow(depth, instruments, steps))
    survey = record_file.survey(records)
    report = match(records, survey, OrderBook)
    preload = 32 * max(1, depth // instruments) * instruments
    return statistics.median(_step_rate(report, survey, preload) for _ in range(rounds))


def _step_rate(report: Report, survey: Survey, preload: int) -> float:
    book = listed_book(OrderBook, survey)
    for piece in batches(report.commands[:preload]):
        book.submit(piece)
    steps = report.commands[preload:]
    duration_ns = core_replay().replay_ns(book, steps)
    if book.state_hash() != report.state_hash:
        raise RuntimeError("the same commands left another book")
    return len(steps) // 32 / duration_ns * 1e3


def latencies(steps: int = 10 * STEPS) -> dict[float, float]:
    """Median ns over rounds at each share of W1's steps, the counter's own cost taken off."""
    records = b"".join(spread_flow(10_000, 1, steps))
    survey = record_file.survey(records)
    report = match(records, survey, OrderBook)
    runs = [_latencies(report, survey) for _ in range(ROUNDS)]
    return {share: statistics.median(run[share] for run in runs) for share in SHARES}


def _latencies(report: Report, survey: Survey) -> dict[float, float]:
    replay = core_replay()
    rate, idle = replay.cycles_per_ns(), array("I", replay.idle_cycles(100_000))
    own = statistics.median(idle)
    samples = sorted(array("I", replay.latencies(listed_book(OrderBook, survey), report.commands)))
    return {share: max(0.0, samples[int(share * len(samples))] - own) / rate for share in SHARES}


def measure(depths: Sequence[int] = DEPTHS, instruments: Sequence[int] = INSTRUMENTS, steps: int = STEPS) -> dict:
    """All three curves: {share: ns}, {resting: M/s}, {instruments: M/s}."""
    return {
        "latency": latencies(10 * steps),
        "depth": {depth: step_rate(depth, 1, steps) for depth in depths},
        "instruments": {count: step_rate(INSTRUMENT_DEPTH, count, steps) for count in instruments},
    }


def table(curves: dict) -> str:
    """The curves as text."""
    lines = [f"latency    p{100 * share:<8g} {ns:10,.1f} ns" for share, ns in curves["latency"].items()]
    lines += [f"resting    {depth:<9,} {rate:10,.2f} M commands/s" for depth, rate in curves["depth"].items()]
    lines += [f"instruments {count:<8,} {rate:10,.2f} M commands/s" for count, rate in curves["instruments"].items()]
    return "\n".join(lines)


def draw(curves: dict, path: Path, caption: str) -> None:
    """Write the three curves as one PNG; Missing without matplotlib."""
    try:
        import matplotlib as mpl  # noqa: PLC0415 - a tool of developers, absent after set-up alone
    except ImportError:
        raise Missing("matplotlib is not installed (make dev): nothing is drawn") from None
    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, axes = plt.subplots(1, 3, figsize=(15, 4.5))
    odds = [1 / (1 - share) for share in curves["latency"]]
    axes[0].plot(odds, list(curves["latency"].values()), marker="o")
    _label(axes[0], "one command", "percentile", "ns", is_log_y=True)
    axes[0].set_xticks(odds, [f"p{100 * share:g}" for share in curves["latency"]])
    axes[1].plot(list(curves["depth"]), list(curves["depth"].values()), marker="o")
    _label(axes[1], "one instrument", "resting orders", "M commands/s")
    axes[2].plot(list(curves["instruments"]), list(curves["instruments"].values()), marker="o")
    _label(axes[2], f"{INSTRUMENT_DEPTH:,} resting orders", "instruments", "M commands/s")
    figure.suptitle(caption, fontsize=9)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _label(axis, title: str, x_label: str, y_label: str, *, is_log_y: bool = False) -> None:
    axis.set_xscale("log")
    axis.minorticks_off()
    if is_log_y:
        axis.set_yscale("log")
    else:
        axis.set_ylim(bottom=0)
    axis.set_title(title)
    axis.set_xlabel(x_label)
    axis.set_ylabel(y_label)
    axis.grid(visible=True, alpha=0.3)


def main(arguments: list[str] | None = None) -> int:
    """Measure, print and draw; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.plots", description="Draw the matching core's figures.")
    parser.add_argument("--out", type=Path, default=FOLDER / "results" / "core.png", metavar="FILE")
    options = parser.parse_args(arguments)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    try:
        caption = machine.line(machine.describe(options.out.parent))
        curves = measure()
        print(f"{caption}\n{table(curves)}")
        draw(curves, options.out, caption)
    except Missing as reason:
        sys.stderr.write(f"bench.plots: {reason}\n")
        return 1
    print(f"drawn to {options.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
