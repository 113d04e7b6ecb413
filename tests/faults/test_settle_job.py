"""`offbook settle` beside a real exchange: the lease, one turn for a timer, a job of its own, a batch on request.

The tests share one data directory and follow each other: run the file as a whole.
"""

import json
import signal
import subprocess
import sys

import pytest
import requests
from eth_account import Account

from exchange.app.batch_reports import list_batches
from exchange.app.chaos_host import ExchangeUnderTest, free_port
from settlement.onchain.funded_accounts import DEPLOYER_INDEX, OPERATOR_INDEX, account_address, account_key
from settlement.onchain.rpc import RpcChain
from tests.faults.running_exchange import await_true, offbook, trade

_FEE_WEI = 10**10

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def exchange(tmp_path_factory):
    """One exchange, at first with its own settler."""
    under_test = ExchangeUnderTest(tmp_path_factory.mktemp("settle"), free_port(), 5)
    under_test.start()
    yield under_test
    under_test.stop()


def settle(exchange, *words):
    """One `offbook settle` command; (code, stdout, stderr)."""
    settings = exchange.settings
    line = ["settle", *words, "--data", settings.data]
    if words[0] == "run":
        line += ["--port", settings.port, "--seed", settings.seed]
    return offbook(*line)


def fills_on_chain(exchange):
    """Fills of the batches that were included."""
    rows = list_batches(exchange.settings, 10_000)
    return sum(row["fills"] for row in rows if row["state"] not in ("BUILT", "SIGNED", "SENT"))


def keys(exchange):
    """Those of the operator and of somebody with ether."""
    return (account_key(exchange.settings.seed, index) for index in (OPERATOR_INDEX, DEPLOYER_INDEX))


def pay_away(exchange, key, to):
    """All ether of an account goes to another."""
    url, owner = exchange.settings.chain_url, account_address(key)
    question = {"jsonrpc": "2.0", "id": 1, "method": "eth_getBalance", "params": ["0x" + owner.hex(), "latest"]}
    held_wei = int(requests.post(url, json=question, timeout=10).json()["result"], 16)
    rpc = RpcChain(url)
    fields = {"type": 2, "chainId": rpc.chain_id(), "nonce": rpc.nonce(owner), "to": to, "gas": 21_000}
    fields |= {"value": held_wei - 21_000 * _FEE_WEI, "maxFeePerGas": _FEE_WEI, "maxPriorityFeePerGas": _FEE_WEI}
    rpc.send_raw(bytes(Account.sign_transaction(fields, key).raw_transaction))


def test_a_second_job_beside_the_exchange_is_refused(exchange):
    """Its own settler holds the lease: one line with its process, code 75; the settler goes on."""
    code, _, errors = settle(exchange, "run", "--once")
    assert code == 75
    assert f"process {exchange.pid('settler')} (`offbook up`)" in errors
    trade(exchange)
    await_true(lambda: fills_on_chain(exchange) == 1, 30, "the batch of the exchange's own settler")


def test_status_and_now_reach_the_settler_of_the_exchange(exchange):
    """The same commands, whoever settles."""
    await_true(lambda: settle(exchange, "status")[0] in (0, 3), 20, "a settler that says something")
    code, output, _ = settle(exchange, "status", "--json")
    status = json.loads(output)
    assert code in (0, 3)
    assert status["job"]["pid"] == exchange.pid("settler")
    assert status["posted_batch"] == status["said"]["answer"].get("up_to_batch", status["posted_batch"])
    await_true(lambda: settle(exchange, "now")[0] == 3, 20, "an answer that there is nothing to post")


def test_the_settler_of_the_exchange_says_in_its_log_what_wants_a_person(exchange):
    """Its key has no ether: one line, once; trading went on, and with ether again the batch is posted."""
    log = exchange.directory.logs / "settler.log"
    operator, sponsor = keys(exchange)
    pay_away(exchange, operator, account_address(sponsor))
    trade(exchange)
    await_true(lambda: "a person is needed" in log.read_text(), 30, "a line in the log")
    assert "cannot afford" in exchange.ready()["reason"]
    pay_away(exchange, sponsor, account_address(operator))
    await_true(lambda: fills_on_chain(exchange) == 2, 30, "the batch")
    assert log.read_text().count("a person is needed") == 1


def test_a_timer_settles_an_exchange_without_settler(exchange, monkeypatch):
    """Nobody posts; one turn does, and says so; a second has nothing to do."""
    assert exchange.stop() == 0
    monkeypatch.setenv("OFFBOOK_SETTLER", "0")
    exchange.start()
    assert exchange.pid("settler") is None
    trade(exchange)
    assert settle(exchange, "status")[0] == 75
    assert settle(exchange, "now")[0] == 78
    code, output, errors = settle(exchange, "run", "--once")
    assert (code, errors) == (0, "")
    assert "on chain" in output
    assert fills_on_chain(exchange) == 3
    code, output, errors = settle(exchange, "run", "--once")
    assert (code, errors) == (3, "")


def test_a_job_of_its_own_settles_and_answers(exchange):
    """Beside the exchange like its own settler; a signal ends it with 0 and frees the lease."""
    settings = exchange.settings
    words = ["settle", "run", "--data", settings.data, "--port", settings.port, "--seed", settings.seed]
    command = [sys.executable, "-m", "exchange.cli.main", *map(str, words)]
    job = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        await_true(lambda: settle(exchange, "status")[0] in (0, 3), 30, "a job that says something")
        trade(exchange)
        assert settle(exchange, "now")[0] in (0, 3)
        await_true(lambda: fills_on_chain(exchange) == 4, 30, "the batch")
        job.send_signal(signal.SIGTERM)
        assert job.wait(20) == 0, job.stdout.read()
    finally:
        job.kill()
        job.communicate()
    assert settle(exchange, "run", "--once")[0] == 3


def test_a_key_without_ether_wants_a_person(exchange):
    """A turn says 78 and why, in the chain's words; with ether again the same bytes are posted: 0."""
    trade(exchange)
    fills = fills_on_chain(exchange)
    operator, sponsor = keys(exchange)
    pay_away(exchange, operator, account_address(sponsor))
    code, _, errors = settle(exchange, "run", "--once")
    assert code == 78
    assert "cannot afford" in errors
    assert fills_on_chain(exchange) == fills
    pay_away(exchange, sponsor, account_address(operator))
    assert settle(exchange, "run", "--once")[0] == 0
    assert fills_on_chain(exchange) == fills + 1


def test_without_chain_and_exchange_a_timer_comes_back_later(exchange):
    """The embedded chain is away with its exchange."""
    assert exchange.stop() == 0
    code, _, errors = settle(exchange, "run", "--once")
    assert code == 75
    assert "does not answer" in errors
