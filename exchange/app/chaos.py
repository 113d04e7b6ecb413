"""`offbook chaos kill9`: SIGKILL processes while clients trade; compare every promise with a fresh replay.

Load and moments follow the seed, as far as the scheduling of real processes allows. The verdict does not depend on
them: whatever was acknowledged before a kill must be in the journal and on chain afterwards, once, and the watcher must
have checked every batch and blamed none.
"""

import asyncio
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Final

import msgspec

from exchange.app.batch_reports import list_batches
from exchange.app.chaos_check import Findings, check_history, replay_story
from exchange.app.chaos_clients import ChaosClient
from exchange.app.chaos_history import History
from exchange.app.chaos_host import ExchangeUnderTest, await_value, free_port
from exchange.app.chaos_settlement import ChainCopy, check_settlement, copy_chain
from exchange.app.failures import Failure
from exchange.client.signing import demo_accounts
from exchange.journal.disk import RealDisk
from exchange.wire.order_shapes import OrderShapes
from exchange.wire.venue import VenueInfo
from settlement.onchain.deployment import Deployment, load_deployment
from settlement.onchain.errors import ChainError
from settlement.onchain.rpc import RpcChain

__all__ = ["kill9"]

CLIENTS: Final = 4
ACKNOWLEDGED_BEFORE_KILL: Final = 500
_VICTIMS: Final = (
    ("exchange",),
    ("exchange",),
    ("exchange",),
    ("settler",),
    ("watcher",),
    ("exchange", "settler"),
    ("exchange", "settler", "watcher"),
)
_EXTRA_ACKNOWLEDGED: Final = 200
_LAST_DELAY_S: Final = 0.05
_ROUND_LIMIT_S: Final = 60.0
_STOP_LIMIT_S: Final = 30.0
_DRAIN_LIMIT_S: Final = 90.0


def kill9(*, kills: int, seed: int, port: int = 0, keep: bool = False) -> int:
    """Run `kills` kills; 0 when every promise was kept, else 1. Port 0: a free one. Raises Failure."""
    root = Path(tempfile.mkdtemp(prefix="offbook-chaos-"))
    exchange = ExchangeUnderTest(root, port or free_port(), seed)
    history = History()
    is_clean = False
    try:
        _say(f"seed {seed}, {CLIENTS} clients, {kills} kills, data in {root}")
        exchange.start()
        deployment = load_deployment(exchange.directory.deployment)
        if deployment is None:
            raise Failure(f"{exchange.directory.deployment}: not here after the start")
        asyncio.run(_trade(exchange, history, kills, Random(f"chaos {seed}")))  # noqa: S311 - reproducible, no secret
        copy = _drain(exchange, deployment)
        exchange.stop()
        findings = _compare(exchange, deployment, history, copy)
        is_clean = findings.is_clean
        _report(kills, history, findings)
    finally:
        exchange.stop()
        if is_clean and not keep:
            shutil.rmtree(root, ignore_errors=True)
        else:
            sys.stderr.write(f"data directory kept: {root}\n")
    return 0 if is_clean else 1


