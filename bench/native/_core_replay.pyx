# cython: language_level=3, boundscheck=False, wraparound=False
"""The core's C entry under the clock: whole workloads, single commands, records through an id table, bytes per order.

Time is the thread's own: what other processes of the machine take is not counted.
Built by bench.native_build with the flags of the core; nothing of the exchange uses it.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from matching_core._codes cimport EVENT_ACCEPTED, EVENT_TRADE, IOC, KIND_AMEND, KIND_CANCEL, KIND_NEW
from matching_core._order_book cimport OrderBook, core_apply, core_apply_many, core_continue
from matching_core._order_pool cimport (
    PHASE_IDLE, Cold, Command, Core, Event, Level, Node, Order,
)

from time import perf_counter_ns, thread_time_ns

__all__ = [
    "batch_cycles", "cycles_per_ns", "idle_cycles", "latencies", "replay_ns", "replay_records_ns", "resting_bytes",
]

cdef extern from "cycles.h":
    uint64_t cycles_start() nogil
    uint64_t cycles_end() nogil

cdef enum:
    BATCH = 256
    EVENTS = 8192                    # far more than a batch answers with; a sweep drains it
    EVENTS_LEFT = 64

cdef packed struct Record:
    uint8_t kind
    uint8_t side
    uint8_t ioc
    uint8_t zero
    uint32_t quantity
    uint64_t sequence
    uint64_t order_id
    int64_t price
    int64_t instrument

cdef struct Entry:                   # what the id table knows of an order of the file
    uint64_t handle
    int64_t price
    uint32_t quantity


cdef inline uint32_t apply_one(Core* core, const Command* command, Event* events, uint32_t used) noexcept nogil:
    """One command to its end; returns the events in the buffer, which a long sweep starts over."""
    if used > EVENTS - EVENTS_LEFT:
        used = 0
    used += core_apply(core, command, 0, events + used, EVENTS - used)
    while core.phase != PHASE_IDLE:
        used = core_continue(core, events, EVENTS)
    return used


cdef inline void apply_batch(Core* core, const Command* command, const Command* end, Event* events) noexcept nogil:
    """A batch, each command to its end; a long sweep starts the buffer over."""
    cdef const Command* before
    cdef uint32_t used = 0
    while command < end:
        before = command
        used += core_apply_many(core, &command, end, 0, events + used, EVENTS - used)
        if command == before:
            used += core_apply(core, command, 0, events + used, EVENTS - used)
            command += 1
        while core.phase != PHASE_IDLE:
            used = core_continue(core, events, EVENTS)
        if used > EVENTS - EVENTS_LEFT:
            used = 0


def replay_ns(OrderBook book not None, bytes commands not None):
    """Nanoseconds to apply packed commands in batches of 256, each into the same event buffer."""
    cdef const Command* command = <const Command*>PyBytes_AS_STRING(commands)
    cdef size_t count = PyBytes_GET_SIZE(commands) // sizeof(Command)
    cdef Event* events = <Event*>calloc(EVENTS, sizeof(Event))
    cdef size_t index = 0
    start = thread_time_ns()
    with nogil:
        while index < count:
            apply_batch(&book.core, command + index, command + min(index + BATCH, count), events)
            index += BATCH
    duration = thread_time_ns() - start
    free(events)
    return duration


def batch_cycles(OrderBook book not None, bytes commands not None):
    """Cycles of each batch of 256 commands as packed u64."""
    cdef const Command* command = <const Command*>PyBytes_AS_STRING(commands)
    cdef size_t count = PyBytes_GET_SIZE(commands) // sizeof(Command)
    cdef size_t batches = (count + BATCH - 1) // BATCH
    cdef Event* events = <Event*>calloc(EVENTS, sizeof(Event))
    samples = PyBytes_FromStringAndSize(NULL, batches * sizeof(uint64_t))
    cdef uint64_t* cycles = <uint64_t*>PyBytes_AS_STRING(samples)
    cdef size_t batch
    cdef uint64_t start
    with nogil:
        for batch in range(batches):
            start = cycles_start()
            apply_batch(&book.core, command + batch * BATCH, command + min((batch + 1) * BATCH, count), events)
            cycles[batch] = cycles_end() - start
    free(events)
    return samples


def latencies(OrderBook book not None, bytes commands not None):
    """Cycles of each command as packed u32, counter reads included."""
    cdef const Command* command = <const Command*>PyBytes_AS_STRING(commands)
    cdef size_t count = PyBytes_GET_SIZE(commands) // sizeof(Command)
    cdef Event* events = <Event*>calloc(EVENTS, sizeof(Event))
    samples = PyBytes_FromStringAndSize(NULL, count * sizeof(uint32_t))
    cdef uint32_t* cycles = <uint32_t*>PyBytes_AS_STRING(samples)
    cdef size_t index
    cdef uint32_t used = 0
    cdef uint64_t start
    for index in range(count):
        cycles[index] = 0
    with nogil:
        for index in range(count):
            if index % BATCH == 0:
                used = 0
            start = cycles_start()
            used = apply_one(&book.core, command + index, events, used)
            cycles[index] = <uint32_t>(cycles_end() - start)
    free(events)
    return samples


def idle_cycles(size_t count):
    """Cycles of `count` pairs of counter reads with nothing between them, as packed u32: own cost and the jitter."""
    samples = PyBytes_FromStringAndSize(NULL, count * sizeof(uint32_t))
    cdef uint32_t* cycles = <uint32_t*>PyBytes_AS_STRING(samples)
    cdef size_t index
    cdef uint64_t start
    for index in range(count):
        cycles[index] = 0
    with nogil:
        for index in range(count):
            start = cycles_start()
            cycles[index] = <uint32_t>(cycles_end() - start)
    return samples


def cycles_per_ns():
    """Rate of the counter, over 50 ms of the machine's clock."""
    cdef uint64_t start = cycles_start()
    start_ns = now_ns = perf_counter_ns()
    while now_ns - start_ns < 50_000_000:
        now_ns = perf_counter_ns()
    return (cycles_end() - start) / (now_ns - start_ns)


