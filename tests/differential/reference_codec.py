"""A second codec of batch format v1, made of a bit string: it accepts exactly what it would write itself."""

from settlement.protocol.netting import NetDeltas

__all__ = ["Refused", "reference_decode", "reference_encode"]


class Refused(Exception):
    """The bytes are not the one encoding of their meaning."""


def reference_encode(deltas: NetDeltas, approved_e6: tuple[int, ...]) -> bytes:
    """Write every field as binary digits."""
    accounts = sorted(deltas.cash_e6)
    instruments = sorted({instrument for _, instrument in deltas.positions_lots})
    bits = digits(len(instruments), 8) + digits(len(accounts), 16)
    for account in accounts:
        bits += digits(account, 32) + digits(code(deltas.cash_e6[account]), 64)
    for instrument in instruments:
        cells = [
            (local, code(deltas.positions_lots[account, instrument]))
            for local, account in enumerate(accounts)
            if (account, instrument) in deltas.positions_lots
        ]
        narrow = rows([cell for cell in cells if cell[1] < 2**22], 10, 22, 8)
        wide = rows([cell for cell in cells if cell[1] >= 2**22], 16, 48, 4)
        bits += digits(instrument, 32) + digits(len(narrow) // 32, 16) + digits(len(wide) // 64, 16) + narrow + wide
    bits += "".join(digits(amount, 64) for amount in approved_e6)
    return bytes(int(bits[place : place + 8], 2) for place in range(0, len(bits), 8))


def reference_decode(data: bytes, withdraw_count: int) -> tuple[NetDeltas, tuple[int, ...]]:
    """Parse whatever is there; Refused unless encoding the result gives the same bytes."""
    cursor = Cursor("".join(digits(byte, 8) for byte in data))
    instrument_count, account_count = cursor.number(8), cursor.number(16)
    cash = [(cursor.number(32), value(cursor.number(64))) for _ in range(account_count)]
    cells: dict[tuple[int, int], int] = {}
    for _ in range(instrument_count):
        instrument, narrow_count, wide_count = cursor.number(32), cursor.number(16), cursor.number(16)
        words = [(cursor.number(10), cursor.number(22)) for _ in range(narrow_count)]
        words += [(cursor.number(16), cursor.number(48)) for _ in range(wide_count)]
        for local, word in words:
            if word and local < len(cash):
                cells[cash[local][0], instrument] = value(word)
    approved = tuple(cursor.number(64) for _ in range(withdraw_count))
    deltas = NetDeltas(dict(cash), cells)
    out_of_range = any(account < 2 for account, _ in cash) or any(instrument == 0 for _, instrument in cells)
    if account_count > 102 or len(data) > 28_672 or out_of_range or reference_encode(deltas, approved) != data:
        raise Refused
    return deltas, approved


class Cursor:
    """Reads numbers from a string of binary digits."""

    def __init__(self, bits: str) -> None:
        self.bits = bits
        self.at = 0

    def number(self, width: int) -> int:
        """Return the next `width` bits; Refused at the end."""
        if self.at + width > len(self.bits):
            raise Refused
        self.at += width
        return int(self.bits[self.at - width : self.at], 2)


def digits(number: int, width: int) -> str:
    """Return `number` as exactly `width` binary digits."""
    text = format(number, f"0{width}b")
    if len(text) != width:
        raise Refused
    return text


def code(number: int) -> int:
    """Zigzag by cases."""
    return number * 2 if number >= 0 else -number * 2 - 1


def value(number: int) -> int:
    """Inverse zigzag by cases."""
    return -(number + 1) // 2 if number % 2 else number // 2


def rows(cells: list[tuple[int, int]], local_bits: int, lots_bits: int, per_word: int) -> str:
    """Write cells and pad them to whole words of 256 bits."""
    bits = "".join(digits(local, local_bits) + digits(lots, lots_bits) for local, lots in cells)
    missing = -len(cells) % per_word
    return bits + "0" * (missing * (local_bits + lots_bits))
