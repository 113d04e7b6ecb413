# cython: language_level=3
"""One hot command, for the modules that run many."""

from exchange.engine._entry cimport Record, Terms
from exchange.engine._rows cimport Engine

# One command of any kind, its terms read into `terms`: DONE; HANDED, booked but not finished; COLD, nothing changed.
cdef int run_one(Engine* engine, Terms* terms, const Record* record, const char* attachments) noexcept nogil
