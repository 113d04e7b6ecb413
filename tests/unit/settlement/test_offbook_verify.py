"""`offbook-verify` on real chains: an honest operator, one who posts wrong roots, one whose roots hide a forgery."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from exchange.domain.rounds import FundingRow, OracleRound, SettlementRow
from settlement import offbook_verify
from settlement.offbook_verify import CannotCheckError, Rpc, Verifier, main, verify
from settlement.onchain.claims import SettlementUser, mint_and_deposit
from settlement.onchain.contract import PostCall, encode_post
from settlement.onchain.deploy import DeploymentSettings
from settlement.onchain.funded_accounts import DEPLOYER_INDEX, OPERATOR_INDEX, account_key
from settlement.onchain.rpc import RpcChain
from settlement.onchain.wallet import Wallet
from settlement.protocol.batch import Batch, BatchInput, build_batch
from settlement.protocol.ledger import LedgerState
from settlement.protocol.transition import ChainRequest, RequestKind
from tests.e2e.test_disputes import forged, lie, reverted, watcher_of
from tests.fakes.settled_market import SettledMarket
from tests.unit.exchange.engine.world import CALL, EXPIRY_S, PERP, SECOND_NS
from tests.unit.settlement.onchain.conftest import SEED, deploy, node  # noqa: F401 - fixtures

MOST_LINES = 400
SOURCE = Path(offbook_verify.__file__)
ACCOUNTS = (2, 3, 4)
OWNER = 1
E6 = 10**6


def test_it_is_one_readable_file_that_needs_nothing_of_ours() -> None:
    """At most 400 lines; the standard library and a hash."""
    text = SOURCE.read_text()
    assert len(text.splitlines()) <= MOST_LINES
    tree = ast.parse(text)
    names = {alias.name for row in ast.walk(tree) if isinstance(row, ast.Import) for alias in row.names}
    names |= {row.module or "" for row in ast.walk(tree) if isinstance(row, ast.ImportFrom)}
    assert {name.split(".")[0] for name in names} - sys.stdlib_module_names == {"sha3"}


class Poster:
    """An operator by hand: batches of requests, posted as they are or otherwise."""

    def __init__(self, chain: RpcChain) -> None:
        self.chain = chain
        self.deployment = deploy(chain)
        self.ledger = LedgerState()
        self._wallet = Wallet(chain, account_key(SEED, OPERATOR_INDEX))
        self._requests: list[ChainRequest] = []
        self._done = 0

    @property
    def owner(self) -> SettlementUser:
        """Who deposits and withdraws."""
        return SettlementUser(self.chain, self.deployment, account_key(SEED, OWNER))

    def deposit(self, amount_e6: int) -> None:
        """Open account 2, or add to it."""
        minter, owner = account_key(SEED, DEPLOYER_INDEX), account_key(SEED, OWNER)
        account = 0 if self._done == 0 else 2
        queued = mint_and_deposit(
            self.chain, self.deployment, minter, owner, amount_e6, *([account] if account else [])
        )
        self._note(RequestKind.DEPOSIT, queued.index, amount_e6)

    def withdraw(self, amount_e6: int) -> None:
        """Ask for money of account 2."""
        self._note(RequestKind.WITHDRAW, self.owner.request_withdraw(2, amount_e6).index, amount_e6)

    def _note(self, kind: RequestKind, index: int, amount_e6: int) -> None:
        row = ChainRequest(index=index, kind=kind, account=2, amount_e6=amount_e6, owner=self.owner.address)
        self._requests.append(row)
        self._done = index

    def batch(self, *approvals_e6: int) -> Batch:
        """The next batch, of every request that waits."""
        block = self.chain.block("latest")
        assert block is not None
        requests, self._requests = self._requests, []
        return build_batch(
            self.ledger,
            BatchInput(
                seq=self.ledger.seq + 1,
                match_from_s=block.timestamp_s,
                match_to_s=block.timestamp_s,
                fills=[],
                order_fills=[],
                requests=requests,
                approvals_e6=list(approvals_e6),
                request_up_to=self._done,
                fee_e6=0,
                touched=[2],
            ),
        )

    def post(self, batch: Batch, new_root: bytes | None = None) -> None:
        """Put it on chain."""
        call = PostCall(
            seq=batch.seq,
            new_root=new_root or batch.new_root,
            orders_root=batch.orders_root,
            h=batch.h,
            data=batch.data,
        )
        self._wallet.send(self.deployment.settlement, encode_post(call))

    def verify(self, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
        """Run the command as users do; code and output."""
        address = "0x" + self.deployment.settlement.hex()
        code = main(["--rpc", self.chain.url, "--contract", address, *words])
        return code, capsys.readouterr().out


def test_honest_batches_on_a_real_chain(node: RpcChain, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    """Deposits and a withdrawal: every verdict, the totals, and a balance by index and by subaccount id."""
    poster = Poster(node)
    poster.deposit(100 * E6)
    poster.post(poster.batch())
    poster.withdraw(30 * E6)
    poster.deposit(17 * E6)
    poster.post(poster.batch(30 * E6))
    code, output = poster.verify(capsys, "--account", "2")
    assert code == 0, output
    assert output.count("  right  ") == 2
    held = f"cash {poster.ledger.account(2).cash_e6 // E6}.000000 USDC"
    assert held in output
    assert "owner 0x" + poster.owner.address.hex() in output
    assert "2 batches stand, all is right" in output
    assert "(F2)" in output
    by_id = str(poster.deployment.subaccount_base + 2)
    assert held in poster.verify(capsys, "--account", by_id)[1]


def test_a_wrong_root_on_a_real_chain(node: RpcChain, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    """Named with both roots; what stands on it is not called right, and the balance is that before it."""
    poster = Poster(node)
    poster.deposit(100 * E6)
    poster.post(poster.batch())
    before = poster.ledger.account(2).cash_e6
    poster.deposit(20 * E6)
    poster.post(poster.batch(), new_root=b"\x66" * 32)
    poster.post(poster.batch())
    code, output = poster.verify(capsys, "--account", "2")
    assert code == 1
    verdicts = [line.split()[2] for line in output.splitlines() if line.startswith("batch")]
    assert verdicts == ["right", "WRONG", "unchecked"]
    assert "it says 0x6666" in output
    assert f"cash {before // E6}.000000 USDC" in output
    assert "NOT ALL IS RIGHT" in output


def test_without_node_or_contract_nothing_is_claimed(node: RpcChain, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    """Code 3 and one line."""
    assert main(["--rpc", node.url, "--contract", "0x" + "11" * 20]) == 3
    assert "no settlement contract answers" in capsys.readouterr().err
    assert main(["--rpc", "http://127.0.0.1:9", "--contract", "0x" + "11" * 20]) == 3
    assert "does not answer eth_blockNumber" in capsys.readouterr().err


def test_a_copy_of_the_file_runs_alone(tmp_path: Path) -> None:
    """In an empty folder, with nothing of ours to import."""
    copy = tmp_path / "offbook_verify.py"
    copy.write_text(SOURCE.read_text())
    line = [sys.executable, str(copy), "--rpc", "http://127.0.0.1:9", "--contract", "0x" + "11" * 20]
    done = subprocess.run(line, capture_output=True, text=True, cwd=tmp_path, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (3, "")
    assert "does not answer" in done.stderr


@pytest.fixture
def market(tmp_path: Path) -> Iterator[SettledMarket]:
    """Three funded accounts of the real exchange, their deposits posted."""
    market = SettledMarket(tmp_path, DeploymentSettings(finality_window_s=600, answer_window_s=60))
    for account in ACCOUNTS:
        market.fund(account)
    market.take_requests()
    market.settle()
    yield market
    market.close()


class InProcess(Rpc):
    """The node of a market in this process; `lost` are methods that it does not serve."""

    chain: Any = None
    lost: tuple[str, ...] = ()

    def ask(self, method: str, *params: object) -> Any:
        """Answer like the server."""
        if method in type(self).lost:
            raise CannotCheckError(f"{method}: pruned")
        return type(self).chain._request(method, list(params))


def read(market: SettledMarket, lost: tuple[str, ...] = ()) -> tuple[int, list[str], Verifier]:
    """Code, output and the verifier's accounts."""
    node_ = type("Node", (InProcess,), {"chain": market.chain, "lost": lost})
    rpc = node_("", "0x" + market.deployment.settlement.hex())
    lines: list[str] = []
    code = verify(rpc, 2, 0, lines.append)
    verifier = Verifier(rpc)
    for log in rpc.ask("eth_getLogs", {"address": rpc.contract, "fromBlock": "0x0", "toBlock": "latest"}):
        verifier.take(log)
    return code, lines, verifier


