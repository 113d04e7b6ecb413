# cython: language_level=3
"""Black-76 in C: leaves that neither hold the GIL nor raise. The formulas and their edges are those of black76.py."""

from libc.math cimport INFINITY, NAN, erf, erfc, exp, fabs, log, sinh, sqrt

cdef extern from *:
    """
    #define OFFBOOK_SATURATED 24.0
    #define OFFBOOK_LOWEST 1e-8
    #define OFFBOOK_HIGHEST 20.0
    #define OFFBOOK_SETTLED_STEP 1e-9
    #define OFFBOOK_ROOT_HALF 0.70710678118654752440
    #define OFFBOOK_ROOT_PI_INVERSE 0.56418958354775628695
    #define OFFBOOK_FIRST_TAIL 0.46875
    #define OFFBOOK_CHEAP_MIDDLE 1.25
    #define OFFBOOK_ROOT_TWO_PI 2.50662827463100050242
    """
    const double SATURATED "OFFBOOK_SATURATED"
    const double LOWEST "OFFBOOK_LOWEST"
    const double HIGHEST "OFFBOOK_HIGHEST"
    const double SETTLED_STEP "OFFBOOK_SETTLED_STEP"
    const double ROOT_HALF "OFFBOOK_ROOT_HALF"
    const double ROOT_PI_INVERSE "OFFBOOK_ROOT_PI_INVERSE"
    const double CHEAP_MIDDLE "OFFBOOK_CHEAP_MIDDLE"
    const double FIRST_TAIL "OFFBOOK_FIRST_TAIL"
    const double ROOT_TWO_PI "OFFBOOK_ROOT_TWO_PI"

cdef enum:
    MAX_STEPS = 60

cdef struct Sensitivities:
    double price
    double delta
    double forward_delta
    double gamma
    double vega
    double theta
    double rho
    double vanna
    double volga


cdef inline double cumulative(double x) noexcept nogil:
    return 0.5 * erfc(-x * ROOT_HALF)


cdef inline double scaled_tail(double x) noexcept nogil:
    """exp(x^2) erfc(x) for x >= 0.46875: the rational approximations of W. J. Cody, Mathematics of Computation 23
    (1969), good to the last digits of a double."""
    cdef double square, above, below
    if x <= 4.0:
        above = (((((((2.15311535474403846e-8 * x + 5.64188496988670089e-1) * x + 8.88314979438837594e0) * x
                     + 6.61191906371416295e1) * x + 2.98635138197400131e2) * x + 8.81952221241769090e2) * x
                  + 1.71204761263407058e3) * x + 2.05107837782607147e3) * x + 1.23033935479799725e3
        below = (((((((x + 1.57449261107098347e1) * x + 1.17693950891312499e2) * x + 5.37181101862009858e2) * x
                    + 1.62138957456669019e3) * x + 3.29079923573345963e3) * x + 4.36261909014324716e3) * x
                 + 3.43936767414372164e3) * x + 1.23033935480374942e3
        return above / below
    square = 1.0 / (x * x)
    above = ((((1.63153871373020978e-2 * square + 3.05326634961232344e-1) * square + 3.60344899949804439e-1) * square
              + 1.25781726111229246e-1) * square + 1.60837851487422766e-2) * square + 6.58749161529837803e-4
    below = ((((square + 2.56852019228982242e0) * square + 1.87295284992346047e0) * square
              + 5.27905102951428412e-1) * square + 6.05183413124413191e-2) * square + 2.33520497626869185e-3
    return (ROOT_PI_INVERSE - square * above / below) / x


cdef inline double density(double x) noexcept nogil:
    return exp(-0.5 * x * x) / ROOT_TWO_PI


cdef inline double largest(double left, double right) noexcept nogil:
    return left if left > right else right


cdef inline double smallest(double left, double right) noexcept nogil:
    return left if left < right else right


cdef inline double intrinsic(bint is_call, double forward, double strike) noexcept nogil:
    return largest(forward - strike if is_call else strike - forward, 0.0)


cdef inline double time_value(double distance, double deviation) noexcept nogil:
    """Out-of-the-money value over sqrt(F K); `distance` = -|ln(F/K)|. Near the money the half of N = 1/2 + erf/2 that
    would cancel is taken out first."""
    cdef double ahead = distance / deviation + 0.5 * deviation
    cdef double behind = ahead - deviation
    cdef double half = 0.5 * distance
    cdef double up = exp(half)
    if behind > -1.0:
        return largest(sinh(half) + 0.5 * (up * erf(ahead * ROOT_HALF) - erf(behind * ROOT_HALF) / up), 0.0)
    return largest(up * cumulative(ahead) - cumulative(behind) / up, 0.0)


