# cython: language_level=3
"""Rows of Portfolio Margin in C: the plan of scenarios, what an expiry's values count for, an option's numbers."""

from libc.stdint cimport int64_t, uint8_t, uint32_t


cdef enum:
    SCENARIOS_MAX = 64
    FURTHER_CELLS = 3                # unshocked, forward up, forward down

cdef struct Trust:                   # of an expiry, over 1e9
    int64_t positive
    int64_t negative
    int64_t basis

cdef struct Scenarios:               # of a listing, 1e-9 USDC per unit; NULL: none
    int64_t* cells                   # by scenario, then the further ones
    int64_t* buy                     # what a unit bought at its mark changes by: by scenario, then in the basis term
    int64_t* sell
    int64_t until                    # ns, the last at which they are not stale
    int64_t mark                     # of a perpetual: what `buy` and `sell` were made for

cdef struct ScenarioPlan:            # PortfolioParameters over 1e9
    uint32_t count                   # 0: parameters that C does not hold
    int64_t moved[SCENARIOS_MAX]     # the spot's multiplier less one
    int64_t dampening[SCENARIOS_MAX]
    uint8_t is_skew[SCENARIOS_MAX]
    int64_t initial_factor
    int64_t perpetual_maintenance
    int64_t perpetual_initial
    int64_t option_maintenance
    int64_t option_initial
    int64_t quote_reserve
