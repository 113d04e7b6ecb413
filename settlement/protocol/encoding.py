"""Batch byte format v1: the header word and the packed netted deltas, big endian.

One encoding exists per batch. The decoder refuses every other with BadBatch; it does not judge whether the deltas
balance, `NetDeltas.check` does.

    h    = reqUpTo u64 | oracleRound u48 | matchFrom u40 | matchTo u40 | zz(fee) u64
    data = nI u8 | nA u16 | nA x (acct u32 | zz(cash) u64)
           nI x (instr u32 | nS u16 | nW u16 | nS x (local u10 | zz(lots) u22) | nW x (local u16 | zz(lots) u48))
           approved u64 per consumed WITHDRAW request
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from settlement.protocol.caps import (
    FIRST_USER_ACCOUNT,
    MAX_DATA_BYTES,
    MAX_INSTRUMENTS,
    MAX_LISTED,
)
from settlement.protocol.netting import NetDeltas

__all__ = [
    "NARROW_LIMIT",
    "WIDE_LIMIT",
    "BadBatch",
    "BatchData",
    "Header",
    "decode_batch",
    "encode_batch",
    "unzigzag",
    "zigzag",
]

_COUNTS = struct.Struct(">BH")
_CASH_ROW = struct.Struct(">IQ")
_INSTRUMENT_HEAD = struct.Struct(">IHH")
_NARROW_BITS = 22
_WIDE_BITS = 48
_NARROW_PER_WORD = 8
_WIDE_PER_WORD = 4
_NARROW_BYTES = 4
_WIDE_BYTES = 8
_APPROVED_BYTES = 8
NARROW_LIMIT = 1 << _NARROW_BITS
WIDE_LIMIT = 1 << _WIDE_BITS
_U64_LIMIT = 1 << 64
_U32_LIMIT = 1 << 32


class BadBatch(ValueError):
    """Bytes or values that are no valid batch; `reason` says which rule is broken."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """Header of a batch: last consumed request, round, match times in seconds, fee in 1e-6 USDC (int64)."""

    request_up_to: int
    match_from_s: int
    match_to_s: int
    fee_e6: int
    oracle_round: int = 0

    def pack(self) -> int:
        """Return the header word h (uint256); BadBatch when a field does not fit."""
        word = 0
        fields = (
            ("request_up_to", self.request_up_to, 64),
            ("oracle_round", self.oracle_round, 48),
            ("match_from_s", self.match_from_s, 40),
            ("match_to_s", self.match_to_s, 40),
            ("zz(fee_e6)", zigzag(self.fee_e6), 64),
        )
        for name, value, bits in fields:
            if not 0 <= value < 1 << bits:
                raise BadBatch(f"header field {name} = {value} does not fit u{bits}")
            word = word << bits | value
        return word

    @classmethod
    def unpack(cls, word: int) -> Header:
        """Read a header word (uint256); BadBatch outside the range."""
        if not 0 <= word < 1 << 256:
            raise BadBatch("a header is one unsigned 256-bit word")
        return cls(
            request_up_to=word >> 192,
            oracle_round=word >> 144 & (1 << 48) - 1,
            match_from_s=word >> 104 & (1 << 40) - 1,
            match_to_s=word >> 64 & (1 << 40) - 1,
            fee_e6=unzigzag(word & _U64_LIMIT - 1),
        )


@dataclass(frozen=True, slots=True)
class BatchData:
    """Decoded data of a batch: the deltas and the approved amount (1e-6 USDC) per consumed WITHDRAW, in order."""

    deltas: NetDeltas
    approved_e6: tuple[int, ...]


def zigzag(value: int) -> int:
    """Map a signed integer to an unsigned one: 0, -1, 1, -2, ... become 0, 1, 2, 3, ..."""
    return 2 * value if value >= 0 else -2 * value - 1


def unzigzag(value: int) -> int:
    """Invert `zigzag`."""
    return value >> 1 ^ -(value & 1)


def encode_batch(deltas: NetDeltas, approved: Sequence[int]) -> bytes:
    """Return the one encoding of `deltas` and `approved` (1e-6 USDC); BadBatch when they do not fit the format."""
    accounts = sorted(deltas.cash_e6)
    rows = _rows_by_instrument(deltas, accounts)
    _check_counts(len(accounts), len(rows))
    if accounts and accounts[0] < FIRST_USER_ACCOUNT:
        raise BadBatch(f"account {accounts[0]} cannot be listed")
    parts = [_COUNTS.pack(len(rows), len(accounts))]
    parts.extend(_cash_row(account, deltas.cash_e6[account]) for account in accounts)
    parts.extend(_encode_instrument(instrument, rows[instrument]) for instrument in sorted(rows))
    parts.extend(_approved_word(amount_e6) for amount_e6 in approved)
    data = b"".join(parts)
    if len(data) > MAX_DATA_BYTES:
        raise BadBatch(f"data has {len(data)} bytes, the limit is {MAX_DATA_BYTES}")
    return data


def decode_batch(data: bytes, withdraw_count: int) -> BatchData:
    """Read `data` of a batch that consumed `withdraw_count` WITHDRAW requests; BadBatch unless it is canonical."""
    if len(data) > MAX_DATA_BYTES:
        raise BadBatch(f"data has {len(data)} bytes, the limit is {MAX_DATA_BYTES}")
    reader = _Reader(data)
    instrument_count, account_count = _COUNTS.unpack(reader.take(_COUNTS.size))
    _check_counts(account_count, instrument_count)
    cash = _decode_cash(reader, account_count)
    positions = _decode_positions(reader, instrument_count, list(cash))
    approved = tuple(int.from_bytes(reader.take(_APPROVED_BYTES), "big") for _ in range(withdraw_count))
    reader.finish()
    return BatchData(NetDeltas(cash, positions), approved)


class _Reader:
    """Cursor over the data; a read past the end is a BadBatch."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        chunk = self._data[self._at : self._at + size]
        if len(chunk) != size:
            raise BadBatch(f"data ends at byte {len(self._data)}, {size} bytes are missing at {self._at}")
        self._at += size
        return chunk

    def finish(self) -> None:
        if self._at != len(self._data):
            raise BadBatch(f"data has {len(self._data) - self._at} bytes too many")


