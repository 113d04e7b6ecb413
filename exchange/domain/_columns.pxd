"""Columns of numbers that Python hands to C: contiguous buffers, held until the caller lets them go.

Typed memoryviews do the same and bring 20,000 lines of C into every extension, most of its time in the compiler.
Everything here raises ValueError for items of another type, for another shape and for another length, and BufferError
for what is no such buffer; what was held before stays held.
"""

from cpython.buffer cimport PyBUF_C_CONTIGUOUS, PyBUF_FORMAT, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int32_t, int64_t

cdef enum:
    HELD_MAX = 12
    ANY_LENGTH = -1

cdef struct Held:
    Py_buffer views[HELD_MAX]
    int count  # 0 before the first


cdef inline Py_buffer* hold(
    Held* held, object source, char code, Py_ssize_t size, int dimensions, int access
) except NULL:
    """Items with this code of `struct` and this size; `access` may ask for PyBUF_WRITABLE."""
    cdef Py_buffer* view = &held.views[held.count]
    if held.count == HELD_MAX:
        raise ValueError("more columns than one call takes")
    PyObject_GetBuffer(source, view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | access)
    held.count += 1
    if view.ndim != dimensions or view.itemsize != size or view.format[0] != code or view.format[1] != 0:
        raise ValueError("a column of another type or shape")
    return view


cdef inline void let_go(Held* held) noexcept:
    """Release everything; pointers into it end here."""
    while held.count > 0:
        held.count -= 1
        PyBuffer_Release(&held.views[held.count])


cdef inline Py_ssize_t length_of_last(const Held* held) noexcept nogil:
    """Rows of the column that was held last."""
    return held.views[held.count - 1].shape[0]


cdef inline void* of_length(Py_buffer* view, Py_ssize_t rows) except? NULL:
    """Its memory, when it has so many rows; NULL without any."""
    if rows != ANY_LENGTH and view.shape[0] != rows:
        raise ValueError("columns of different length")
    return view.buf


cdef inline const unsigned char* bytes_of(Held* held, object source, Py_ssize_t rows) except? NULL:
    return <const unsigned char*> of_length(hold(held, source, b"B", 1, 1, 0), rows)


cdef inline const int32_t* places_of(Held* held, object source, Py_ssize_t rows) except? NULL:
    return <const int32_t*> of_length(hold(held, source, b"i", sizeof(int32_t), 1, 0), rows)


cdef inline const int64_t* words_of(Held* held, object source, Py_ssize_t rows) except? NULL:
    return <const int64_t*> of_length(hold(held, source, b"q", sizeof(int64_t), 1, 0), rows)


cdef inline const double* floats_of(Held* held, object source, Py_ssize_t rows) except? NULL:
    return <const double*> of_length(hold(held, source, b"d", sizeof(double), 1, 0), rows)


cdef inline unsigned char* written_bytes(Held* held, object source, Py_ssize_t rows) except? NULL:
    return <unsigned char*> of_length(hold(held, source, b"B", 1, 1, PyBUF_WRITABLE), rows)


cdef inline int64_t* written_words(Held* held, object source, Py_ssize_t rows) except? NULL:
    return <int64_t*> of_length(hold(held, source, b"q", sizeof(int64_t), 1, PyBUF_WRITABLE), rows)


cdef inline double* written_floats(Held* held, object source, Py_ssize_t rows) except? NULL:
    return <double*> of_length(hold(held, source, b"d", sizeof(double), 1, PyBUF_WRITABLE), rows)
