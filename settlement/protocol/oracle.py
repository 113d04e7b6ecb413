"""Oracle vectors: marks, funding indices and settled rows that a batch reads, and their one encoding, big endian.

    vector = nO u16 | nP u16 | nU u16 | nE u16
             nO x (instr u32 | mark u64 | settled u8)                 options, bit 31 of instr clear
             nP x (instr u32 | mark u64 | settled u8 | fundIdx i64)   perpetuals, bit 31 set
             nU x (underlying u32 | price u64)
             nE x (underlying u32 | expiry u40 | price u64)

Every group ascends by its key. Who signs a round, and what a round may not do, is no matter of this module.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from settlement.protocol.caps import MAX_ORACLE_ROWS, PERP_BIT
from settlement.protocol.keccak import keccak256

__all__ = ["NO_ROUND", "BadVector", "MarkRow", "OracleVector", "decode_vector"]

_HEAD = struct.Struct(">4H")
_OPTION = struct.Struct(">IQB")
_PERP = struct.Struct(">IQBq")
_PRICE = struct.Struct(">IQ")
_EXPIRY_BYTES = 17


class BadVector(ValueError):
    """Rows that are no valid oracle vector, or bytes that are no canonical one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkRow:
    """One instrument: mark in 1e-6 USDC per lot (u64), funding index in 1e-12 USDC per lot (int64, 0 for options).

    A settled instrument becomes cash at its payoff, in 1e-12 USDC per lot (u64), which stands where the mark stood.
    """

    mark_e6: int = 0
    fund_index: int = 0
    payoff_e12: int | None = None

    @property
    def is_settled(self) -> bool:
        """Whether the instrument ends with this round."""
        return self.payoff_e12 is not None

    @property
    def value(self) -> int:
        """What the row's u64 holds: the payoff when there is one, else the mark."""
        return self.mark_e6 if self.payoff_e12 is None else self.payoff_e12


@dataclass(frozen=True, slots=True, kw_only=True)
class OracleVector:
    """Rows of one round: instrument -> row, underlying -> index price, (underlying, expiry in s) -> settlement price.

    Prices are in 1e-6 USDC per unit of the underlying. Round 0 is the state before the first round and has no rows.
    """

    round_number: int
    rows: Mapping[int, MarkRow] = field(default_factory=dict)
    index_e6: Mapping[int, int] = field(default_factory=dict)
    settlement_e6: Mapping[tuple[int, int], int] = field(default_factory=dict)

    @property
    def ending(self) -> frozenset[int]:
        """Instruments that become cash with this round."""
        return frozenset(instrument for instrument, row in self.rows.items() if row.is_settled)

    def encode(self) -> bytes:
        """Return the canonical bytes; BadVector when a row does not fit."""
        if len(self.rows) + len(self.index_e6) + len(self.settlement_e6) > MAX_ORACLE_ROWS:
            raise BadVector(f"an oracle vector has at most {MAX_ORACLE_ROWS} rows")
        if 0 in self.rows or 0 in self.index_e6 or (0, 0) in self.settlement_e6:
            raise BadVector("a key of an oracle vector is above 0")
        options = sorted(key for key in self.rows if not key & PERP_BIT)
        perps = sorted(key for key in self.rows if key & PERP_BIT)
        try:
            parts = [_HEAD.pack(len(options), len(perps), len(self.index_e6), len(self.settlement_e6))]
            parts += [_OPTION.pack(key, self.rows[key].value, self.rows[key].is_settled) for key in options]
            parts += [_perp_row(key, self.rows[key]) for key in perps]
            parts += [_PRICE.pack(*row) for row in sorted(self.index_e6.items())]
            parts += [_expiry_row(key, price_e6) for key, price_e6 in sorted(self.settlement_e6.items())]
        except (struct.error, OverflowError) as error:
            raise BadVector(f"round {self.round_number}: {error}") from error
        return b"".join(parts)

    def digest(self) -> bytes:
        """keccak256 of the bytes."""
        return keccak256(self.encode())


NO_ROUND = OracleVector(round_number=0)


def decode_vector(round_number: int, data: bytes) -> OracleVector:
    """Read a vector; BadVector unless the bytes are the canonical ones."""
    if len(data) < _HEAD.size:
        raise BadVector("an oracle vector begins with four counts")
    counts = _HEAD.unpack_from(data)
    sizes = (_OPTION.size, _PERP.size, _PRICE.size, _EXPIRY_BYTES)
    if len(data) != _HEAD.size + sum(count * size for count, size in zip(counts, sizes, strict=True)):
        raise BadVector(f"{len(data)} bytes are not {counts} rows")
    chunks: list[list[bytes]] = []
    at = _HEAD.size
    for count, size in zip(counts, sizes, strict=True):
        chunks.append([data[at + size * place : at + size * (place + 1)] for place in range(count)])
        at += count * size
    options, perps, prices, expiries = chunks
    vector = OracleVector(
        round_number=round_number,
        rows=dict(_mark_row(chunk) for chunk in options + perps),
        index_e6=dict(_PRICE.unpack(chunk) for chunk in prices),
        settlement_e6={
            (int.from_bytes(chunk[:4], "big"), int.from_bytes(chunk[4:9], "big")): int.from_bytes(chunk[9:], "big")
            for chunk in expiries
        },
    )
    if vector.encode() != data:
        raise BadVector("the bytes are not the canonical ones of their rows")
    return vector


def _perp_row(instrument: int, row: MarkRow) -> bytes:
    return _PERP.pack(instrument, row.value, row.is_settled, row.fund_index)


def _expiry_row(key: tuple[int, int], price_e6: int) -> bytes:
    underlying, expiry_s = key
    return underlying.to_bytes(4, "big") + expiry_s.to_bytes(5, "big") + price_e6.to_bytes(8, "big")


def _mark_row(chunk: bytes) -> tuple[int, MarkRow]:
    if len(chunk) == _OPTION.size:
        instrument, value, settled = _OPTION.unpack(chunk)
        fund_index = 0
    else:
        instrument, value, settled, fund_index = _PERP.unpack(chunk)
    if settled:
        return instrument, MarkRow(fund_index=fund_index, payoff_e12=value)
    return instrument, MarkRow(mark_e6=value, fund_index=fund_index)
