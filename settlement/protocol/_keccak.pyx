# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Compiled Keccak-256 and what is built on it: the digest of an order and the dense state tree.

The permutation follows the Keccak specification (FIPS 202 with the original padding byte 0x01). The tree keeps every
node of a full binary tree in one zeroed allocation: pages that no account touches are never committed, and an
all-zero inner node stands for the root of an empty subtree of its level.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.long cimport PyLong_AsLongLongAndOverflow
from libc.stdint cimport uint8_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, memset

from settlement.protocol._keccak_lanes cimport offbook_permute, offbook_way

cdef enum:
    RATE_BYTES = 136
    LANES = 17
    HASH_BYTES = 32
    MAX_DEPTH = 24
    STATES = 8
    FEW = 3

cdef uint64_t[24] ROUND_CONSTANTS
ROUND_CONSTANTS[:] = [
    0x0000000000000001, 0x0000000000008082, 0x800000000000808A, 0x8000000080008000,
    0x000000000000808B, 0x0000000080000001, 0x8000000080008081, 0x8000000000008009,
    0x000000000000008A, 0x0000000000000088, 0x0000000080008009, 0x000000008000000A,
    0x000000008000808B, 0x800000000000008B, 0x8000000000008089, 0x8000000000008003,
    0x8000000000008002, 0x8000000000000080, 0x000000000000800A, 0x800000008000000A,
    0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008,
]


cdef inline uint64_t rotate(uint64_t lane, int count) noexcept nogil:
    return (lane << count) | (lane >> (64 - count))


cdef inline void theta(uint64_t* a) noexcept nogil:
    cdef uint64_t c0 = a[0] ^ a[5] ^ a[10] ^ a[15] ^ a[20]
    cdef uint64_t c1 = a[1] ^ a[6] ^ a[11] ^ a[16] ^ a[21]
    cdef uint64_t c2 = a[2] ^ a[7] ^ a[12] ^ a[17] ^ a[22]
    cdef uint64_t c3 = a[3] ^ a[8] ^ a[13] ^ a[18] ^ a[23]
    cdef uint64_t c4 = a[4] ^ a[9] ^ a[14] ^ a[19] ^ a[24]
    cdef uint64_t d0 = c4 ^ rotate(c1, 1)
    cdef uint64_t d1 = c0 ^ rotate(c2, 1)
    cdef uint64_t d2 = c1 ^ rotate(c3, 1)
    cdef uint64_t d3 = c2 ^ rotate(c4, 1)
    cdef uint64_t d4 = c3 ^ rotate(c0, 1)
    cdef int row
    for row in range(0, 25, 5):
        a[row] ^= d0
        a[row + 1] ^= d1
        a[row + 2] ^= d2
        a[row + 3] ^= d3
        a[row + 4] ^= d4


cdef inline void rho_pi(const uint64_t* a, uint64_t* b) noexcept nogil:
    b[0] = a[0]
    b[10] = rotate(a[1], 1)
    b[20] = rotate(a[2], 62)
    b[5] = rotate(a[3], 28)
    b[15] = rotate(a[4], 27)
    b[16] = rotate(a[5], 36)
    b[1] = rotate(a[6], 44)
    b[11] = rotate(a[7], 6)
    b[21] = rotate(a[8], 55)
    b[6] = rotate(a[9], 20)
    b[7] = rotate(a[10], 3)
    b[17] = rotate(a[11], 10)
    b[2] = rotate(a[12], 43)
    b[12] = rotate(a[13], 25)
    b[22] = rotate(a[14], 39)
    b[23] = rotate(a[15], 41)
    b[8] = rotate(a[16], 45)
    b[18] = rotate(a[17], 15)
    b[3] = rotate(a[18], 21)
    b[13] = rotate(a[19], 8)
    b[14] = rotate(a[20], 18)
    b[24] = rotate(a[21], 2)
    b[9] = rotate(a[22], 61)
    b[19] = rotate(a[23], 56)
    b[4] = rotate(a[24], 14)


cdef inline void chi(const uint64_t* b, uint64_t* a) noexcept nogil:
    cdef int row
    for row in range(0, 25, 5):
        a[row] = b[row] ^ (~b[row + 1] & b[row + 2])
        a[row + 1] = b[row + 1] ^ (~b[row + 2] & b[row + 3])
        a[row + 2] = b[row + 2] ^ (~b[row + 3] & b[row + 4])
        a[row + 3] = b[row + 3] ^ (~b[row + 4] & b[row])
        a[row + 4] = b[row + 4] ^ (~b[row] & b[row + 1])