cdef inline void note(Entry* entries, uint64_t* ids, const Record* record, Event* events, uint32_t count) noexcept nogil:
    """Learn the handle of a new order; put the file's ids in place of handles."""
    cdef uint32_t index
    for index in range(count):
        if events[index].kind == EVENT_ACCEPTED:
            entries[record.order_id].handle = events[index].handle
            ids[<uint32_t>events[index].handle] = record.order_id
            events[index].handle = record.order_id
        elif events[index].kind == EVENT_TRADE:
            events[index].handle = ids[<uint32_t>events[index].handle]


cdef inline Command command_of(const Record* record, const Entry* entry) noexcept nogil:
    """The command of a record; cancel and modify name their order by its handle, 0 when it was never placed."""
    cdef Command command
    command.kind = KIND_NEW if record.kind == 0 else KIND_CANCEL if record.kind == 1 else KIND_AMEND
    command.side = record.side
    command.flags = IOC if record.ioc else 0
    command.instrument = <uint32_t>record.instrument
    command.price = record.price
    command.quantity = record.quantity
    command.owner = <uint32_t>entry.handle if record.kind else 0
    command.cell = <uint32_t>(entry.handle >> 32) if record.kind else 0
    return command


cdef inline uint32_t apply_record(
    Core* core, const Record* record, Entry* entries, uint64_t* ids, Event* events, uint32_t used,
) noexcept nogil:
    """Apply one record; a modify that would keep its place is amended up first."""
    cdef Entry* entry = &entries[record.order_id]
    cdef Command command = command_of(record, entry)
    cdef uint32_t count
    if record.kind == 2 and record.price == entry.price and record.quantity <= entry.quantity:
        command.quantity = <int64_t>entry.quantity + 1
        used = apply_one(core, &command, events, used)
        command.quantity = record.quantity
    if record.kind != 1:
        entry.price = record.price
        entry.quantity = record.quantity
    if used > EVENTS - EVENTS_LEFT:
        used = 0
    count = core_apply(core, &command, 0, events + used, EVENTS - used)
    note(entries, ids, record, events + used, count)
    used += count
    while core.phase != PHASE_IDLE:
        used = core_continue(core, events, EVENTS)
        note(entries, ids, record, events, used)
    return used


def replay_records_ns(OrderBook book not None, bytes body not None, size_t order_id_max):
    """Nanoseconds to apply records through a table of their dense ids; trades and acceptances come out with those ids."""
    cdef const Record* record = <const Record*>PyBytes_AS_STRING(body)
    cdef size_t count = PyBytes_GET_SIZE(body) // sizeof(Record)
    cdef Event* events = <Event*>calloc(EVENTS, sizeof(Event))
    cdef Entry* entries = <Entry*>calloc(order_id_max + 1, sizeof(Entry))
    cdef uint64_t* ids = <uint64_t*>calloc(<size_t>book.core.order_capacity + 1, sizeof(uint64_t))
    cdef size_t index
    cdef uint32_t used = 0
    if events == NULL or entries == NULL or ids == NULL:
        raise MemoryError(f"no memory for {order_id_max} ids")
    start = thread_time_ns()
    with nogil:
        for index in range(count):
            if index % BATCH == 0:
                used = 0
            used = apply_record(&book.core, record + index, entries, ids, events, used)
    duration = thread_time_ns() - start
    free(events)
    free(entries)
    free(ids)
    return duration


def resting_bytes(OrderBook book not None):
    """Bytes of the records in use by part: orders, cold records, levels, trie."""
    cdef const Core* core = &book.core
    cdef size_t levels = core.level_top - core.level_free_count
    return {
        "hot": core.order_count * (sizeof(Order) + sizeof(uint32_t)),
        "cold": core.cold_count * sizeof(Cold),
        "levels": levels * sizeof(Level),
        "trie": (core.node_top - core.node_free_count) * sizeof(Node),
    }
