# cython: language_level=3
"""The margins that the compiled engine's check holds of every account, for comparison with a recomputation."""

from libc.stdint cimport uint32_t

from exchange.engine._integers cimport int128, int_of
from exchange.engine._margin cimport others_margin
from exchange.engine._state cimport Store


def margins(Store store not None):
    """Worst-fill initial margins in 1e-18 USDC by subaccount; raises OverflowError where C leaves one to Python."""
    cdef uint32_t row
    cdef int is_wide = 0
    cdef int128 margin
    answer = {}
    for row in range(1, store.engine.account_top + 1):
        margin = others_margin(&store.engine, row, 0, &is_wide)
        if is_wide:
            raise OverflowError(f"the margin of account {store.engine.accounts[row].id} does not fit 128 bits")
        answer[store.engine.accounts[row].id] = int_of(margin)
    return answer
