"""The accounts behind every batch that can still be disputed: forward with each post, back with each revert.

The state of final batches is one set of accounts; each later batch leaves what it replaced. Vectors are kept while a
batch may name their round, however long ago it was published. All of it is one file, so that a watcher goes on where it
stood when the node has dropped old blocks.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from settlement.watch.accounts import AccountTree, WatchedAccount
from settlement.watch.chain_calls import ZERO_HEADER, PostedHeader
from settlement.watch.posts import read_word

__all__ = ["BadHistory", "History", "Step"]

_FORMAT: Final = 3


class BadHistory(ValueError):
    """The saved file is damaged or of another format: delete it, the watcher reads the chain again."""


class Step(NamedTuple):
    """One batch: its header and data, the accounts that it replaced, the collateral behind it."""

    seq: int
    header: PostedHeader
    data: bytes
    before: Mapping[int, WatchedAccount]
    collateral_e6: int


class History:
    """`steps` are the batches that are not final, oldest first; `base` is the header of the last final one."""

    def __init__(self) -> None:
        """Before the first batch, at the first block."""
        self.tree = AccountTree()
        self.steps: list[Step] = []
        self.base_seq = 0
        self.base = ZERO_HEADER
        self.base_collateral_e6 = 0
        self.next_block = 0
        self.questions: dict[bytes, tuple[int, int]] = {}
        """Challenges by id, whoever asked: batch and account."""
        self.vectors: dict[int, bytes] = {}
        """Published rounds that a later batch may still name."""
        self.round_times: dict[int, int] = {}
        """Their times in seconds."""
        self.listings: dict[int, bytes] = {}
        """What the contract said of each instrument when it was listed."""

    @property
    def seq(self) -> int:
        """The last batch taken."""
        return self.steps[-1].seq if self.steps else self.base_seq

    @property
    def collateral_e6(self) -> int:
        """Sum of all cash behind it."""
        return self.steps[-1].collateral_e6 if self.steps else self.base_collateral_e6

    def header_of(self, seq: int) -> PostedHeader:
        """Header of a batch that is not final, or of the last final one; the zero header for anything older."""
        if seq == self.base_seq:
            return self.base
        return next((step.header for step in self.steps if step.seq == seq), ZERO_HEADER)

    def take(self, header: PostedHeader, data: bytes, after: Mapping[int, WatchedAccount], collateral_e6: int) -> None:
        """Go one batch forward."""
        self.steps.append(Step(self.seq + 1, header, data, self.tree.change(after), collateral_e6))

    def drop_from(self, seq: int) -> None:
        """Go back before batch `seq`."""
        while self.steps and self.steps[-1].seq >= seq:
            self.tree.change(self.steps.pop().before)

    def finalize(self, seq: int) -> None:
        """No batch up to `seq` can be disputed any more."""
        while self.steps and self.steps[0].seq <= seq:
            step = self.steps.pop(0)
            self.base_seq, self.base, self.base_collateral_e6 = step.seq, step.header, step.collateral_e6
        oldest = read_word(self.base.h).oracle_round
        self.vectors = {number: vector for number, vector in self.vectors.items() if number >= oldest}
        self.round_times = {number: time_s for number, time_s in self.round_times.items() if number >= oldest}

    def save(self, path: Path) -> None:
        """Replace the file durably."""
        steps = [
            (row.seq, _header(row.header), row.data, _accounts(row.before), str(row.collateral_e6))
            for row in self.steps
        ]
        base = (self.base_seq, _header(self.base), str(self.base_collateral_e6))
        asked = sorted((id_, *place) for id_, place in self.questions.items())
        vectors = sorted(self.vectors.items())
        raw = msgspec.msgpack.encode(
            (
                _FORMAT,
                self.next_block,
                base,
                _accounts(self.tree.accounts),
                steps,
                asked,
                vectors,
                sorted(self.listings.items()),
                sorted(self.round_times.items()),
            )
        )
        temporary = path.with_suffix(".new")
        with temporary.open("wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)

    @classmethod
    def load(cls, path: Path) -> "History":
        """What was saved, or the beginning. Raises BadHistory."""
        history = cls()
        if not path.exists():
            return history
        try:
            version, *fields = msgspec.msgpack.decode(path.read_bytes())
            if version != _FORMAT:
                raise BadHistory(f"{path} has format {version}, this build reads {_FORMAT}: delete it")
            history.next_block, base, accounts, steps, asked, vectors, listings, times = fields
            history.vectors, history.listings, history.round_times = dict(vectors), dict(listings), dict(times)
            history.base_seq, history.base = base[0], _read_header(base[1])
            history.base_collateral_e6 = int(base[2])
            history.tree.change(_read_accounts(accounts))
            history.questions = {id_: (seq, account) for id_, seq, account in asked}
            history.steps = [
                Step(seq, _read_header(header), data, _read_accounts(before), int(collateral))
                for seq, header, data, before, collateral in steps
            ]
        except (msgspec.MsgspecError, TypeError, ValueError, IndexError) as error:
            raise BadHistory(f"{path} cannot be read ({error}): delete it") from error
        return history


def _header(header: PostedHeader) -> list[bytes | str]:
    """Numbers as text: some pass 64 bits."""
    return [value if isinstance(value, bytes) else str(value) for value in header]


def _read_header(fields: list[Any]) -> PostedHeader:
    values: list[Any] = [*fields[:5], *map(int, fields[5:])]
    return PostedHeader(*values)


def _accounts(accounts: Mapping[int, WatchedAccount]) -> list[Any]:
    return [
        (index, row.owner, str(row.cash_e6), [(key, *held) for key, held in sorted(row.positions.items())])
        for index, row in sorted(accounts.items())
    ]


def _read_accounts(rows: list[Any]) -> dict[int, WatchedAccount]:
    return {
        index: WatchedAccount(owner, int(cash), {key: (lots, fund) for key, lots, fund in positions})
        for index, owner, cash, positions in rows
    }
