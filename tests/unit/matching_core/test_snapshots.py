"""Snapshots: the whole core as bytes, equal from both books; damaged ones raise, restored ones go on as before."""

from hashlib import sha256

import pytest

import matching_core
from matching_core import ReferenceOrderBook, snapshots
from matching_core.errors import SnapshotDamaged, SnapshotRefused, SnapshotVersionUnknown
from tests.differential.command_streams import CommandStream, open_book

HEADER_BYTES = 24


def busy_book(book_class, *, seed=11, commands=600, **options):
    """Make a book that has seen every kind of command; returns it with its stream."""
    stream, book = CommandStream(seed, bank=256), open_book(book_class, **options)
    for command in stream.batch(commands):
        stream.observe(book.submit(command, stream.now_ns()))
    return book, stream


def reseal(body):
    """Seal a body that was tampered with."""
    return snapshots.seal(bytes(body))


def test_truncated_snapshot_is_refused(order_book_class):
    """Every shorter prefix raises SnapshotDamaged, and so does a byte too many."""
    snapshot = busy_book(order_book_class, commands=60)[0].snapshot()
    for size in (0, 1, HEADER_BYTES, HEADER_BYTES + 31, HEADER_BYTES + 32, len(snapshot) - 32, len(snapshot) - 1):
        with pytest.raises(SnapshotDamaged):
            order_book_class.restore(snapshot[:size])
    with pytest.raises(SnapshotDamaged):
        order_book_class.restore(snapshot + b"\0")


def test_flipped_bit_is_refused(order_book_class):
    """Any byte: header, body or checksum."""
    snapshot = busy_book(order_book_class, commands=30)[0].snapshot()
    for at in range(0, len(snapshot), max(1, len(snapshot) // 97)):
        damaged = bytearray(snapshot)
        damaged[at] ^= 1 << at % 8
        with pytest.raises(SnapshotRefused):
            order_book_class.restore(bytes(damaged))


@pytest.mark.parametrize("version", [0, 2, 2**32 - 1])
def test_other_version_is_refused(order_book_class, version):
    """Even under a right checksum."""
    content = snapshots.HEADER.pack(snapshots.MAGIC, version, 0, 0)
    with pytest.raises(SnapshotVersionUnknown):
        order_book_class.restore(content + sha256(content).digest())


def test_slot_both_used_and_free_is_refused(order_book_class):
    """A free list that names the slot of a resting order would hand its handle out twice."""
    book = busy_book(order_book_class, commands=300)[0]
    body = bytearray(snapshots.unseal(book.snapshot()))
    slots, free = snapshots.COUNTS.unpack_from(body)[4:6]
    at = snapshots.COUNTS.size + slots * snapshots.SLOT.size
    unused = {snapshots.SLOT.unpack_from(body, at + 4 * index)[0] for index in range(free)}
    used = next(slot for slot in range(1, slots + 1) if slot not in unused)
    snapshots.SLOT.pack_into(body, at, used)
    with pytest.raises(SnapshotDamaged):
        order_book_class.restore(reseal(body))


def test_body_that_contradicts_itself_is_refused(order_book_class):
    """Each four bytes of the body overwritten under a right checksum: refused, or a sound book of the same bytes."""
    body = snapshots.unseal(busy_book(order_book_class, commands=120, order_capacity=200)[0].snapshot())
    refused = 0
    for at in range(0, len(body) - 4, 4):
        for value in (0, 1, 0xFFFF_FFFF):
            damaged = bytearray(body)
            damaged[at : at + 4] = value.to_bytes(4, "little")
            if at < 16 and value > 1:
                continue  # a capacity may be as large as memory
            try:
                book = order_book_class.restore(reseal(damaged))
            except SnapshotDamaged:
                refused += 1
            else:
                book.check_invariants()
                assert book.snapshot() == reseal(damaged)
    assert refused > len(body) // 8


def test_body_is_refused_alike_by_both_books():
    """The two readers agree which bodies they take."""
    if not matching_core.COMPILED:
        pytest.skip("matching_core._order_book is not built: make build")
    body = snapshots.unseal(busy_book(ReferenceOrderBook, seed=12, commands=120, order_capacity=200)[0].snapshot())
    for at in range(16, len(body) - 4, 4):
        for value in (0, 2, 0x8000_0000):
            damaged = bytearray(body)
            damaged[at : at + 4] = value.to_bytes(4, "little")
            taken = []
            for book_class in (ReferenceOrderBook, matching_core.OrderBook):
                try:
                    book_class.restore(reseal(damaged))
                    taken.append(True)
                except SnapshotDamaged:
                    taken.append(False)
            assert taken[0] == taken[1], (at, value)


def test_empty_book_restores(order_book_class):
    """Nothing listed, nothing resting, the capacities kept."""
    book = order_book_class(order_capacity=3, instrument_capacity=1, cell_capacity=2, guard_capacity=1)
    again = order_book_class.restore(book.snapshot())
    assert again.snapshot() == book.snapshot()
    again.list_instrument(1, price_min_ticks=0, price_max_ticks=9)
    with pytest.raises(ValueError, match="instruments are listed"):
        again.list_instrument(2, price_min_ticks=0, price_max_ticks=9)


@pytest.mark.parametrize("seed", range(5))
def test_restored_book_goes_on_with_the_same_bytes(order_book_class, seed):
    """Handles, free slots, windows and auctions included: events, hash and snapshot stay equal to the end."""
    book, stream = busy_book(order_book_class, seed=seed, order_capacity=80)
    again = order_book_class.restore(book.snapshot())
    again.check_invariants()
    assert again.state_hash() == book.state_hash()
    assert again.snapshot() == book.snapshot()
    for command in stream.batch(600):
        now_ns = stream.now_ns()
        events = book.submit(command, now_ns)
        assert again.submit(command, now_ns) == events
        stream.observe(events)
    assert again.snapshot() == book.snapshot()


def test_each_book_restores_the_other_s_snapshot():
    """One layout: reference to compiled and back."""
    if not matching_core.COMPILED:
        pytest.skip("matching_core._order_book is not built: make build")
    reference, _ = busy_book(ReferenceOrderBook)
    compiled = matching_core.OrderBook.restore(reference.snapshot())
    assert ReferenceOrderBook.restore(compiled.snapshot()).snapshot() == reference.snapshot()
