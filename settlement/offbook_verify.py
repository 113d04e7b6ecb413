"""offbook-verify: is what an Offbook operator posted on chain right? One file; it needs an RPC URL and an address.

It reads the settlement contract's logs and the calldata behind them, does every batch again from the first one, and
compares: form and sums of the data, state root, hash chain, cash and collateral. Nothing of the operator is asked or
trusted, and nothing of Offbook is imported: copy the file, read it, run it (Python 3.11, `pip install safe-pysha3`).
Exit codes: 0 every batch that stands is right, 1 one is wrong, 2 wrong usage, 3 something could not be checked.

The state is a tree of 2^20 accounts. A leaf is keccak(owner 20 | cash int128 | positions), positions ascending by
instrument: id u32 | lots int64, and behind a perpetual (bit 31 of its id set) its funding index int64. Account 0 is the
venue's fund, account 1 the other side of funding and expiry. Cash is in 1e-6 USDC.
"""

import argparse
import json
import sys
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

from sha3 import keccak_256

__all__ = ["Account", "CannotCheckError", "Rpc", "Verifier", "WrongError", "main", "verify"]

DEPOSIT, WITHDRAW, CLOSE_ALL, FUND, CLEARING = 1, 2, 3, 0, 1
LEVELS, PERPETUAL, MOST_POSITIONS, MILLION, BLOCKS_AT_ONCE = 20, 1 << 31, 128, 10**6, 1_000
UNCHECKED = """not checked, for the chain alone does not tell, or only a dispute does:
  - that owners signed the orders behind the deltas (F2): the operator must show them when challenged
  - that the prices of a round are true (F4), margin floors hold (F3), no solvent withdrawal was refused (F5)
  - that the node tells the truth: ask one that you trust, or several"""


class WrongError(Exception):
    """The batch breaks a rule, or its data leads to another state than it says."""


class CannotCheckError(Exception):
    """What a verdict needs is not to be had; that says nothing against the operator."""


def keccak(data: bytes) -> bytes:
    """Ethereum's hash."""
    return bytes(keccak_256(data).digest())


EVENTS = {
    keccak(b"Requested(uint64,uint32,uint8,uint64,address)"): "Requested",
    keccak(b"OraclePosted(uint64,uint40,bytes32)"): "OraclePosted",
    keccak(b"BatchPosted(uint64,bytes32,bytes32,bytes32,uint256)"): "BatchPosted",
    keccak(b"BatchReverted(uint64,uint64,uint16)"): "BatchReverted",
    keccak(b"Finalized(uint64,uint64,uint96)"): "Finalized",
}


def number(data: bytes, at: int, size: int) -> int:
    """Unsigned, big endian."""
    return int.from_bytes(data[at : at + size], "big")


class Rpc(NamedTuple):
    """JSON-RPC of one node, and the one contract that is asked about."""

    url: str
    contract: str

    def ask(self, method: str, *params: object) -> Any:
        """Result of a call. Raises CannotCheckError when the node refuses or does not answer."""
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        request = urllib.request.Request(self.url, body, {"Content-Type": "application/json"})  # noqa: S310 - user's
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:  # noqa: S310 - as above
                answer = json.load(reply)
        except (OSError, ValueError) as error:
            raise CannotCheckError(f"{self.url} does not answer {method}: {error}") from error
        if "error" in answer:
            raise CannotCheckError(f"{method}: {answer['error'].get('message', answer['error'])}")
        return answer["result"]

    def view(self, signature: str, *arguments: int) -> int:
        """Word that a view returns for numbers as arguments."""
        data = keccak(signature.encode())[:4] + b"".join(value.to_bytes(32, "big") for value in arguments)
        found = self.ask("eth_call", {"to": self.contract, "data": "0x" + data.hex()}, "latest")
        if len(found) < 66:
            raise CannotCheckError(f"no settlement contract answers {signature} at {self.contract}")
        return int(found[:66], 16)

    def argument(self, tx_hash: str, place: int) -> tuple[bytes, bytes]:
        """Selector of a transaction's call and the `bytes` argument at `place`; nothing without the transaction."""
        call = bytes.fromhex((self.ask("eth_getTransactionByHash", tx_hash) or {"input": "0x"})["input"][2:])
        at = 4 + number(call, 4 + 32 * place, 32)
        return call[:4], call[at + 32 : at + 32 + number(call, at, 32)]


