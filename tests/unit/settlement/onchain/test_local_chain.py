"""The embedded chain: refusals, blocks that survive a restart, tags, logs and the JSON-RPC surface."""

import json
import os
import signal
import subprocess
import sys

import msgspec
import pytest

from settlement.onchain.errors import (
    CallReverted,
    ChainDataCorrupt,
    NonceTooHigh,
    NonceTooLow,
    RpcRefused,
    RpcUnavailable,
)
from settlement.onchain.funded_accounts import account_address, account_key
from settlement.onchain.local_chain import LocalChain, LocalSettings
from settlement.onchain.local_rpc import MAX_BATCH_CALLS, LocalRpc
from settlement.onchain.rpc import RpcChain, RpcSettings
from settlement.onchain.wallet import sign_transaction
from tests.unit.settlement.onchain.conftest import ROOT

KEY = account_key(1, 0)
OWNER = account_address(KEY)
LOGGING_CODE = bytes.fromhex("602a60005260aa60206000a100")
"""PUSH 42, MSTORE, LOG1 of 32 bytes with topic 0xaa."""
REVERTING_CODE = bytes.fromhex("63d21fff716000526004601cfd")
"""Reverts with the selector of BadSeq()."""


def open_chain(directory, **settings):
    """A chain whose clock stands still."""
    return LocalChain(directory, LocalSettings(**settings), clock=lambda: 1_800_000_000)


@pytest.fixture
def chain(tmp_path):
    """A fresh chain in this process."""
    opened = open_chain(tmp_path)
    yield opened
    opened.close()


def signed(nonce, *, to=b"\x11" * 20, data=b"", gas=100_000, key=KEY):
    """Raw bytes and hash of a transaction."""
    return sign_transaction(
        key, chain_id=31337, nonce=nonce, to=to, data=data, gas=gas, max_fee_wei=10**10, priority_fee_wei=1
    )


def create(chain, nonce, code):
    """Deploy raw code; returns its address."""
    size = len(code)
    init = bytes([0x60, size, 0x60, 0x0C, 0x60, 0, 0x39, 0x60, size, 0x60, 0, 0xF3]) + code
    tx_hash = chain.send_raw(signed(nonce, to=None, data=init, gas=500_000)[0])
    receipt = ask(LocalRpc(chain), "eth_getTransactionReceipt", "0x" + tx_hash.hex())["result"]
    return bytes.fromhex(receipt["contractAddress"][2:])


def ask(rpc, method, *params):
    """One JSON-RPC request."""
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
    return msgspec.json.decode(rpc.answer(json.dumps(body).encode()))


def test_two_processes_cannot_share_a_directory(chain, tmp_path):
    """The lock goes with its process, so no stale lock can remain."""
    with pytest.raises(ChainDataCorrupt, match="in use"):
        open_chain(tmp_path)


@pytest.mark.parametrize("change", [{"chain_id": 5}, {"seed": 2}])
def test_other_settings_are_refused(tmp_path, change):
    """Genesis belongs to chain id and seed."""
    open_chain(tmp_path).close()
    with pytest.raises(ChainDataCorrupt, match="offbook reset"):
        open_chain(tmp_path, **change)


def test_a_damaged_file_is_one_line(tmp_path):
    """A file that is no database names itself and the fix."""
    (tmp_path / "chain.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(ChainDataCorrupt, match="offbook reset"):
        open_chain(tmp_path)


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (b"\x02\x01\x02", RpcRefused),
        (signed(1)[0], NonceTooHigh),
        (signed(0, gas=20_000)[0], RpcRefused),
        (signed(0, key=account_key(99, 0))[0], RpcRefused),
    ],
)
def test_bad_transactions_leave_no_block(chain, raw, error):
    """Refused before or inside execution; the next good one still works."""
    with pytest.raises(error):
        chain.send_raw(raw)
    assert chain.head_number == 0
    chain.send_raw(signed(0)[0])
    assert chain.head_number == 1


def test_a_used_nonce_is_too_low(chain):
    """The same bytes cannot be mined twice."""
    raw, _ = signed(0)
    chain.send_raw(raw)
    with pytest.raises(NonceTooLow):
        chain.send_raw(raw)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", -32700),
        (b"3", -32600),
        (b'{"id":1,"method":"eth_mine"}', -32601),
        (b'{"id":1,"method":"eth_getBalance","params":["0x12"]}', -32602),
        (b'{"id":1,"method":"eth_getBalance","params":[]}', -32602),
        (b'{"id":1,"method":"eth_getBlockByNumber","params":["soon"]}', -32000),
        (b'{"id":1,"method":"eth_call","params":[7]}', -32602),
    ],
)
def test_bad_requests_get_a_code(chain, body, code):
    """No request ends the process."""
    assert msgspec.json.decode(LocalRpc(chain).answer(body))["error"]["code"] == code


def test_arrays_are_bounded(chain):
    """An array of calls is answered up to a limit."""
    one = {"id": 1, "method": "eth_chainId"}
    rpc = LocalRpc(chain)
    assert len(msgspec.json.decode(rpc.answer(msgspec.json.encode([one] * 3)))) == 3
    assert "error" in msgspec.json.decode(rpc.answer(msgspec.json.encode([one] * (MAX_BATCH_CALLS + 1))))


