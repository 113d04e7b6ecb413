"""Tests of settlement.protocol.abi."""

from collections.abc import Callable

import pytest
from eth_abi import encode

from settlement.protocol import abi


@pytest.mark.parametrize(
    ("encoder", "value"),
    [
        (abi.uint_word, -1),
        (abi.uint_word, 1 << 256),
        (abi.int_word, 1 << 255),
        (abi.int_word, -(1 << 255) - 1),
        (abi.address_word, bytes(19)),
        (abi.address_word, bytes(21)),
        (abi.bytes32_word, bytes(31)),
    ],
)
def test_refuses_values_outside_their_type(encoder: Callable[[object], bytes], value: object) -> None:
    """A value that does not fit its ABI type is an EncodingError."""
    with pytest.raises(abi.EncodingError):
        encoder(value)


@pytest.mark.parametrize(
    ("encoder", "kind", "value"),
    [
        (abi.uint_word, "uint256", 0),
        (abi.uint_word, "uint256", (1 << 256) - 1),
        (abi.int_word, "int256", -1),
        (abi.int_word, "int256", (1 << 255) - 1),
        (abi.int_word, "int256", -(1 << 255)),
        (abi.address_word, "address", b"\x11" * 20),
        (abi.bytes32_word, "bytes32", b"\x22" * 32),
        (abi.bool_word, "bool", True),
        (abi.bool_word, "bool", False),
    ],
)
def test_words_equal_those_of_an_independent_encoder(
    encoder: Callable[[object], bytes], kind: str, value: object
) -> None:
    """Each word equals what eth_abi writes."""
    assert encode([kind], [value]) == encoder(value)


def test_array_carries_its_length() -> None:
    """A dynamic array is its length and its elements; the offset belongs to the caller."""
    words = abi.word_array([abi.uint_word(3), abi.uint_word(7)])
    assert encode(["uint256[]"], [[3, 7]])[32:] == words
