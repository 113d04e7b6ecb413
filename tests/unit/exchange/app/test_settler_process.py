"""The settler's process: what may hold it up, and how it ends."""

import asyncio
import threading
from pathlib import Path

import pytest

from exchange.app import settler_process
from exchange.app.config import Settings
from exchange.app.failures import Failure
from exchange.app.layout import DataDirectory
from exchange.app.relay import RelayOrder
from exchange.app.settle_ends import SURE_STEPS
from settlement.onchain.deploy import save_deployment
from settlement.onchain.poster import PosterStatus
from settlement.protocol.encoding import BadBatch
from settlement.protocol.ledger import InvariantViolation
from settlement.protocol.netting import Unbalanced
from settlement.protocol.orders import BadOrders
from tests.simulation.fake_chain import FakeChain

ORDER = RelayOrder(1, 0, 1, bytes(20), b"", 0, bytes(20), bytes(20), b"")


class StuckChain(FakeChain):
    """A node that does not answer the question that only relays ask."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.answer = threading.Event(), threading.Event()

    def nonce(self, address: bytes, *, pending: bool = False, tag: str | int = "latest") -> int:
        """Next nonce; the pending one when the test lets it."""
        if pending:
            self.asked.set()
            self.answer.wait(20)
        return super().nonce(address, pending=pending, tag=tag)


@pytest.fixture
def directory(tmp_path: Path) -> DataDirectory:
    """A prepared data directory with a deployment."""
    made = DataDirectory(tmp_path)
    made.prepare()
    save_deployment(FakeChain().deployment, made.deployment)
    return made


@pytest.mark.parametrize("error", [BadBatch("x"), BadOrders("x"), Unbalanced("x"), InvariantViolation("x")])
def test_a_batch_that_cannot_be_built_is_one_line(
    error: Exception, directory: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restart would build the same batch again: it stops with the reason instead of crashing for ever."""

    async def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(settler_process, "_main", fail)
    with pytest.raises(Failure, match="settler: x"):
        settler_process.run(Settings(data=directory.root), "settler")


async def _step_beside_a_relay(worker: settler_process._Worker, chain: StuckChain) -> str:
    relaying = asyncio.create_task(worker.relay(ORDER))
    try:
        await asyncio.to_thread(chain.asked.wait, 20)
        step = await asyncio.wait_for(worker.step(0, 0), 5)
    finally:
        chain.answer.set()
    assert (await relaying).error
    return step.status.state


def test_relays_do_not_hold_up_batches(directory: DataDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relayed request waits for its receipt, for a minute when the node is slow; batches go on meanwhile."""
    chain = StuckChain()
    monkeypatch.setattr(settler_process, "RpcChain", lambda *_: chain)
    worker = settler_process._Worker(Settings(data=directory.root), directory, chain.deployment)
    try:
        assert asyncio.run(_step_beside_a_relay(worker, chain)) == "idle"
    finally:
        worker.close()


def _seen(state: str, detail: str = "", *, needs_person: bool = False) -> PosterStatus:
    return PosterStatus(
        state=state, detail=detail, waiting_batches=1, head_seq=1, finalized_seq=0, moved=False,
        needs_person=needs_person,
    )  # fmt: skip


def test_what_wants_a_person_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    """A slashed operator, then a key without ether; a moment of either, a silent node and high fees are not said."""
    alarm = settler_process._Alarm()
    slashed, poor = _seen("halted", "slashed by a proof"), _seen("blocked", "no ether", needs_person=True)
    for status in (_seen("idle"), _seen("chain_down", "away"), _seen("blocked", "fee cap")) * SURE_STEPS:
        alarm.look(status)
    for status in (*[slashed] * (SURE_STEPS - 1), _seen("idle")):
        alarm.look(status)
    assert capsys.readouterr().err == ""
    for status in (*[slashed] * 3 * SURE_STEPS, *[poor] * 3 * SURE_STEPS):
        alarm.look(status)
    said = capsys.readouterr().err.splitlines()
    assert [line.rpartition(": ")[2] for line in said] == ["slashed by a proof", "no ether"]
    assert all(line.startswith("settler: a person is needed, no batch is posted: ") for line in said)
