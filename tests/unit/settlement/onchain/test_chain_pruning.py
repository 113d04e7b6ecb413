"""A pruned chain against an unpruned twin: what is kept answers alike after any kill, older is refused."""

import shutil
import sqlite3
from random import Random

import pytest
import rlp
from eth.constants import BLANK_ROOT_HASH, EMPTY_SHA3
from trie import HexaryTrie
from trie.iter import NodeIterator

from settlement.onchain import chain_pruning
from settlement.onchain.errors import ChainDataCorrupt, HistoryPruned, RpcRefused
from settlement.onchain.funded_accounts import account_address, account_key
from settlement.onchain.local_chain import LocalChain, LocalSettings
from settlement.onchain.local_rpc import LocalRpc
from settlement.onchain.rpc import PRUNED_CODE
from tests.unit.settlement.onchain.test_local_chain import LOGGING_CODE, REVERTING_CODE, ask, create, signed

HISTORY = 8
OWNER = account_address(account_key(1, 0))
STORING_CODE = bytes.fromhex("6020356000355500")
"""SSTORE of the second word of calldata at the slot in the first."""
BLOCKHASH_CODE = bytes.fromhex("6000354060005260206000f3")
"""BLOCKHASH of the number in calldata."""
KINDS = ["transfer", "store", "store", "store", "log", "revert", "create", "refused", "empty"]
STEPS = 120


def open_chain(directory, history):
    """A chain whose clock stands still."""
    return LocalChain(directory, LocalSettings(history_blocks=history), clock=lambda: 1_800_000_000)


class Rows:
    """The rows on disk, past every cache."""

    def __init__(self, store):
        self._store = store

    def __getitem__(self, key):
        value = self._store.peek(key)
        if value is None:
            raise KeyError(key)
        return value


def whole_state(store, root):
    """Every account, storage word and code below a state root, by the trie library's own walk; KeyError at a hole."""
    rows, found = Rows(store), {}
    for address, packed in NodeIterator(HexaryTrie(rows, root)).items():
        nonce, balance, storage_root, code_hash = rlp.decode(packed)
        words = {}
        if storage_root != BLANK_ROOT_HASH:
            words = dict(NodeIterator(HexaryTrie(rows, storage_root)).items())
        found[address] = (nonce, balance, words, b"" if code_hash == EMPTY_SHA3 else rows[code_hash])
    return found


def block_answers(chain, number):
    """What JSON-RPC says about one block, its transactions, receipts and logs."""
    rpc = LocalRpc(chain)
    block = ask(rpc, "eth_getBlockByNumber", hex(number), True)
    hashes = [one["hash"] for one in block["result"]["transactions"]]
    place = {"fromBlock": hex(number), "toBlock": hex(number)}
    asked = [("eth_getLogs", place), ("eth_getBlockByHash", block["result"]["hash"])]
    asked += [(name, one) for one in hashes for name in ("eth_getTransactionByHash", "eth_getTransactionReceipt")]
    return [block, *(ask(rpc, *one) for one in asked)]


class Twins:
    """A pruned and an unpruned chain that mine the same transactions."""

    def __init__(self, root, history, seed):
        self.root, self.history, self.random = root, history, Random(seed)
        self.pruned, self.whole = open_chain(root / "0", history), open_chain(root / "whole", 0)
        self.kills, self.nonce = 0, 0
        self.contracts = [self.create(code) for code in (STORING_CODE, STORING_CODE, LOGGING_CODE, REVERTING_CODE)]

    def send(self, **fields):
        """Mine one transaction on both."""
        raw, _ = signed(self.nonce, **fields)
        self.nonce += 1
        for chain in (self.pruned, self.whole):
            chain.send_raw(raw)

    def create(self, code):
        """Deploy on both; the same address."""
        found = {create(chain, self.nonce, code) for chain in (self.pruned, self.whole)}
        self.nonce += 1
        return found.pop()

    def act(self):
        """One drawn transaction; few slots and values, so that old nodes and old roots come back."""
        kind = self.random.choice(KINDS)
        if kind == "transfer":
            self.send(to=bytes([self.random.randrange(0x40, 0x48)]) * 20)
        elif kind == "store":
            slot, value = self.random.randrange(12), self.random.randrange(3)
            self.send(to=self.contracts[self.random.randrange(2)], data=slot.to_bytes(32) + value.to_bytes(32))
        elif kind in ("log", "revert"):
            self.send(to=self.contracts[2 if kind == "log" else 3])
        elif kind == "create":
            self.create(self.random.choice([STORING_CODE, LOGGING_CODE, b"\x60\x01" * self.random.randrange(1, 4)]))
        elif kind == "empty":
            self.pruned.mine(), self.whole.mine()
        else:
            for chain in (self.pruned, self.whole):
                with pytest.raises(RpcRefused):
                    chain.send_raw(signed(self.nonce, gas=21_000, data=b"\x01")[0])

    def kill(self):
        """Go on from a copy of the files as they are now: all that SIGKILL leaves behind."""
        old, self.kills = self.root / str(self.kills), self.kills + 1
        shutil.copytree(old, self.root / str(self.kills))
        self.pruned.close()
        self.pruned = open_chain(self.root / str(self.kills), self.history)

    def check(self):
        """Horizon, head and one drawn block between are whole and the same on both."""
        first, head = self.pruned.horizon, self.pruned.head_number
        assert head == self.whole.head_number
        assert first <= max(0, head - self.history)
        for number in {first, head, self.random.randint(first, head)}:
            header = self.whole.header_by_number(number)
            assert self.pruned.header_by_number(number).hash == header.hash
            assert whole_state(self.pruned.store, header.state_root)
            assert block_answers(self.pruned, number) == block_answers(self.whole, number)

    def close(self):
        """Release both files."""
        self.pruned.close()
        self.whole.close()


