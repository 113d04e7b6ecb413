"""Wire order ids: the vectors of api.md 1, and what is no id of ours."""

import pytest

from exchange.domain.ids import order_number
from exchange.wire.order_ids import OrderIds
from settlement.protocol.eip712 import domain_separator

IDS = OrderIds(domain_separator(424242))
VECTORS = [
    (1, 0, "00000000-0000-8010-8116-0b9de104199c"),
    (123456789, 0, "00000007-5bcd-8150-8116-0b9de104199c"),
    (1 << 40, 5, "00010000-0000-8000-9516-0b9de104199c"),
]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "00000000-0000-4010-8116-0b9de104199c",
        "00000000-0000-8010-c116-0b9de104199c",
        "00000000-0000-8010-8116-0b9de104199d",
        "00000000-0000-8010-8116-0b9de10419-c",
        "00000000000080108116-0b9de104199c----",
        "zzzzzzzz-0000-8010-8116-0b9de104199c",
    ],
)
def test_foreign_ids_do_not_decode(text: str) -> None:
    """Another version, variant or deployment, or no UUID at all, is None."""
    assert IDS.number(text) is None


@pytest.mark.parametrize(("sequence", "line", "text"), VECTORS)
def test_vectors(sequence: int, line: int, text: str) -> None:
    """The published vectors hold in both directions."""
    number = order_number(sequence=sequence, line=line)
    assert IDS.text(number) == text
    assert IDS.number(text) == number
    assert IDS.number(text.upper()) == number


def test_ids_sort_by_number() -> None:
    """Texts sort like the numbers behind them."""
    numbers = [0, 1, 255, 256, 1 << 16, (1 << 16) + 1, 1 << 40, (1 << 64) - 1]
    texts = [IDS.text(number) for number in numbers]
    assert sorted(texts) == texts
    assert [IDS.number(text) for text in texts] == numbers
