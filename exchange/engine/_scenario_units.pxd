# cython: language_level=3
"""What a unit of an instrument changes by in each scenario, bought or sold at its mark; twin: scenario_portfolio."""

from libc.stdint cimport int64_t, uint32_t

from exchange.engine._integers cimport ceil_div, floor_div, int128
from exchange.engine._scenario_rows cimport ScenarioPlan, Scenarios, Trust


cdef extern from *:
    """
    #define OFFBOOK_ONE 1000000000LL
    #define OFFBOOK_SQUARE 1000000000000000000LL
    """
    const int64_t ONE "OFFBOOK_ONE"
    const int64_t SQUARE "OFFBOOK_SQUARE"


cdef inline int128 magnitude(int128 value) noexcept nogil:
    return -value if value < 0 else value


cdef inline void make_units(const ScenarioPlan* plan, int64_t mark, Scenarios* units) noexcept nogil:
    """What a unit of a perpetual changes by, at a new mark."""
    cdef int128 move
    cdef uint32_t place
    if units.mark == mark:
        return
    for place in range(plan.count):
        move = <int128>plan.moved[place] * plan.dampening[place]
        units.buy[place] = <int64_t>floor_div(move * mark, SQUARE)
        units.sell[place] = <int64_t>floor_div(-move * mark, SQUARE)
    units.buy[plan.count] = units.sell[plan.count] = 0
    units.mark = mark


cdef inline void make_option_units(
    const ScenarioPlan* plan, const Trust* trust, Scenarios* option
) noexcept nogil:
    """What a unit of an option changes by, bought as a long one, sold as a short one; twin: option_changes."""
    cdef const int64_t* cells = option.cells
    cdef int128 flat = cells[plan.count]
    cdef int128 up = cells[plan.count + 1] - flat
    cdef int128 down = cells[plan.count + 2] - flat
    cdef int128 low, high
    cdef uint32_t place
    for place in range(plan.count):
        low = floor_div(<int128>cells[place] * trust.positive, ONE) - flat
        high = ceil_div(<int128>cells[place] * trust.negative, ONE) - flat
        if plan.is_skew[place]:
            high = magnitude(high) if magnitude(high) > magnitude(low) else magnitude(low)
            low = -high
        option.buy[place] = <int64_t>floor_div(low * plan.dampening[place], ONE)
        option.sell[place] = <int64_t>floor_div(-high * plan.dampening[place], ONE)
    low = up if up < down else down
    high = up if up > down else down
    option.buy[plan.count] = <int64_t>floor_div((low if low < 0 else <int128>0) * trust.basis, ONE)
    option.sell[plan.count] = <int64_t>floor_div((-high if high > 0 else <int128>0) * trust.basis, ONE)
