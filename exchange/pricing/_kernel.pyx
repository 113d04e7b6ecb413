# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Compiled twin of black76.py and grid.py over whole chains: float64 arrays in and out, no GIL, no Python object.

A row that black76.Option refuses, or whose volatility, spot or value is no number of that kind, gives NaN in every
output of that row. `fill_grid` names the first such row instead, and writes nothing after it.
"""

from libc.math cimport erfc, exp, fabs, isfinite, log, pow, rint, sqrt
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memset

from exchange.pricing._black76 cimport (
    CHEAP_MIDDLE, FIRST_TAIL, NAN, ROOT_HALF, SATURATED, Sensitivities, implied, intrinsic, largest, scaled_tail,
    sensitivities, smallest, undiscounted,
)

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
    const unsigned char[::1] is_call, const double[::1] forward, const double[::1] strike, const double[::1] years,
    const double[::1] discount, const double[::1] volatility, double[::1] out
):
    """Price of each row."""
    cdef Py_ssize_t row
    with nogil:
        for row in range(out.shape[0]):
            if is_option(forward[row], strike[row], years[row], discount[row]) and is_amount(volatility[row]):
                out[row] = discount[row] * undiscounted(
                    is_call[row], forward[row], strike[row], volatility[row] * sqrt(years[row])
                )
            else:
                out[row] = NAN


def greeks(
    const unsigned char[::1] is_call, const double[::1] forward, const double[::1] strike, const double[::1] years,
    const double[::1] discount, const double[::1] volatility, const double[::1] spot, double[::1] out
):
    """Price, delta, forward delta, gamma, vega, theta, rho, vanna, volga, row after row."""
    cdef Py_ssize_t row, column
    cdef Sensitivities made
    cdef double* values = &made.price
    with nogil:
        for row in range(strike.shape[0]):
            if is_option(forward[row], strike[row], years[row], discount[row]) and is_amount(volatility[row]) \
                    and is_price(spot[row]) and spot[row] > 0.0:
                made = sensitivities(
                    is_call[row], forward[row], strike[row], years[row], discount[row], volatility[row],
                    forward[row] / spot[row],
                )
                for column in range(GREEKS):
                    out[row * GREEKS + column] = values[column]
            else:
                for column in range(GREEKS):
                    out[row * GREEKS + column] = NAN


def implied_volatilities(
    const unsigned char[::1] is_call, const double[::1] forward, const double[::1] strike, const double[::1] years,
    const double[::1] discount, const double[::1] value, double lowest_value, double[::1] out
):
    """Volatility of each row, NaN where there is none."""
    cdef Py_ssize_t row
    with nogil:
        for row in range(out.shape[0]):
            if is_option(forward[row], strike[row], years[row], discount[row]) and isfinite(value[row]):
                out[row] = implied(
                    is_call[row], forward[row], strike[row], years[row], discount[row], value[row], lowest_value
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


def fill_grid(
    const unsigned char[::1] is_call, const double[::1] strike, const double[::1] volatility,
    const int32_t[::1] expiry, const double[::1] fixed, const double[::1] moving, const double[::1] years,
    const double[::1] discount, const double[::1] spots, const unsigned char[::1] moves, const double[::1] shocks,
    int64_t[:, ::1] out
):
    """Values in 1e-9 USDC, one row per option and one column per scenario; -1, or the first row that has none.

    Options of an expiry stand together, or its shared part is computed again. `spots` and `moves` describe columns.
    """
    cdef Py_ssize_t columns = spots.shape[0]
    cdef Py_ssize_t row, bad = -1
    cdef Shock* shock = <Shock*> &shocks[0]
    cdef Expiry shared
    cdef int current = -1
    cdef int at
    cdef Py_ssize_t rows = out.shape[0]
    if not 0 < columns <= COLUMNS_MAX or moves.shape[0] != columns or out.shape[1] != columns:
        raise ValueError("1 to 64 columns, and as many moves as spots")
    if is_call.shape[0] != rows or strike.shape[0] != rows or volatility.shape[0] != rows or expiry.shape[0] != rows:
        raise ValueError("as many calls, strikes, volatilities and expiries as rows")
    if not fixed.shape[0] == moving.shape[0] == years.shape[0] == discount.shape[0]:
        raise ValueError("as many forwards, times and discounts as expiries")
    if shocks.shape[0] * sizeof(double) != sizeof(Shock):
        raise ValueError("the shocks are not those of ShockParameters")
    for row in range(columns):
        if moves[row] > ABSOLUTE or not is_amount(spots[row]):
            raise ValueError("a column that is no scenario")
    memset(&shared, 0, sizeof(Expiry))
    with nogil:
        for row in range(out.shape[0]):
            at = expiry[row]
            if not 0 <= at < years.shape[0]:
                bad = row
                break
            if at != current:
                if not is_option(fixed[at] + moving[at], strike[row], years[at], discount[at]) \
                        or not is_price(fixed[at]) or not is_price(moving[at]):
                    bad = row
                    break
                begin_expiry(&shared, fixed[at], moving[at], years[at], discount[at], shock, &spots[0], columns)
                current = at
            if not is_price(strike[row]) or not is_amount(volatility[row]) or fill_row(
                is_call[row], strike[row], volatility[row], &shared, shock, &moves[0], columns, &out[row, 0]
            ):
                bad = row
                break
    return bad
