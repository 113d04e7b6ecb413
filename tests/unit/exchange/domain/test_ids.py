"""Order numbers and instrument ids."""

from exchange.domain.ids import PERPETUAL_BIT, is_perpetual_id, order_number, order_sequence


def test_order_number_holds_its_sequence() -> None:
    """Shard, sequence and line each have their bits."""
    assert order_number(sequence=1) == 256
    number = order_number(sequence=(1 << 48) - 1, line=255, shard=3)
    assert number == (3 << 56) | ((1 << 56) - 1)
    assert order_sequence(number) == (1 << 48) - 1


def test_perpetual_bit() -> None:
    """Perpetuals sort behind all options."""
    assert is_perpetual_id(PERPETUAL_BIT | 5)
    assert not is_perpetual_id(PERPETUAL_BIT - 1)
