"""Reports of record files: every line of the format, over both books."""

from hashlib import sha256

import pytest

from bench import record_file
from bench.native_build import Missing
from bench.record_file import CANCEL, HEADER, MAGIC, MODIFY, NEW, RECORD, VERSION, survey
from bench.replay import BATCH, Replay
from bench.reports import BOOKS, listed_book, main, match, report_digest, time_matching, time_with_ids
from bench.workloads import WORKLOADS, body
from matching_core import OrderBook, ReferenceOrderBook

BUY, SELL = 0, 1


def pack(rows):
    """Records of (type, side, ioc, quantity, order id, price) with rising sequences; an instrument may follow."""
    return b"".join(
        RECORD.pack(kind, side, ioc, 0, quantity, sequence, order_id, price, *(instrument or [0]))
        for sequence, (kind, side, ioc, quantity, order_id, price, *instrument) in enumerate(rows)
    )


def new(order_id, side, price, quantity, ioc=0):
    """A new order."""
    return (NEW, side, ioc, quantity, order_id, price)


def modify(order_id, side, price, quantity):
    """A modify."""
    return (MODIFY, side, 0, quantity, order_id, price)


def cancel(order_id):
    """A cancel."""
    return (CANCEL, 0, 0, 0, order_id, 0)


def report_text(records, book_class):
    """The report text of packed records."""
    found = survey(records)
    lines = Replay(listed_book(book_class, found), found).lines(records)
    return "\n".join(line for some in lines for line in some)


@pytest.fixture(params=BOOKS.values(), ids=BOOKS)
def book_class(request):
    """Both books."""
    return request.param


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param([cancel(9)], "4,0,9", id="cancel-of-nothing"),
        pytest.param([modify(9, BUY, 5, 1)], "5,0,9", id="modify-of-nothing"),
        pytest.param(
            [new(1, BUY, 5, 2), cancel(1), cancel(1), modify(1, BUY, 5, 1)],
            "0,0,0,1,5,2 2,1,0,1,5 4,2,1 5,3,1",
            id="cancel-then-gone",
        ),
        pytest.param(
            [new(1, SELL, 5, 2), new(2, BUY, 6, 3, ioc=1), cancel(2)],
            "0,0,1,1,5,2 0,1,0,2,6,3 1,1,5,2,1,2 2,1,0,2,6 4,2,2",
            id="ioc-remainder",
        ),
        pytest.param([new(1, BUY, 6, 3, ioc=1)], "0,0,0,1,6,3 2,0,0,1,6", id="ioc-alone"),
        pytest.param(
            [new(1, SELL, 9, 2), new(2, BUY, 5, 2), modify(2, BUY, 9, 3)],
            "0,0,1,1,9,2 0,1,0,2,5,2 1,2,9,2,1,2 3,2,0,2,9,3",
            id="crossing-modify-trades-before-its-own-line",
        ),
        pytest.param(
            [new(1, SELL, 9, 2), new(2, BUY, 5, 2), modify(2, BUY, 9, 2), cancel(2)],
            "0,0,1,1,9,2 0,1,0,2,5,2 1,2,9,2,1,2 3,2,0,2,9,2 4,3,2",
            id="modify-that-fills-is-gone",
        ),
        pytest.param(
            [new(1, SELL, 9, 4), new(2, SELL, 9, 4), modify(1, SELL, 9, 3), new(3, BUY, 9, 5)],
            "0,0,1,1,9,4 0,1,1,2,9,4 3,2,1,1,9,3 0,3,0,3,9,5 1,3,9,4,2,3 1,3,9,1,1,3",
            id="smaller-quantity-loses-the-place",
        ),
        pytest.param(
            [new(1, SELL, 9, 4), new(2, SELL, 9, 4), modify(1, SELL, 9, 4), new(3, BUY, 9, 5)],
            "0,0,1,1,9,4 0,1,1,2,9,4 3,2,1,1,9,4 0,3,0,3,9,5 1,3,9,4,2,3 1,3,9,1,1,3",
            id="equal-quantity-loses-the-place",
        ),
        pytest.param(
            [new(1, SELL, 9, 4), new(2, SELL, 9, 4), modify(1, SELL, 9, 5), new(3, BUY, 9, 5)],
            "0,0,1,1,9,4 0,1,1,2,9,4 3,2,1,1,9,5 0,3,0,3,9,5 1,3,9,4,2,3 1,3,9,1,1,3",
            id="greater-quantity-loses-the-place",
        ),
        pytest.param(
            [new(1, SELL, 9, 4), new(2, SELL, 9, 4), new(3, BUY, 9, 2), modify(1, SELL, 9, 2), new(4, BUY, 9, 1)],
            "0,0,1,1,9,4 0,1,1,2,9,4 0,2,0,3,9,2 1,2,9,2,1,3 3,3,1,1,9,2 0,4,0,4,9,1 1,4,9,1,2,4",
            id="what-remains-after-a-fill-loses-the-place",
        ),
        pytest.param(
            [(*new(1, SELL, 9, 4), 2**40), (*new(2, BUY, 9, 4), -3), (*new(3, BUY, 9, 4), 2**40)],
            "0,0,1,1,9,4 0,1,0,2,9,4 0,2,0,3,9,4 1,2,9,4,1,3",
            id="instruments-apart",
        ),
    ],
)
def test_the_lines_of_a_report(book_class, rows, expected):
    """One line per answer, sorted by type inside a record."""
    assert report_text(pack(rows), book_class) == expected.replace(" ", "\n")


