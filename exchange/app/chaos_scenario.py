"""One chain-fault scenario: production outbox, poster and RPC adapter against a node that misbehaves, in virtual time.

A clock tick is one block. During the storm the drawn faults and deaths happen; afterwards the node behaves and every
batch must become final. A death is an exception at one durable write or one send; what the outbox committed stays, the
poster is made anew. sqlite keeps or loses a transaction as a whole, so it may lie in memory here.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from exchange.app.chaos_books import check_books, check_nonces
from exchange.app.chaos_faults import GAS_FACTOR, STORM_TICKS, FaultKind, Kill, KillSite, Plan, draw_plan
from exchange.app.chaos_market import OPERATOR_KEY, START_S, ChaosBase, chaos_base, draw_story, rpc_over
from exchange.app.chaos_node import ChaosNode
from settlement.onchain.errors import OutboxMismatch
from settlement.onchain.funded_accounts import account_address
from settlement.onchain.outbox import BatchState, Outbox
from settlement.onchain.poster import Poster, PosterSettings, PosterStatus
from settlement.onchain.wallet import sign_transaction

__all__ = ["Broken", "Outcome", "Scenario", "run_scenario"]

_BLOCK_S: Final = 2
_STEPS_AT_ONCE: Final = 8
_CALM_TICKS: Final = 200
_FINAL_CONFIRMATIONS: Final = 7
"""More than the deepest reorganization: up to there a block may go."""
_PERSON_TICKS: Final = 10
"""How long a person lets the other program's block grow old before the settler is started again."""
_FOREIGN_FEE_WEI: Final = 400 * 10**9


class Broken(Exception):
    """A promise was not kept; the message says which."""


class _Killed(BaseException):
    """The settler's process ends here."""


@dataclass(slots=True)
class Outcome:
    """What happened, for the summary; `broken` is empty when every promise was kept."""

    plan: str = ""
    broken: str = ""
    counts: Counter[str] = field(default_factory=Counter)


class _MortalOutbox(Outbox):
    """Dies around the drawn writes."""

    def __init__(self, kills: Sequence[Kill]) -> None:
        super().__init__(":memory:")
        self._before = {kill.nth for kill in kills if kill.site is KillSite.BEFORE_WRITE}
        self._after = {kill.nth for kill in kills if kill.site is KillSite.AFTER_WRITE}
        self._writes = 0

    def write(self, *statements: tuple[str, Sequence[object]]) -> None:
        """As the production outbox does, unless the process is to end here."""
        self._writes += 1
        if self._writes in self._before:
            raise _Killed
        super().write(*statements)
        if self._writes in self._after:
            raise _Killed


