"""The numbers of the Python side and of the C side are the same, and each is used once."""

import re
from pathlib import Path

import pytest

import matching_core
from matching_core import fills, limits

CODES = Path(matching_core.__file__).with_name("_codes.pxd").read_text()
C_NUMBERS = {name: int(value, 0) for name, value in re.findall(r"^    (\w+) = (\w+)$", CODES, re.MULTILINE)}


def numbers_of(holder):
    """Public constants of a class."""
    return {name: value for name, value in vars(holder).items() if name.isupper()}


@pytest.mark.parametrize(
    "holder", [fills.CoreSide, fills.CorePhase, fills.CoreCommand, fills.CoreEvent, fills.CoreCode]
)
def test_numbers_are_unique(holder):
    """No number means two things."""
    numbers = list(numbers_of(holder).values())
    assert sorted(set(numbers)) == sorted(numbers)


@pytest.mark.parametrize("name", sorted(C_NUMBERS))
def test_c_number_equals_the_python_one(name):
    """Each constant of _codes.pxd has its twin in fills or limits."""
    known = {f"KIND_{key}": value for key, value in numbers_of(fills.CoreCommand).items()}
    known |= {f"EVENT_{key}": value for key, value in numbers_of(fills.CoreEvent).items()}
    known |= numbers_of(fills.CoreCode)
    known |= {key: getattr(fills, f"FLAG_{key}", None) for key in ("IOC", "FOK", "POST_ONLY", "SLIDE", "REDUCE_ONLY")}
    known |= {"EXTENDED": fills.FLAG_EXTENDED, "QUOTE_FLAGS_KNOWN": limits.QUOTE_FLAGS_KNOWN}
    modes = ("STP_CANCEL_TAKER", "STP_CANCEL_MAKER", "STP_CANCEL_BOTH")
    known |= {key: getattr(fills, key) << fills.STP_SHIFT for key in modes}
    known |= {"FLAGS_KNOWN": limits.FLAGS_KNOWN, "STP_MASK": 3 << fills.STP_SHIFT}
    assert C_NUMBERS[name] == known[name]


@pytest.mark.parametrize(
    ("holder", "prefix"), [(fills.CoreCode, ""), (fills.CoreCommand, "KIND_"), (fills.CoreEvent, "EVENT_")]
)
def test_every_number_has_a_c_one(holder, prefix):
    """The compiled book knows the whole list."""
    assert {prefix + name: value for name, value in numbers_of(holder).items()}.items() <= C_NUMBERS.items()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("QUANTITY_MAX", limits.QUANTITY_MAX_LOTS),
        ("SIDE_MAX", limits.SIDE_MAX_LOTS),
        ("SIDE_MAX", limits.GUARD_LIMIT_MAX),
        ("SLICES_MAX", limits.ICEBERG_SLICES_MAX),
        ("LINES_MAX", limits.QUOTE_LINES_MAX),
    ],
)
def test_c_bound_equals_the_python_one(name, value):
    """Bounds that do not fit an enum are macros of _codes.pxd; a guard's limits share that of a side."""
    macro = re.search(rf"#define OFFBOOK_{name} (.*)$", CODES, re.MULTILINE)[1].replace("LL", "")
    left, _, shift = macro.strip("()").partition("<<")
    assert int(left) << int(shift or 0) == value


@pytest.mark.parametrize("layout", [fills.COMMAND, fills.COMMAND_HANDLE, fills.EVENT, fills.EXTENSION])
def test_records_are_32_bytes(layout):
    """Command, extension and event have the size of the C structs."""
    assert layout.size == fills.COMMAND_BYTES == fills.EVENT_BYTES


def test_quote_lines_are_two_records():
    """A mass quote is whole records."""
    assert fills.QUOTE_LINE.size == 2 * fills.COMMAND_BYTES