def test_handles_reach_across_batches(book_class):
    """Orders placed in one batch are canceled in the next, and inside the one that placed them."""
    count = 3 * BATCH
    rows = [new(number, BUY, 5, 1) for number in range(1, count + 1)]
    rows += [cancel(number) for number in range(1, count + 1)] + [new(count + 1, SELL, 5, 1), cancel(count + 1)]
    lines = report_text(pack(rows), book_class).split("\n")
    assert [line[0] for line in lines] == ["0"] * count + ["2"] * count + ["0", "2"]


def test_a_freed_slot_names_its_new_order(book_class):
    """The maker of a trade is the order that rests there now."""
    rows = [new(7, SELL, 9, 1), cancel(7), new(8, SELL, 9, 1), new(9, BUY, 9, 1)]
    assert report_text(pack(rows), book_class).endswith("1,3,9,1,8,9")


def test_records_out_of_sequence_are_sorted():
    """By sequence, then type, stable."""
    batches = [["0,5,a", "1,5,b", "1,5,a"], [], ["2,1,x", "0,10,y"]]
    text = "2,1,x\n0,5,a\n1,5,b\n1,5,a\n0,10,y"
    assert report_digest(batches, in_sequence=False) == sha256(text.encode()).hexdigest()


@pytest.mark.parametrize("name", WORKLOADS)
@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
def test_both_books_report_the_same(name, seed):
    """Report, events, resting orders, levels and state of small workloads on fresh seeds."""
    records = body(name, seed=seed, shrink=2_000)
    found = survey(records)
    compiled = match(records, found, OrderBook)
    assert match(records, found, ReferenceOrderBook) == compiled


def test_full_batches_repeat_the_first_pass(book_class):
    """The commands of the first pass give its events again; other commands are noticed."""
    records = body("W1", shrink=2_000)
    found = survey(records)
    report = match(records, found, book_class)
    assert time_matching(report, found, book_class, rounds=1) > 0
    with pytest.raises(RuntimeError, match="other events"):
        time_matching(report, record_file.survey(records[: RECORD.size]), book_class, rounds=1)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([new(1000, BUY, 9, 1)], "the ids of this file are not dense"),
        ([(*new(1, BUY, 9, 1), -1)], "an instrument of this file does not fit 32 bits"),
    ],
)
def test_what_the_compiled_id_table_does_not_take(rows, reason):
    """One line instead of a figure."""
    records = pack(rows)
    found = survey(records)
    with pytest.raises(Missing, match=reason):
        time_with_ids(records, match(records, found, OrderBook), found)


@pytest.mark.parametrize("name", WORKLOADS)
def test_the_compiled_id_table_leaves_the_same_book(name):
    """Records through handles found in C end in the state of the first pass; other records are noticed."""
    records = body(name, shrink=2_000)
    found = survey(records)
    report = match(records, found, OrderBook)
    assert time_with_ids(records, report, found, rounds=1) > 0
    with pytest.raises(RuntimeError, match="another book"):
        time_with_ids(records[: -RECORD.size], report, found, rounds=1)


def test_the_compiled_id_table_takes_a_smaller_modify_to_the_back():
    """The next trade meets the other order, in C as in Python."""
    records = pack([new(1, SELL, 9, 4), new(2, SELL, 9, 4), modify(1, SELL, 9, 3), new(3, BUY, 9, 5)])
    found = survey(records)
    assert time_with_ids(records, match(records, found, OrderBook), found, rounds=1) > 0


def test_a_defect_is_one_line(tmp_path, capsys):
    """Exit code 2, nothing on stdout."""
    path = tmp_path / "torn.bin"
    path.write_bytes(HEADER.pack(MAGIC, VERSION, 1))
    assert main([str(path)]) == 2
    assert capsys.readouterr() == (
        "",
        f"bench.reports: {path}: the header counts 1 records, the file holds 0 records\n",
    )


def test_the_printed_report(tmp_path, capsys):
    """Counts, hash and rate."""
    path = tmp_path / "some.bin"
    path.write_bytes(HEADER.pack(MAGIC, VERSION, 2) + pack([new(1, SELL, 9, 2), new(2, BUY, 9, 1)]))
    assert main([str(path), "--book", "reference"]) == 0
    lines = capsys.readouterr().out.splitlines()
    digest = sha256(b"0,0,1,1,9,2\n0,1,0,2,9,1\n1,1,9,1,1,2").hexdigest()
    assert lines[:5] == [
        "file       some.bin: 2 records, 1 instruments, reference book",
        "records    new 2 / cancel 0 / modify 0",
        "trades     1, 0 cancels and modifies refused",
        "resting    1 orders on 1 levels",
        f"sha256     {digest}",
    ]
    assert lines[5].startswith("matching   ")
