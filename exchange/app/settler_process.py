"""The settler's process: event log and chain on one side, the exchange's socket on the other.

`run` is the child of `offbook up`; `settle` is the same job for whoever holds the lease (`exchange.app.settling`).
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import msgspec

from exchange.app.batch_reports import batch_numbers
from exchange.app.config import Settings
from exchange.app.failures import Failure
from exchange.app.job_board import JobBoard
from exchange.app.keys import deployer_key, operator_key, payer_key
from exchange.app.layout import DataDirectory
from exchange.app.link import stop_event
from exchange.app.relay import RELAY_TOPIC, RELAYED_TOPIC, RelayOrder, RelayResult
from exchange.app.settle_ends import SURE_STEPS, Ends, Look, SettleEnd, UntilFrozen
from exchange.app.settle_lease import SettlerLease
from exchange.app.venue import venue_of
from exchange.bridge.assembler import BadEvents
from exchange.bridge.batcher import Batcher, LedgerStore
from exchange.bridge.chain_looks import FEE_LOOK_S
from exchange.bridge.chain_side import ChainSide, ChainStep
from exchange.bridge.evidence import EvidenceBook
from exchange.bridge.posting_policy import PostingPolicy, PostingView, Verdict, explain
from exchange.bridge.settler import Settler
from exchange.bus.interface import Busy
from exchange.bus.unix_socket import LinkClosed, UnixPort
from exchange.domain.packing import BadRecord
from exchange.journal.disk import RealDisk
from exchange.journal.errors import JournalError
from exchange.journal.event_log import EventLogReader
from exchange.journal.tail import JournalTail
from settlement.onchain.chain import Chain
from settlement.onchain.claims import relay
from settlement.onchain.contract import SettlementReader
from settlement.onchain.deployment import Deployment, load_deployment
from settlement.onchain.errors import ChainError, OutboxMismatch
from settlement.onchain.fast_payer import FastTerms
from settlement.onchain.feed_panel import FeedPanel, HttpFeed, RoundSigners
from settlement.onchain.outbox import BuiltBatch
from settlement.onchain.poster import PosterStatus
from settlement.onchain.rpc import RpcChain, RpcSettings
from settlement.protocol.encoding import BadBatch
from settlement.protocol.ledger import BadSnapshot, InvariantViolation
from settlement.protocol.netting import Unbalanced
from settlement.protocol.orders import BadOrders

__all__ = ["fast_terms", "policy_of", "run", "settle"]

_STEP_INTERVAL_S = 0.25
_PRUNE_INTERVAL_S = 60.0
_USDC_E6 = 1_000_000


def run(settings: Settings, _name: str) -> None:
    """Settle until SIGTERM. Raises Failure when its memory contradicts the journal's events or the outbox.

    Raises Failure too when another job settles here, and once a frozen contract has nothing left to do.
    """
    directory = DataDirectory(settings.data.resolve())
    with SettlerLease(directory, "offbook up"):
        end = settle(settings, directory, UntilFrozen())
    if end is not None:
        raise Failure(f"settler: {end.line}")


def settle(
    settings: Settings, directory: DataDirectory, ends: Ends, *, is_asked: bool = False, timeout_s: float | None = None
) -> SettleEnd | None:
    """Step until `ends` says so; None after SIGTERM or `timeout_s`. The caller holds the lease.

    `is_asked`: post what there is, whatever the policy says. Raises Failure as `run` does.
    """
    deployment = load_deployment(directory.deployment)
    if deployment is None:
        raise Failure(f"{directory.deployment}: not here; `offbook up` deploys the contracts first")
    if deployment.feed_threshold > len(settings.feed_addresses):
        raise Failure(
            f"settler: rounds here need {deployment.feed_threshold} signatures: give --feeds and --port as to `up`, or "
            f"feed_urls"
        )
    try:
        return asyncio.run(_main(settings, directory, deployment, ends, is_asked=is_asked, timeout_s=timeout_s))
    except (BadEvents, BadRecord, BadSnapshot, OutboxMismatch, JournalError) as error:
        raise Failure(f"settler: {error}") from error
    except (BadBatch, BadOrders, Unbalanced, InvariantViolation) as error:
        # A restart would build the same batch again.
        raise Failure(f"settler: {error}") from error


def policy_of(settings: Settings) -> PostingPolicy:
    """Return the posting policy that the settings mean."""
    interval_ms = max(1, round(1_000 * settings.batch_interval_s))
    deadline_ms = max(interval_ms, round(1_000 * settings.batch_deadline_s))
    return PostingPolicy(interval_ms=interval_ms, deadline_ms=deadline_ms, look_ms=round(1_000 * FEE_LOOK_S))


def fast_terms(settings: Settings) -> FastTerms:
    """Return the terms of fast payments that the settings mean."""
    return FastTerms(
        budget_e6=settings.fast_budget_usdc * _USDC_E6,
        largest_e6=settings.fast_largest_usdc * _USDC_E6,
        least_fee_e6=settings.fast_least_fee_usdc * _USDC_E6,
        fee_bps=settings.fast_fee_bps,
    )


def _signers(settings: Settings, deployment: Deployment, chain: Chain) -> RoundSigners | None:
    """Who signs rounds; None where the operator's word is enough."""
    if not deployment.feed_threshold:
        return None
    return FeedPanel(
        SettlementReader(chain, deployment.settlement),
        chain_id=deployment.chain_id,
        threshold=deployment.feed_threshold,
        feeds=[HttpFeed(url) for url in settings.feed_addresses],
    )


