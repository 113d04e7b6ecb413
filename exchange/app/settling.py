"""What `offbook settle` does: the settler as a job of its own, a request for a batch, a report, a policy on fees."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from exchange.app.config import Settings
from exchange.app.failures import Failure
from exchange.app.job_board import JobBoard, ask_job
from exchange.app.layout import DataDirectory
from exchange.app.settle_ends import Once, SettleCode, UntilStopped
from exchange.app.settle_lease import LeaseHeld, SettlerLease, lease_holder
from exchange.app.settler_process import settle
from exchange.bridge.fee_trace import BadTrace, FeeRow, read_trace, simulate, simulate_every, synthetic_trace
from exchange.bridge.posting_policy import PostingPolicy, post_gas
from settlement.onchain.outbox import BatchRow, BatchState, Outbox
from settlement.protocol.encoding import Header

__all__ = ["run_job", "settle_now", "settle_status", "simulate_policy", "status_code", "status_lines"]

_STALE_S: Final = 15.0
_GAS_BATCHES: Final = 20
_SHOWN_BATCHES: Final = 1_000
_GWEI: Final = 10**9

Say = Callable[[str], None]


def run_job(settings: Settings, say: Say, complain: Say, *, is_once: bool, timeout_s: float) -> SettleCode:
    """Settle until told to stop, or one turn of at most `timeout_s`. Says or complains how it ended, in one line."""
    directory = DataDirectory(settings.data.resolve())
    directory.check_format()
    if not directory.deployment.exists():
        complain(f"{directory.deployment}: not here; give the exchange's --data, or start it once")
        return SettleCode.NEEDS_PERSON
    try:
        with SettlerLease(directory, "offbook settle run"):
            if not is_once:
                say(f"settles {directory.root} on {settings.chain_url}; Ctrl-C stops it")
                end = settle(settings, directory, UntilStopped())
            else:
                end = settle(settings, directory, Once(), is_asked=True, timeout_s=timeout_s)
    except LeaseHeld as held:
        complain(str(held))
        return SettleCode.RETRY_LATER
    except Failure as failure:
        complain(str(failure))
        return SettleCode.NEEDS_PERSON
    if end is not None:
        (complain if end.code in (SettleCode.RETRY_LATER, SettleCode.NEEDS_PERSON) else say)(end.line)
        return end.code
    if is_once:
        complain(f"not on chain within {timeout_s:g} s; it is stored, the next run goes on with it")
        return SettleCode.RETRY_LATER
    return SettleCode.DONE


def settle_now(settings: Settings, say: Say, complain: Say, *, timeout_s: float) -> SettleCode:
    """Ask the job that runs here for a batch, and say what it answered."""
    directory = DataDirectory(settings.data.resolve())
    holder = lease_holder(directory)
    if holder is None:
        complain(
            "no settling job runs here: start `offbook up` or `offbook settle run`, or post with `settle run --once`"
        )
        return SettleCode.NEEDS_PERSON
    answer = ask_job(JobBoard(directory), timeout_s)
    if answer is None:
        complain(f"process {holder.pid} (`{holder.command}`) did not answer within {timeout_s:g} s; ask again")
        return SettleCode.RETRY_LATER
    if not answer["is_post"]:
        say("nothing to post: no fill, request or closed batch waits")
        return SettleCode.NOTHING_TO_DO
    say(f"asked process {holder.pid}: batches up to {answer['up_to_batch']} are posted now")
    return SettleCode.DONE


def settle_status(settings: Settings, *, now_s: float | None = None) -> dict[str, Any]:
    """What is posted, waiting and final, its age and fees, what the job last said. Raises Failure before any run."""
    directory = DataDirectory(settings.data.resolve())
    directory.check_format()
    path = directory.settler / "outbox.sqlite"
    if not path.exists():
        raise Failure(f"{path}: not here; it appears once a settler ran with this --data")
    outbox = Outbox(path)
    try:
        rows = outbox.batches(limit=_SHOWN_BATCHES)
    finally:
        outbox.close()
    now_s = time.time() if now_s is None else now_s
    holder, said = lease_holder(directory), JobBoard(directory).read()
    is_fresh = holder is not None and now_s - said.get("time_s", 0) < _STALE_S
    return {
        "job": None if holder is None else {"pid": holder.pid, "command": holder.command},
        "said": said if is_fresh else None,
        **_batches(rows, now_s),
        **_fees(rows, said if is_fresh else {}),
    }


def _batches(rows: list[BatchRow], now_s: float) -> dict[str, Any]:
    """Rows newest first. Ages in seconds, of the first fill of what waits and of the newest post."""
    on_chain = [row for row in rows if row.state >= BatchState.INCLUDED]
    waiting = [row for row in rows if row.state < BatchState.INCLUDED]
    oldest_s = min((Header.unpack(row.h).match_from_s for row in waiting), default=None)
    posted_s = next((row.block_time_s for row in on_chain if row.block_time_s is not None), None)
    return {
        "posted_batch": max((row.seq for row in on_chain), default=0),
        "final_batch": max((row.seq for row in rows if row.finalized), default=0),
        "posted_age_s": None if posted_s is None else max(0, round(now_s - posted_s)),
        "waiting_batches": len(waiting),
        "waiting_fills": sum(row.stats.get("fills", 0) for row in waiting),
        "waiting_cells": sum(row.stats.get("legs", 0) for row in waiting),
        "waiting_age_s": None if oldest_s is None else max(0, round(now_s - oldest_s)),
    }


def _fees(rows: list[BatchRow], said: dict[str, Any]) -> dict[str, Any]:
    """Gas of the newest posts, the fee of now and what a post would cost at it, in gwei."""
    gas = [row.gas_used for row in rows if row.gas_used is not None][:_GAS_BATCHES]
    fee_wei, cells = said.get("fee_wei"), said.get("cells") or 0
    return {
        "mean_gas": sum(gas) // len(gas) if gas else None,
        "fee_wei": fee_wei,
        "post_gwei": None if fee_wei is None else post_gas(cells) * fee_wei // _GWEI,
    }


def status_code(status: dict[str, Any]) -> SettleCode:
    """Exit code of a status: a person where posting stands still for good, later where nobody or nothing answers."""
    said = status["said"]
    if said is None:
        return SettleCode.RETRY_LATER
    if said["is_frozen"] or said["state"] == "halted" or said.get("needs_person"):
        return SettleCode.NEEDS_PERSON
    if said["state"] in ("chain_down", "blocked"):
        return SettleCode.RETRY_LATER
    has_work = status["waiting_batches"] or said.get("reason") != "nothing"
    return SettleCode.DONE if has_work else SettleCode.NOTHING_TO_DO


def status_lines(status: dict[str, Any]) -> Iterable[str]:
    """Yield the status as people read it."""
    job, said = status["job"], status["said"]
    name = "none runs: start `offbook up` or `offbook settle run`"
    if job is not None:
        name = f"process {job['pid']} (`{job['command']}`)" + ("" if said else ", which said nothing lately")
    yield f"job      {name}"
    age = "" if status["posted_age_s"] is None else f", {status['posted_age_s']} s ago"
    yield f"posted   up to batch {status['posted_batch']}{age}; final up to batch {status['final_batch']}"
    old = "" if status["waiting_age_s"] is None else f", the oldest fill {status['waiting_age_s']} s old"
    yield (
        f"waiting  {status['waiting_batches']} closed batches, {status['waiting_fills']} fills in "
        f"{status['waiting_cells']} cells{old}"
    )
    yield f"fees     {_fee_line(status)}"
    if said is not None:
        yield f"chain    {said['state']}{': ' + said['detail'] if said['detail'] else ''}"
        yield f"now      {said.get('posting', 'starting')}"


def _fee_line(status: dict[str, Any]) -> str:
    gas = "no post yet" if status["mean_gas"] is None else f"{status['mean_gas']:,} gas a post of late"
    if status["fee_wei"] is None:
        return f"{gas}; no fee known"
    return f"{gas}; {status['fee_wei'] / _GWEI:.6g} gwei now, about {status['post_gwei']:,} gwei for what waits"


def simulate_policy(
    trace: Path | None, *, interval_s: int, deadline_s: int, every_minutes: int, cells: int, universe: int, seed: int
) -> list[str]:
    """Replay a policy, and posting every N minutes. Raises Failure for a trace that cannot be read."""
    rows, source = _trace(trace, cells, seed)
    look_s = max(1, (rows[-1].time_s - rows[0].time_s) // max(1, len(rows) - 1))
    # Looks of a trace are as far apart as its rows.
    policy = PostingPolicy(interval_ms=1_000 * interval_s, deadline_ms=1_000 * deadline_s, look_ms=1_000 * look_s)
    mine = simulate(policy, rows, universe=universe)
    theirs = simulate_every(every_minutes, rows, universe=universe)
    lines = [
        f"trace: {source}",
        f"policy: posts {interval_s} to {max(interval_s, deadline_s)} s after the first fill that waits",
        f"{'':<22}{'posts':>7}{'mean fee, gwei':>17}{'paid, gwei':>19}{'worst age, s':>14}",
    ]
    for name, row in (("policy", mine), (f"every {every_minutes} minutes", theirs)):
        mean = f"{row.mean_fee_wei / _GWEI:.6f}"
        lines.append(f"{name:<22}{row.posts:>7}{mean:>17}{row.paid_wei // _GWEI:>19,}{row.worst_age_s:>14,}")
    return lines


def _trace(trace: Path | None, cells: int, seed: int) -> tuple[list[FeeRow], str]:
    if trace is None:
        rows = synthetic_trace(seed, cells=cells)
        return rows, f"SYNTHETIC, seed {seed}, {len(rows)} minutes: no chain ever had these fees"
    try:
        rows = read_trace(trace.read_text(), cells=cells)
    except (OSError, UnicodeDecodeError, BadTrace) as error:
        raise Failure(f"{trace}: {error}") from error
    return rows, f"{trace}, {len(rows)} rows over {rows[-1].time_s - rows[0].time_s:,} s"