cdef void permute(uint64_t* a) noexcept nogil:
    cdef uint64_t[25] b
    cdef int round_index
    for round_index in range(24):
        theta(a)
        rho_pi(a, b)
        chi(b, a)
        a[0] ^= ROUND_CONSTANTS[round_index]


cdef inline void absorb(uint64_t* state, const uint8_t* block) noexcept nogil:
    cdef uint64_t[LANES] lanes
    cdef int lane
    memcpy(lanes, block, RATE_BYTES)  # little-endian hosts only, checked at import
    for lane in range(LANES):
        state[lane] ^= lanes[lane]
    permute(state)


cdef void hash_into(const uint8_t* data, Py_ssize_t length, uint8_t* out) noexcept nogil:
    cdef uint64_t[25] state
    cdef uint8_t[RATE_BYTES] last
    memset(state, 0, sizeof(state))
    while length >= RATE_BYTES:
        absorb(state, data)
        data += RATE_BYTES
        length -= RATE_BYTES
    memset(last, 0, RATE_BYTES)
    memcpy(last, data, length)
    last[length] = 0x01
    last[RATE_BYTES - 1] |= 0x80
    absorb(state, last)
    memcpy(out, state, HASH_BYTES)


def keccak256(bytes data not None):
    """Return the Keccak-256 hash of `data` (32 bytes)."""
    cdef uint8_t[HASH_BYTES] out
    hash_into(<const uint8_t*> PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), out)
    return PyBytes_FromStringAndSize(<char*> out, HASH_BYTES)


def keccak256_many(items):
    """Return the hash of each of `items` (bytes), in order."""
    return [keccak256(item) for item in items]


cdef int put_number(uint8_t* word, value, bint is_signed) except -1:
    """Write an integer as one big-endian word; OverflowError when it does not fit."""
    cdef int overflow = 0
    cdef long long small = PyLong_AsLongLongAndOverflow(value, &overflow)
    cdef int place
    if overflow == 0 and (small >= 0 or is_signed):
        memset(word, 0xFF if small < 0 else 0, HASH_BYTES - 8)
        for place in range(8):
            word[HASH_BYTES - 1 - place] = <uint8_t> ((<uint64_t> small >> (8 * place)) & 0xFF)
        return 0
    memcpy(word, PyBytes_AS_STRING(<bytes> value.to_bytes(HASH_BYTES, "big", signed=is_signed)), HASH_BYTES)
    return 0


cdef int put_bytes(uint8_t* word, bytes value, Py_ssize_t length) except -1:
    """Write `length` bytes at the right of one word."""
    if value is None or PyBytes_GET_SIZE(value) != length:
        raise OverflowError("a field has another length")
    memset(word, 0, HASH_BYTES - length)
    memcpy(word + HASH_BYTES - length, PyBytes_AS_STRING(value), length)
    return 0


def trade_digest(bytes separator, bytes typehash, bytes module, bytes asset, sub_id, limit_price_e18, amount_e18,
                 max_fee_e18, subaccount_id, is_bid, nonce, expiry_s, bytes owner, bytes signer):
    """Return the EIP-712 digest of an order; OverflowError when a field does not fit, without naming it."""
    cdef uint8_t[7 * HASH_BYTES] data
    cdef uint8_t[8 * HASH_BYTES] action
    cdef uint8_t[2 + 2 * HASH_BYTES] message
    cdef uint8_t[HASH_BYTES] out
    put_bytes(data, asset, 20)
    put_number(&data[32], sub_id, False)
    put_number(&data[64], limit_price_e18, True)
    put_number(&data[96], amount_e18, True)
    put_number(&data[128], max_fee_e18, False)
    put_number(&data[160], subaccount_id, False)
    put_number(&data[192], 1 if is_bid else 0, False)
    put_bytes(action, typehash, HASH_BYTES)
    put_number(&action[32], subaccount_id, False)
    put_number(&action[64], nonce, False)
    put_bytes(&action[96], module, 20)
    hash_into(data, sizeof(data), &action[128])
    put_number(&action[160], expiry_s, False)
    put_bytes(&action[192], owner, 20)
    put_bytes(&action[224], signer, 20)
    message[0] = 0x19
    message[1] = 0x01
    put_bytes(&message[2], separator, HASH_BYTES)
    hash_into(action, sizeof(action), &message[2 + HASH_BYTES])
    hash_into(message, sizeof(message), out)
    return PyBytes_FromStringAndSize(<char*> out, HASH_BYTES)


