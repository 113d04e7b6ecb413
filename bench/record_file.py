"""Record files of a public matching benchmark: the header, 40-byte records, and what a file must hold to be matched.

    header  16 bytes  u64 0x4D4542575F303031 | u32 version = 1 | u32 count            little endian
    record  40 bytes  u8 type | u8 side | u8 ioc | u8 0 | u32 quantity | u64 sequence | u64 order_id | i64 price_ticks
                      | i64 instrument          type 0 new, 1 cancel, 2 modify; side 0 buy, 1 sell

A record file is somebody else's input: every defect is one RecordError that names the place and what was expected.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import Final

from matching_core.limits import PRICE_MAX_TICKS

__all__ = ["CANCEL", "HEADER", "MAGIC", "MODIFY", "NEW", "RECORD", "VERSION", "RecordError", "Survey", "load", "survey"]

MAGIC: Final = 0x4D4542575F303031
VERSION: Final = 1
HEADER: Final = Struct("<QII")
RECORD: Final = Struct("<BBBBIQQqq")
NEW, CANCEL, MODIFY = 0, 1, 2
_INSTRUMENT_MAX: Final = 2**32 - 1


class RecordError(ValueError):
    """The file is not a record file, or a record in it cannot be matched."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What a file asks of a book: how many records of each kind, price band, instruments, ids."""

    new: int
    cancel: int
    modify: int
    price_min: int
    price_max: int
    core_ids: dict[int, int]
    """Instrument of the file -> u32 of the core: itself when all fit, else numbered as they appear."""
    order_id_max: int
    in_sequence: bool
    """Sequence numbers rise with every record, so that reports need no sorting across records."""

    @property
    def count(self) -> int:
        """Number of records."""
        return self.new + self.cancel + self.modify


def load(path: Path) -> bytes:
    """The records of a file as bytes; RecordError when it cannot be read or its header does not fit its size."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RecordError(f"{path}: {error.strerror}") from None
    if len(content) < HEADER.size:
        raise RecordError(f"{path}: {len(content)} bytes, shorter than the header of {HEADER.size}")
    magic, version, count = HEADER.unpack_from(content)
    if magic != MAGIC:
        raise RecordError(f"{path}: no record file, it starts with {magic:#018x} instead of {MAGIC:#018x}")
    if version != VERSION:
        raise RecordError(f"{path}: version {version}, known is {VERSION}")
    body = content[HEADER.size :]
    if len(body) != count * RECORD.size:
        found = f"{len(body) // RECORD.size} records" + (" and a piece" if len(body) % RECORD.size else "")
        raise RecordError(f"{path}: the header counts {count} records, the file holds {found}")
    return body


def survey(body: bytes) -> Survey:
    """Read every record once; RecordError names the first that cannot be matched."""
    counts, prices, order_id_max = [0, 0, 0], set[int](), 0
    instruments: dict[int, None] = {}
    in_sequence, sequence_before = True, -1
    for number, row in enumerate(RECORD.iter_unpack(body)):
        kind, side, _, _, quantity, sequence, order_id, price, instrument = row
        if kind != CANCEL:
            if kind > MODIFY or quantity == 0 or not -PRICE_MAX_TICKS <= price <= PRICE_MAX_TICKS:
                raise RecordError(f"record {number}: {_defect(kind, quantity, price)}")
            prices.add(price)
        if side > 1:
            raise RecordError(f"record {number}: side {side} is neither 0 (buy) nor 1 (sell)")
        counts[kind] += 1
        instruments[instrument] = None
        order_id_max = max(order_id_max, order_id)
        in_sequence = in_sequence and sequence > sequence_before
        sequence_before = sequence
    band = (min(prices), max(prices)) if prices else (0, 0)
    return Survey(*counts, *band, _core_ids(instruments), order_id_max, in_sequence)


def _core_ids(instruments: Iterable[int]) -> dict[int, int]:
    listed = list(instruments)
    if all(0 <= instrument <= _INSTRUMENT_MAX for instrument in listed):
        return {instrument: instrument for instrument in listed}
    return {instrument: number for number, instrument in enumerate(listed)}


def _defect(kind: int, quantity: int, price: int) -> str:
    if kind > MODIFY:
        return f"type {kind} is none of 0 (new), 1 (cancel), 2 (modify)"
    return "quantity 0" if quantity == 0 else f"price {price} is beyond +-2**58 ticks"
