# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Compiled frames of RFC 6455, server side: whole masked data frames in, unmasked text frames out.

A frame is read here when it is final, masked, without reserved bits, text or binary and of at most `fast_bytes`.
Everything else goes to the library as it came, frame by frame: control frames, fragments
and longer frames leave the next frame to us again, a frame that breaks the protocol leaves the library all the rest.
So every close code but 1007 is the library's.
"""

from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

cdef enum:
    FIN = 0x80
    MASKED = 0x80
    RESERVED = 0x70
    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PONG = 0xA
    MASK_BYTES = 4
    SHORT_MAXIMUM = 125
    LENGTH_16 = 126
    MAXIMUM_16 = 0xFFFF
    # More than any connection admits: the library refuses such a frame at its header.
    MAXIMUM_PASSED = 0x7FFFFFFF

cdef uint64_t HIGH_BITS = 0x8080808080808080


cdef enum Kind:
    INCOMPLETE  # the header is not whole
    MESSAGE     # ours
    PASSED      # the library's, and the next frame may be ours again
    BROKEN      # the library's with all that follows


cdef struct Head:
    Kind kind
    uint8_t opcode
    bint fin
    Py_ssize_t start
    Py_ssize_t length


cdef inline bint unmask(const uint8_t* source, uint8_t* target, Py_ssize_t length, const uint8_t* mask) noexcept nogil:
    """Write source xor mask; whether all of it is ASCII."""
    cdef uint32_t half
    cdef uint64_t whole, word, seen = 0
    cdef uint8_t one
    cdef Py_ssize_t at = 0
    memcpy(&half, mask, 4)
    whole = (<uint64_t>half << 32) | half
    while at + 8 <= length:
        memcpy(&word, source + at, 8)
        word ^= whole
        seen |= word
        memcpy(target + at, &word, 8)
        at += 8
    while at < length:
        one = source[at] ^ mask[at & 3]
        seen |= one
        target[at] = one
        at += 1
    return not seen & HIGH_BITS


cdef inline Py_ssize_t head_bytes(Py_ssize_t length) noexcept nogil:
    if length <= SHORT_MAXIMUM:
        return 2
    return 4 if length <= MAXIMUM_16 else 10


cdef inline uint8_t* write_head(uint8_t* at, Py_ssize_t length) noexcept nogil:
    """Write the head of a text frame; where its payload goes."""
    cdef int shift
    at[0] = FIN | TEXT
    if length <= SHORT_MAXIMUM:
        at[1] = <uint8_t>length
        return at + 2
    if length <= MAXIMUM_16:
        at[1] = LENGTH_16
        at[2] = <uint8_t>(length >> 8)
        at[3] = <uint8_t>(length & 0xFF)
        return at + 4
    at[1] = LENGTH_16 + 1
    for shift in range(8):
        at[2 + shift] = <uint8_t>((<uint64_t>length >> (56 - 8 * shift)) & 0xFF)
    return at + 10


cdef inline Py_ssize_t exact_size(object piece) except -1:
    if not PyBytes_CheckExact(piece):
        raise TypeError("frames and payloads are bytes")
    return PyBytes_GET_SIZE(piece)


def text_frame(bytes payload not None) -> bytes:
    """`payload` (UTF-8) as one unfragmented text frame."""
    return joined_frames([payload], [])


def joined_frames(list payloads not None, list frames not None) -> bytes:
    """Each payload as a text frame, then ready frames as they are: what one write sends."""
    cdef Py_ssize_t size = 0, length
    cdef uint8_t* at
    cdef object piece
    for piece in payloads:
        length = exact_size(piece)
        size += head_bytes(length) + length
    for piece in frames:
        size += exact_size(piece)
    cdef bytes joined = PyBytes_FromStringAndSize(NULL, size)
    at = <uint8_t*>PyBytes_AS_STRING(joined)
    for piece in payloads:
        length = PyBytes_GET_SIZE(piece)
        at = write_head(at, length)
        memcpy(at, PyBytes_AS_STRING(piece), length)
        at += length
    for piece in frames:
        length = PyBytes_GET_SIZE(piece)
        memcpy(at, PyBytes_AS_STRING(piece), length)
        at += length
    return joined


cdef class FrameReader:
    """Cuts a client's stream, from a frame's boundary on, into messages of ours and pieces of the library's."""

    cdef Py_ssize_t fast_bytes
    cdef Py_ssize_t needed        # of an incomplete frame in `rest`
    cdef Py_ssize_t passing       # bytes of a long frame that are still to come
    cdef bint is_within_message   # between a first fragment and its last
    cdef bint is_broken
    cdef bytearray rest

    def __init__(self, Py_ssize_t fast_bytes) -> None:
        """Begin at a frame's boundary; frames above `fast_bytes` (at most 65,535) are the library's."""
        self.fast_bytes = min(fast_bytes, <Py_ssize_t>MAXIMUM_16)
        self.rest = bytearray()

    def read(self, bytes data not None) -> list:
        """In the order of the stream: lists of messages, bytes for the library, None for a text that is not UTF-8.

        What follows such a text is the library's. An incomplete frame is kept for the next call.
        """
        if self.is_broken:
            return [data]
        cdef list pieces = []
        cdef bytearray kept
        if PyByteArray_GET_SIZE(self.rest) == 0:
            self.cut(<const uint8_t*>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), pieces)
            return pieces
        self.rest += data
        if PyByteArray_GET_SIZE(self.rest) >= self.needed:
            kept, self.rest = self.rest, bytearray()
            self.cut(<const uint8_t*>PyByteArray_AS_STRING(kept), PyByteArray_GET_SIZE(kept), pieces)
        return pieces

    cdef int cut(self, const uint8_t* data, Py_ssize_t size, list pieces) except -1:
        cdef Py_ssize_t at = self.pass_on(data, size, self.passing, pieces) if self.passing else 0
        cdef list messages = None
        cdef bytes message
        cdef Head head
        while at < size and not self.is_broken:
            head = self.head_of(data + at, size - at)
            if head.kind == BROKEN:
                self.is_broken = True
            elif head.kind == INCOMPLETE or size - at < self.wanted(&head):
                self.needed = self.wanted(&head)
                self.rest += PyBytes_FromStringAndSize(<char*>data + at, size - at)
                return 0
            elif head.kind == PASSED:
                messages = None
                at += self.pass_on(data + at, size - at, head.start + head.length, pieces)
                if head.opcode < CLOSE:
                    self.is_within_message = not head.fin
            else:
                message = self.take(data + at, &head)
                at += head.start + head.length
                if message is None:
                    pieces.append(None)
                    self.is_broken = True
                elif messages is None:
                    messages = [message]
                    pieces.append(messages)
                else:
                    messages.append(message)
        if at < size:
            pieces.append(PyBytes_FromStringAndSize(<char*>data + at, size - at))
        return 0

    cdef inline Py_ssize_t wanted(self, const Head* head) noexcept:
        """Bytes that must be there before anything is done: a long frame is passed on as it comes."""
        if head.kind == PASSED and head.length > self.fast_bytes:
            return head.start
        return head.start + head.length

    cdef Py_ssize_t pass_on(self, const uint8_t* data, Py_ssize_t size, Py_ssize_t length, list pieces) except -1:
        """Give the library up to `length` bytes; how many there were."""
        cdef Py_ssize_t count = min(size, length)
        pieces.append(PyBytes_FromStringAndSize(<char*>data, count))
        self.passing = length - count
        return count

    cdef bytes take(self, const uint8_t* frame, const Head* head):
        """One message, None when it is a text and not UTF-8."""
        cdef bytes message = PyBytes_FromStringAndSize(NULL, head.length)
        cdef bint is_ascii = unmask(
            frame + head.start, <uint8_t*>PyBytes_AS_STRING(message), head.length, frame + head.start - MASK_BYTES
        )
        if not is_ascii and head.opcode == TEXT:
            try:
                PyUnicode_DecodeUTF8(PyBytes_AS_STRING(message), head.length, NULL)
            except UnicodeDecodeError:
                return None
        return message

    cdef Head head_of(self, const uint8_t* data, Py_ssize_t size) noexcept:
        """Sort the frame at `data`; of an incomplete one `start` is the number of bytes that tell more."""
        cdef Head head
        cdef uint64_t length = 0
        cdef int number
        head.kind, head.opcode, head.fin, head.start, head.length = INCOMPLETE, data[0] & 0x0F, data[0] & FIN, 2, 0
        if not self.may_begin(data[0]):
            head.kind, head.start = BROKEN, 0
            return head
        if size < 2:
            return head
        number = data[1] & 0x7F
        if not data[1] & MASKED or (head.opcode >= CLOSE and number > SHORT_MAXIMUM):
            head.kind, head.start = BROKEN, 0
            return head
        head.start = 2 + (0 if number <= SHORT_MAXIMUM else 2 if number == LENGTH_16 else 8) + MASK_BYTES
        if size < head.start:
            return head
        length = number if number <= SHORT_MAXIMUM else big_endian(data + 2, head.start - MASK_BYTES - 2)
        if length > <uint64_t>MAXIMUM_PASSED:
            head.kind, head.start = BROKEN, 0
            return head
        head.length = <Py_ssize_t>length
        head.kind = MESSAGE if self.is_ours(&head) else PASSED
        return head

    cdef inline bint is_ours(self, const Head* head) noexcept:
        return (head.opcode == TEXT or head.opcode == BINARY) and head.fin and head.length <= self.fast_bytes

    cdef inline bint may_begin(self, uint8_t first) noexcept:
        """Whether the first byte can open a frame here that does not break the protocol."""
        cdef uint8_t opcode = first & 0x0F
        if first & RESERVED:
            return False
        if opcode == CONTINUATION:
            return self.is_within_message
        if opcode == TEXT or opcode == BINARY:
            return not self.is_within_message
        return CLOSE <= opcode <= PONG and first & FIN != 0


cdef inline uint64_t big_endian(const uint8_t* data, Py_ssize_t count) noexcept nogil:
    cdef uint64_t value = 0
    cdef Py_ssize_t at
    for at in range(count):
        value = (value << 8) | data[at]
    return value
