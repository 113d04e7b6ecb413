"""Tests of settlement.protocol.encoding: format v1 byte by byte, and what the decoder refuses."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from settlement.protocol.encoding import BadBatch, Header, decode_batch, encode_batch, unzigzag, zigzag
from settlement.protocol.netting import NetDeltas, Unbalanced

DELTAS = NetDeltas({2: -5, 7: 3, 9: 0}, {(2, 1): 4, (7, 1): -4, (2, 6): 1 << 21, (9, 6): -(1 << 21)})
EMPTY = NetDeltas({}, {})


def narrow(*cells: tuple[int, int]) -> bytes:
    """Return narrow rows of (local index, delta), unpadded."""
    return b"".join(struct.pack(">I", local << 22 | zigzag(lots)) for local, lots in cells)


def wide(*cells: tuple[int, int]) -> bytes:
    """Return wide rows of (local index, delta), unpadded."""
    return b"".join(struct.pack(">Q", local << 48 | zigzag(lots)) for local, lots in cells)


def batch(accounts: list[int], instruments: bytes, count: int = 1) -> bytes:
    """Return data with zero cash for each account."""
    rows = b"".join(struct.pack(">IQ", account, 0) for account in accounts)
    return struct.pack(">BH", count, len(accounts)) + rows + instruments


def instrument(rows: bytes, wide_rows: bytes = b"", number: int = 1) -> bytes:
    """Return one instrument with the padded counts that its rows have."""
    return struct.pack(">IHH", number, len(rows) // 4, len(wide_rows) // 8) + rows + wide_rows


PAIR = narrow((0, 1), (1, -1))
REFUSED = {
    "nothing": b"",
    "counts cut off": b"\x00\x00",
    "103 accounts": batch(list(range(2, 105)), b"", 0),
    "account 1": batch([1], b"", 0),
    "accounts descend": batch([3, 2], b"", 0),
    "account twice": batch([3, 3], b"", 0),
    "cash cut off": batch([2, 3], b"", 0)[:-1],
    "a byte too many": batch([2, 3], b"", 0) + b"\x00",
    "instrument 0": batch([2, 3], instrument(PAIR + bytes(24), number=0)),
    "instruments descend": batch(
        [2, 3], instrument(PAIR + bytes(24), number=2) + instrument(PAIR + bytes(24), number=1), 2
    ),
    "instrument twice": batch([2, 3], instrument(PAIR + bytes(24)) * 2, 2),
    "instrument without deltas": batch([2, 3], instrument(b"")),
    "narrow count not padded": batch([2, 3], instrument(PAIR)),
    "wide count not padded": batch([2, 3], instrument(b"", wide((0, 1 << 22), (1, -(1 << 22))))),
    "a word of narrow padding too many": batch([2, 3], instrument(PAIR + bytes(56))),
    "a word of wide padding too many": batch([2, 3], instrument(PAIR + bytes(24), bytes(32))),
    "padding before a row": batch([2, 3], instrument(bytes(4) + PAIR + bytes(20))),
    "padding is not zero": batch([2, 3], instrument(PAIR + bytes(20) + struct.pack(">I", 1 << 22))),
    "local indices descend": batch([2, 3], instrument(narrow((1, 1), (0, -1)) + bytes(24))),
    "local index twice": batch([2, 3], instrument(narrow((0, 1), (0, -1)) + bytes(24))),
    "local index outside": batch([2, 3], instrument(narrow((0, 1), (2, -1)) + bytes(24))),
    "wide local index outside": batch([2, 3], instrument(b"", wide((0, 1 << 22), (2, -(1 << 22))) + bytes(16))),
    "zero delta": batch([2, 3, 4], instrument(narrow((0, 1), (1, 0), (2, -1)) + bytes(20))),
    "wide without need": batch([2, 3], instrument(narrow((0, 1)) + bytes(28), wide((1, -1)) + bytes(24))),
    "narrow and wide": batch([2, 3], instrument(PAIR + bytes(24), wide((1, 1 << 22)) + bytes(24))),
    "more rows than accounts can be": batch([2, 3], instrument(narrow(*[(n, 1) for n in range(136)]))),
    "too long": bytes(65_537),
}


@pytest.mark.parametrize("name", REFUSED)
def test_decoder_refuses(name: str) -> None:
    """Every encoding but the canonical one is refused with its reason."""
    with pytest.raises(BadBatch) as caught:
        decode_batch(REFUSED[name], 0)
    assert caught.value.reason


@pytest.mark.parametrize("count", [0, 2])
def test_number_of_approvals_comes_from_the_queue(count: int) -> None:
    """One approved amount too few or too many is refused."""
    with pytest.raises(BadBatch):
        decode_batch(encode_batch(EMPTY, [5]), count)


@pytest.mark.parametrize(
    ("deltas", "approved"),
    [
        (NetDeltas({1: 0}, {}), []),
        (NetDeltas({0: 0}, {}), []),
        (NetDeltas({1 << 32: 0}, {}), []),
        (NetDeltas({2: 1 << 63}, {}), []),
        (NetDeltas({2: -(1 << 63) - 1}, {}), []),
        (NetDeltas(dict.fromkeys(range(2, 129), 0), {}), []),
        (NetDeltas({2: 0}, {(3, 1): 1}), []),
        (NetDeltas({2: 0}, {(2, 1): 0}), []),
        (NetDeltas({2: 0}, {(2, 0): 1}), []),
        (NetDeltas({2: 0}, {(2, 1 << 32): 1}), []),
        (NetDeltas({2: 0}, {(2, 1): 1 << 47}), []),
        (NetDeltas({2: 0}, {(2, number): 1 for number in range(1, 257)}), []),
        (EMPTY, [-1]),
        (EMPTY, [1 << 64]),
        (NetDeltas(dict.fromkeys(range(2, 128), 0), {(a, i): 1 for a in range(2, 128) for i in range(1, 150)}), []),
    ],
)
def test_encoder_refuses(deltas: NetDeltas, approved: list[int]) -> None:
    """What does not fit the format is refused, never cut off."""
    with pytest.raises(BadBatch):
        encode_batch(deltas, approved)


@pytest.mark.parametrize(
    "changes",
    [
        {"request_up_to": -1},
        {"request_up_to": 1 << 64},
        {"oracle_round": 1 << 48},
        {"match_from_s": 1 << 40},
        {"match_to_s": 1 << 40},
        {"fee_e6": 1 << 63},
    ],
    ids=str,
)
def test_header_fields_have_their_width(changes: dict[str, int]) -> None:
    """A field that does not fit would spill into its neighbor."""
    fields = {"request_up_to": 1, "match_from_s": 2, "match_to_s": 3, "fee_e6": 4}
    with pytest.raises(BadBatch):
        Header(**{**fields, **changes}).pack()


@pytest.mark.parametrize("word", [-1, 1 << 256])
def test_header_is_one_word(word: int) -> None:
    """A header word has 256 bits."""
    with pytest.raises(BadBatch):
        Header.unpack(word)


def test_header_layout() -> None:
    """Request, round, times and fee from the top down."""
    header = Header(request_up_to=1, oracle_round=2, match_from_s=3, match_to_s=4, fee_e6=-3)
    assert f"{header.pack():064x}" == "0000000000000001000000000002000000000300000000040000000000000005"


def test_data_layout() -> None:
    """A small batch written out by hand, with a narrow and a wide instrument."""
    expected = (
        bytes.fromhex("020003")
        + struct.pack(">IQIQIQ", 2, 9, 7, 6, 9, 0)
        + struct.pack(">IHH", 1, 8, 0)
        + narrow((0, 4), (1, -4))
        + bytes(24)
        + struct.pack(">IHH", 6, 8, 4)
        + narrow((2, -(1 << 21)))
        + bytes(28)
        + wide((0, 1 << 21))
        + bytes(24)
        + struct.pack(">Q", 77)
    )
    assert expected == encode_batch(DELTAS, [77])


def test_largest_batch_of_listed_accounts_fits() -> None:
    """102 accounts with deltas at both ends of the narrow and of the wide form."""
    accounts = range(2, 104)
    cells = {(account, 1): (1 << 47) - 1 if account % 2 else -(1 << 47) for account in accounts}
    cells |= {(account, 2): (1 << 21) - 1 if account % 2 else -(1 << 21) for account in accounts}
    deltas = NetDeltas({account: -(1 << 63) if account % 2 else (1 << 63) - 1 for account in accounts}, cells)
    assert deltas == decode_batch(encode_batch(deltas, []), 0).deltas


headers = st.builds(
    Header,
    request_up_to=st.integers(0, (1 << 64) - 1),
    oracle_round=st.integers(0, (1 << 48) - 1),
    match_from_s=st.integers(0, (1 << 40) - 1),
    match_to_s=st.integers(0, (1 << 40) - 1),
    fee_e6=st.integers(-(1 << 63), (1 << 63) - 1),
)
lots = st.one_of(st.integers(-(1 << 47), (1 << 47) - 1), st.integers(-(1 << 22), 1 << 22), st.integers(-3, 3))


@st.composite
def deltas_of(draw) -> NetDeltas:
    """Draw deltas in any order; whether they balance does not matter to the codec."""
    accounts = draw(st.lists(st.integers(2, (1 << 32) - 1), max_size=12, unique=True))
    cash = {account: draw(st.integers(-(1 << 63), (1 << 63) - 1)) for account in accounts}
    if not accounts:
        return NetDeltas({}, {})
    cell = st.tuples(st.sampled_from(accounts), st.sampled_from([1, 2, 77, 0x80000001, (1 << 32) - 1]))
    return NetDeltas(cash, draw(st.dictionaries(cell, lots.filter(bool), max_size=20)))


@given(headers)
def test_header_round_trip(header: Header) -> None:
    """Every header is its word's header."""
    assert header == Header.unpack(header.pack())