def _check_counts(account_count: int, instrument_count: int) -> None:
    if account_count > MAX_LISTED:
        raise BadBatch(f"{account_count} accounts, the limit is {MAX_LISTED}")
    if instrument_count > MAX_INSTRUMENTS:
        raise BadBatch(f"{instrument_count} instruments, the limit is {MAX_INSTRUMENTS}")


def _rows_by_instrument(deltas: NetDeltas, accounts: Sequence[int]) -> dict[int, list[tuple[int, int]]]:
    """Return instrument -> ascending (local index, zigzag delta)."""
    local_of = {account: local for local, account in enumerate(accounts)}
    rows: dict[int, list[tuple[int, int]]] = {}
    for (account, instrument), lots in deltas.positions_lots.items():
        local = local_of.get(account)
        if local is None:
            raise BadBatch(f"account {account} has a position delta but is not listed")
        if not lots:
            raise BadBatch(f"account {account} instrument {instrument}: zero delta")
        rows.setdefault(instrument, []).append((local, zigzag(lots)))
    for cells in rows.values():
        cells.sort()
    return rows


def _cash_row(account: int, delta_e6: int) -> bytes:
    try:
        return _CASH_ROW.pack(account, zigzag(delta_e6))
    except struct.error as error:
        raise BadBatch(f"account {account}: cash delta {delta_e6} does not fit") from error


def _approved_word(amount_e6: int) -> bytes:
    if not 0 <= amount_e6 < _U64_LIMIT:
        raise BadBatch(f"approved amount {amount_e6} does not fit u64")
    return amount_e6.to_bytes(_APPROVED_BYTES, "big")


