# cython: language_level=3, embedsignature=False, binding=True
"""The hot commands of a run of records, one crossing from Python for all of them.

The loop below `run` is C: it holds no Python object and raises nothing. It stops at the first command that is not hot
(the Python handlers take it), and behind one that was booked but means something to waiting orders.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t
from libc.stdlib cimport free
from libc.string cimport memcpy

from exchange.engine._ahead cimport look_ahead
from exchange.engine._answers cimport DONE, HANDED, finish, reason_of, refusal_of
from exchange.engine._blobs cimport Blob, put_command
from exchange.engine._commands cimport cancel, copy_text, lower, place, reserve_for_place
from exchange.engine._entry cimport COLD, Entry, Record, Terms, examine, read_terms
from exchange.engine._events cimport (
    PACKED_ACCEPTED, PACKED_AMENDED, PACKED_BATCH, PACKED_CLOSED, PACKED_FUNDING, PACKED_KEPT, PACKED_LEVEL,
    PACKED_QUOTE_PLACED, PACKED_QUOTE_REFUSED, PACKED_REFUSED, PACKED_TRADE, PACKED_TRIP,
)
from exchange.engine._integers cimport int128, int_of
from exchange.engine._mass_quote cimport mass_quote
from exchange.engine._quotes cimport forget_spent
from exchange.engine._rows cimport RECORD_BYTES, Engine, PackedEvent
from exchange.engine._state cimport Store

from exchange.domain.commands import Place, Side
from exchange.domain.events import (
    BatchClosed, BookLevel, FillSide, OrderAccepted, OrderAmended, OrderClosed, OrderRefused, Trade,
)
from exchange.domain.quote_events import MassQuoted, MmpTriggered, QuoteKept, QuotePlaced, QuoteRefused
from exchange.domain.result_codes import CloseReason, OrderStatus, ResultCode
from exchange.domain.rounds import FundingPaid
from exchange.engine.book_codes import TRIPPED
from matching_core.invariants import InvariantViolated

__all__ = [
    "OUTCOME_COLD", "OUTCOME_DONE", "OUTCOME_HANDED", "decode", "drop_events", "meaning_of", "notes", "run",
    "run_packed", "take_events",
]

cdef enum:
    KIND_PLACE = 1                   # CommandKind
    KIND_CANCEL = 2
    KIND_AMEND = 3
    KIND_MASS_QUOTE = 8

cdef struct Run:                     # records and their attachments, one behind the other
    const char* records
    const char* texts
    Py_ssize_t count
    Py_ssize_t text_bytes
    int64_t now

cdef struct Cursor:
    Py_ssize_t index                 # of the next record
    Py_ssize_t used                  # bytes of attachments before it
    int outcome

OUTCOME_DONE, OUTCOME_COLD, OUTCOME_HANDED = DONE, COLD, HANDED
SIDES = (Side.BUY, Side.SELL)
STATUSES = {int(status): status for status in OrderStatus}
REASONS = {int(reason): reason for reason in CloseReason}
CODES = {int(code): code for code in ResultCode}


cdef int run_place(Engine* engine, const Terms* terms) noexcept nogil:
    cdef Entry entry
    cdef char* text = NULL
    cdef int outcome = examine(engine, terms, &entry)
    if outcome == COLD or (entry.is_spent and not reserve_for_place(engine, terms, &entry)):
        return COLD
    if entry.code == 0:
        text = copy_text(terms)
        if text == NULL:
            return COLD
    outcome = place(engine, terms, &entry, text)
    if outcome < 0:
        free(text)
        return DONE
    return outcome


cdef int run_mass_quote(
    Engine* engine, Terms* terms, const Record* record, const char* attachments
) noexcept nogil:
    cdef int outcome
    engine.sequence += 1
    outcome = mass_quote(engine, terms, record, attachments)
    if outcome == COLD:
        engine.sequence -= 1
        return COLD
    return finish(engine, outcome)


cdef int run_one(Engine* engine, Terms* terms, const Record* record, const char* attachments) noexcept nogil:
    cdef int outcome = COLD
    forget_spent(engine)
    if engine.fired_count:
        return COLD
    if record.kind == KIND_MASS_QUOTE:
        return run_mass_quote(engine, terms, record, attachments)
    if not read_terms(terms, record, attachments):
        return COLD
    engine.sequence += 1
    engine.trip_count = 0
    if record.kind == KIND_PLACE:
        outcome = run_place(engine, terms)
    elif record.kind == KIND_CANCEL:
        outcome = cancel(engine, terms)
    elif record.kind == KIND_AMEND:
        outcome = lower(engine, terms)
    if outcome == COLD:
        engine.sequence -= 1
        return COLD
    return finish(engine, outcome)


cdef void run_records(Engine* engine, const Run* given, Cursor* at, Blob* blob) noexcept nogil:
    """Commands from the cursor on until one is not hot or was handed over; with a blob, their events go there."""
    cdef Terms terms
    cdef const Record* record
    cdef Py_ssize_t first = at.index
    cdef int64_t before = engine.now
    engine.now = given.now
    while at.index < given.count and at.outcome == DONE and engine.defect == NULL:
        record = <const Record*>(given.records + at.index * RECORD_BYTES)
        at.outcome = COLD
        if record.attachment_bytes <= given.text_bytes - at.used:
            look_ahead(engine, record, given.count - at.index)
            at.outcome = run_one(engine, &terms, record, given.texts + at.used)
        if at.outcome == COLD:
            break
        at.used += record.attachment_bytes
        at.index += 1
        if blob != NULL and at.outcome == DONE:
            put_command(engine, blob, &terms)
            engine.out_count = 0
    if at.index == first:
        # Nothing happened at the time given.
        engine.now = before


cdef int begin(Store store, bytes records, bytes attachments, int64_t now_ns, Run* given) except -1:
    """Look at what is given."""
    if now_ns < store.engine.now:
        raise InvariantViolated(f"time runs backwards: {now_ns} after {store.engine.now}")
    given.now = now_ns
    given.records = PyBytes_AS_STRING(records)
    given.texts = PyBytes_AS_STRING(attachments)
    given.count = PyBytes_GET_SIZE(records) // RECORD_BYTES
    given.text_bytes = PyBytes_GET_SIZE(attachments)
    return 0


def run(Store store not None, bytes records not None, bytes attachments not None, now_ns, first=0, offset=0):
    """Apply records from `first` on, whose attachments begin at `offset`, until one is not hot or was handed over.

    Returns (index of the next record, offset of its attachments, DONE, COLD or HANDED). Events are added to those not
    taken yet. Raises InvariantViolated when money or positions do not add up, or time runs backwards.
    """
    cdef Run given = Run(NULL, NULL, 0, 0, 0)
    cdef Cursor at = Cursor(first, offset, DONE)
    begin(store, records, attachments, now_ns, &given)
    with nogil:
        run_records(&store.engine, &given, &at, NULL)
    store.require_sound()
    return at.index, at.used, at.outcome


def run_packed(Store store not None, bytes records not None, bytes attachments not None, now_ns, first=0, offset=0):
    """The same, with the events of all but a handed over command as a fourth item (bytes, see `_blobs`); none is kept.

    The events of a command that was handed over are left for `decode`.
    """
    cdef Run given = Run(NULL, NULL, 0, 0, 0)
    cdef Cursor at = Cursor(first, offset, DONE)
    cdef Blob blob = Blob(NULL, 0, 0)
    begin(store, records, attachments, now_ns, &given)
    try:
        with nogil:
            run_records(&store.engine, &given, &at, &blob)
        store.require_sound()
        return at.index, at.used, at.outcome, PyBytes_FromStringAndSize(<const char*>blob.bytes, blob.size)
    finally:
        free(blob.bytes)


def take_events(Store store not None):
    """Packed events not taken yet (layouts in _events.pxd), in order."""
    answer = PyBytes_FromStringAndSize(<const char*>store.engine.out, store.engine.out_count * sizeof(PackedEvent))
    store.engine.out_count = 0
    return answer


def drop_events(Store store not None):
    """Forget packed events not taken yet."""
    store.engine.out_count = 0


def notes(Store store not None):
    """List (row, whether it ended) of the fills and ends of the command that was handed over, and forget them."""
    cdef Engine* engine = &store.engine
    cdef size_t index
    answer = [(engine.notes[index].order, bool(engine.notes[index].is_close)) for index in range(engine.note_count)]
    engine.note_count = 0
    return answer


def decode(Store store not None, command):
    """Take the packed events of one command, its only ones, as events of exchange.domain."""
    cdef Engine* engine = &store.engine
    cdef size_t index = 0
    cdef const PackedEvent* event
    events = []
    while index < engine.out_count:
        event = &engine.out[index]
        if event.kind == PACKED_TRADE:
            events.append(decode_trade(event))
            index += 5
        elif event.kind == PACKED_BATCH or event.kind == PACKED_FUNDING:
            events.append(decode_batch(event) if event.kind == PACKED_BATCH else decode_funding(event))
            index += 2
        else:
            events.append(decode_single(event, command))
            index += 1
    engine.out_count = 0
    return events


cdef object decode_single(const PackedEvent* event, object command):
    if event.kind == PACKED_LEVEL:
        return BookLevel(
            instrument=event.account, side=SIDES[event.flags], price_ticks=event.body[0], quantity_lots=event.body[1]
        )
    if event.kind == PACKED_CLOSED:
        return OrderClosed(
            subaccount=event.account, account_seq=event.account_seq, order=event.number, instrument=event.body[0],
            status=STATUSES[event.flags], reason=REASONS[event.code], unfilled_lots=event.body[1],
        )
    if event.kind == PACKED_ACCEPTED:
        return decode_accepted(event, command)
    if event.kind == PACKED_REFUSED:
        return decode_refused(event, command)
    if event.kind != PACKED_AMENDED:
        return decode_quote(event, command)
    return OrderAmended(
        subaccount=event.account, account_seq=event.account_seq, order=event.number, instrument=event.body[0],
        quantity_lots=event.body[1], remaining_lots=event.body[2], version=event.body[3],
    )


cdef object decode_quote(const PackedEvent* event, object command):
    if event.kind == PACKED_QUOTE_PLACED:
        return QuotePlaced(
            subaccount=event.account, account_seq=event.account_seq, order=event.number, instrument=event.body[0],
            side=SIDES[event.flags & 1], price_ticks=event.body[1], quantity_lots=event.body[2],
            replaces=event.body[3],
        )
    if event.kind == PACKED_KEPT:
        return QuoteKept(subaccount=event.account, order=event.number, line=event.flags)
    if event.kind == PACKED_QUOTE_REFUSED:
        return QuoteRefused(
            subaccount=event.account, order=event.number, code=CODES[event.code], instrument=event.body[0],
            side=SIDES[event.flags & 1], price_ticks=event.body[1],
        )
    if event.kind == PACKED_TRIP:
        return MmpTriggered(
            subaccount=event.account, account_seq=event.account_seq, mmp_group=event.number, limit=TRIPPED[event.code],
            instrument=event.body[0], quantity_lots=event.body[1], thaw_ns=event.body[2],
        )
    return MassQuoted(
        subaccount=event.account, mmp_group=event.body[0], nonce=command.nonce, expiry_s=command.expiry_s,
        max_fee_e18=command.max_fee_e18, signer=command.signer, domain=command.domain, digest=command.digest,
        signature=command.signature,
    )


cdef object decode_accepted(const PackedEvent* event, object command):
    return OrderAccepted(
        subaccount=event.account, account_seq=event.account_seq, order=event.number, instrument=command.instrument,
        side=command.side, time_in_force=command.time_in_force, flags=command.flags, price_ticks=event.body[0],
        quantity_lots=command.quantity_lots, nonce=command.nonce, expiry_s=command.expiry_s,
        expires_at_s=command.expires_at_s,
        max_fee_e18=command.max_fee_e18, signer=command.signer, domain=command.domain, digest=command.digest,
        signature=command.signature, client_order_id=command.client_order_id, label=command.label,
        replaces=event.body[1],
    )


cdef object decode_refused(const PackedEvent* event, object command):
    is_place = isinstance(command, Place)
    is_named = is_place or hasattr(command, "client_order_id")
    return OrderRefused(
        subaccount=event.account, order=event.number, code=CODES[event.code], instrument=event.body[0],
        price_ticks=event.body[1], quantity_lots=event.body[2],
        client_order_id=command.client_order_id if is_named else "", label=command.label if is_place else "",
        nonce=command.nonce if is_named else 0,
    )


cdef object decode_trade(const PackedEvent* event):
    return Trade(
        trade=event.number, instrument=event.account, price_ticks=event.body[0], quantity_lots=event.body[1],
        taker_side=SIDES[event.flags], mark_e9=event.body[2], index_e9=event.body[3], maker=decode_side(event + 1),
        taker=decode_side(event + 3),
    )


cdef object decode_side(const PackedEvent* event):
    return FillSide(
        subaccount=event.account, account_seq=event.account_seq, order=event.number, fee_e6=event.body[0],
        realized_pnl_e6=money_at(event + 1, 16), position_lots=event.body[1], filled_lots=event.body[2],
        remaining_lots=event.body[3], ledger_cash_e6=money_at(event + 1, 32), cash_e6=money_at(event + 1, 48),
    )


cdef object decode_batch(const PackedEvent* event):
    return BatchClosed(
        batch=event.number, first_sequence=event.body[0], last_sequence=event.sequence, match_from_s=event.body[1],
        match_to_s=event.body[2], request_up_to=(event + 1).account_seq, fee_e6=money_at(event + 1, 32),
        fill_count=event.body[3],
    )


cdef object decode_funding(const PackedEvent* event):
    return FundingPaid(
        subaccount=event.account, account_seq=event.account_seq, instrument=event.body[0],
        amount_e6=money_at(event + 1, 16), position_lots=event.body[1], index_e12=event.body[2],
        ledger_cash_e6=money_at(event + 1, 32), cash_e6=money_at(event + 1, 48),
    )


cdef object money_at(const PackedEvent* event, int offset):
    cdef int128 value
    memcpy(&value, <const char*>event + offset, 16)
    return int_of(value)


def meaning_of(code):
    """(ResultCode, CloseReason) that C gives to a code of the core as a refusal and as an end; 0 for none."""
    return refusal_of(code), reason_of(code)