@given(st.integers(-(1 << 63), (1 << 63) - 1))
def test_zigzag_round_trip(value: int) -> None:
    """Zigzag is a bijection onto the unsigned numbers."""
    assert value == unzigzag(zigzag(value))
    assert 0 <= zigzag(value) < 1 << 64


@given(deltas_of(), st.lists(st.integers(0, (1 << 64) - 1), max_size=3))
def test_round_trip(deltas: NetDeltas, approved: list[int]) -> None:
    """Decoding returns what was encoded, whatever order the maps had."""
    decoded = decode_batch(encode_batch(deltas, approved), len(approved))
    assert deltas == decoded.deltas
    assert tuple(approved) == decoded.approved_e6


@given(deltas_of(), st.data())
@settings(max_examples=300)
def test_one_encoding_and_no_silent_bit_flip(deltas: NetDeltas, data: st.DataObject) -> None:
    """A flipped bit is refused or means another batch, whose only encoding is the flipped one."""
    encoded = encode_batch(deltas, [5])
    place = data.draw(st.integers(0, 8 * len(encoded) - 1))
    flipped = bytearray(encoded)
    flipped[place // 8] ^= 1 << place % 8
    try:
        decoded = decode_batch(bytes(flipped), 1)
    except BadBatch:
        return
    assert (decoded.deltas, decoded.approved_e6) != (deltas, (5,))
    assert bytes(flipped) == encode_batch(decoded.deltas, decoded.approved_e6)


def test_every_bit_flip_of_a_batch() -> None:
    """All single-bit flips of one batch: refused or another meaning; no flip of a delta stays balanced."""
    encoded = encode_batch(DELTAS, [])
    for place in range(8 * len(encoded)):
        flipped = bytearray(encoded)
        flipped[place // 8] ^= 1 << place % 8
        try:
            decoded = decode_batch(bytes(flipped), 0)
        except BadBatch:
            continue
        assert decoded.deltas != DELTAS
        same_cells = decoded.deltas.positions_lots.keys() == DELTAS.positions_lots.keys()
        if same_cells and decoded.deltas.cash_e6.keys() == DELTAS.cash_e6.keys():
            with pytest.raises(Unbalanced):
                decoded.deltas.check(DELTAS.fee_e6)