def test_funding_and_expiry_of_an_exchange_are_derived(market: SettledMarket) -> None:
    """Trades, quotes, two rounds of funding, an option that ends: every account is that of the settler's ledger."""
    market.trade(2, 3, 600_000, 100, PERP)
    market.trade(4, 2, 1_500, 2, CALL)
    market.quote(4, (CALL, 1_400, 5, 1_600, 5))
    market.prices()
    market.run(OracleRound(round=1, funding=(FundingRow(PERP, 28_800_000),)))
    market.run(OracleRound(round=2), after_ns=9 * SECOND_NS)
    market.trade(2, 4, 600_000, 1, PERP)
    market.settle()
    market.clock(EXPIRY_S - market.now_ns // SECOND_NS + 1)
    market.run(OracleRound(round=3, settlements=(SettlementRow("BTC", EXPIRY_S, 70_123 * 10**9),)))
    market.settle()
    code, lines, verifier = read(market)
    assert code == 0, lines
    assert len(verifier.batches) == market.contract.head() == 4
    assert {index: tuple(row) for index, row in verifier.rows.items() if row.leaf() != bytes(32)} == {
        index: (row.owner, row.cash_e6, dict(row.positions)) for index, row in market.ledger.accounts.items()
    }
    assert any(f"perpetual {PERP}: +101 lots" in line for line in lines)


def test_a_reverted_batch_is_undone(market: SettledMarket) -> None:
    """The watcher's proof takes a wrong batch away: what stands is right, and the verdict stays in the list."""
    watcher = watcher_of(market, [])
    market.trade(2, 3, 600_000, 10, PERP)
    market.run_cut()
    (batch,) = market.build()
    market.side.store([replace(batch, new_root=b"\x66" * 32)], 0)
    market.work()
    code, lines, _ = read(market)
    assert code == 1
    watcher.step()
    watcher.step()
    assert reverted(market) == [batch.seq]
    code, lines, verifier = read(market)
    assert code == 0, lines
    assert [line.split()[2:4] for line in lines if line.startswith(f"batch      {batch.seq}")] == [
        ["WRONG", "reverted"]
    ]
    assert verifier.live[-1].seq == batch.seq - 1


def test_a_forged_fill_with_a_right_root_is_said_to_be_unchecked(market: SettledMarket) -> None:
    """It follows from its data: only its owners can ask for the orders, and the output says so plainly."""
    lie(market, forged(market))
    code, lines, _ = read(market)
    assert code == 0
    assert "that owners signed the orders behind the deltas (F2)" in lines[-1]


@pytest.mark.parametrize("lost", ["eth_getTransactionByHash", "eth_getBlockByNumber"])
def test_what_the_node_does_not_serve_is_not_called_right(market: SettledMarket, lost: str) -> None:
    """Code 3, and the reason stands at the batch."""
    market.trade(2, 3, 600_000, 10, PERP)
    market.settle()
    code, lines, verifier = read(market, (lost,))
    assert code == 3
    assert {batch.verdict for batch in verifier.batches} == {"unchecked"}
    assert any("pruned" in line for line in lines)
