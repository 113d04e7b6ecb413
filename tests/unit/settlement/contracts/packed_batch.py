"""A second, deliberately plain encoder of the batch format, for tests of the contract alone."""

from collections.abc import Mapping, Sequence

__all__ = ["header_word", "pack_batch", "zigzag"]


def zigzag(value: int) -> int:
    """Map a signed integer to an unsigned one: 0, -1, 1, -2 become 0, 1, 2, 3."""
    return 2 * value if value >= 0 else -2 * value - 1


def header_word(request_up_to: int, match_from_s: int, match_to_s: int, fee_e6: int = 0, oracle_round: int = 0) -> int:
    """Pack the header word `h` of `post`."""
    word = request_up_to << 48 | oracle_round
    word = word << 40 | match_from_s
    word = word << 40 | match_to_s
    return word << 64 | zigzag(fee_e6)


def pack_batch(
    cash_e6: Mapping[int, int],
    deltas_lots: Mapping[int, Mapping[int, int]],
    approved_e6: Sequence[int] = (),
) -> bytes:
    """Pack cash by account and lots by instrument and account, with the approvals of withdrawals at the end."""
    accounts = sorted(cash_e6)
    parts = [len(deltas_lots).to_bytes(1, "big"), len(accounts).to_bytes(2, "big")]
    for account in accounts:
        parts += [account.to_bytes(4, "big"), zigzag(cash_e6[account]).to_bytes(8, "big")]
    for instrument in sorted(deltas_lots):
        rows = [(accounts.index(account), lots) for account, lots in sorted(deltas_lots[instrument].items())]
        parts.append(_pack_instrument(instrument, rows))
    parts += [approval.to_bytes(8, "big") for approval in approved_e6]
    return b"".join(parts)


def _pack_instrument(instrument: int, rows: Sequence[tuple[int, int]]) -> bytes:
    narrow = [index << 22 | zigzag(lots) for index, lots in rows if zigzag(lots) < 1 << 22]
    wide = [index << 48 | zigzag(lots) for index, lots in rows if zigzag(lots) >= 1 << 22]
    narrow += [0] * (-len(narrow) % 8)
    wide += [0] * (-len(wide) % 4)
    head = instrument.to_bytes(4, "big") + len(narrow).to_bytes(2, "big") + len(wide).to_bytes(2, "big")
    body = b"".join(entry.to_bytes(4, "big") for entry in narrow)
    return head + body + b"".join(entry.to_bytes(8, "big") for entry in wide)
