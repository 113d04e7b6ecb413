"""The production codec against a second one: same bytes, same meaning, the same verdict on damaged bytes."""

import random

import pytest

from settlement.protocol.encoding import BadBatch, decode_batch, encode_batch
from settlement.protocol.netting import NetDeltas, Unbalanced
from tests.differential.reference_codec import Refused, reference_decode, reference_encode

INSTRUMENTS = (1, 2, 3, 70_000, 0x80000001, 0xFFFFFFFF)


def random_deltas(rng: random.Random, account_count: int) -> NetDeltas:
    """Return balanced deltas over narrow and wide cells."""
    accounts = rng.sample(range(2, 5_000), account_count)
    cash = {account: rng.randint(-(10**9), 10**9) for account in accounts}
    cells: dict[tuple[int, int], int] = {}
    for instrument in rng.sample(INSTRUMENTS, rng.randint(0, len(INSTRUMENTS)) if account_count > 1 else 0):
        limit = rng.choice((3, 1 << 20, 1 << 30, 1 << 40))
        chosen = rng.sample(accounts, rng.randint(2, account_count))
        lots = [rng.randint(1, limit) for _ in chosen[1:]]
        cells |= {(account, instrument): delta for account, delta in zip(chosen[1:], lots, strict=True)}
        cells[chosen[0], instrument] = -sum(lots)
    return NetDeltas(cash, cells)


def damaged(rng: random.Random, data: bytes) -> bytes:
    """Return `data` with bits flipped, bytes cut, added, repeated or swapped."""
    kind = rng.randrange(5)
    place = rng.randrange(len(data))
    if kind == 0:
        return data[:place]
    if kind == 1:
        return data + bytes(rng.choice((1, 4, 8, 32)))
    if kind == 2:
        step = rng.choice((4, 8, 12))
        return (
            data[:place] + data[place + step : place + 2 * step] + data[place : place + step] + data[place + 2 * step :]
        )
    if kind == 3:
        return data[:place] + bytes(4) + data[place + 4 :]
    changed = bytearray(data)
    changed[place] ^= 1 << rng.randrange(8)
    return bytes(changed)


def verdict(data: bytes, withdraw_count: int) -> tuple[object, object]:
    """Return what each codec makes of `data`; None where it refuses."""
    try:
        decoded = decode_batch(data, withdraw_count)
        ours: object = (decoded.deltas, decoded.approved_e6)
    except BadBatch:
        ours = None
    try:
        other: object = reference_decode(data, withdraw_count)
    except Refused:
        other = None
    return ours, other


@pytest.mark.parametrize("seed", range(8))
def test_codecs_agree(seed: int) -> None:
    """Equal bytes for random batches, and the same verdict on each damaged copy."""
    rng = random.Random(seed)
    for _ in range(40):
        deltas = random_deltas(rng, rng.choice((0, 1, 2, 5, 20)))
        approved = tuple(rng.randrange(1 << 64) for _ in range(rng.randint(0, 2)))
        data = encode_batch(deltas, approved)
        assert data == reference_encode(deltas, approved)
        assert verdict(data, len(approved)) == ((deltas, approved), (deltas, approved))
        for _ in range(10):
            ours, other = verdict(damaged(rng, data), len(approved))
            assert ours == other


def test_largest_batch_agrees() -> None:
    """102 accounts in every instrument."""
    rng = random.Random(1)
    deltas = random_deltas(rng, 102)
    assert encode_batch(deltas, ()) == reference_encode(deltas, ())


def test_bit_flips_move_owners_but_never_amounts() -> None:
    """3,000 single-bit flips of a batch: whatever decodes and balances has every amount unchanged."""
    rng = random.Random(2)
    deltas = random_deltas(rng, 100)
    data = encode_batch(deltas, ())
    accepted = 0
    for place in rng.sample(range(8 * len(data)), 3_000):
        flipped = bytearray(data)
        flipped[place // 8] ^= 1 << place % 8
        try:
            found = decode_batch(bytes(flipped), 0).deltas
            found.check(deltas.fee_e6)
        except (BadBatch, Unbalanced):
            continue
        accepted += 1
        assert sorted(found.cash_e6.values()) == sorted(deltas.cash_e6.values())
        assert sorted(found.positions_lots.values()) == sorted(deltas.positions_lots.values())
        assert found != deltas
    assert accepted
