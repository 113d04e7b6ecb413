"""Record files are somebody else's input: each defect is one clear line."""

import pytest

from bench.record_file import CANCEL, HEADER, MAGIC, MODIFY, NEW, RECORD, RecordError, load, survey


def record(kind=NEW, side=0, quantity=1, sequence=0, order_id=1, price=100, instrument=0):
    """One packed record."""
    return RECORD.pack(kind, side, 0, 0, quantity, sequence, order_id, price, instrument)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "0 bytes, shorter than the header of 16"),
        (HEADER.pack(MAGIC, 1, 0)[:15], "15 bytes, shorter than the header of 16"),
        (HEADER.pack(7, 1, 0), "no record file, it starts with 0x0000000000000007 instead of 0x4d4542575f303031"),
        (HEADER.pack(MAGIC, 2, 0), "version 2, known is 1"),
        (HEADER.pack(MAGIC, 1, 2) + record(), "the header counts 2 records, the file holds 1 records"),
        (HEADER.pack(MAGIC, 1, 0) + record(), "the header counts 0 records, the file holds 1 records"),
        (
            HEADER.pack(MAGIC, 1, 1) + record() + b"\0",
            "the header counts 1 records, the file holds 1 records and a piece",
        ),
    ],
)
def test_a_file_that_is_none(tmp_path, content, line):
    """Header first, then the count against the size."""
    path = tmp_path / "some.bin"
    path.write_bytes(content)
    with pytest.raises(RecordError) as refused:
        load(path)
    assert str(refused.value) == f"{path}: {line}"


def test_a_file_that_is_not_there(tmp_path):
    """The system's reason in one line."""
    with pytest.raises(RecordError, match=r"absent\.bin: No such file or directory$"):
        load(tmp_path / "absent.bin")


@pytest.mark.parametrize(
    ("bad", "line"),
    [
        (record(kind=3), "record 1: type 3 is none of 0 (new), 1 (cancel), 2 (modify)"),
        (record(side=2), "record 1: side 2 is neither 0 (buy) nor 1 (sell)"),
        (record(CANCEL, side=2), "record 1: side 2 is neither 0 (buy) nor 1 (sell)"),
        (record(quantity=0), "record 1: quantity 0"),
        (record(MODIFY, quantity=0), "record 1: quantity 0"),
        (record(price=2**58 + 1), "record 1: price 288230376151711745 is beyond +-2**58 ticks"),
        (record(MODIFY, price=-(2**63)), "record 1: price -9223372036854775808 is beyond +-2**58 ticks"),
    ],
)
def test_a_record_that_cannot_be_matched(bad, line):
    """The first one is named by its number."""
    with pytest.raises(RecordError) as refused:
        survey(record() + bad + record(kind=9))
    assert str(refused.value) == line


def test_what_a_cancel_does_not_need_is_not_judged():
    """Its quantity and price say nothing and widen no band."""
    found = survey(record(price=5) + record(CANCEL, quantity=0, price=2**62, sequence=1))
    assert (found.price_min, found.price_max) == (5, 5)


def test_a_survey():
    """Counts, band, instruments as they appear, greatest id, order of sequences."""
    found = survey(record(price=-7, instrument=9, order_id=4) + record(MODIFY, price=30, sequence=1, instrument=2))
    assert (found.new, found.cancel, found.modify, found.count) == (1, 0, 1, 2)
    assert (found.price_min, found.price_max) == (-7, 30)
    assert found.core_ids == {9: 9, 2: 2}
    assert found.order_id_max == 4
    assert found.in_sequence


@pytest.mark.parametrize("sequence", [0, 1])
def test_sequences_that_do_not_rise_are_seen(sequence):
    """Equal or falling."""
    assert not survey(record(sequence=1) + record(sequence=sequence)).in_sequence


def test_instruments_beyond_32_bits_are_numbered():
    """As they appear."""
    found = survey(record(instrument=-1) + record(instrument=5) + record(instrument=2**40))
    assert found.core_ids == {-1: 0, 5: 1, 2**40: 2}


def test_an_empty_file_is_a_file(tmp_path):
    """No records, nothing listed."""
    path = tmp_path / "empty.bin"
    path.write_bytes(HEADER.pack(MAGIC, 1, 0))
    assert survey(load(path)).count == 0