@pytest.fixture
def twins(tmp_path, request):
    """Twins with a seed from the test's parameter, and slices so small that a round spans many blocks."""
    opened = Twins(tmp_path, HISTORY, getattr(request, "param", 1))
    yield opened
    opened.close()


@pytest.fixture
def old_chain(tmp_path):
    """A chain that has pruned, with a log in its first blocks and its head at 30."""
    chain = open_chain(tmp_path, HISTORY)
    address = create(chain, 0, LOGGING_CODE)
    for nonce in range(1, 30):
        chain.send_raw(signed(nonce, to=address)[0])
    yield chain
    chain.close()


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        ("eth_getBlockByNumber", ["0x1"]),
        ("eth_getBalance", ["0x" + OWNER.hex(), "0x1"]),
        ("eth_getBalance", ["0x" + OWNER.hex(), "0x0"]),
        ("eth_getTransactionCount", ["0x" + OWNER.hex(), "0x1"]),
        ("eth_getCode", ["0x" + OWNER.hex(), "0x1"]),
        ("eth_getStorageAt", ["0x" + OWNER.hex(), "0x0", "0x1"]),
        ("eth_call", [{"to": "0x" + OWNER.hex()}, "0x1"]),
        ("eth_estimateGas", [{"to": "0x" + OWNER.hex()}, "0x1"]),
        ("eth_getLogs", [{"fromBlock": "0x0"}]),
        ("eth_getLogs", [{"fromBlock": "0x1", "toBlock": "0x2"}]),
    ],
)
def test_pruned_blocks_are_refused_by_name(old_chain, method, parameters):
    """One code and one line that says what is kept; never an answer that lacks something."""
    error = ask(LocalRpc(old_chain), method, *parameters)["error"]
    assert error["code"] == PRUNED_CODE
    kept = f"keeps its last {old_chain.head_number + 1 - old_chain.horizon} blocks, from {old_chain.horizon} on"
    assert error["message"].endswith(f"is pruned: this chain {kept}")


def test_hashes_of_pruned_blocks_are_unknown(tmp_path):
    """A hash gives null, as on every node that does not hold it."""
    chain = open_chain(tmp_path, HISTORY)
    sent = [chain.send_raw(signed(nonce)[0]) for nonce in range(40)]
    rpc = LocalRpc(chain)
    found = [ask(rpc, "eth_getTransactionByHash", "0x" + one.hex())["result"] for one in sent]
    receipts = [ask(rpc, "eth_getTransactionReceipt", "0x" + one.hex())["result"] for one in sent]
    wanted = [number >= chain.horizon for number in range(1, 41)]
    assert [one is not None for one in found] == [one is not None for one in receipts] == wanted
    assert False in wanted
    chain.close()


def test_genesis_and_the_earliest_tag_answer(old_chain):
    """Genesis tells chains apart for ever; earliest is the oldest whole block, for whoever reads logs."""
    rpc = LocalRpc(old_chain)
    assert ask(rpc, "eth_getBlockByNumber", "0x0")["result"]["number"] == "0x0"
    assert ask(rpc, "eth_getBlockByNumber", "earliest")["result"]["number"] == hex(old_chain.horizon)
    logs = ask(rpc, "eth_getLogs", {"fromBlock": "earliest"})["result"]
    assert [int(log["blockNumber"], 16) for log in logs] == list(range(old_chain.horizon, 31))
    oldest = ask(rpc, "eth_feeHistory", "0x400", "latest")["result"]["oldestBlock"]
    assert oldest == hex(old_chain.horizon)


def test_a_hole_in_the_file_stops_the_chain(tmp_path):
    """A lost trie node that no transaction touches is found by the walk; the line names the fix."""
    chain = open_chain(tmp_path, HISTORY)
    create(chain, 0, LOGGING_CODE)
    code_row = chain.store._sql.execute("SELECT key FROM kv WHERE value = ?", (LOGGING_CODE,)).fetchone()[0]
    chain.store._sql.execute("DELETE FROM kv WHERE key = ?", (code_row,))
    for _ in range(HISTORY + 1):
        chain.mine()
    with pytest.raises(ChainDataCorrupt, match=r"lacks row [0-9a-f]{64}.*offbook reset"):
        chain.mine()
    chain.close()


