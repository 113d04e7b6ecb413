# cython: language_level=3, embedsignature=False, binding=True
"""An order row of the compiled state under the names of `records.Order`: made when somebody looks, kept by nobody.

A view names its row and its number, and refuses to speak for another order that took the row.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint32_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy

from exchange.engine._integers cimport int_of, wide_from
from exchange.engine._rows cimport RECORD_BYTES, OrderRow, TriggerRow, order_at
from exchange.engine._state cimport Store

from exchange.domain.packing import pack_command, unpack_commands
from exchange.domain.result_codes import CloseReason, OrderStatus, ResultCode
from exchange.engine.records import TriggerStage

__all__ = ["OrderView"]

STATUSES = {int(status): status for status in OrderStatus}
REASONS = {int(reason): reason for reason in CloseReason}


cdef class OrderView:
    """An order: reads and writes the row, has the names of `records.Order`."""

    cdef Store store
    cdef uint32_t row
    cdef object known
    cdef object signed
    cdef uint32_t serial

    def __init__(self, Store store, uint32_t row):
        self.store = store
        self.row = row
        self.known = order_at(&store.engine, row).number

    def __eq__(self, other):
        return isinstance(other, OrderView) and self.known == other.number

    def __hash__(self):
        return hash(self.known)

    cdef OrderRow* at(self) except NULL:
        return self.store.live(self.row, self.known)

    def values(self, order):
        """Take every field of a plain order; the row has its number and its text already."""
        for name in (
            "price_ticks", "quantity_lots", "created_ns", "updated_ns", "filled_lots", "filled_notional_e6", "fee_e6",
            "status", "reason", "version", "replaces", "filled_batch", "rank", "refill_rank", "first_place",
            "stage", "group", "refusal", "trigger_e9", "offset_e9", "extreme_e9", "fired_e9",
        ):
            setattr(self, name, getattr(order, name))

    @property
    def number(self):
        return self.known

    @property
    def place(self):
        cdef OrderRow* order = self.at()
        if self.signed is None or self.serial != order.text_serial:
            self.signed = place_of(order.text, order.text_bytes)
            self.serial = order.text_serial
        return self.signed

    @place.setter
    def place(self, place):
        self.store.set_text(self.at(), place)

    @property
    def packed(self):
        """Record and attachments of what its owner signed last."""
        cdef OrderRow* order = self.at()
        return split(order.text, order.text_bytes)

    @property
    def packed_first(self):
        """The same of the command that made it, () unless another replaced it."""
        cdef OrderRow* order = self.at()
        return split(order.first, order.first_bytes) if order.first != NULL else ()

    @property
    def first_place(self):
        cdef OrderRow* order = self.at()
        return None if order.first == NULL else place_of(order.first, order.first_bytes)

    @first_place.setter
    def first_place(self, place):
        cdef OrderRow* order = self.at()
        cdef bytes packed = b"" if place is None else b"".join(pack_command(place))
        free(order.first)
        order.first, order.first_bytes = NULL, 0
        if packed:
            order.first = <char*>malloc(PyBytes_GET_SIZE(packed))
            self.store.need(order.first != NULL)
            memcpy(order.first, PyBytes_AS_STRING(packed), PyBytes_GET_SIZE(packed))
            order.first_bytes = <uint32_t>PyBytes_GET_SIZE(packed)

    @property
    def price_ticks(self):
        return self.at().price

    @price_ticks.setter
    def price_ticks(self, value):
        self.at().price = value

    @property
    def quantity_lots(self):
        return self.at().quantity

    @quantity_lots.setter
    def quantity_lots(self, value):
        self.at().quantity = value

    @property
    def filled_lots(self):
        return self.at().filled

    @filled_lots.setter
    def filled_lots(self, value):
        self.at().filled = value

    @property
    def remaining_lots(self):
        """What can still trade."""
        return self.at().quantity - self.at().filled

    @property
    def created_ns(self):
        return self.at().created

    @created_ns.setter
    def created_ns(self, value):
        self.at().created = value

    @property
    def updated_ns(self):
        return self.at().updated

    @updated_ns.setter
    def updated_ns(self, value):
        self.at().updated = value

    @property
    def filled_notional_e6(self):
        return int_of(self.at().notional)

    @filled_notional_e6.setter
    def filled_notional_e6(self, value):
        self.at().notional = wide_from(value)

    @property
    def fee_e6(self):
        return int_of(self.at().fee)

    @fee_e6.setter
    def fee_e6(self, value):
        self.at().fee = wide_from(value)

    @property
    def status(self):
        return STATUSES[self.at().status]

    @status.setter
    def status(self, value):
        self.at().status = value

    @property
    def reason(self):
        return REASONS[self.at().reason]

    @reason.setter
    def reason(self, value):
        self.at().reason = value

    @property
    def version(self):
        return self.at().version

    @version.setter
    def version(self, value):
        self.at().version = value

    @property
    def replaces(self):
        return self.at().replaces

    @replaces.setter
    def replaces(self, value):
        self.at().replaces = value

    @property
    def filled_batch(self):
        return self.at().filled_batch

    @filled_batch.setter
    def filled_batch(self, value):
        self.at().filled_batch = value

    @property
    def rank(self):
        return self.at().rank

    @rank.setter
    def rank(self, value):
        self.at().rank = value

    @property
    def refill_rank(self):
        return self.at().refill_rank

    @refill_rank.setter
    def refill_rank(self, value):
        self.at().refill_rank = value

    @property
    def place_in_line(self):
        """What orders of one level are sorted by."""
        return self.at().rank, self.at().refill_rank

    @property
    def stage(self):
        return TriggerStage(self.at().stage)

    @stage.setter
    def stage(self, value):
        self.at().stage = value

    @property
    def group(self):
        return self.at().group

    @group.setter
    def group(self, value):
        self.at().group = value

    @property
    def refusal(self):
        return ResultCode(self.at().refusal)

    @refusal.setter
    def refusal(self, value):
        self.at().refusal = value

    cdef TriggerRow* trigger(self, bint is_write) except? NULL:
        """Fields of trigger orders; NULL when it has none and they are only read."""
        cdef OrderRow* order = self.at()
        if order.trigger == NULL and is_write:
            order.trigger = <TriggerRow*>calloc(1, sizeof(TriggerRow))
            self.store.need(order.trigger != NULL)
        return order.trigger

    @property
    def trigger_e9(self):
        cdef TriggerRow* trigger = self.trigger(False)
        return trigger.trigger_e9 if trigger != NULL else 0

    @trigger_e9.setter
    def trigger_e9(self, value):
        if value or self.trigger(False) != NULL:
            self.trigger(True).trigger_e9 = value

    @property
    def offset_e9(self):
        cdef TriggerRow* trigger = self.trigger(False)
        return trigger.offset_e9 if trigger != NULL else 0

    @offset_e9.setter
    def offset_e9(self, value):
        if value or self.trigger(False) != NULL:
            self.trigger(True).offset_e9 = value

    @property
    def extreme_e9(self):
        cdef TriggerRow* trigger = self.trigger(False)
        return trigger.extreme_e9 if trigger != NULL else 0

    @extreme_e9.setter
    def extreme_e9(self, value):
        if value or self.trigger(False) != NULL:
            self.trigger(True).extreme_e9 = value

    @property
    def fired_e9(self):
        cdef TriggerRow* trigger = self.trigger(False)
        return trigger.fired_e9 if trigger != NULL else 0

    @fired_e9.setter
    def fired_e9(self, value):
        if value or self.trigger(False) != NULL:
            self.trigger(True).fired_e9 = value


cdef tuple split(const char* text, uint32_t size):
    return (
        PyBytes_FromStringAndSize(text, RECORD_BYTES),
        PyBytes_FromStringAndSize(text + RECORD_BYTES, size - RECORD_BYTES),
    )


cdef object place_of(const char* text, uint32_t size):
    (place,) = unpack_commands(*split(text, size))
    return place
