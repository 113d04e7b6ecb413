"""The slot pool of the reference: capacity, order of reuse, wrap of the generation."""

from matching_core.reference_state import GENERATION_MAX, SlotPool


def test_full_pool_says_so():
    """Capacity counts slots in use."""
    pool = SlotPool(1)
    handle = pool.take()
    assert pool.is_full
    pool.release(handle)
    assert not pool.is_full
    assert pool.allocated_count == 0


def test_last_freed_slot_comes_first():
    """LIFO, each time one generation older."""
    pool = SlotPool(3)
    first, second = pool.take(), pool.take()
    pool.release(first)
    pool.release(second)
    assert [pool.take(), pool.take()] == [2 | 2 << 32, 1 | 2 << 32]


def test_generation_wraps_past_zero():
    """After 2**32-1 comes 1: a handle is never 0."""
    pool = SlotPool(1)
    pool.release(pool.take())
    pool._generations[1] = GENERATION_MAX
    pool.release(pool.take())
    assert pool.take() == 1 | 1 << 32
