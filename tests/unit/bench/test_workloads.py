"""Workloads are the same bytes for the same seed; the published hashes belong to seed 42."""

from hashlib import sha256

import pytest

from bench import record_file
from bench.generator_book import GeneratorBook, LiveOrder
from bench.record_file import CANCEL, NEW, RECORD, survey
from bench.reports import match
from bench.workloads import REPORT_SHA256, WORKLOADS, SplitMix, body, main
from matching_core import OrderBook

BUY, SELL = 0, 1
FIRST_DRAWS = [13679457532755275413, 2949826092126892291, 5139283748462763858]


def test_splitmix_gives_the_published_numbers():
    """The raw 64 bits are what below(2**64) returns; seed 42."""
    random = SplitMix()
    assert [random.below(2**64) for _ in range(3)] == FIRST_DRAWS


@pytest.mark.parametrize("arguments", [["W9", "--out", "x"], ["W1"], ["W1", "--out", "x", "--shrink", "0"]])
def test_wrong_usage(arguments, capsys):
    """Unknown name, no file, nothing to divide by."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: python -m bench.workloads" in capsys.readouterr().err


def test_a_place_that_cannot_be_written(tmp_path, capsys):
    """One line with the system's reason."""
    assert main(["W1", "--out", str(tmp_path / "absent" / "x"), "--shrink", "10000"]) == 1
    assert capsys.readouterr().err.endswith("absent/x: No such file or directory\n")


def test_the_file_holds_the_workload(tmp_path, capsys):
    """Header and records; the seed is printed."""
    path = tmp_path / "w1.bin"
    assert main(["W1", "--out", str(path), "--seed", "7", "--shrink", "1000"]) == 0
    assert record_file.load(path) == body("W1", seed=7, shrink=1000)
    assert capsys.readouterr().out == f"W1: 2,010 records, seed 7, written to {path}\n"


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_seed_decides_every_byte(name):
    """Equal seeds, equal records; another seed, others."""
    first = body(name, shrink=5_000)
    assert first == body(name, seed=42, shrink=5_000)
    assert first != body(name, seed=43, shrink=5_000)


@pytest.mark.parametrize("name", WORKLOADS)
def test_sequences_and_ids_are_dense(name):
    """Sequences from 0, new orders from 1."""
    rows = list(RECORD.iter_unpack(body(name, shrink=5_000)))
    assert [row[5] for row in rows] == list(range(len(rows)))
    placed = [row[6] for row in rows if row[0] == NEW]
    assert placed == list(range(1, len(placed) + 1))


@pytest.mark.parametrize("name", WORKLOADS)
def test_only_resting_orders_are_canceled(name):
    """The generator's book knows what rests: the core refuses none of its cancels and modifies."""
    records = body(name, shrink=1_000)
    found = survey(records)
    report = match(records, found, OrderBook)
    canceled = sum(row[0] == CANCEL for row in RECORD.iter_unpack(records))
    assert found.cancel == canceled
    assert report.refused == 0


def test_every_workload_has_its_published_hash():
    """One name, one SHA-256."""
    assert REPORT_SHA256.keys() == WORKLOADS.keys()
    assert {len(bytes.fromhex(digest)) for digest in REPORT_SHA256.values()} == {sha256().digest_size}


def book_of(*rows):
    """A generator's book with (id, side, price, quantity) resting."""
    book = GeneratorBook()
    for row in rows:
        book.submit(LiveOrder(*row), rests=True)
    return book


def live_of(book):
    """Ids and remaining quantities in the order of `live`, each at the place it knows."""
    assert [order.place for order in book.live] == list(range(len(book.live)))
    return [(order.order_id, order.remaining) for order in book.live]


def test_an_order_that_cannot_rest_is_dropped():
    """An IOC leaves nothing behind."""
    book = book_of((1, SELL, 9, 2))
    book.submit(LiveOrder(2, BUY, 9, 5), rests=False)
    assert live_of(book) == []


def test_best_price_then_oldest():
    """9 before 10, and at 9 the first that came."""
    book = book_of((1, SELL, 10, 2), (2, SELL, 9, 2), (3, SELL, 9, 2))
    book.submit(LiveOrder(4, BUY, 10, 5), rests=False)
    assert live_of(book) == [(1, 1)]


def test_the_last_order_fills_a_hole():
    """Swap with last, as the specification words it."""
    book = book_of((1, BUY, 9, 2), (2, BUY, 9, 2), (3, BUY, 8, 2))
    book.cancel(book.live[0])
    assert live_of(book) == [(3, 2), (2, 2)]
    assert book.level_count == 2


def test_a_canceled_order_is_passed_over():
    """It stays in its line with nothing remaining."""
    book = book_of((1, SELL, 9, 2), (2, SELL, 9, 2))
    book.cancel(book.live[0])
    book.submit(LiveOrder(3, BUY, 9, 2), rests=True)
    assert live_of(book) == []


def test_a_modified_order_keeps_its_place_in_live_but_not_in_line():
    """Same price, more quantity: the other order at 9 trades first."""
    book = book_of((1, SELL, 9, 2), (2, SELL, 9, 2))
    book.modify(book.live[0], 9, 3)
    book.submit(LiveOrder(3, BUY, 9, 3), rests=True)
    assert live_of(book) == [(1, 2)]


def test_a_modify_that_is_used_up_is_gone():
    """It crosses, its maker leaves first, and it leaves behind it."""
    book = book_of((1, SELL, 9, 2), (2, BUY, 8, 1), (3, BUY, 7, 1))
    book.modify(book.live[1], 9, 2)
    assert live_of(book) == [(3, 1)]


def test_a_modify_may_move_while_it_matches():
    """It stood last in `live`, so its maker's hole is filled with it."""
    book = book_of((1, SELL, 9, 2), (2, BUY, 8, 1))
    book.modify(book.live[1], 9, 5)
    assert live_of(book) == [(2, 3)]
