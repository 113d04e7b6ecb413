"""The exit drill: trade, delete everything that the operator has, and see that everybody gets what the books owe him.

The escape runs twice, on two copies of the chain, in a process that starts in an empty directory and gets RPC URL and
contract address; the second time it serves the accounts in another order. What it pays is compared with the engine's
books, which were read before they were deleted.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from exchange.app.drill_chain import PACKAGE_ROOT, DrillChain
from exchange.app.drill_market import START_S, DrillMarket
from exchange.app.failures import Failure
from settlement.escape import calls
from settlement.escape.leaving import amount_of
from settlement.onchain.chain import Chain, Log
from settlement.onchain.contract import SettlementReader
from settlement.onchain.errors import CallReverted
from settlement.onchain.rpc import RpcChain
from settlement.protocol.keccak import keccak256

__all__ = ["DrillPlan", "run_drill"]

_LEAST, _MOST = 4, 100
_FIRST: Final = 2
_ROUNDS: Final = 3
_WITHDRAWN_E6: Final = 1_000 * 10**6
_STRANDED_E6: Final = 500 * 10**6
_PAID: Final = keccak256(b"EscapePaid(uint32,address,uint256)")
_REFUNDED: Final = keccak256(b"EscapeRefunded(uint64,uint32,address,uint64)")
_CLAIMED: Final = keccak256(b"Claimed(uint64,uint32,address,uint64)")
_GAS_OF: Final = {
    "freeze (second call)": keccak256(b"Frozen(address)"),
    "loadMarks": keccak256(b"MarksLoaded(uint64,uint40)"),
    "escapeClaim": keccak256(b"EscapeClaimed(uint32,uint256,bool)"),
    "escapePay": _PAID,
    "escapeRefund": _REFUNDED,
}
_UNTIL: Final = re.compile(r"\(unix (\d+)\) on")

Say = Callable[[str], None]


class DrillPlan(NamedTuple):
    """How many accounts trade, whether one is ruined, and what is drawn."""

    accounts: int
    is_bankrupt: bool
    seed: int


class _Exit(NamedTuple):
    """What left the contract: claims by account, deposits and withdrawals in all, and what the contract says of it."""

    paid_e6: dict[int, int]
    returned_e6: int
    withdrawn_e6: int
    state: calls.EscapeState
    gas: dict[str, tuple[int, int]]
    """Least and most of each kind of call."""


def run_drill(plan: DrillPlan, say: Say) -> int:
    """Run it; 0 when everybody got what was owed. Raises Failure with what differs."""
    if not _LEAST <= plan.accounts <= _MOST:
        raise Failure(f"drill: {_LEAST} to {_MOST} accounts, not {plan.accounts}")
    with tempfile.TemporaryDirectory(prefix="offbook-drill-") as name:
        folder = Path(name)
        contract, owed_e6, now_s = _trade(plan, folder, say)
        shutil.copytree(folder / "one", folder / "two")
        first = _escape(plan, folder / "one", contract, now_s, say)
        _check(first, owed_e6, say)
        if plan.is_bankrupt and first.state.total_claims_e6 <= first.state.assets_e6:
            raise Failure("drill: nobody's ruin was larger than funds and bond")
        again = _escape(plan, folder / "two", contract, now_s, lambda _: None, order=plan.seed)
        if first.paid_e6 != again.paid_e6:
            raise Failure("drill: claims in another order were paid otherwise")
        say("claims in another order, on a copy of the chain: everybody was paid the same")
    return 0


def _trade(plan: DrillPlan, folder: Path, say: Say) -> tuple[bytes, dict[int, int], int]:
    """Run the exchange, then delete it. Returns the contract, what its books owe each account, and the chain's time."""
    chain = DrillChain(folder / "one", plan.seed, START_S)
    try:
        market = DrillMarket(chain, folder / "operator", plan.seed, plan.accounts)
        market.withdraw(_FIRST + 1, _WITHDRAWN_E6)
        market.trade_at_random(_ROUNDS)
        if plan.is_bankrupt:
            market.ruin(_FIRST)
        market.deposit(_FIRST + 2, _STRANDED_E6)
        owed_e6 = market.owed_e6()
        market.close()
        say(
            f"{plan.accounts} accounts, {market.fills} fills in {market.batches} batches, "
            f"{market.open_positions()} positions open; {amount_of(_STRANDED_E6)} wait in the queue"
        )
        contract = market.deployment.settlement
    finally:
        chain.stop()
    files = sum(path.is_file() for path in (folder / "operator").rglob("*"))
    shutil.rmtree(folder / "operator")
    say(f"the operator is gone: {files} files deleted, what is left is a chain and the address 0x{contract.hex()}")
    return contract, owed_e6, chain.now_s


def _escape(plan: DrillPlan, folder: Path, contract: bytes, now_s: int, say: Say, *, order: int | None = None) -> _Exit:
    chain = DrillChain(folder, plan.seed, now_s)
    try:
        _run_escape(chain, contract, plan.seed, folder / "empty", say, order)
        rpc = RpcChain(chain.url)
        _check_double_exit(rpc, contract, say)
        return _result(rpc, contract)
    finally:
        chain.stop()