@pytest.mark.parametrize("twins", [1, 2, 3], indirect=True)
def test_kept_blocks_are_whole_after_any_kill(twins, monkeypatch):
    """Old values, old roots and equal contracts come and go; every kept block answers like the unpruned twin."""
    monkeypatch.setattr(chain_pruning, "_NODES_PER_SLICE", 3)
    monkeypatch.setattr(chain_pruning, "_ROWS_PER_SLICE", 5)
    horizons = set()
    for _ in range(STEPS):
        twins.act()
        if twins.random.random() < 0.05:
            twins.kill()
        twins.check()
        horizons.add(twins.pruned.horizon)
    assert twins.kills > 0
    assert len(horizons) > 5
    for _ in range(100):
        twins.pruned.mine()
    headers_apart = [one.store.count_rows()[0] - 2 * one.head_number for one in (twins.pruned, twins.whole)]
    assert headers_apart[0] < headers_apart[1] / 2


def test_a_call_at_the_horizon_reaches_its_block_hashes(tmp_path):
    """BLOCKHASH looks back 256 blocks; the headers that a kept state may ask for stay."""
    twins = Twins(tmp_path, HISTORY, 1)
    target = twins.create(BLOCKHASH_CODE)
    while twins.pruned.head_number < 300:
        twins.pruned.mine(), twins.whole.mine()
    horizon = twins.pruned.horizon
    assert horizon > 270
    for number in (horizon, horizon - 200, horizon - 255):
        request = {"from": OWNER, "to": target, "value": 0, "data": number.to_bytes(32)}
        answers = [chain.call(request, horizon) for chain in (twins.pruned, twins.whole)]
        assert answers[0] == answers[1] != bytes(32)
    twins.close()


def test_rows_and_file_stop_growing(tmp_path):
    """After the first rounds hundreds of blocks add neither rows nor logs nor pages."""
    chain = open_chain(tmp_path, HISTORY)
    address = create(chain, 0, STORING_CODE)
    logging = create(chain, 1, LOGGING_CODE)
    sizes = []
    for nonce in range(2, 402):
        words = (nonce % 50).to_bytes(32) + (nonce % 7).to_bytes(32)
        chain.send_raw(signed(nonce, to=logging if nonce % 4 == 0 else address, data=words)[0])
        sizes.append((*chain.store.count_rows(), (tmp_path / "chain.sqlite").stat().st_size))
    early, late = ([max(column) for column in zip(*part, strict=True)] for part in (sizes[200:300], sizes[300:]))
    assert late[0] <= 1.05 * early[0]
    assert late[1] <= 1.2 * early[1]
    assert late[2] <= 1.05 * early[2]
    assert late[0] < 4_000
    assert (tmp_path / "chain.sqlite-wal").stat().st_size <= 16 << 20
    chain.close()


def test_zero_keeps_everything(tmp_path):
    """History 0 is a chain that never prunes."""
    chain = open_chain(tmp_path, 0)
    for nonce in range(60):
        chain.send_raw(signed(nonce)[0])
    assert chain.horizon == 0
    assert chain.balance(OWNER, 0) == 10**24
    chain.close()


def test_tags_stay_above_the_horizon(tmp_path):
    """A deep `finalized` keeps its blocks, whatever the history says."""
    settings = LocalSettings(history_blocks=2, final_depth=20)
    chain = LocalChain(tmp_path, settings, clock=lambda: 1_800_000_000)
    for nonce in range(50):
        chain.send_raw(signed(nonce)[0])
        assert chain.balance(OWNER, chain.tagged_number("finalized")) > 0
    assert chain.horizon > 10
    chain.close()


def test_a_file_from_before_pruning_is_continued(tmp_path):
    """Its rows count as of its newest block: its kept blocks stay whole, later they go."""
    chain = open_chain(tmp_path, 0)
    for nonce in range(12):
        chain.send_raw(signed(nonce)[0])
    chain.close()
    with sqlite3.connect(tmp_path / "chain.sqlite") as sql:
        sql.execute("ALTER TABLE kv DROP COLUMN written")
    sql.close()
    chain = open_chain(tmp_path, HISTORY)
    for nonce in range(12, 60):
        chain.send_raw(signed(nonce)[0])
        whole_state(chain.store, chain.header_by_number(chain.horizon).state_root)
        assert block_answers(chain, chain.horizon)[0]["result"]["transactions"] or chain.horizon == 0
    old = chain.store._sql.execute("SELECT count(*) FROM kv WHERE written <= 12").fetchone()[0]
    assert chain.horizon > 20
    assert old < 60
    with pytest.raises(HistoryPruned):
        chain.balance(OWNER, 12)
    chain.close()