def _encode_instrument(instrument: int, cells: Sequence[tuple[int, int]]) -> bytes:
    if not 1 <= instrument < _U32_LIMIT:
        raise BadBatch(f"instrument {instrument} is outside 1 .. 2^32 - 1")
    if any(code >= WIDE_LIMIT for _, code in cells):
        raise BadBatch(f"instrument {instrument}: a delta is wider than 47 bits")
    narrow = [local << _NARROW_BITS | code for local, code in cells if code < NARROW_LIMIT]
    wide = [local << _WIDE_BITS | code for local, code in cells if code >= NARROW_LIMIT]
    narrow.extend([0] * (-len(narrow) % _NARROW_PER_WORD))
    wide.extend([0] * (-len(wide) % _WIDE_PER_WORD))
    head = _INSTRUMENT_HEAD.pack(instrument, len(narrow), len(wide))
    return head + struct.pack(f">{len(narrow)}I{len(wide)}Q", *narrow, *wide)


def _decode_cash(reader: _Reader, count: int) -> dict[int, int]:
    cash: dict[int, int] = {}
    last = FIRST_USER_ACCOUNT - 1
    for _ in range(count):
        account, code = _CASH_ROW.unpack(reader.take(_CASH_ROW.size))
        if account <= last:
            raise BadBatch(f"account {account} after {last}: accounts must ascend from {FIRST_USER_ACCOUNT}")
        cash[account] = unzigzag(code)
        last = account
    return cash


def _decode_positions(reader: _Reader, count: int, accounts: Sequence[int]) -> Mapping[tuple[int, int], int]:
    positions: dict[tuple[int, int], int] = {}
    last = 0
    for _ in range(count):
        instrument, narrow_count, wide_count = _INSTRUMENT_HEAD.unpack(reader.take(_INSTRUMENT_HEAD.size))
        if instrument <= last:
            raise BadBatch(f"instrument {instrument} after {last}: instruments must ascend from 1")
        _check_padding_counts(instrument, narrow_count, wide_count)
        narrow = struct.unpack(f">{narrow_count}I", reader.take(narrow_count * _NARROW_BYTES))
        wide = struct.unpack(f">{wide_count}Q", reader.take(wide_count * _WIDE_BYTES))
        for local, lots in _decode_cells(instrument, narrow, wide):
            if local >= len(accounts):
                raise BadBatch(f"instrument {instrument}: local index {local} of {len(accounts)} accounts")
            positions[accounts[local], instrument] = lots
        last = instrument
    return positions


def _check_padding_counts(instrument: int, narrow_count: int, wide_count: int) -> None:
    if narrow_count % _NARROW_PER_WORD or wide_count % _WIDE_PER_WORD:
        raise BadBatch(f"instrument {instrument}: counts {narrow_count}, {wide_count} are not padded to words")
    if not narrow_count and not wide_count:
        raise BadBatch(f"instrument {instrument} has no deltas")
    if max(narrow_count, wide_count) > MAX_LISTED + _NARROW_PER_WORD - 1:
        raise BadBatch(f"instrument {instrument}: counts {narrow_count}, {wide_count} exceed the accounts")


def _decode_cells(instrument: int, narrow: Sequence[int], wide: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield (local index, lots); an account appears once, in the narrowest form that holds its delta."""
    short = _cells(instrument, narrow, _NARROW_BITS, _NARROW_PER_WORD)
    long = _cells(instrument, wide, _WIDE_BITS, _WIDE_PER_WORD)
    narrow_locals = {local for local, _ in short}
    for local, code in long:
        if code < NARROW_LIMIT:
            raise BadBatch(f"instrument {instrument}: local index {local} is wide without need")
        if local in narrow_locals:
            raise BadBatch(f"instrument {instrument}: local index {local} is both narrow and wide")
    for local, code in (*short, *long):
        yield local, unzigzag(code)


def _cells(instrument: int, words: Sequence[int], bits: int, per_word: int) -> list[tuple[int, int]]:
    """Split words into ascending (local index, code), refusing zero deltas and padding that is not minimal."""
    used = len(words)
    while used and words[used - 1] == 0:
        used -= 1
    if len(words) - used >= per_word:
        raise BadBatch(f"instrument {instrument}: a word of padding too many")
    cells = [(word >> bits, word & (1 << bits) - 1) for word in words[:used]]
    last = -1
    for local, code in cells:
        if local <= last:
            raise BadBatch(f"instrument {instrument}: local index {local} after {last}")
        if not code:
            raise BadBatch(f"instrument {instrument}: zero delta of local index {local}")
        last = local
    return cells