def _run_escape(chain: DrillChain, contract: bytes, seed: int, empty: Path, say: Say, order: int | None) -> None:
    """The command in an empty directory, without environment. Where it waits, the chain's clock jumps."""
    empty.mkdir()
    command = [
        sys.executable,
        "-m",
        "exchange.cli.main",
        "escape",
        "--rpc",
        chain.url,
        "--contract",
        "0x" + contract.hex(),
    ]
    command += ["--wait", "--poll", "0.1", "--seed", str(seed), *([] if order is None else ["--order", str(order)])]
    last = ""
    with subprocess.Popen(  # noqa: S603 - our own module
        command,
        cwd=empty,
        env={"PYTHONPATH": PACKAGE_ROOT},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        for line in process.stdout or ():
            last = line.rstrip()
            say(f"  {last}")
            if (until := _UNTIL.search(line)) is not None:
                chain.advance(int(until[1]))
    if process.returncode:
        raise Failure(f"drill: the escape ended with {process.returncode}: {last}")


def _result(rpc: Chain, contract: bytes) -> _Exit:
    head = rpc.block("latest")
    logs = rpc.logs(contract, [], 0, 0 if head is None else head.number)
    paid = {int.from_bytes(log.topics[1], "big"): _amount(log.data) for log in logs if log.topics[0] == _PAID}
    returned, withdrawn = (
        sum(_amount(log.data) for log in logs if log.topics[0] == kind) for kind in (_REFUNDED, _CLAIMED)
    )
    return _Exit(paid, returned, withdrawn, calls.read_state(SettlementReader(rpc, contract)), _gas_of(rpc, logs))


def _gas_of(rpc: Chain, logs: Sequence[Log]) -> dict[str, tuple[int, int]]:
    gas: dict[str, tuple[int, int]] = {}
    for name, kind in _GAS_OF.items():
        receipts = [rpc.receipt(log.tx_hash) for log in logs if log.topics[0] == kind]
        used = [receipt.gas_used for receipt in receipts if receipt is not None]
        gas[name] = (min(used), max(used))
    return gas


def _amount(data: bytes) -> int:
    return int.from_bytes(data[32:64], "big")


def _check(left: _Exit, owed_e6: dict[int, int], say: Say) -> None:
    """What each account got against the engine's books: whole, or the same share of it for all."""
    claims = {index: amount for index, amount in owed_e6.items() if index >= _FIRST and amount > 0}
    total, assets, paid = sum(claims.values()), left.state.assets_e6, sum(left.paid_e6.values())
    share = (1, 1) if total <= assets else (assets, total)
    expected = {index: amount * share[0] // share[1] for index, amount in claims.items()}
    if left.paid_e6 != expected or left.state.total_claims_e6 != total or left.state.paid_e6 != paid:
        wrong = sorted(index for index in {*expected, *left.paid_e6} if expected.get(index) != left.paid_e6.get(index))
        raise Failure(f"drill: accounts {wrong} did not get what the books owe them; owed {total}, paid {paid}")
    if (left.returned_e6, left.withdrawn_e6) != (_STRANDED_E6, _WITHDRAWN_E6) or paid > assets:
        raise Failure(
            f"drill: deposits back {left.returned_e6}, withdrawn {left.withdrawn_e6}, paid {paid} of {assets}"
        )
    bankrupt = -sum(amount for index, amount in owed_e6.items() if index >= _FIRST and amount < 0)
    say(f"owed by the books {amount_of(total)} to {len(claims)} accounts, debts of bankrupt ones {amount_of(bankrupt)}")
    if share == (1, 1):
        say(f"sum paid {amount_of(paid)} = sum owed, to the unit for every account")
    else:
        share_ppm = assets * 10**6 // total
        share_text = f"{share_ppm // 10**4}.{share_ppm % 10**4:04d} %"
        say(f"sum paid {amount_of(paid)}: assets {amount_of(assets)} pro rata, {share_text} for all")
    say("gas: " + ", ".join(f"{name} {low:,} to {high:,}" for name, (low, high) in left.gas.items()))
    say(f"deposits given back {amount_of(left.returned_e6)}, final withdrawals paid {amount_of(left.withdrawn_e6)}")


def _check_double_exit(rpc: Chain, contract: bytes, say: Say) -> None:
    """The contract refuses to register or to pay an account again."""
    refusals = (
        (calls.claim(_FIRST + 1, bytes(36), bytes(640)), "AlreadyClaimed()"),
        (calls.pay(_FIRST + 1), "NothingThere()"),
    )
    for calldata, error in refusals:
        try:
            rpc.call(contract, calldata)
        except CallReverted as refusal:
            if calls.is_refusal(refusal.data, error):
                continue
        raise Failure(f"drill: a second exit was not refused with {error}")
    say("a second exit is refused: AlreadyClaimed, NothingThere")