async def _trade(exchange: ExchangeUnderTest, history: History, kills: int, source: Random) -> None:
    """Clients trade in this loop; the killer runs beside them."""
    accounts = demo_accounts(exchange.directory.demo_accounts)[:CLIENTS]
    clients = [
        ChaosClient(exchange.url, who, place, Random(source.random()), history)  # noqa: S311 - as above
        for place, who in enumerate(accounts)
    ]
    tasks = [asyncio.create_task(client.run()) for client in clients]
    killer = asyncio.create_task(_kill_often(exchange, history, kills, source))
    try:
        await asyncio.wait([killer, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in (*tasks, killer):
            if task.done():
                task.result()
        for client in clients:
            client.stop()
        _, late = await asyncio.wait(tasks, timeout=_STOP_LIMIT_S)
        if late:
            raise Failure(f"{len(late)} clients did not end within {_STOP_LIMIT_S:.0f} s after the last kill")
        for task in tasks:
            task.result()
    finally:
        for task in (killer, *tasks):
            task.cancel()
        await asyncio.gather(killer, *tasks, return_exceptions=True)


async def _kill_often(exchange: ExchangeUnderTest, history: History, kills: int, source: Random) -> None:
    for number in range(1, kills + 1):
        await _some_commands(history, source)
        victims = source.choice(_VICTIMS)
        for name in victims:
            # A settler that was killed a moment ago may still be starting.
            await _until(lambda name=name: exchange.pid(name) is not None, f"{name} does not run")  # type: ignore[misc]
        before, unanswered = history.acknowledged, history.unanswered
        pids = [exchange.kill(name) for name in victims]
        began_s = time.monotonic()
        await _until(lambda before=before: history.acknowledged > before + CLIENTS, "nothing was acknowledged again")  # type: ignore[misc]
        who = " and ".join(f"{name} ({pid})" for name, pid in zip(victims, pids, strict=True))
        _say(
            f"kill {number}/{kills}: {who} after {before} acknowledged; "
            f"{history.unanswered - unanswered} unanswered, trading again after {time.monotonic() - began_s:.1f} s"
        )
    await _some_commands(history, source)


async def _some_commands(history: History, source: Random) -> None:
    """Wait for at least 500 acknowledged commands more, then for a moment that nobody expects."""
    goal = history.acknowledged + ACKNOWLEDGED_BEFORE_KILL + source.randrange(_EXTRA_ACKNOWLEDGED)
    await _until(lambda: history.acknowledged >= goal, f"fewer than {ACKNOWLEDGED_BEFORE_KILL} acknowledged commands")
    await asyncio.sleep(source.random() * _LAST_DELAY_S)


async def _until(condition: Callable[[], bool], problem: str) -> None:
    deadline_s = time.monotonic() + _ROUND_LIMIT_S
    while not condition():
        if time.monotonic() > deadline_s:
            raise Failure(f"{problem} within {_ROUND_LIMIT_S:.0f} s")
        await asyncio.sleep(0.002)


def _drain(exchange: ExchangeUnderTest, deployment: Deployment) -> ChainCopy:
    """Wait until every fill is in a batch that is final, then copy what the chain holds."""
    await_value(lambda: _is_settled(exchange), _DRAIN_LIMIT_S, "not every fill was final on chain")
    await_value(lambda: _is_watched(exchange), _DRAIN_LIMIT_S, "the watcher did not find every batch in order")
    try:
        return copy_chain(RpcChain(exchange.settings.chain_url), deployment)
    except ChainError as error:
        raise Failure(f"reading the chain back: {error}") from error


def _is_settled(exchange: ExchangeUnderTest) -> bool:
    fills = exchange.metrics().get("offbook_fills_total")
    rows = list_batches(exchange.settings, 100_000)
    return fills is not None and fills == sum(row["fills"] for row in rows if row["state"] == "FINALIZED")


def _is_watched(exchange: ExchangeUnderTest) -> bool:
    newest = max((row["seq"] for row in list_batches(exchange.settings, 1)), default=0)
    try:
        report = msgspec.json.decode((exchange.directory.watcher / "report.json").read_bytes())
    except (OSError, msgspec.DecodeError):
        return False
    return bool(report["checked"] >= newest and not report["trouble"])


def _compare(exchange: ExchangeUnderTest, deployment: Deployment, history: History, copy: ChainCopy) -> Findings:
    venue = VenueInfo.for_chain(
        chain_id=deployment.chain_id,
        settlement_contract=deployment.settlement,
        subaccount_base=deployment.subaccount_base,
        separator=deployment.domain_separator,
    )
    replayed = Findings()
    story = replay_story(RealDisk(exchange.directory.exchange), OrderShapes(venue), replayed)
    ids = {entry.subaccount_id for entry in history.entries}
    findings = check_history(history, story, {number: number - deployment.subaccount_base for number in ids})
    findings.different += replayed.different
    check_settlement(story, copy, findings)
    batches = sum(copy.posts.values())
    _say(
        f"replayed {story.state.sequence} commands, {len(story.accepted)} orders, {story.state.trade_count} fills; "
        f"{batches} batches on chain, {len(history.streamed_trades)} fills and "
        f"{len(history.streamed_orders)} order states streamed"
    )
    return findings


def _report(kills: int, history: History, findings: Findings) -> None:
    for line in findings.lines():
        _say(line)
    _say(
        f"kills {kills}, acknowledged {history.acknowledged}, unanswered at the kill {history.unanswered}, "
        f"lost {len(findings.lost)}, duplicated {len(findings.duplicated)}"
    )


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
