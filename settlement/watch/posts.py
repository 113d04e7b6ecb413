"""A posted batch as the chain has it: calldata of `post`, the header word, the packed data. Written for the watcher.

Nothing here is shared with the code that builds batches: two readings of one format find each other's mistakes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from settlement.protocol.keccak import keccak256

__all__ = [
    "Fraud",
    "HeaderWord",
    "Hidden",
    "PostedCall",
    "PostedData",
    "read_call",
    "read_data",
    "read_round",
    "read_word",
]

_NARROW_LIMIT: Final = 1 << 22


class Fraud(Exception):
    """The batch breaks a rule that `post` cannot check, or does not lead to its root: it can be proven wrong."""


class Hidden(Exception):
    """What was posted is not in the calldata of the transaction that the node shows."""


@dataclass(frozen=True, slots=True)
class PostedCall:
    """Arguments of one `post`."""

    seq: int
    new_root: bytes
    orders_root: bytes
    h: int
    data: bytes


@dataclass(frozen=True, slots=True)
class HeaderWord:
    """The word `h`: last request consumed, round, match times in seconds, signed fee in 1e-6 USDC."""

    request_up_to: int
    oracle_round: int
    match_from_s: int
    match_to_s: int
    fee_e6: int


@dataclass(frozen=True, slots=True)
class PostedData:
    """Cash delta of each listed account in 1e-6 USDC, lots by account and instrument, approved withdrawals."""

    cash_e6: Mapping[int, int]
    lots: Mapping[int, Mapping[int, int]]
    approved_e6: Sequence[int]


def read_call(calldata: bytes, event: bytes) -> PostedCall:
    """Arguments of the calldata of `post`, which must be those of the data of its event. Raises Hidden.

    Read as the contract reads them, by place and length: padding and what nothing points at do not count. What `post`
    took stands there, since it takes direct calls alone; Hidden is a node that shows another transaction.
    """
    words = [calldata[at : at + 32] for at in range(4, 164, 32)]
    at = 4 + int.from_bytes(words[4], "big")
    data = calldata[at + 32 : at + 32 + _number(calldata, at, 32)]
    seq, h = int.from_bytes(words[0], "big"), int.from_bytes(words[3], "big")
    call = PostedCall(seq, words[1], words[2], h, data)
    said = call.new_root + call.orders_root + keccak256(call.data) + call.h.to_bytes(32, "big")
    if said != event:
        raise Hidden("the event names another batch")
    return call


def read_round(calldata: bytes, event: bytes) -> bytes:
    """The vector in the calldata of `postOracle`, which must be that of the data of its event. Raises Hidden."""
    at = int.from_bytes(calldata[36:68], "big") + 4
    vector = calldata[at + 32 : at + 32 + int.from_bytes(calldata[at : at + 32], "big")]
    if keccak256(vector) != event[32:64]:
        raise Hidden("the event names another vector")
    return vector


def read_word(h: int) -> HeaderWord:
    """Split the header word."""
    return HeaderWord(h >> 192, h >> 144 & (1 << 48) - 1, h >> 104 & (1 << 40) - 1, h >> 64 & (1 << 40) - 1, _signed(h))


def read_data(data: bytes, withdrawals: int) -> PostedData:
    """Read packed data with `withdrawals` approved amounts at its end. Raises Fraud unless it is the one encoding."""
    at = 3
    instruments, accounts = data[0], int.from_bytes(data[1:3], "big")
    rows = [(_number(data, at + 12 * place, 4), _number(data, at + 12 * place + 4, 8)) for place in range(accounts)]
    at += 12 * accounts
    indices = [index for index, _ in rows]
    lots: dict[int, dict[int, int]] = {index: {} for index in indices}
    for _ in range(instruments):
        instrument, short, long = _number(data, at, 4), _number(data, at + 4, 2), _number(data, at + 6, 2)
        if not short and not long:
            raise Fraud(f"instrument {instrument} has no deltas")
        narrow = [_number(data, at + 8 + 4 * place, 4) for place in range(short)]
        at += 8 + 4 * short
        wide = [_number(data, at + 8 * place, 8) for place in range(long)]
        at += 8 * long
        for local, code in _entries(narrow, 22, 8) + _entries(wide, 48, 4):
            is_wide = code >= _NARROW_LIMIT
            if local >= accounts or instrument in lots[indices[local]]:
                raise Fraud(f"instrument {instrument}: local index {local} is nobody's or stands twice")
            if is_wide != ((local << 48 | code) in wide):
                raise Fraud(f"instrument {instrument}: local index {local} is not in its narrowest form")
            lots[indices[local]][instrument] = _signed(code)
    approved = [_number(data, at + 8 * place, 8) for place in range(withdrawals)]
    return PostedData({index: _signed(code) for index, code in rows}, lots, approved)


def _entries(words: Sequence[int], bits: int, per_word: int) -> list[tuple[int, int]]:
    """(local index, code) of a group: ascending, without zero deltas, padded with zeros to whole words and no more."""
    used = [word for word in words if word]
    if list(words) != used + [0] * (-len(used) % per_word):
        raise Fraud("padding is not at the end, or too long")
    cells = [(word >> bits, word & (1 << bits) - 1) for word in used]
    locals_ = [local for local, _ in cells]
    if locals_ != sorted(set(locals_)) or not all(code for _, code in cells):
        raise Fraud("entries do not ascend, or move nothing")
    return cells


def _number(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "big")


def _signed(code: int) -> int:
    """Zigzag of the low 64 bits."""
    low = code & (1 << 64) - 1
    return low // 2 if low % 2 == 0 else -(low + 1) // 2