def test_reverts_carry_their_data(chain):
    """Call and estimate answer with code 3 and the revert bytes; a sent one is mined as failed."""
    address = create(chain, 0, REVERTING_CODE)
    request = {"from": OWNER, "to": address, "value": 0, "data": b""}
    with pytest.raises(CallReverted) as caught:
        chain.call(request, 1)
    assert caught.value.data == bytes.fromhex("d21fff71")
    with pytest.raises(CallReverted):
        chain.estimate_gas(request, 1)
    tx_hash = chain.send_raw(signed(1, to=address)[0])
    receipt = ask(LocalRpc(chain), "eth_getTransactionReceipt", "0x" + tx_hash.hex())["result"]
    assert (receipt["status"], receipt["logs"]) == ("0x0", [])


def test_everything_is_there_after_reopening(tmp_path):
    """Blocks, transactions with input, receipts, logs and state come from disk."""
    first = open_chain(tmp_path)
    address = create(first, 0, LOGGING_CODE)
    hashes = [first.send_raw(signed(nonce, to=address, data=b"\x01\x02")[0]) for nonce in range(1, 4)]
    asked = [("eth_getTransactionReceipt", "0x" + h.hex()) for h in hashes]
    asked += [("eth_getTransactionByHash", "0x" + hashes[0].hex()), ("eth_getBlockByNumber", "latest", True)]
    asked += [
        ("eth_getLogs", {"fromBlock": "0x0"}),
        ("eth_getBlockByNumber", "0x0"),
        ("eth_getCode", "0x" + address.hex()),
    ]
    before = [ask(LocalRpc(first), *one) for one in asked]
    first.close()
    second = open_chain(tmp_path)
    assert [ask(LocalRpc(second), *one) for one in asked] == before
    assert before[3]["result"]["input"] == "0x0102"
    second.send_raw(signed(4)[0])
    assert second.head_number == 5
    second.close()


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"fromBlock": "0x0"}, 3),
        ({"fromBlock": "0x3", "toBlock": "0x3"}, 1),
        ({"fromBlock": "0x0", "topics": [f"0x{0xAA:064x}"]}, 3),
        ({"fromBlock": "0x0", "topics": [[f"0x{0xBB:064x}", f"0x{0xAA:064x}"]]}, 3),
        ({"fromBlock": "0x0", "topics": [f"0x{0xBB:064x}"]}, 0),
        ({"fromBlock": "0x0", "topics": [None, None]}, 3),
        ({"fromBlock": "0x0", "address": "0x" + "77" * 20}, 0),
    ],
)
def test_log_filters(chain, query, count):
    """Ranges, addresses and topics as geth reads them."""
    address = create(chain, 0, LOGGING_CODE)
    for nonce in range(1, 4):
        chain.send_raw(signed(nonce, to=address)[0])
    assert len(ask(LocalRpc(chain), "eth_getLogs", query)["result"]) == count


def test_an_estimate_is_enough_and_tight(chain):
    """The estimate runs, 5 % less does not."""
    address = create(chain, 0, LOGGING_CODE)
    gas = chain.estimate_gas({"from": OWNER, "to": address, "value": 0, "data": bytes(100)}, 1)
    receipts = []
    for nonce, limit in ((1, gas), (2, gas * 95 // 100)):
        try:
            tx_hash = chain.send_raw(signed(nonce, to=address, data=bytes(100), gas=limit)[0])
        except RpcRefused:
            receipts.append("refused")
            continue
        receipts.append(ask(LocalRpc(chain), "eth_getTransactionReceipt", "0x" + tx_hash.hex())["result"]["status"])
    assert receipts[0] == "0x1"
    assert receipts[1] != "0x1"


def test_block_times_never_fall(chain):
    """Blocks of one second share it, as on rollups: the chain keeps pace with the clock."""
    chain.send_raw(signed(0)[0])
    chain.send_raw(signed(1)[0])
    times = [chain.header_by_number(number).timestamp for number in (1, 2)]
    assert times == [1_800_000_000, 1_800_000_000]


def test_tags_are_confirmations(tmp_path):
    """Safe and finalized lag by their depths and never go below genesis."""
    chain = open_chain(tmp_path, safe_depth=1, final_depth=3)
    for nonce in range(5):
        chain.send_raw(signed(nonce)[0])
    assert [chain.tagged_number(tag) for tag in ("latest", "safe", "finalized", "earliest")] == [5, 4, 2, 0]
    chain.close()


def test_genesis_is_the_same_everywhere(tmp_path):
    """Same seed and chain id, same genesis hash; accounts are funded."""
    one, two = open_chain(tmp_path / "a"), open_chain(tmp_path / "b")
    assert one.header_by_number(0).hash == two.header_by_number(0).hash
    assert one.balance(account_address(account_key(1, 11)), 0) == 10**24
    one.close()
    two.close()


def test_sigkill_keeps_every_acknowledged_block(served):
    """A block that was answered for is there after SIGKILL, and the process starts again on its port."""
    key = account_key(7, 0)
    hashes = [served.chain.send_raw(signed(nonce, key=key)[0]) for nonce in range(10)]
    before = served.chain.block(10)
    served.stop(signal.SIGKILL)
    with pytest.raises(RpcUnavailable):
        RpcChain(served.url, RpcSettings(attempts=2, backoff_s=0)).chain_id()
    served.start()
    assert served.chain.block("latest") == before
    assert [served.chain.receipt(tx_hash).block_number for tx_hash in hashes] == list(range(1, 11))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_code_0(served, number):
    """Ctrl-C leaves no process and no lock."""
    assert served.stop(number) == 0
    served.start()


def test_a_port_in_use_is_one_line(served, tmp_path):
    """The message names the port and the fix."""
    command = [
        sys.executable,
        "-m",
        "settlement.onchain.local_chain",
        "--data",
        str(tmp_path),
        "--port",
        str(served.port),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False, env=os.environ)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f":{served.port}: Address already in use; choose another --port" in done.stderr