class Scenario:
    """Scenario `number` of a seed; the same two numbers give the same run."""

    def __init__(self, seed: int, number: int, base: ChaosBase | None = None, plan: Plan | None = None) -> None:
        """Draw it, unless `plan` is given; nothing happens yet."""
        self._rng = Random(f"chain faults {seed} {number}")  # noqa: S311 - a scenario repeats
        self._base = base or chaos_base()
        drawn = draw_plan(self._rng)
        self.plan = drawn if plan is None else plan
        self._story = draw_story(self._base, self._rng)
        self._now_s = float(START_S)
        self._chain = self._base.chain.copy(lambda: self._now_s)
        self.node = ChaosNode(self._chain)
        self._rpc, self._provider = rpc_over(self.node, self.plan, self._rng, self._pass)
        self._provider.around_send = self._around_send
        self.outbox = _MortalOutbox(self.plan.kills)
        self._sends = 0
        self._built_at = sorted(self._rng.randrange(STORM_TICKS) for _ in self._story.batches)
        self.counts: Counter[str] = Counter(batches=len(self._built_at), fills=sum(map(len, self._story.fills)))
        self._restart_at = -1
        self.poster = self._new_poster()

    def run(self) -> None:
        """Storm, calm, judgement. Raises `Broken`."""
        for tick in range(STORM_TICKS):
            self._disturb(tick)
            self._live(tick, len([at for at in self._built_at if at <= tick]))
        self._provider.tick, self.node.fee_factor = -1, 1
        drained = next((tick for tick in range(_CALM_TICKS) if self._is_done_after(tick)), None)
        self.counts.update(blocks=self.node.tip, sends=len(self.node.accepted), l1_fee_wei=self.node.l1_fee_wei)
        if drained is None:
            raise Broken(f"not everything is final {_CALM_TICKS} blocks after the storm: {self._last.detail}")
        self.counts["slowest drain"] = drained
        wrong = "; ".join(self.node.twins) or check_nonces(self.node.accepted, account_address(OPERATOR_KEY))
        wrong = wrong or check_books(self._chain, self._base.deployment, self._story)
        if wrong:
            raise Broken(wrong)

    def _is_done_after(self, tick: int) -> bool:
        self._live(STORM_TICKS + tick, len(self._story.batches))
        rows = self.outbox.batches()
        return len(rows) == len(self._story.batches) and all(
            row.finalized and row.state is BatchState.FINAL for row in rows
        )

    # One block

    def _disturb(self, tick: int) -> None:
        self._provider.tick = tick
        self.node.fee_factor = GAS_FACTOR if self.plan.active(FaultKind.GAS_X100, tick) else 1
        if self.plan.beginning(FaultKind.FOREIGN_SPEND, tick):
            self.counts["foreign spends"] += 1
            self._spend_foreign()
        fault = self.plan.beginning(FaultKind.REORG, tick)
        if fault is not None:
            self.counts["reorgs"] += 1
            keeps = self._rng.random() < 0.5
            self.node.reorganize(fault.amount, lambda dropped: dropped if keeps else [])
        fault = self.plan.beginning(FaultKind.NONCE_GAP, tick)
        if fault is not None:
            self.counts["nonce gaps"] += 1
            self.node.reorganize(fault.amount, lambda dropped: dropped)
            self.node.drop_first()

    def _live(self, tick: int, built: int) -> None:
        """The settler's turn, then a block."""
        self._now_s += _BLOCK_S
        if tick == self._restart_at:
            self.poster = self._new_poster()
        try:
            self._settle(tick, built)
        except _Killed:
            self.counts["deaths"] += 1
            self.counts[f"died {self._furthest()}"] += 1
            self.poster = self._new_poster()
        self.node.mine()

    def _settle(self, tick: int, built: int) -> None:
        for batch in self._story.batches[:built]:
            self.outbox.add(batch, int(self._now_s * 1_000))
        for _ in range(_STEPS_AT_ONCE):
            self._last = self._step()
            if self._last.state == "halted" and self._restart_at <= tick:
                self.counts["halts"] += 1
                self._restart_at = tick + _PERSON_TICKS
            if not self._last.moved:
                return

    def _step(self) -> PosterStatus:
        try:
            return self.poster.step()
        except OutboxMismatch as error:
            raise Broken(f"the settler would stop for a person: {error}") from error

    def _furthest(self) -> str:
        flights = self.outbox.open_flights()
        return min(flights, key=lambda one: one.state).state.name if flights else "IDLE"

    def _new_poster(self) -> Poster:
        settings = PosterSettings(safe_confirmations=2, final_confirmations=_FINAL_CONFIRMATIONS, replace_after_s=6.0)
        deployment = self._base.deployment
        return Poster(self._rpc, deployment, self.outbox, OPERATOR_KEY, settings, lambda: self._now_s)

    def _pass(self, seconds: float) -> None:
        self._now_s += seconds

    def _around_send(self, raw: bytes | None) -> None:
        """Die here if it is drawn. Raises `Broken` for bytes that a death would lose."""
        self._sends += raw is not None
        if raw is not None and raw not in self._durable():
            raise Broken("a transaction was sent before its bytes were in the outbox")
        site = KillSite.AFTER_SEND if raw is None else KillSite.BEFORE_SEND
        if Kill(site, self._sends) in self.plan.kills:
            raise _Killed

    def _durable(self) -> set[bytes]:
        return {raw.raw for flight in self.outbox.open_flights() for raw in self.outbox.raws(flight.nonce)}

    def _spend_foreign(self) -> None:
        """Another program uses the key: its transaction takes the place of ours at the same nonce."""
        sender = account_address(OPERATOR_KEY)
        nonce = self._chain.nonce(sender, self.node.tip)
        raw, _ = sign_transaction(
            OPERATOR_KEY,
            chain_id=self._base.deployment.chain_id,
            nonce=nonce,
            to=sender,
            data=b"",
            gas=21_000,
            max_fee_wei=_FOREIGN_FEE_WEI,
            priority_fee_wei=_FOREIGN_FEE_WEI // 2,
        )
        transaction: Any = self._chain.decode(raw)
        self.node.pool[sender, nonce] = transaction, raw


def run_scenario(seed: int, number: int) -> Outcome:
    """Run one to its end. What production raises is a broken promise too."""
    scenario = Scenario(seed, number)
    broken = ""
    try:
        scenario.run()
    except Broken as error:
        broken = str(error)
    except Exception as error:  # noqa: BLE001 - any error of production ends the scenario and is reported
        broken = f"{type(error).__name__}: {error}"
    for fault in scenario.plan.faults:
        scenario.counts[f"fault {fault.kind}"] += 1
    return Outcome(str(scenario.plan), broken, scenario.counts)