class _Worker:
    """The blocking half on its one thread, and relays on another: each waits for its receipt, batches must not."""

    def __init__(self, settings: Settings, directory: DataDirectory, deployment: Deployment) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="chain")
        self._relays = ThreadPoolExecutor(1, thread_name_prefix="relay")
        self._relay_chain = RpcChain(settings.chain_url)
        self._relayer_key = deployer_key(settings)
        self._deployment = deployment
        # One attempt: the next step is the repetition, and a chain that hangs is reported after one timeout.
        chain = RpcChain(settings.chain_url, RpcSettings(attempts=1))
        self._side = self._pool.submit(
            lambda: ChainSide(
                chain,
                deployment,
                directory.settler / "outbox.sqlite",
                operator_key=operator_key(settings),
                confirmations=settings.confirmations_needed,
                payer=(payer_key(settings), fast_terms(settings)) if settings.fast_budget_usdc else None,
                signers=_signers(settings, deployment, chain),
            )
        ).result()

    async def store(self, batches: Sequence[BuiltBatch]) -> None:
        now_ms = time.time_ns() // 1_000_000
        await asyncio.get_running_loop().run_in_executor(self._pool, self._side.store, batches, now_ms)

    async def step(self, request_cursor: int, post_up_to: int) -> ChainStep:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._side.step, request_cursor, post_up_to)

    async def relay(self, order: RelayOrder) -> RelayResult:
        call = asyncio.get_running_loop().run_in_executor(self._relays, self._send_relay, order)
        try:
            return RelayResult(order.number, await call, "")
        except ChainError as error:
            return RelayResult(order.number, "", str(error))

    def _send_relay(self, order: RelayOrder) -> str:
        sent = relay(self._relay_chain, self._deployment, self._relayer_key, order.action(), order.signature)
        return "0x" + sent.tx_hash.hex()

    async def prune(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._pool, self._side.prune)

    async def forget_shown(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._pool, self._side.forget_shown)

    def close(self) -> None:
        self._relays.shutdown(wait=False, cancel_futures=True)
        self._pool.submit(self._side.close).result()
        self._pool.shutdown()


class _Link:
    """The connection to the exchange: made again whenever it is gone; nothing is lost while it is."""

    def __init__(self, directory: DataDirectory, worker: _Worker) -> None:
        self._path = directory.socket
        self._worker = worker
        self._relays: set[asyncio.Task[None]] = set()
        self.port: UnixPort | None = None

    async def current(self) -> UnixPort | None:
        """The open link, a new one if possible, or None."""
        if self.port is not None and not self.port.closed.is_set():
            return self.port
        self.port = None
        with suppress(OSError):
            port = await UnixPort.connect(self._path)
            port.on_topic(RELAY_TOPIC, self._on_relay)
            await self._worker.forget_shown()
            self.port = port
        return self.port

    def publish(self, step: ChainStep, finality_window_s: int) -> None:
        """Chain health and changed batches for gateway and page."""
        if self.port is None:
            return
        status = step.status
        report = {
            "state": status.state,
            "detail": status.detail,
            "waiting": status.waiting_batches,
            "head": status.head_seq,
            "final": status.finalized_seq,
        }
        with suppress(LinkClosed):
            self.port.publish("chain", json.dumps(report).encode())
            if step.rows:
                rows = [batch_numbers(row) | {"finality_window_s": finality_window_s} for row in step.rows]
                self.port.publish("batches", json.dumps(rows).encode())

    def _on_relay(self, body: bytes) -> None:
        task = asyncio.create_task(self._relay(msgspec.msgpack.decode(body, type=RelayOrder)))
        self._relays.add(task)
        task.add_done_callback(self._relays.discard)

    async def _relay(self, order: RelayOrder) -> None:
        result = await self._worker.relay(order)
        if self.port is not None:
            with suppress(LinkClosed):
                self.port.publish(RELAYED_TOPIC, msgspec.msgpack.encode(result))


