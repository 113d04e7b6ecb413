"""The columns that every function over a chain takes, checked against each other."""

from exchange.domain._columns cimport ANY_LENGTH, Held, bytes_of, floats_of, length_of_last


cdef struct Columns:
    Py_ssize_t rows
    const unsigned char* is_call
    const double* forward
    const double* strike
    const double* years
    const double* discount
    const double* number  # volatility, or value


cdef inline int take_columns(
    Held* held, Columns* made, object is_call, object forward, object strike, object years, object discount,
    object number
) except -1:
    made.is_call = bytes_of(held, is_call, ANY_LENGTH)
    made.rows = length_of_last(held)
    made.forward = floats_of(held, forward, made.rows)
    made.strike = floats_of(held, strike, made.rows)
    made.years = floats_of(held, years, made.rows)
    made.discount = floats_of(held, discount, made.rows)
    made.number = floats_of(held, number, made.rows)
    return 0