class Account(NamedTuple):
    """Owner, cash, instrument -> (lots, funding index in 1e-12 USDC per lot)."""

    owner: bytes = bytes(20)
    cash: int = 0
    positions: Mapping[int, tuple[int, int]] = {}

    def leaf(self) -> bytes:
        """Hash in the tree: zeros for an account that nobody ever opened. Raises WrongError outside the format."""
        if not (any(self.owner) or self.cash or self.positions):
            return bytes(32)
        if len(self.positions) > MOST_POSITIONS:
            raise WrongError("an account has more positions than a leaf holds")
        try:
            raw = self.owner + self.cash.to_bytes(16, "big", signed=True)
            for instrument, (lots, index) in sorted(self.positions.items()):
                raw += instrument.to_bytes(4, "big") + lots.to_bytes(8, "big", signed=True)
                raw += index.to_bytes(8, "big", signed=True) if instrument >= PERPETUAL else b""
        except OverflowError as error:
            raise WrongError("an account leaves the ranges of its leaf") from error
        return keccak(raw)


def root_of(rows: Mapping[int, Account]) -> bytes:
    """Root of the tree of all accounts, from the leaves up; what is empty on a level hashes as `empty`."""
    level, empty = {index: account.leaf() for index, account in rows.items()}, bytes(32)
    for _ in range(LEVELS):
        level = {at // 2: keccak(level.get(at & ~1, empty) + level.get(at | 1, empty)) for at in level}
        empty = keccak(empty * 2)
    return level.get(0, empty)


Request = tuple[int, int, int, bytes]  # of the contract's queue: account, kind, amount, owner of the account
Row = tuple[int, int, bool]  # of a round: mark per lot (1e-12 USDC where it ends), funding index, whether it ends
# posted: cash by account, lots by account and instrument, approved amounts of withdrawals in order
Deltas = tuple[dict[int, int], dict[int, dict[int, int]], list[int]]


def read_round(vector: bytes) -> dict[int, Row]:
    """Counts of options, perpetuals, prices, expiries (u16 each), then their rows; prices are not needed here."""
    options, perpetuals, rows, at = number(vector, 0, 2), number(vector, 2, 2), {}, 8
    for place in range(options + perpetuals):
        size = 13 if place < options else 21
        mark, index = number(vector, at + 4, 8), int.from_bytes(vector[at + 13 : at + size], "big", signed=True)
        rows[number(vector, at, 4)] = (mark, index, vector[at + 12] == 1)
        at += size
    return rows


def unzigzag(code: int) -> int:
    """Inverse of v >= 0 ? 2v : -2v - 1."""
    return -(code >> 1) - 1 if code & 1 else code >> 1


def read_data(data: bytes, withdrawals: int, fee: int) -> Deltas:
    """Read packed data and check its form and sums. Raises WrongError; a batch has one encoding."""
    at = 3

    def take(size: int, count: int) -> list[int]:
        nonlocal at
        at += size * count
        return [number(data, place, size) for place in range(at - size * count, at, size)]

    cash = {head >> 64: unzigzag(head & (1 << 64) - 1) for head in take(12, number(data, 1, 2))}
    listed, instruments = list(cash), []
    lots: dict[int, dict[int, int]] = {index: {} for index in cash}
    for _ in range(data[0]):
        head = take(8, 1)[0]
        instruments.append(head >> 32)
        cells = read_cells(take(4, head >> 16 & 0xFFFF), take(8, head & 0xFFFF))
        if not cells or max(cells) >= len(listed) or sum(cells.values()) != 0:
            raise WrongError(f"instrument {head >> 32} moves nobody, or who is not listed, or does not sum to zero")
        for local, moved in cells.items():
            lots[listed[local]][head >> 32] = moved
    approved = take(8, withdrawals)
    ascends = [1, *listed] == sorted({1, *listed}) and [0, *instruments] == sorted({0, *instruments})
    if at != len(data) or len(listed) != number(data, 1, 2) or not ascends:
        raise WrongError("the data is not as long as its counts say, or does not ascend")
    if sum(cash.values()) != -fee:
        raise WrongError("cash does not sum to the fee: money was made or lost")
    return cash, lots, approved


def read_cells(short: list[int], long: list[int]) -> dict[int, int]:
    """Lots by place of the account, from entries of 10 + 22 and 16 + 48 bits, padded to eights and fours by zeros."""
    codes = {word >> 22: word & (1 << 22) - 1 for word in short if word}
    codes |= {word >> 48: word & (1 << 48) - 1 for word in long if word}
    narrow = [local << 22 | code for local, code in sorted(codes.items()) if 0 < code < 1 << 22]
    wide = [local << 48 | code for local, code in sorted(codes.items()) if code >= 1 << 22]
    if short != narrow + [0] * (-len(narrow) % 8) or long != wide + [0] * (-len(wide) % 4):
        raise WrongError("entries of an instrument are not in their one form")
    return {local: unzigzag(code) for local, code in codes.items()}


class Turn:
    """The accounts that a batch touches, while it is applied: requests, funding and expiry, closing, deltas, fee."""

    def __init__(self, rows: Mapping[int, Account], deltas: Deltas, requests: Sequence[Request]) -> None:
        touched = {index: rows.get(index, Account()) for index in (FUND, CLEARING, *deltas[0])}
        if max(touched) >= 1 << LEVELS or not touched.keys() >= {row[0] for row in requests}:
            raise WrongError("an account outside the tree is listed, or one with a request is not")
        self.owner = {index: account.owner for index, account in touched.items()}
        self.cash = {index: account.cash for index, account in touched.items()}
        self.held = {index: dict(account.positions) for index, account in touched.items()}
        (self._cash, self._lots, self._approved), self._requests, self._fund_pays = deltas, requests, False

    def result(self, marks: Mapping[int, Row], fee: int) -> dict[int, Account]:
        """Every touched account as it must be afterwards. Raises WrongError when no root can be right."""
        self._request()
        for index in self.held.keys() - {CLEARING}:
            self._settle(index, marks)
        for index in sorted({row[0] for row in self._requests if row[1] == CLOSE_ALL} - {FUND}):
            self._close(index, marks)
        for index, moved in self._lots.items():
            self._move(index, moved, marks)
        self.cash[FUND] += fee
        if (fee < 0 or self._fund_pays) and self.cash[FUND] + sum(self._worth(FUND, marks)) < 0:
            raise WrongError("the fund pays what it does not have")
        return {index: Account(owner, self.cash[index], self.held[index]) for index, owner in self.owner.items()}

    def _request(self) -> None:
        approved = iter(self._approved)
        for account, kind, amount, owner in self._requests:
            if kind == DEPOSIT:
                self.cash[account] += amount
                self.owner[account] = self.owner[account] if account == FUND or any(self.owner[account]) else owner
            elif kind == WITHDRAW:
                paid = next(approved)
                self.cash[account] -= paid
                self._fund_pays |= account == FUND and paid > 0

    def _settle(self, index: int, marks: Mapping[int, Row]) -> None:
        """Rounded down, against the account; the clearing account takes the exact opposite."""
        gained, held = 0, self.held[index]
        for instrument in held.keys() & marks.keys():
            (lots, known), (mark, now, ends) = held.pop(instrument), marks[instrument]
            gained += -lots * (now - known) // MILLION if instrument >= PERPETUAL else 0
            gained += lots * mark // MILLION if ends else 0
            held |= {} if ends else {instrument: (lots, now if instrument >= PERPETUAL else 0)}
        self.cash[index] += gained
        self.cash[CLEARING] -= gained

    def _worth(self, index: int, marks: Mapping[int, Row]) -> list[int]:
        return [lots * marks[key][0] for key, (lots, _) in self.held[index].items() if key in marks]

    def _close(self, index: int, marks: Mapping[int, Row]) -> None:
        """The fund takes what it has room for at mark less 1 %; nothing of who has less equity than 2 % of it all."""
        values, held, fund = self._worth(index, marks), self.held[index], self.held[FUND]
        if (self.cash[index] + sum(values)) * 50 < sum(map(abs, values)):
            return
        for instrument in sorted(held.keys() & marks.keys()):
            lots, (mark, now, _) = held[instrument][0], marks[instrument]
            taken = fund.get(instrument, (0, 0))[0] + lots
            if -(1 << 63) <= taken < 1 << 63 if instrument in fund else len(fund) < MOST_POSITIONS:
                paid = (lots * mark * 100 - abs(lots * mark)) // 100
                self.cash[index] += paid
                self.cash[FUND] -= paid
                del held[instrument]
                fund |= {instrument: (taken, now if instrument >= PERPETUAL else 0)}
                fund = self.held[FUND] = {key: row for key, row in fund.items() if row[0]}

    def _move(self, index: int, moved: Mapping[int, int], marks: Mapping[int, Row]) -> None:
        if not any(self.owner[index]):
            raise WrongError(f"account {index} is listed and has no owner")
        self.cash[index] += self._cash[index]
        for instrument, delta in moved.items():
            start = marks[instrument][1] if instrument in marks and instrument >= PERPETUAL else 0
            lots, known = self.held[index].pop(instrument, (0, start))
            self.held[index] |= {instrument: (lots + delta, known)} if lots + delta else {}


@dataclass(eq=False)
class Batch:
    """One posted batch and what was found of it; `before` holds the accounts that it replaced."""

    seq: int
    root: bytes
    verdict: str = "right"
    what: str = ""
    digest: bytes = bytes(32)
    request_up_to: int = 0
    collateral: int = 0
    before: dict[int, Account] = field(default_factory=dict)


class Verifier:
    """Takes the contract's logs in order; `batches` are all that were posted, `live` those that stand, and number 0."""

    def __init__(self, rpc: Rpc) -> None:
        self.rows: dict[int, Account] = {}
        self.batches: list[Batch] = []
        self.live, self.final, self._rpc = [Batch(0, root_of({}))], 0, rpc
        self._requests: dict[int, Request] = {}
        self._rounds: dict[int, tuple[str, bytes]] = {}

    def take(self, log: Mapping[str, Any]) -> None:
        """Take one log; those of other kinds say nothing about balances."""
        event, data = EVENTS.get(bytes.fromhex(log["topics"][0][2:])), bytes.fromhex(log["data"][2:])
        name, *topics = (int(topic, 16) for topic in (*log["topics"][1:], "0x0"))
        if event == "Requested":
            self._requests[name] = (topics[0], topics[1], number(data, 0, 32), data[44:64])
        elif event == "OraclePosted":
            self._rounds[name] = (log["transactionHash"], data[32:64])
        elif event == "BatchPosted":
            self.batches.append(Batch(name, data[:32]))
            self._judge(self.batches[-1], log, data)
        elif event == "Finalized":
            self.final = name
        while event == "BatchReverted" and self.live[-1].seq >= name:
            self.rows |= self.live.pop().before

    def _judge(self, batch: Batch, log: Mapping[str, Any], event: bytes) -> None:
        self.live.append(batch)
        try:
            self._check(batch, self.live[-2], log, event)
        except WrongError as error:
            batch.verdict, batch.what = "WRONG", str(error)
        except CannotCheckError as error:
            batch.verdict, batch.what = "unchecked", str(error)

    def _check(self, batch: Batch, last: Batch, log: Mapping[str, Any], event: bytes) -> None:
        selector, data = self._rpc.argument(log["transactionHash"], 4)
        h, fee = number(event, 96, 32), unzigzag(number(event, 120, 8))
        batch.request_up_to, round_ = h >> 192, h >> 144 & (1 << 48) - 1
        numbers = range(last.request_up_to + 1, batch.request_up_to + 1)
        if last.verdict != "right":
            raise CannotCheckError(f"it stands on batch {last.seq}, which is {last.verdict}")
        if selector != keccak(b"post(uint64,bytes32,bytes32,uint256,bytes)")[:4] or keccak(data) != event[64:96]:
            raise CannotCheckError("its transaction does not call `post` itself, so its data is not to be had")
        if batch.seq != last.seq + 1 or not {round_} <= {0, *self._rounds} or not self._requests.keys() >= set(numbers):
            raise CannotCheckError(f"batch {last.seq + 1}, round {round_} or a request is not to be had from the logs")
        requests = [self._requests[name] for name in numbers]
        vector = self._rpc.argument(self._rounds[round_][0], 1)[1] if round_ else b""
        if round_ and keccak(vector) != self._rounds[round_][1]:
            raise CannotCheckError(f"the transaction of round {round_} does not call `postOracle` itself")
        time_s = int(self._rpc.ask("eth_getBlockByNumber", log["blockNumber"], False)["timestamp"], 16)
        deltas = read_data(data, sum(row[1] == WITHDRAW for row in requests), fee)
        after = Turn(self.rows, deltas, requests).result(read_round(vector), fee)
        if (found := root_of(self.rows | after)) != batch.root:
            raise WrongError(f"its data leads to root 0x{found.hex()}, it says 0x{batch.root.hex()}")
        batch.before, self.rows = {index: self.rows.get(index, Account()) for index in after}, self.rows | after
        batch.collateral = last.collateral - sum(deltas[2]) + sum(row[2] for row in requests if row[1] == DEPOSIT)
        tail = (word.to_bytes(32, "big") for word in (time_s, int(log["blockNumber"], 16), batch.collateral))
        batch.digest = keccak(last.digest + last.root + event + b"".join(tail))
        counts = f"{len(deltas[0])} accounts, {sum(map(len, deltas[1].values()))} deltas, {len(requests)} requests"
        batch.what = f"{counts}, fee {Decimal(fee).scaleb(-6):,f} USDC"

    def totals(self) -> Iterator[tuple[str, bool]]:
        """What must hold of all accounts, and of the contract's own memory, after the last batch that is right."""
        last = [batch for batch in self.live if batch.verdict == "right"][-1]
        cash = sum(account.cash for account in self.rows.values())
        stored = self._rpc.view("batchHash(uint64)", last.seq)
        yield f"all cash is the collateral, {Decimal(last.collateral).scaleb(-6):,f}", cash == last.collateral
        yield f"the contract's hash chain up to batch {last.seq} is ours", stored == number(last.digest, 0, 32)
        yield "its last batch is the last one here", self._rpc.view("head()") == self.live[-1].seq

    def account(self, name: int) -> Iterator[str]:
        """Cash and positions by index or subaccount id, after the last batch that is right."""
        base = self._rpc.view("subaccountBase()")
        index = name - base if name >= base else name
        account = self.rows.get(index, Account())
        yield f"account {index} (subaccount {base + index}), owner 0x{account.owner.hex()}"
        yield f"  cash {Decimal(account.cash).scaleb(-6):,f} USDC"
        for key, (lots, _) in sorted(account.positions.items()):
            yield f"  {'perpetual' if key >= PERPETUAL else 'option'} {key}: {lots:+,} lots"


def verify(rpc: Rpc, account: int | None, first: int, say: Callable[[str], None]) -> int:
    """Read everything, say verdicts and totals; returns the exit code. Raises CannotCheckError."""
    verifier, last = Verifier(rpc), int(rpc.ask("eth_blockNumber"), 16)
    for start in range(first, last + 1, BLOCKS_AT_ONCE):
        until = hex(min(last, start + BLOCKS_AT_ONCE - 1))
        for log in rpc.ask("eth_getLogs", {"address": rpc.contract, "fromBlock": hex(start), "toBlock": until}):
            verifier.take(log)
    for batch in verifier.batches:
        state = "reverted" if batch not in verifier.live else "final" if batch.seq <= verifier.final else "posted"
        say(f"batch {batch.seq:>6}  {batch.verdict:<9}  {state:<8}  {batch.what}")
    verdicts = {batch.verdict for batch in verifier.live}
    for text, holds in verifier.totals():
        verdicts.add("right" if holds else "WRONG")
        say(f"{'right' if holds else 'WRONG'}: {text}")
    for line in [] if account is None else verifier.account(account):
        say(line)
    code = 1 if "WRONG" in verdicts else 3 if "unchecked" in verdicts else 0
    said = {0: "all is right", 1: "NOT ALL IS RIGHT", 3: "not all could be checked"}[code]
    say(f"{len(verifier.live) - 1} batches stand, {said}; blocks {first} to {last}\n{UNCHECKED}")
    return code


def main(arguments: Sequence[str] | None = None) -> int:
    """Run with command-line arguments."""
    parser = argparse.ArgumentParser(prog="offbook-verify", description="Check an Offbook contract's batches alone.")
    parser.add_argument("--rpc", required=True, metavar="URL", help="JSON-RPC of a node that keeps all blocks")
    parser.add_argument("--contract", required=True, metavar="ADDR", help="address of the settlement contract")
    parser.add_argument("--account", type=int, metavar="N", help="show this account (index or subaccount id)")
    parser.add_argument("--from-block", type=int, default=0, metavar="B", help="block of the deployment, or before it")
    parsed = parser.parse_args(arguments)
    try:
        return verify(Rpc(parsed.rpc, parsed.contract), parsed.account, parsed.from_block, print)
    except CannotCheckError as error:
        sys.stderr.write(f"offbook-verify: {error}\n")
        return 3


if __name__ == "__main__":
    sys.exit(main())