class _Alarm:
    """Says once what posting stands still for until a person acts; it is in readiness too, which nobody may ask."""

    def __init__(self) -> None:
        self._wrong = ""
        self._steps = 0

    def look(self, status: PosterStatus) -> None:
        wrong = status.detail if status.state == "halted" or status.needs_person else ""
        self._steps = self._steps + 1 if wrong == self._wrong else 1
        self._wrong = wrong
        if wrong and self._steps == SURE_STEPS:
            sys.stderr.write(f"settler: a person is needed, no batch is posted: {wrong}\n")
            sys.stderr.flush()


class _Job:
    """Settler, link and board of one run; `step` is one turn of all of them."""

    def __init__(
        self, settings: Settings, directory: DataDirectory, deployment: Deployment, worker: _Worker, *, is_asked: bool
    ) -> None:
        self._deployment = deployment
        self._board = JobBoard(directory)
        self._wants = is_asked
        self._answer: Verdict | None = None
        self._decision: tuple[PostingView, Verdict] | None = None
        self._link = _Link(directory, worker)
        store = LedgerStore(directory.settler / "ledger.bin")
        assembler, ledger = store.load()
        if deployment.feed_threshold:
            assembler.expect_feeds()
        tail = JournalTail(RealDisk(directory.exchange), assembler.sequence)
        book = EvidenceBook(venue_of(settings, deployment), tail)
        store.load_evidence(book)
        self.batcher = Batcher(assembler, ledger, store, book)
        self._settler = Settler(
            self.batcher,
            EventLogReader(directory.exchange / "events", self.batcher.cursor),
            worker,
            clock_s=time.monotonic,
            policy=policy_of(settings),
            settled_path=directory.settled,
        )
        self._settler.on_step = lambda step: self._link.publish(step, deployment.finality_window_s)
        self._settler.on_decision = lambda view, verdict: setattr(self, "_decision", (view, verdict))
        self._settler.on_answer = self._on_answer

    async def step(self) -> Look:
        """Raises LinkClosed and Busy when the exchange went away or had no time; the next step begins anew."""
        self._settler.is_asked = self._board.asked() or (self._wants and self._answer is None)
        port = await self._link.current()
        step = await self._settler.step(port)
        self._board.say(lambda: self._report(step, has_exchange=port is not None))
        return Look(
            step=step,
            answer=self._answer,
            has_exchange=port is not None,
            has_open=self.batcher.has_open_content,
            is_behind=self.batcher.next_batch <= self._settler.cut_batch,
        )

    def _on_answer(self, verdict: Verdict) -> None:
        self._answer = verdict
        self._board.answer(
            {"is_post": verdict.is_post, "reason": str(verdict.reason), "up_to_batch": self._settler.post_up_to}
        )

    def _report(self, step: ChainStep, *, has_exchange: bool) -> dict[str, Any]:
        """What `settle status` shows of a running job."""
        report: dict[str, Any] = {
            "state": step.status.state,
            "detail": step.status.detail,
            "has_exchange": has_exchange,
            "is_frozen": step.is_frozen,
            "needs_person": step.status.needs_person,
        }
        if self._decision is not None:
            view, verdict = self._decision
            report |= {
                "posting": explain(self._settler.policy, view, verdict),
                "reason": str(verdict.reason),
                "age_s": view.age_ms / 1_000,
                "cells": view.cells,
                "fee_wei": view.fees_wei[-1] if view.fees_wei else None,
                "bar_wei": verdict.bar_wei or None,
            }
        return report


async def _main(
    settings: Settings,
    directory: DataDirectory,
    deployment: Deployment,
    ends: Ends,
    *,
    is_asked: bool,
    timeout_s: float | None,
) -> SettleEnd | None:
    stop = stop_event()
    worker = _Worker(settings, directory, deployment)
    try:
        job = _Job(settings, directory, deployment, worker, is_asked=is_asked)
        alarm = _Alarm()
        pruned_s = started_s = time.monotonic()
        end: SettleEnd | None = None
        while not stop.is_set() and end is None and not (timeout_s and time.monotonic() - started_s > timeout_s):
            with suppress(LinkClosed, Busy):
                look = await job.step()
                end = ends(look)
                # What a job ends with is said by whoever runs it.
                if end is None:
                    alarm.look(look.step.status)
            if time.monotonic() - pruned_s > _PRUNE_INTERVAL_S:
                await worker.prune()
                pruned_s = time.monotonic()
            if end is None:
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), _STEP_INTERVAL_S)
        # Only here: after an exception the cursor may stand behind a batch that never reached the outbox.
        job.batcher.save()
    finally:
        worker.close()
    return end
