"""`offbook up --feeds 3`: signers in processes of their own, CLOSE_ALL by the queue, feeds that hang and return."""

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from settlement.offbook_verify import main as verify_chain
from settlement.onchain.contract import SettlementReader
from tests.e2e.owner import Owner
from tests.e2e.running import Running, running, until

PERP = "BTC-PERP"
WITHIN_S = 90


@pytest.fixture(scope="module")
def fed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A demo whose rounds two of three signers must sign."""
    with running(tmp_path_factory.mktemp("fed"), "--feeds", "3", rate=12.0) as started:
        yield started


def head(fed: Running) -> int:
    """Last batch on chain."""
    owner = Owner(fed, 8)
    return SettlementReader(owner.chain, owner.deployment.settlement).head()


def status(fed: Running) -> dict[str, Any]:
    """What the settler says."""
    found: dict[str, Any] = json.loads(fed.command("settle", "status", "--json", names_port=False).stdout)
    return found["said"] or {}


def tell(fed: Running, number: int, wanted: signal.Signals) -> None:
    """A signal to one signer."""
    processes = json.loads((fed.data / "status.json").read_text())["processes"]
    os.kill(processes[f"feed{number}"]["pid"], wanted)


def asked(owner: Owner, method: str, *arguments: Any) -> Any:
    """One call of a client of the account."""

    async def ask() -> Any:
        client = await owner.client().open()
        try:
            return await getattr(client, method)(*arguments)
        finally:
            await client.close()

    return asyncio.run(ask())


def held(owner: Owner) -> list[dict[str, Any]]:
    """Open positions."""
    return [row for row in asked(owner, "positions") if float(row["amount"])]


def test_the_queue_closes_an_account_with_one_signer_away(fed: Running) -> None:
    """Bought at the market, closed against the fund by the contract's queue, final on chain; the watcher agrees."""
    tell(fed, 2, signal.SIGSTOP)
    try:
        owner = Owner(fed, 8)
        asked(owner, "buy", PERP, "0.01")
        until(lambda: held(owner), "nothing was bought")
        request = owner.user.request_close(owner.subaccount_id - owner.deployment.subaccount_base)
        until(lambda: not held(owner), "the queue closed nothing", timeout_s=WITHIN_S)
        until(lambda: owner.finalized_requests() >= request.index, lambda: str(status(fed)), timeout_s=WITHIN_S)
    finally:
        tell(fed, 2, signal.SIGCONT)
    report = json.loads((fed.data / "watcher" / "report.json").read_text())
    assert (report["trouble"], report["checked"] > 0) == ("", True)
    assert (fed.data / "logs" / "watcher.events.log").read_text() == ""


def test_posting_waits_for_signers_by_name_and_goes_on(fed: Running) -> None:
    """Two of three hang: blocked, no person needed, finality goes on; then everything that waited is posted."""
    until(lambda: status(fed).get("state") != "blocked", "posting stands still at first", timeout_s=WITHIN_S)
    for number in (1, 3):
        tell(fed, number, signal.SIGSTOP)
    try:
        said = until(
            lambda: (found := status(fed)).get("state") == "blocked" and found, "it goes on", timeout_s=WITHIN_S
        )
        assert "of 2 signatures, waits for" in said["detail"]
        assert said["needs_person"] is False
        before = head(fed)
        assert fed.command("settle", "status", names_port=False).returncode == 75
    finally:
        for number in (1, 3):
            tell(fed, number, signal.SIGCONT)
    until(lambda: head(fed) > before + 1, lambda: str(status(fed)), timeout_s=WITHIN_S)


def test_a_venue_with_signers_verifies(fed: Running) -> None:
    """The journal gives the same root as the chain, and so does the verifier that has nothing of ours."""
    last = head(fed)
    assert last > 3
    done = fed.command("batch", "verify", str(last))
    assert (done.returncode, done.stderr) == (0, "")
    owner = Owner(fed, 8)
    words = ["--rpc", f"http://127.0.0.1:{fed.port + 1}", "--contract", f"0x{owner.deployment.settlement.hex()}"]
    assert verify_chain(words) == 0
