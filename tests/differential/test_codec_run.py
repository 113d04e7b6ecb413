"""The comparison of two codecs: equal ones pass, and each way of being unequal is noticed."""

import random
from collections import Counter

import pytest

from settlement.protocol.merkle import fold_multiproof
from settlement.protocol.netting import NetDeltas
from tests.differential.codec_run import Difference, check_batch, check_tree, python_reading


class Honest:
    """The other reading, which is the same one."""

    def read(self, data, withdrawals, fee_e6):
        return python_reading(data, withdrawals, fee_e6)

    def fold(self, leaves, siblings):
        return fold_multiproof(20, leaves, siblings), 32 * len(siblings)


class Refusing(Honest):
    """Refuses every batch."""

    def read(self, data, withdrawals, fee_e6):
        return None


class Lax(Honest):
    """Takes the first bytes that it saw for whatever comes."""

    kept = None

    def read(self, data, withdrawals, fee_e6):
        self.kept = self.kept or super().read(data, withdrawals, fee_e6)
        return self.kept


class Moving(Honest):
    """Reads one unit of cash more for everybody."""

    def read(self, data, withdrawals, fee_e6):
        found = super().read(data, withdrawals, fee_e6)
        return found and NetDeltas({key: cash + 1 for key, cash in found.cash_e6.items()}, found.positions_lots)


class WrongRoot(Honest):
    """Folds to another root."""

    def fold(self, leaves, siblings):
        return bytes(32), 32 * len(siblings)


class Short(Honest):
    """Leaves a sibling over."""

    def fold(self, leaves, siblings):
        root, used = super().fold(leaves, siblings)
        return root, used - 32


def compare_batches(codec, count):
    """Batches of one seed; what was counted."""
    rng, found = random.Random(2), Counter()
    for _ in range(count):
        check_batch(codec, rng, found)
    return found


@pytest.mark.parametrize("codec", [Refusing, Lax, Moving])
def test_another_reading_of_a_batch_is_noticed(codec):
    """Within ten batches: nothing read, everything read, amounts moved."""
    with pytest.raises(Difference):
        compare_batches(codec(), 10)


@pytest.mark.parametrize("codec", [WrongRoot, Short])
def test_another_root_or_rest_of_a_proof_is_noticed(codec):
    """The first multiproof shows it."""
    with pytest.raises(Difference):
        check_tree(codec(), random.Random(1), Counter())


def test_equal_readings_are_counted():
    """Batches, what became of their copies, and a multiproof."""
    found = compare_batches(Honest(), 10)
    check_tree(Honest(), random.Random(2), found)
    assert (found["batches"], found["multiproofs"]) == (10, 1)
    assert found["copies refused"]
    assert sum(found.values()) == 10 + 1 + 4 * 10
