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


@pytest.mark.parametrize("holder", [fills.CoreSide, fills.CoreCommand, fills.CoreEvent, fills.CoreCode])
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
    modes = ("STP_CANCEL_TAKER", "STP_CANCEL_MAKER", "STP_CANCEL_BOTH")
    known |= {key: getattr(fills, key) << fills.STP_SHIFT for key in modes}
    known |= {"FLAGS_KNOWN": limits.FLAGS_KNOWN, "STP_MASK": 3 << fills.STP_SHIFT}
    assert C_NUMBERS[name] == known[name]


def test_every_code_has_a_c_number():
    """The compiled book knows the whole list."""
    assert numbers_of(fills.CoreCode).items() <= C_NUMBERS.items()


@pytest.mark.parametrize("layout", [fills.COMMAND, fills.COMMAND_HANDLE, fills.EVENT])
def test_records_are_32_bytes(layout):
    """Command and event have the size of the C structs."""
    assert layout.size == fills.COMMAND_BYTES == fills.EVENT_BYTES
