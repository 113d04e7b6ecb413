# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""Compiled loop over ECDSA checks: one crossing from Python, one release of the interpreter lock for many signatures.

The curve is libsecp256k1, the one that the Python binding loaded: its functions come in as addresses, so nothing is
linked twice. Each row is 96 bytes: signature r | s (64), digest (32); each key is the library's own parsed form.
"""

from libc.stdint cimport uintptr_t
from libc.stdlib cimport free, malloc

cdef enum:
    ROW_BYTES = 96
    KEY_BYTES = 64
    SIGNATURE_BYTES = 64

ctypedef int (*ParseFunction)(const void*, void*, const unsigned char*) noexcept nogil
ctypedef int (*VerifyFunction)(const void*, const void*, const unsigned char*, const void*) noexcept nogil


def verify_rows(uintptr_t context, uintptr_t parse, uintptr_t verify, bytes rows not None, bytes keys not None):
    """One byte per row, 1 for a good signature; ValueError when rows and keys do not pair up."""
    cdef Py_ssize_t count = len(rows) // ROW_BYTES
    if len(rows) != count * ROW_BYTES or len(keys) != count * KEY_BYTES:
        raise ValueError("rows and keys do not pair up")
    if count == 0:
        return b""
    cdef const unsigned char* row = rows
    cdef const unsigned char* key = keys
    cdef unsigned char* verdicts = <unsigned char*> malloc(count)
    if verdicts == NULL:
        raise MemoryError
    try:
        with nogil:
            _verify_all(
                <const void*> context, <ParseFunction> parse, <VerifyFunction> verify, row, key, verdicts, count
            )
        return verdicts[:count]
    finally:
        free(verdicts)


cdef void _verify_all(
    const void* context,
    ParseFunction parse,
    VerifyFunction verify,
    const unsigned char* row,
    const unsigned char* key,
    unsigned char* verdicts,
    Py_ssize_t count,
) noexcept nogil:
    cdef unsigned char parsed[SIGNATURE_BYTES]
    cdef Py_ssize_t at
    for at in range(count):
        verdicts[at] = 0
        if parse(context, parsed, row) and verify(context, parsed, row + SIGNATURE_BYTES, key):
            verdicts[at] = 1
        row += ROW_BYTES
        key += KEY_BYTES