cdef offbook_permute permute_lanes = offbook_way(b"")


def permuted(bytes states not None, str way not None):
    """Return eight permuted states (word w of state k at 8 * (8 * w + k), little endian); None where a way is missing.

    The ways are "avx512f", "avx2" and "plain"; "" is the fastest of them here, which the tree takes.
    """
    cdef uint64_t[25 * STATES] words
    cdef bytes name = way.encode()
    cdef offbook_permute permute_them = offbook_way(name)
    if PyBytes_GET_SIZE(states) != sizeof(words):
        raise ValueError("eight states have 1,600 bytes")
    if permute_them == NULL:
        return None
    memcpy(words, PyBytes_AS_STRING(states), sizeof(words))
    permute_them(words)
    return PyBytes_FromStringAndSize(<char*> words, sizeof(words))


cdef class DenseTree:
    """All nodes of a full binary tree in one array; the root is node 1 and leaf i is node 2^depth + i."""

    cdef uint8_t* nodes
    cdef uint8_t[(MAX_DEPTH + 1) * HASH_BYTES] empty
    cdef readonly int depth

    def __cinit__(self, int depth):
        cdef int level
        cdef uint8_t[2 * HASH_BYTES] pair
        if not 1 <= depth <= MAX_DEPTH:
            raise ValueError(f"depth {depth} is outside 1 .. {MAX_DEPTH}")
        self.depth = depth
        self.nodes = <uint8_t*> calloc(<size_t> 2 << depth, HASH_BYTES)
        if self.nodes == NULL:
            raise MemoryError
        memset(self.empty, 0, HASH_BYTES)
        for level in range(depth):
            memcpy(pair, &self.empty[level * HASH_BYTES], HASH_BYTES)
            memcpy(&pair[HASH_BYTES], &self.empty[level * HASH_BYTES], HASH_BYTES)
            hash_into(pair, 2 * HASH_BYTES, &self.empty[(level + 1) * HASH_BYTES])

    def __dealloc__(self):
        free(self.nodes)

    cdef inline const uint8_t* node(self, Py_ssize_t index, int level) noexcept nogil:
        cdef const uint8_t* stored = self.nodes + index * HASH_BYTES
        if memcmp(stored, self.empty, HASH_BYTES) == 0:
            return &self.empty[level * HASH_BYTES]
        return stored

    cdef inline void rehash(self, Py_ssize_t index, int level) noexcept nogil:
        cdef uint8_t[2 * HASH_BYTES] pair
        memcpy(pair, self.node(2 * index, level - 1), HASH_BYTES)
        memcpy(&pair[HASH_BYTES], self.node(2 * index + 1, level - 1), HASH_BYTES)
        hash_into(pair, 2 * HASH_BYTES, self.nodes + index * HASH_BYTES)

    cdef inline void load(self, Py_ssize_t index, int level, uint64_t* state) noexcept nogil:
        """Put node `index`, eight words below it and its padding, into one lane of eight states."""
        cdef uint64_t[8] pair
        cdef int word
        memcpy(pair, self.node(2 * index, level - 1), HASH_BYTES)
        memcpy(&pair[4], self.node(2 * index + 1, level - 1), HASH_BYTES)
        for word in range(8):
            state[STATES * word] = pair[word]
        state[STATES * 8] = 0x01
        state[STATES * (LANES - 1)] = <uint64_t> 0x80 << 56

    cdef inline void store(self, Py_ssize_t index, const uint64_t* state) noexcept nogil:
        cdef uint64_t[4] found
        cdef int word
        for word in range(4):
            found[word] = state[STATES * word]
        memcpy(self.nodes + index * HASH_BYTES, found, HASH_BYTES)

    cdef void rehash_group(self, const Py_ssize_t* places, int count, int level) noexcept nogil:
        """Rehash up to eight nodes of one level; a few are cheaper one by one."""
        cdef uint64_t[25 * STATES] states
        cdef int lane
        if count < FEW:
            for lane in range(count):
                self.rehash(places[lane], level)
            return
        memset(states, 0, sizeof(states))
        for lane in range(count):
            self.load(places[lane], level, &states[lane])
        permute_lanes(states)
        for lane in range(count):
            self.store(places[lane], &states[lane])

    cdef void rehash_all(self, Py_ssize_t used) noexcept nogil:
        cdef int level
        cdef Py_ssize_t first, count
        for level in range(1, self.depth + 1):
            first = <Py_ssize_t> 1 << (self.depth - level)
            count = (used + (<Py_ssize_t> 1 << level) - 1) >> level
            self.rehash_run(first, first + count, level)

    cdef void rehash_run(self, Py_ssize_t first, Py_ssize_t end, int level) noexcept nogil:
        cdef Py_ssize_t[STATES] places
        cdef int lane
        while first < end:
            for lane in range(STATES):
                places[lane] = first + lane
            self.rehash_group(places, <int> min(<Py_ssize_t> STATES, end - first), level)
            first += STATES

    cdef Py_ssize_t checked(self, index) except -1:
        cdef Py_ssize_t position = index
        if position < 0 or position >= <Py_ssize_t> 1 << self.depth:
            raise IndexError(f"leaf {index} is outside a tree of depth {self.depth}")
        return position

    cdef list parents(self, list positions, int level):
        """Rehash the parents of ascending `positions` and return them, each once."""
        cdef Py_ssize_t[STATES] places
        cdef list above = []
        cdef Py_ssize_t parent, last = 0
        cdef int count = 0
        for position in positions:
            parent = <Py_ssize_t> position >> 1
            if parent == last:
                continue
            above.append(parent)
            places[count] = last = parent
            count += 1
            if count == STATES:
                self.rehash_group(places, count, level)
                count = 0
        self.rehash_group(places, count, level)
        return above

    @property
    def root(self):
        """The 32-byte root."""
        return PyBytes_FromStringAndSize(<char*> self.node(1, self.depth), HASH_BYTES)

    def build(self, bytes leaves not None):
        """Set leaves 0, 1, ... from one buffer (32 bytes each) and every node above; later leaves are kept."""
        cdef Py_ssize_t used = PyBytes_GET_SIZE(leaves) // HASH_BYTES
        if PyBytes_GET_SIZE(leaves) % HASH_BYTES or used > <Py_ssize_t> 1 << self.depth:
            raise ValueError("leaves must be at most 2^depth hashes of 32 bytes")
        memcpy(self.nodes + (HASH_BYTES << self.depth), PyBytes_AS_STRING(leaves), used * HASH_BYTES)
        with nogil:
            self.rehash_all(used)

    def update(self, indices, leaves):
        """Set the leaves at strictly ascending `indices` and rehash their paths."""
        cdef Py_ssize_t position, last = -1
        cdef int level
        cdef list touched = []
        if len(indices) != len(leaves):
            raise ValueError("one leaf per index")
        for index, leaf in zip(indices, leaves):
            position = self.checked(index)
            if position <= last or not isinstance(leaf, bytes) or len(leaf) != HASH_BYTES:
                raise ValueError("indices must ascend and leaves have 32 bytes")
            touched.append(position + (<Py_ssize_t> 1 << self.depth))
            last = position
        for place, leaf in zip(touched, leaves):
            memcpy(self.nodes + <Py_ssize_t> place * HASH_BYTES, PyBytes_AS_STRING(leaf), HASH_BYTES)
        for level in range(1, self.depth + 1):
            touched = self.parents(touched, level)

    def leaf(self, index):
        """Return the 32-byte leaf at `index`."""
        cdef Py_ssize_t place = self.checked(index) + (<Py_ssize_t> 1 << self.depth)
        return PyBytes_FromStringAndSize(<char*> self.nodes + place * HASH_BYTES, HASH_BYTES)

    def multiproof(self, indices):
        """Return the siblings that `indices` (strictly ascending) lack, level by level from the leaves."""
        cdef list proof = []
        cdef list places = [self.checked(index) + (<Py_ssize_t> 1 << self.depth) for index in indices]
        cdef int level
        if any(left >= right for left, right in zip(places, places[1:])):
            raise ValueError("indices must ascend")
        for level in range(self.depth):
            places = self.siblings(places, level, proof)
        return proof

    cdef list siblings(self, list places, int level, list proof):
        """Append the missing siblings of one level and return the parents."""
        cdef list above = []
        cdef Py_ssize_t cursor = 0, place, count = len(places)
        while cursor < count:
            place = places[cursor]
            above.append(place >> 1)
            if place & 1 == 0 and cursor + 1 < count and places[cursor + 1] == place + 1:
                cursor += 2
                continue
            proof.append(PyBytes_FromStringAndSize(<char*> self.node(place ^ 1, level), HASH_BYTES))
            cursor += 1
        return above


cdef uint64_t endian_probe = 1
if (<uint8_t*> &endian_probe)[0] != 1:
    raise ImportError("settlement.protocol._keccak needs a little-endian machine")