cdef inline double undiscounted(bint is_call, double forward, double strike, double deviation) noexcept nogil:
    """Value at expiry prices: intrinsic plus the time value of the out-of-the-money side."""
    cdef double value = intrinsic(is_call, forward, strike)
    if deviation <= 0.0 or strike <= 0.0 or forward <= 0.0:
        return value
    if deviation >= SATURATED:
        return forward if is_call else strike
    value += sqrt(forward * strike) * time_value(-fabs(log(forward / strike)), deviation)
    return smallest(value, forward if is_call else strike)


cdef inline double newton_step(double distance, double deviation, double value, double target) noexcept nogil:
    """Step of Newton's method on ln(value); infinite (the caller bisects) where the value vanishes."""
    cdef double slope = exp(-0.5 * (distance / deviation) * (distance / deviation) - 0.125 * deviation * deviation)
    if value <= 0.0 or slope <= 0.0:
        return INFINITY
    return log(target / value) * value * ROOT_TWO_PI / slope


cdef inline double solve(double distance, double target) noexcept nogil:
    """Total volatility whose time value is `target`, or NaN."""
    cdef double low = LOWEST
    cdef double high = HIGHEST
    cdef double deviation, following, value
    cdef int _step
    if not (time_value(distance, low) < target < time_value(distance, high)):
        return NAN
    deviation = sqrt(-2.0 * distance) if distance < 0.0 else target * ROOT_TWO_PI
    deviation = smallest(largest(deviation, low), high)
    for _step in range(MAX_STEPS):
        value = time_value(distance, deviation)
        if value < target:
            low = deviation
        else:
            high = deviation
        following = deviation + newton_step(distance, deviation, value, target)
        if not (low <= following <= high):
            following = 0.5 * (low + high)
        elif fabs(following - deviation) <= SETTLED_STEP * deviation:
            return following
        deviation = following
    return deviation


cdef inline double implied(
    bint is_call, double forward, double strike, double years, double discount, double value, double lowest_value
) noexcept nogil:
    """Volatility at which the option costs `value`; NaN where black76.implied_volatility gives None."""
    cdef double extra, most
    if not (years > 0.0 and strike > 0.0 and forward > 0.0):
        return NAN
    extra = value - discount * intrinsic(is_call, forward, strike)
    most = discount * smallest(forward, strike)
    if not (largest(lowest_value, 0.0) < extra < most):
        return NAN
    return solve(-fabs(log(forward / strike)), extra / (discount * sqrt(forward * strike))) / sqrt(years)


cdef inline double settled_delta(bint is_call, double forward, double strike) noexcept nogil:
    """N(d1) or -N(-d1) without any volatility left; half of it at the money, so that call less put stays 1."""
    cdef double exercised = 1.0 if forward > strike else (0.5 if forward == strike else 0.0)
    return exercised if is_call else exercised - 1.0


cdef inline Sensitivities sensitivities(
    bint is_call, double forward, double strike, double years, double discount, double volatility, double ratio
) noexcept nogil:
    """Price and Greeks in the units of risk.md 5.2; `ratio` = forward / spot."""
    cdef Sensitivities made
    cdef double root_years = sqrt(years)
    cdef double deviation = volatility * root_years
    cdef double d1, d2, dense, yearly, sign
    made.price = discount * undiscounted(is_call, forward, strike, deviation)
    made.rho = -years * made.price * 0.01
    made.gamma = made.vega = made.theta = made.vanna = made.volga = 0.0
    if deviation <= 0.0 or strike <= 0.0 or forward <= 0.0:
        made.forward_delta = discount * settled_delta(is_call, forward, strike)
        made.delta = made.forward_delta * ratio
        if years > 0.0:
            made.theta = -log(discount) / years * made.price / 365.0
        return made
    d1 = log(forward / strike) / deviation + 0.5 * deviation
    d2 = d1 - deviation
    sign = 1.0 if is_call else -1.0
    dense = discount * density(d1)
    yearly = forward * dense * root_years
    made.forward_delta = sign * discount * cumulative(sign * d1)
    made.delta = made.forward_delta * ratio
    made.gamma = dense / (forward * deviation) * ratio * ratio
    made.vega = yearly * 0.01
    made.theta = (-log(discount) / years * made.price - forward * dense * volatility / (2.0 * root_years)) / 365.0
    made.vanna = -dense * d2 / volatility * ratio * 0.01
    made.volga = yearly * d1 * d2 / volatility * 1e-4
    return made
