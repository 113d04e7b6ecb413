# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Compiled twin of black76.py and grid.py over whole chains: float64 arrays in and out, no GIL, no Python object.

A row that black76.Option refuses, or whose volatility, spot or value is no number of that kind, gives NaN in every
output of that row. `fill_grid` names the first such row instead, and writes nothing after it.
"""

from cpython.buffer cimport PyBUF_WRITABLE
from libc.math cimport erfc, exp, fabs, isfinite, log, pow, rint, sqrt
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memset

from exchange.domain._columns cimport (
    ANY_LENGTH, Held, bytes_of, floats_of, hold, length_of_last, let_go, places_of, written_floats,
)
from exchange.pricing._black76 cimport (
    CHEAP_MIDDLE, FIRST_TAIL, NAN, ROOT_HALF, SATURATED, Sensitivities, implied, intrinsic, largest, scaled_tail,
    sensitivities, smallest, undiscounted,
)
from exchange.pricing._chain_columns cimport Columns, take_columns

cdef enum:
    COLUMNS_MAX = 64
    GREEKS = 9

cdef enum Move:
    NONE = 0
    UP = 1
    DOWN = 2
    LINEAR = 3
    ABSOLUTE = 4

cdef extern from *:
    """
    #define OFFBOOK_E9 1e9
    #define OFFBOOK_GRID_MAX 9.0e6
    #define OFFBOOK_LOWEST_PRICE 1e-15
    #define OFFBOOK_HIGHEST_AMOUNT 1e15
    """
    const double E9 "OFFBOOK_E9"
    const double LOWEST_PRICE "OFFBOOK_LOWEST_PRICE"
    const double HIGHEST_AMOUNT "OFFBOOK_HIGHEST_AMOUNT"
    const double GRID_MAX "OFFBOOK_GRID_MAX"  # USDC per unit: up to here 1e-9 is exact as a double


cdef struct Shock:
    double range_up
    double range_down
    double lowest_up
    double short_power
    double long_power
    double floor_years
    double linear_cap
    double linear_base
    double absolute_cap
    double absolute_base
    double lowest_width
    double width
    double width_static
    double width_scale


cdef struct Expiry:
    double forward
    double root_years
    double discount
    double up
    double down
    double linear_cap
    double absolute_cap
    double peak
    double forwards[COLUMNS_MAX]
    double logs[COLUMNS_MAX]


cdef inline bint is_amount(double value) noexcept nogil:
    return 0.0 <= value <= HIGHEST_AMOUNT


cdef inline bint is_price(double value) noexcept nogil:
    return value == 0.0 or LOWEST_PRICE <= value <= HIGHEST_AMOUNT


cdef inline bint is_option(double forward, double strike, double years, double discount) noexcept nogil:
    return is_price(forward) and is_price(strike) and is_amount(years) and 0.0 < discount <= 1.0


def prices(
    object is_call, object forward, object strike, object years, object discount, object volatility, object out
):
    """Price of each row. Raises ValueError for columns of other types or of different length, as all here."""
    cdef Held held
    cdef Columns chain
    cdef double* made
    held.count = 0
    try:
        take_columns(&held, &chain, is_call, forward, strike, years, discount, volatility)
        made = written_floats(&held, out, chain.rows)
        with nogil:
            fill_prices(&chain, made)
    finally:
        let_go(&held)


cdef void fill_prices(const Columns* chain, double* out) noexcept nogil:
    cdef Py_ssize_t row
    for row in range(chain.rows):
        if is_option(chain.forward[row], chain.strike[row], chain.years[row], chain.discount[row]) \
                and is_amount(chain.number[row]):
            out[row] = chain.discount[row] * undiscounted(
                chain.is_call[row], chain.forward[row], chain.strike[row], chain.number[row] * sqrt(chain.years[row])
            )
        else:
            out[row] = NAN


def greeks(
    object is_call, object forward, object strike, object years, object discount, object volatility, object spot,
    object out
):
    """Price, delta, forward delta, gamma, vega, theta, rho, vanna, volga, row after row."""
    cdef Held held
    cdef Columns chain
    cdef const double* spots
    cdef double* made
    held.count = 0
    try:
        take_columns(&held, &chain, is_call, forward, strike, years, discount, volatility)
        spots = floats_of(&held, spot, chain.rows)
        made = written_floats(&held, out, GREEKS * chain.rows)
        with nogil:
            fill_greeks(&chain, spots, made)
    finally:
        let_go(&held)


cdef void fill_greeks(const Columns* chain, const double* spot, double* out) noexcept nogil:
    cdef Py_ssize_t row, column
    cdef Sensitivities made
    cdef double* values = &made.price
    for row in range(chain.rows):
        if is_option(chain.forward[row], chain.strike[row], chain.years[row], chain.discount[row]) \
                and is_amount(chain.number[row]) and is_price(spot[row]) and spot[row] > 0.0:
            made = sensitivities(
                chain.is_call[row], chain.forward[row], chain.strike[row], chain.years[row], chain.discount[row],
                chain.number[row], chain.forward[row] / spot[row],
            )
            for column in range(GREEKS):
                out[row * GREEKS + column] = values[column]
        else:
            for column in range(GREEKS):
                out[row * GREEKS + column] = NAN


def implied_volatilities(
    object is_call, object forward, object strike, object years, object discount, object value, double lowest_value,
    object out
):
    """Volatility of each row, NaN where there is none."""
    cdef Held held
    cdef Columns chain
    cdef double* made
    held.count = 0
    try:
        take_columns(&held, &chain, is_call, forward, strike, years, discount, value)
        made = written_floats(&held, out, chain.rows)
        with nogil:
            fill_volatilities(&chain, lowest_value, made)
    finally:
        let_go(&held)


cdef void fill_volatilities(const Columns* chain, double lowest_value, double* out) noexcept nogil:
    cdef Py_ssize_t row
    for row in range(chain.rows):
        if is_option(chain.forward[row], chain.strike[row], chain.years[row], chain.discount[row]) \
                and isfinite(chain.number[row]):
            out[row] = implied(
                chain.is_call[row], chain.forward[row], chain.strike[row], chain.years[row], chain.discount[row],
                chain.number[row], lowest_value,
            )
        else:
            out[row] = NAN


cdef inline void begin_expiry(
    Expiry* made, double fixed, double moving, double years, double discount, const Shock* shock,
    const double* spots, Py_ssize_t columns
) noexcept nogil:
    """What every option of an expiry shares: forwards and their logarithms, and the size of its shocks."""
    cdef double power = shock.short_power if years <= 30.0 / 365.0 else shock.long_power
    cdef double term = pow(30.0 / 365.0 / largest(years, shock.floor_years), power)
    cdef Py_ssize_t column
    made.forward = fixed + moving
    made.root_years = sqrt(years)
    made.discount = discount
    made.up = 1.0 + shock.range_up * term
    made.down = largest(0.0, 1.0 - shock.range_down * term)
    made.linear_cap = shock.linear_base * made.root_years + shock.linear_cap
    made.absolute_cap = shock.absolute_base * made.root_years + shock.absolute_cap
    made.peak = largest(
        shock.lowest_width,
        made.root_years * shock.width * (shock.width_static + made.root_years * shock.width_scale),
    )
    for column in range(columns):
        made.forwards[column] = fixed + moving * spots[column]
        made.logs[column] = log(made.forwards[column])


cdef inline double skewed(const Expiry* expiry, double strike, double cap, bint absolute) noexcept nogil:
    """Factor of the volatility in a skew scenario, at least 0."""
    cdef double distance, change
    if strike <= 0.0 or expiry.forward <= 0.0:
        return 1.0
    distance = log(strike / expiry.forward)
    if absolute:
        distance = fabs(distance)
    change = distance * cap / expiry.peak
    change = smallest(change, cap) if distance >= 0.0 else largest(change, -cap)
    return largest(0.0, 1.0 + change)


cdef inline double moved(
    const Expiry* expiry, int move, double strike, double volatility, double lowest_up
) noexcept nogil:
    """Volatility of an option in a scenario."""
    if move == UP:
        return largest(lowest_up, volatility * expiry.up)
    if move == DOWN:
        return volatility * expiry.down
    if move == LINEAR:
        return volatility * skewed(expiry, strike, expiry.linear_cap, False)
    if move == ABSOLUTE:
        return volatility * skewed(expiry, strike, expiry.absolute_cap, True)
    return volatility


cdef inline double shocked_value(
    bint is_call, double forward, double log_forward, double strike, double log_strike, double deviation, double inverse
) noexcept nogil:
    """Undiscounted price with everything that repeats handed in; same edges as `undiscounted`."""
    cdef double value = intrinsic(is_call, forward, strike)
    cdef double d1, d2
    if deviation <= 0.0 or strike <= 0.0 or forward <= 0.0:
        return value
    if deviation >= SATURATED:
        return forward if is_call else strike
    d1 = (log_forward - log_strike) * inverse + 0.5 * deviation
    d2 = d1 - deviation
    if forward <= strike:
        value += time_value_between(forward, strike, -d1 * ROOT_HALF, -d2 * ROOT_HALF)
    else:
        value += time_value_between(strike, forward, d2 * ROOT_HALF, d1 * ROOT_HALF)
    return smallest(value, forward if is_call else strike)


cdef inline double time_value_between(double front, double back, double near, double far) noexcept nogil:
    """(front erfc(near) - back erfc(far)) / 2 with near < far.

    Both densities are equal, front exp(-near^2) = back exp(-far^2), so that in the tails, where erfc costs three times
    as much as in the middle, one exponential serves both. Beyond 6 nothing of a cell is left.
    """
    if far < CHEAP_MIDDLE or near < FIRST_TAIL:
        return largest(0.5 * (front * erfc(near) - back * erfc(far)), 0.0)
    if near > 6.0 and front < GRID_MAX:
        return 0.0
    return largest(0.5 * front * exp(-near * near) * (scaled_tail(near) - scaled_tail(far)), 0.0)


cdef inline int fill_row(
    bint is_call, double strike, double volatility, const Expiry* expiry, const Shock* shock,
    const unsigned char* moves, Py_ssize_t columns, int64_t* out
) noexcept nogil:
    """One option in every column; -1 when a value does not fit 1e-9 USDC exactly."""
    cdef double deviations[5]
    cdef double inverses[5]
    cdef bint known[5]
    cdef double log_strike = log(strike)
    cdef double value
    cdef Py_ssize_t column
    cdef int move
    for move in range(5):
        known[move] = False
    for column in range(columns):
        move = moves[column]
        if not known[move]:
            deviations[move] = moved(expiry, move, strike, volatility, shock.lowest_up) * expiry.root_years
            inverses[move] = 1.0 / deviations[move]
            known[move] = True
        value = expiry.discount * shocked_value(
            is_call, expiry.forwards[column], expiry.logs[column], strike, log_strike, deviations[move], inverses[move]
        )
        if not value <= GRID_MAX:
            return -1
        out[column] = <int64_t> rint(value * E9)
    return 0


cdef struct Grid:
    Py_ssize_t rows
    Py_ssize_t columns
    Py_ssize_t expiries
    const unsigned char* is_call
    const double* strike
    const double* volatility
    const int32_t* expiry
    const double* fixed
    const double* moving
    const double* years
    const double* discount
    const double* spots
    const unsigned char* moves
    const Shock* shock
    int64_t* out


def fill_grid(
    object is_call, object strike, object volatility, object expiry, object fixed, object moving, object years,
    object discount, object spots, object moves, object shocks, object out
):
    """Values in 1e-9 USDC, one row per option and one column per scenario; -1, or the first row that has none.

    Options of an expiry stand together, or its shared part is computed again. `spots` and `moves` describe columns.
    """
    cdef Held held
    cdef Grid grid
    cdef Py_ssize_t bad
    held.count = 0
    try:
        take_cells(&held, &grid, out, spots, moves, shocks)
        grid.is_call = bytes_of(&held, is_call, grid.rows)
        grid.strike = floats_of(&held, strike, grid.rows)
        grid.volatility = floats_of(&held, volatility, grid.rows)
        grid.expiry = places_of(&held, expiry, grid.rows)
        grid.years = floats_of(&held, years, ANY_LENGTH)
        grid.expiries = length_of_last(&held)
        grid.fixed = floats_of(&held, fixed, grid.expiries)
        grid.moving = floats_of(&held, moving, grid.expiries)
        grid.discount = floats_of(&held, discount, grid.expiries)
        with nogil:
            bad = fill_rows(&grid)
    finally:
        let_go(&held)
    return bad


cdef int take_cells(Held* held, Grid* grid, object out, object spots, object moves, object shocks) except -1:
    """The cells, and what describes their columns."""
    cdef Py_buffer* cells = hold(held, out, b"q", sizeof(int64_t), 2, PyBUF_WRITABLE)
    cdef Py_ssize_t column
    grid.rows = cells.shape[0]
    grid.columns = cells.shape[1]
    grid.out = <int64_t*> cells.buf
    if not 0 < grid.columns <= COLUMNS_MAX:
        raise ValueError("1 to 64 columns, and as many moves as spots")
    grid.spots = floats_of(held, spots, grid.columns)
    grid.moves = bytes_of(held, moves, grid.columns)
    grid.shock = <const Shock*> floats_of(held, shocks, sizeof(Shock) // sizeof(double))
    for column in range(grid.columns):
        if grid.moves[column] > ABSOLUTE or not is_amount(grid.spots[column]):
            raise ValueError("a column that is no scenario")
    return 0


cdef Py_ssize_t fill_rows(const Grid* grid) noexcept nogil:
    """-1, or the first row without a value."""
    cdef Py_ssize_t row
    cdef Expiry shared
    cdef int current = -1
    cdef int at
    memset(&shared, 0, sizeof(Expiry))
    for row in range(grid.rows):
        at = grid.expiry[row]
        if not 0 <= at < grid.expiries:
            return row
        if at != current:
            if not is_option(grid.fixed[at] + grid.moving[at], grid.strike[row], grid.years[at], grid.discount[at]) \
                    or not is_price(grid.fixed[at]) or not is_price(grid.moving[at]):
                return row
            begin_expiry(
                &shared, grid.fixed[at], grid.moving[at], grid.years[at], grid.discount[at], grid.shock, grid.spots,
                grid.columns,
            )
            current = at
        if not is_price(grid.strike[row]) or not is_amount(grid.volatility[row]) or fill_row(
            grid.is_call[row], grid.strike[row], grid.volatility[row], &shared, grid.shock, grid.moves, grid.columns,
            grid.out + row * grid.columns,
        ):
            return row
    return -1
