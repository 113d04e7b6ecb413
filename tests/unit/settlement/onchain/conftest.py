"""A served embedded chain, or anvil, in a process of its own, with the contracts deployed."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from settlement.onchain.deploy import Deployment, DeploymentSettings, deploy_demo
from settlement.onchain.funded_accounts import DEPLOYER_INDEX, OPERATOR_INDEX, account_address, account_key
from settlement.onchain.local_rpc import main as serve_chain
from settlement.onchain.rpc import RpcChain, RpcSettings
from tests.fakes.warm_process import WarmProcess

ROOT = Path(__file__).resolve().parents[4]
ANVIL = ROOT / "settlement/contracts/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil"
SEED = 7
WINDOW_S = 1


class ServedChain:
    """The embedded chain on a free port; `stop` and `start` keep its data and its port."""

    def __init__(self, data):
        self.data = data
        self.port = 0
        self.start()

    def start(self):
        """Run the process and wait for its ready line."""
        self.process = WarmProcess(serve_chain, ["--data", self.data, "--seed", SEED, "--port", self.port])
        self.url = self.process.stdout.readline().split()[1]
        self.port = int(self.url.rsplit(":", 1)[1])
        self.chain = RpcChain(self.url, RpcSettings(timeout_s=20))
        self.runs = True

    def stop(self, number=signal.SIGTERM):
        """Signal the process and wait for its end; returns the exit code."""
        self.runs = False
        self.process.send_signal(number)
        return self.process.wait(20)


@pytest.fixture
def served(tmp_path) -> Iterator[ServedChain]:
    """A fresh chain process."""
    chain = ServedChain(tmp_path / "chain")
    yield chain
    if chain.runs:
        chain.stop(signal.SIGKILL)


def deploy(chain: RpcChain) -> Deployment:
    """Token and settlement with a short window; the keys are those of the embedded chain's seed."""
    settings = DeploymentSettings(finality_window_s=WINDOW_S)
    operator = account_address(account_key(SEED, OPERATOR_INDEX))
    return deploy_demo(chain, account_key(SEED, DEPLOYER_INDEX), operator, settings)


def anvil_binary() -> Path:
    """Path of anvil; skips without it, fails under STRICT=1."""
    path = Path(os.environ.get("OFFBOOK_ANVIL", ANVIL))
    if not path.exists():
        reason = "anvil is not installed: run `npm ci` in settlement/contracts or set OFFBOOK_ANVIL"
        if os.environ.get("STRICT") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return path


@contextlib.contextmanager
def serve_anvil() -> Iterator[RpcChain]:
    """Anvil in OP mode with the embedded chain's accounts funded."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(anvil_binary()), "-p", str(port), "-q", "-n", "optimism", "--slots-in-an-epoch", "2"]
    process = subprocess.Popen(command)
    try:
        chain = RpcChain(f"http://127.0.0.1:{port}", RpcSettings(attempts=8))
        chain.chain_id()
        for index in range(12):
            address = "0x" + account_address(account_key(SEED, index)).hex()
            chain._request("anvil_setBalance", [address, hex(10**24)])
        yield chain
    finally:
        process.kill()
        process.wait()


@pytest.fixture(params=["embedded", pytest.param("anvil", marks=pytest.mark.needs_node)])
def node(request, tmp_path) -> Iterator[RpcChain]:
    """The same tests on the embedded chain and on anvil."""
    if request.param == "anvil":
        with serve_anvil() as chain:
            yield chain
        return
    served = ServedChain(tmp_path / "chain")
    yield served.chain
    served.stop(signal.SIGKILL)


def wait_until(check, timeout_s=30.0):
    """Poll a condition that another process makes true."""
    deadline = time.monotonic() + timeout_s
    while not check():
        if time.monotonic() > deadline:
            pytest.fail("condition not reached in time")
        time.sleep(0.02)
