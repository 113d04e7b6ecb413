# cython: language_level=3, embedsignature=False, binding=True
"""The hot commands of a tick as the exchange shows them: events, views of the orders touched, and packed events.

One crossing for all of them. Each command is applied, packed and shown before the next begins, so a view shows its
order right after its command.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memcpy

from exchange.engine._answers cimport DONE, HANDED
from exchange.engine._blobs cimport Blob, put_command, rows_of
from exchange.engine._entry cimport COLD, Record, Terms, read_terms
from exchange.engine._events cimport (
    PACKED_BATCH, PACKED_FUNDING, PACKED_KEPT, PACKED_LEVEL, PACKED_QUOTE_REFUSED, PACKED_TRADE,
)
from exchange.engine._hot_path cimport run_one
from exchange.engine._integers cimport int_of
from exchange.engine._lookup cimport find_number
from exchange.engine._rows cimport RECORD_BYTES, OrderRow, PackedEvent, order_at
from exchange.engine._state cimport Store

from exchange.domain.commands import OrderFlag, Side, TimeInForce
from exchange.domain.result_codes import CloseReason, OrderStatus, ResultCode
from exchange.domain.views import OrderView, Output
from exchange.engine._hot_path import decode
from matching_core.invariants import InvariantViolated

__all__ = ["order_view", "run_outputs"]

SIDES = (Side.BUY, Side.SELL)
FORCES = tuple(TimeInForce)
STATUSES = {int(status): status for status in OrderStatus}
REASONS = {int(reason): reason for reason in CloseReason}
CODES = {int(code): code for code in ResultCode}
FLAGS = {}                           # calling the enum costs more than the rest of a view


def run_outputs(Store store not None, commands, packed, int64_t now_ns, Py_ssize_t index, list outputs, view):
    """Apply commands (`packed` has their records and attachments) from `index` on until one is not hot or handed over.

    An Output of each goes to `outputs`; `view` gives the OrderView of a number where C does not. Returns (index of
    the next command, whether the one before it was handed over, packed events of the others). Raises
    InvariantViolated when money or positions do not add up, or time runs backwards.
    """
    cdef Blob blob = Blob(NULL, 0, 0)
    cdef Terms terms
    cdef int outcome = DONE
    if now_ns < store.engine.now:
        raise InvariantViolated(f"time runs backwards: {now_ns} after {store.engine.now}")
    try:
        while index < len(commands):
            outcome = take(store, packed[index], now_ns, &terms)
            if outcome == COLD:
                break
            index += 1
            if outcome == HANDED:
                break
            put_command(&store.engine, &blob, &terms)
            store.require_sound()
            outputs.append(output_of(store, commands[index - 1], view))
        return index, outcome == HANDED, PyBytes_FromStringAndSize(<const char*>blob.bytes, blob.size)
    finally:
        free(blob.bytes)


def order_view(Store store not None, number):
    """View of an order that is open or remembered; None for a number unknown, or one with a trigger or rare text."""
    cdef uint32_t row = find_number(&store.engine, number) if 0 <= number < 1 << 64 else 0
    return view_of(order_at(&store.engine, row)) if row else None


cdef int take(Store store, object packed, int64_t now_ns, Terms* terms) except -1:
    """Apply one command: DONE, COLD or HANDED."""
    cdef bytes record, text
    cdef const Record* head
    cdef int outcome
    cdef int64_t before = store.engine.now
    record, text = packed
    head = <const Record*>PyBytes_AS_STRING(record)
    if PyBytes_GET_SIZE(record) != RECORD_BYTES or head.attachment_bytes != PyBytes_GET_SIZE(text):
        return COLD
    store.engine.now = now_ns
    outcome = run_one(&store.engine, terms, head, PyBytes_AS_STRING(text))
    if outcome == COLD:
        store.engine.now = before
    store.require_sound()
    return outcome


cdef object output_of(Store store, object command, object view):
    """What a command gave, from the packed events of it alone."""
    cdef size_t index = 0
    cdef const PackedEvent* event
    orders = {}
    while index < store.engine.out_count:
        event = &store.engine.out[index]
        index += rows_of(event)
        if event.kind == PACKED_TRADE:
            show(store, (event + 1).number, orders, view)
            show(store, (event + 3).number, orders, view)
        elif event.kind not in (PACKED_LEVEL, PACKED_BATCH, PACKED_FUNDING, PACKED_KEPT, PACKED_QUOTE_REFUSED):
            show(store, event.number, orders, view)
    return Output(
        sequence=store.engine.sequence, timestamp_ns=store.engine.now, events=tuple(decode(store, command)),
        orders=orders,
    )


cdef int show(Store store, uint64_t number, dict orders, object view) except -1:
    """Add an order's view, once."""
    cdef uint32_t row
    if number == 0 or number in orders:
        return 0
    row = find_number(&store.engine, number)
    if row:
        found = view_of(order_at(&store.engine, row)) or view(number)
        if found is not None:
            orders[number] = found
    return 0


cdef object flags_of(uint32_t flags):
    found = FLAGS.get(flags)
    if found is None:
        found = FLAGS[flags] = OrderFlag(flags)
    return found


cdef object text_of(const char* text, uint32_t size):
    return PyBytes_FromStringAndSize(text, size).decode() if size else ""


cdef object view_of(const OrderRow* order):
    """What `queries.order_view` gives; None where it must be asked."""
    cdef Terms terms
    cdef const Record* record = <const Record*>order.text
    if order.trigger != NULL or not read_terms(&terms, record, order.text + RECORD_BYTES) or terms.signed == NULL:
        return None
    return OrderView(
        order=order.number, subaccount=record.account, instrument=record.instrument,
        side=SIDES[record.side_and_force & 1], time_in_force=FORCES[record.side_and_force >> 1],
        flags=flags_of(record.flags), price_ticks=order.price, quantity_lots=order.quantity,
        filled_lots=order.filled, filled_notional_e6=int_of(order.notional), fee_e6=int_of(order.fee),
        status=STATUSES[order.status], reason=REASONS[order.reason], nonce=record.nonce, expiry_s=record.expiry_s,
        expires_at_s=terms.expires_at_s, max_fee_e18=cap_of(&terms),
        signer=PyBytes_FromStringAndSize(terms.signed, 20),
        signature=PyBytes_FromStringAndSize(terms.signed + 52, terms.signature_bytes),
        client_order_id=text_of(terms.client_id, terms.id_bytes), label=text_of(terms.label, terms.label_bytes),
        created_ns=order.created, updated_ns=order.updated, version=order.version, replaces=order.replaces,
        refusal=CODES[order.refusal],
    )


cdef object cap_of(const Terms* terms):
    """The fee cap of 128 bits without a sign."""
    cdef uint64_t halves[2]
    memcpy(halves, &terms.max_fee, 16)
    return <object>halves[0] | <object>halves[1] << 64 if halves[1] else halves[0]
