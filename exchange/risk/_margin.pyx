# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Compiled twin of portfolio.worst_loss over many accounts: sums over the price grid in whole numbers, no GIL.

No float appears here: the answers are those of the plain twin to the unit. Cython does not know 128-bit arithmetic, so
every operation on a `wide` is a C function below, and none can be narrowed by accident.

Two paths give the same sums. Amounts of one account share a unit (its lot), so that a leg is a small count; while
counts times the largest cell stay below 2^62 an expiry is summed in 64 bits, otherwise in 128. Whether everything that
follows fits 128 bits is decided once per account, from its amounts and the largest cell; what may not is left to the
plain twin.
"""

from libc.stdint cimport int32_t, int64_t

from exchange.domain._columns cimport (
    ANY_LENGTH, Held, bytes_of, hold, length_of_last, let_go, places_of, words_of, written_bytes, written_words,
)

cdef extern from *:
    """
    typedef __int128 offbook_wide;
    #define OFFBOOK_MULTIPLIER_MAX ((int64_t)4294967295)
    #define OFFBOOK_CELL_MAX ((int64_t)9000000000000000)
    #define OFFBOOK_NARROW_LIMIT (((offbook_wide)1) << 62)
    #define OFFBOOK_WIDE_LIMIT (((offbook_wide)1) << 92)

    static inline offbook_wide offbook_wide_of(int64_t value) { return value; }
    static inline offbook_wide offbook_join(int64_t high, int64_t low) {
        return (offbook_wide)(((unsigned __int128)(uint64_t)high << 64) | (uint64_t)low);
    }
    static inline int64_t offbook_high(offbook_wide value) { return (int64_t)(value >> 64); }
    static inline int64_t offbook_low(offbook_wide value) { return (int64_t)(uint64_t)value; }
    static inline int64_t offbook_size(int64_t value) { return value < 0 ? -value : value; }
    static inline offbook_wide offbook_product(int64_t left, int64_t right) { return (offbook_wide)left * right; }
    static inline offbook_wide offbook_times(offbook_wide value, int64_t factor) { return value * factor; }
    static inline offbook_wide offbook_plus(offbook_wide left, offbook_wide right) { return left + right; }
    static inline offbook_wide offbook_minus(offbook_wide left, offbook_wide right) { return left - right; }
    static inline offbook_wide offbook_smaller(offbook_wide left, offbook_wide right) {
        return left < right ? left : right;
    }
    static inline offbook_wide offbook_minus_absolute(offbook_wide value) { return value < 0 ? value : -value; }
    static inline offbook_wide offbook_floor(offbook_wide value, int64_t divisor) {
        offbook_wide quotient = value / divisor;
        return quotient - (value - quotient * divisor < 0);
    }
    static inline int offbook_is_negative(offbook_wide value) { return value < 0; }
    static inline int offbook_is_narrow(offbook_wide value) { return value < OFFBOOK_NARROW_LIMIT; }
    static inline int offbook_is_large(offbook_wide value) {
        return value >= OFFBOOK_WIDE_LIMIT || value <= -OFFBOOK_WIDE_LIMIT;
    }
    static inline int offbook_product_is_large(offbook_wide value, int64_t factor) {
        offbook_wide found;
        return __builtin_mul_overflow(value, (offbook_wide)factor, &found) || offbook_is_large(found);
    }
    /* Whether floor(value / one) * dampening may be below `lowest`: exact division only where it matters. The shift
       loses less than 2^40 of either side, which the 2 makes up for; both factors are below 2^32. */
    static inline int offbook_may_be_lower(offbook_wide value, int64_t dampening, offbook_wide lowest, int64_t one) {
        return (value >> 40) * dampening < ((lowest >> 40) + 2) * one;
    }
    """
    const int64_t MULTIPLIER_MAX "OFFBOOK_MULTIPLIER_MAX"
    const int64_t CELL_MAX "OFFBOOK_CELL_MAX"
    ctypedef struct wide "offbook_wide":
        pass
    wide wide_of "offbook_wide_of"(int64_t value) noexcept nogil
    wide join "offbook_join"(int64_t high, int64_t low) noexcept nogil
    int64_t high_word "offbook_high"(wide value) noexcept nogil
    int64_t low_word "offbook_low"(wide value) noexcept nogil
    int64_t size_of "offbook_size"(int64_t value) noexcept nogil
    wide product "offbook_product"(int64_t left, int64_t right) noexcept nogil
    wide times "offbook_times"(wide value, int64_t factor) noexcept nogil
    wide plus "offbook_plus"(wide left, wide right) noexcept nogil
    wide minus "offbook_minus"(wide left, wide right) noexcept nogil
    wide smaller "offbook_smaller"(wide left, wide right) noexcept nogil
    wide minus_absolute "offbook_minus_absolute"(wide value) noexcept nogil
    wide floored "offbook_floor"(wide value, int64_t divisor) noexcept nogil
    bint is_negative "offbook_is_negative"(wide value) noexcept nogil
    bint is_narrow "offbook_is_narrow"(wide value) noexcept nogil
    bint is_large "offbook_is_large"(wide value) noexcept nogil
    bint product_is_large "offbook_product_is_large"(wide value, int64_t factor) noexcept nogil
    bint may_be_lower "offbook_may_be_lower"(wide value, int64_t dampening, wide lowest, int64_t one) noexcept nogil

cdef enum:
    COLUMNS_MAX = 64
    LEGS_MAX = 1024
    WORDS = 6


cdef struct Plan:
    Py_ssize_t scenarios
    Py_ssize_t columns
    Py_ssize_t mark
    Py_ssize_t forward_up
    Py_ssize_t forward_down
    int64_t one
    int64_t largest_cell
    int64_t moved[COLUMNS_MAX]
    int64_t dampening[COLUMNS_MAX]
    Py_ssize_t skew[COLUMNS_MAX]
    Py_ssize_t skews


cdef struct Legs:
    const int32_t* rows
    const int32_t* expiries
    const int64_t* counts
    Py_ssize_t number
    int64_t unit


cdef struct Accounts:
    Py_ssize_t number
    Py_ssize_t legs
    const int64_t* starts
    const int32_t* rows
    const int32_t* expiries
    const int64_t* counts
    const int64_t* units
    const int64_t* linear
    unsigned char* left_over
    int64_t* out


cdef struct Sums:
    wide scaled[COLUMNS_MAX]
    wide basis
    wide value


cdef inline void bend_skews(Sums* sums, const wide* values, const Plan* plan, const int64_t* factors) noexcept nogil:
    """Where a gain counts as a loss: what was added for the skew scenarios becomes minus its absolute change."""
    cdef wide scaled_mark = times(values[plan.mark], plan.one)
    cdef wide value, change
    cdef Py_ssize_t skew, place
    for skew in range(plan.skews):
        place = plan.skew[skew]
        value = times(values[place], factors[is_negative(values[place])])
        change = minus(value, scaled_mark)
        sums.scaled[place] = plus(sums.scaled[place], minus(minus_absolute(change), change))


cdef inline void add_basis(
    Sums* sums, const wide* values, const Plan* plan, int64_t unit, int64_t factor
) noexcept nogil:
    """The loss when the forward leaves the others, times one, and the mark, in units."""
    cdef wide mark = values[plan.mark]
    cdef wide lost = smaller(minus(values[plan.forward_up], mark), minus(values[plan.forward_down], mark))
    sums.basis = plus(sums.basis, times(times(smaller(lost, wide_of(0)), unit), factor))
    sums.value = plus(sums.value, mark)


cdef inline void add_narrow(
    Sums* sums, wide* values, const Plan* plan, const int64_t* cells, const Legs* legs, Py_ssize_t first,
    Py_ssize_t last, const int64_t* factors
) noexcept nogil:
    """V_e in every column in 64 bits, and its discounted values; the caller knows that 62 bits do."""
    cdef int64_t totals[COLUMNS_MAX]
    cdef Py_ssize_t leg, column
    cdef const int64_t* row = cells + legs.rows[first] * plan.columns
    cdef int64_t count = legs.counts[first]
    for column in range(plan.columns):
        totals[column] = count * row[column]
    for leg in range(first + 1, last):
        row = cells + legs.rows[leg] * plan.columns
        count = legs.counts[leg]
        for column in range(plan.columns):
            totals[column] += count * row[column]
    for column in range(plan.scenarios):
        sums.scaled[column] = plus(sums.scaled[column], product(totals[column], factors[totals[column] < 0]))
    values[plan.mark] = wide_of(totals[plan.mark])
    values[plan.forward_up] = wide_of(totals[plan.forward_up])
    values[plan.forward_down] = wide_of(totals[plan.forward_down])
    for leg in range(plan.skews):
        values[plan.skew[leg]] = wide_of(totals[plan.skew[leg]])


cdef inline void add_wide(
    Sums* sums, wide* values, const Plan* plan, const int64_t* cells, const Legs* legs, Py_ssize_t first,
    Py_ssize_t last, const int64_t* factors
) noexcept nogil:
    """The same in 128 bits."""
    cdef Py_ssize_t leg, column
    cdef const int64_t* row
    for column in range(plan.columns):
        values[column] = wide_of(0)
    for leg in range(first, last):
        row = cells + legs.rows[leg] * plan.columns
        for column in range(plan.columns):
            values[column] = plus(values[column], product(legs.counts[leg], row[column]))
    for column in range(plan.scenarios):
        sums.scaled[column] = plus(sums.scaled[column], times(values[column], factors[is_negative(values[column])]))


cdef inline wide find_worst(const Sums* sums, const Plan* plan, int64_t unit, wide linear) noexcept nogil:
    """The lowest of basis and scenarios; the marks come off here, once for all expiries."""
    cdef wide lowest = sums.basis
    cdef wide marks = times(sums.value, plan.one)
    cdef wide scaled
    cdef Py_ssize_t place
    for place in range(plan.scenarios):
        scaled = plus(times(minus(sums.scaled[place], marks), unit), times(linear, plan.moved[place]))
        if plan.dampening[place] != plan.one:
            if not may_be_lower(scaled, plan.dampening[place], lowest, plan.one):
                continue
            scaled = times(floored(scaled, plan.one), plan.dampening[place])
        lowest = smaller(lowest, scaled)
    return floored(lowest, plan.one)


cdef inline void write(int64_t* out, wide value) noexcept nogil:
    out[0] = high_word(value)
    out[1] = low_word(value)


cdef bint scan_one(
    const Plan* plan, const int64_t* cells, const Legs* legs, const int64_t* multipliers, wide linear, int64_t* out
) noexcept nogil:
    """Worst loss, basis and option value of one account whose legs stand by expiry; True: left to the plain twin."""
    cdef Sums sums
    cdef wide values[COLUMNS_MAX]
    cdef wide reach = wide_of(0)
    cdef Py_ssize_t first = 0, last, place
    cdef const int64_t* factors
    cdef bint narrow
    for place in range(legs.number):
        reach = plus(reach, product(size_of(legs.counts[place]), plan.largest_cell))
    if product_is_large(reach, legs.unit) or is_large(linear):
        return True
    narrow = is_narrow(reach)
    for place in range(plan.scenarios):
        sums.scaled[place] = wide_of(0)
    sums.basis = wide_of(0)
    sums.value = wide_of(0)
    while first < legs.number:
        last = first + 1
        while last < legs.number and legs.expiries[last] == legs.expiries[first]:
            last += 1
        factors = multipliers + 3 * legs.expiries[first]
        if narrow:
            add_narrow(&sums, values, plan, cells, legs, first, last, factors)
        else:
            add_wide(&sums, values, plan, cells, legs, first, last, factors)
        bend_skews(&sums, values, plan, factors)
        add_basis(&sums, values, plan, legs.unit, factors[2])
        first = last
    write(out, find_worst(&sums, plan, legs.unit, linear))
    write(out + 2, floored(sums.basis, plan.one))
    write(out + 4, times(sums.value, legs.unit))
    return False


cdef class Scan:
    """A grid with its parameters, checked once, then read by any number of accounts. Keeps the arrays alive.

    `columns`: number of scenarios, places of mark, forward up and forward down. Raises ValueError for numbers outside
    the ranges on which the absence of overflow rests, and for arrays that do not fit together.
    """

    cdef Plan plan
    cdef Held held
    cdef const int64_t* cells
    cdef Py_ssize_t cell_rows
    cdef const int64_t* multipliers
    cdef Py_ssize_t expiries

    def __cinit__(
        self, object cells, tuple columns, int64_t one, object moved, object dampening, object is_skew,
        object multipliers
    ):
        self.cells = self.take_table(cells, &self.cell_rows, &self.plan.columns)
        self.plan.one = one
        self.plan.scenarios, self.plan.mark, self.plan.forward_up, self.plan.forward_down = columns
        if not 0 < one <= MULTIPLIER_MAX:
            raise ValueError("a unit outside its range")
        if not 0 < columns[0] <= self.plan.columns <= COLUMNS_MAX:
            raise ValueError("as many columns as scenarios, and at most 64")
        if not 0 <= min(columns[1:]) <= max(columns[1:]) < self.plan.columns:
            raise ValueError("columns that the grid does not have")
        self.take_scenarios(moved, dampening, is_skew)
        self.take_multipliers(multipliers)
        self.find_largest_cell()

    def __dealloc__(self):
        let_go(&self.held)

    cdef const int64_t* take_table(self, object source, Py_ssize_t* rows, Py_ssize_t* columns) except? NULL:
        cdef Py_buffer* view = hold(&self.held, source, b"q", sizeof(int64_t), 2, 0)
        rows[0] = view.shape[0]
        columns[0] = view.shape[1]
        return <const int64_t*> view.buf

    cdef int take_scenarios(self, object moved, object dampening, object is_skew) except -1:
        """Copied: what is held for this ends here."""
        cdef Held held
        held.count = 0
        try:
            self.copy_scenarios(
                words_of(&held, moved, self.plan.scenarios), words_of(&held, dampening, self.plan.scenarios),
                bytes_of(&held, is_skew, self.plan.scenarios),
            )
        finally:
            let_go(&held)
        return 0

    cdef int copy_scenarios(
        self, const int64_t* moved, const int64_t* dampening, const unsigned char* is_skew
    ) except -1:
        cdef Py_ssize_t place
        self.plan.skews = 0
        for place in range(self.plan.scenarios):
            if not 0 <= dampening[place] <= self.plan.one:
                raise ValueError("a dampening outside its range")
            if not -self.plan.one <= moved[place] <= 2 * MULTIPLIER_MAX:
                raise ValueError("a move outside its range")
            self.plan.moved[place] = moved[place]
            self.plan.dampening[place] = dampening[place]
            if is_skew[place]:
                self.plan.skew[self.plan.skews] = place
                self.plan.skews += 1
        return 0

    cdef int take_multipliers(self, object multipliers) except -1:
        cdef Py_ssize_t place, width
        self.multipliers = self.take_table(multipliers, &self.expiries, &width)
        if width != 3:
            raise ValueError("three multipliers per expiry")
        for place in range(3 * self.expiries):
            if not 0 <= self.multipliers[place] <= MULTIPLIER_MAX:
                raise ValueError("a multiplier outside its range")
        return 0

    cdef int find_largest_cell(self) except -1:
        cdef Py_ssize_t place
        cdef int64_t largest = 0, lowest = 0
        for place in range(self.cell_rows * self.plan.columns):
            largest = self.cells[place] if self.cells[place] > largest else largest
            lowest = self.cells[place] if self.cells[place] < lowest else lowest
        if largest > CELL_MAX or lowest < -CELL_MAX:
            raise ValueError("a cell outside its range")
        self.plan.largest_cell = largest if largest > -lowest else -lowest
        return 0

    def run(
        self, object starts, object rows, object expiries, object counts, object units, object linear,
        object left_over, object out
    ):
        """Fill six words per account: worst, basis and value, each high and low; mark in `left_over` what did not fit.

        `starts` has one entry more than there are accounts; an amount is a count times its account's unit; `linear` has
        two words per account: what a move of the spot by all of itself gains. Raises ValueError for legs that are not
        in the grid.
        """
        cdef Held held
        cdef Accounts accounts
        held.count = 0
        try:
            accounts.left_over = written_bytes(&held, left_over, ANY_LENGTH)
            accounts.number = length_of_last(&held)
            accounts.rows = places_of(&held, rows, ANY_LENGTH)
            accounts.legs = length_of_last(&held)
            accounts.expiries = places_of(&held, expiries, accounts.legs)
            accounts.counts = words_of(&held, counts, accounts.legs)
            accounts.starts = words_of(&held, starts, accounts.number + 1)
            accounts.units = words_of(&held, units, accounts.number)
            accounts.linear = words_of(&held, linear, 2 * accounts.number)
            accounts.out = written_words(&held, out, WORDS * accounts.number)
            self.check_legs(&accounts)
            with nogil:
                self.scan_all(&accounts)
        finally:
            let_go(&held)

    cdef void scan_all(self, const Accounts* accounts) noexcept nogil:
        cdef Legs legs
        cdef Py_ssize_t account, first
        for account in range(accounts.number):
            first = accounts.starts[account]
            legs.rows = accounts.rows + first
            legs.expiries = accounts.expiries + first
            legs.counts = accounts.counts + first
            legs.number = accounts.starts[account + 1] - first
            legs.unit = accounts.units[account]
            accounts.left_over[account] = scan_one(
                &self.plan, self.cells, &legs, self.multipliers,
                join(accounts.linear[2 * account], accounts.linear[2 * account + 1]), accounts.out + WORDS * account,
            )

    cdef int check_legs(self, const Accounts* accounts) except -1:
        cdef Py_ssize_t leg, account
        if not accounts.legs or not self.expiries:
            raise ValueError("no legs at all")
        for leg in range(accounts.legs):
            if not 0 <= accounts.rows[leg] < self.cell_rows or not 0 <= accounts.expiries[leg] < self.expiries:
                raise ValueError("a leg without a row or an expiry")
        if accounts.number and (accounts.starts[0] < 0 or accounts.starts[accounts.number] > accounts.legs):
            raise ValueError("legs that are not there")
        for account in range(accounts.number):
            if not 0 <= accounts.starts[account + 1] - accounts.starts[account] <= LEGS_MAX:
                raise ValueError("accounts out of order, or with more than 1,024 legs")
        return 0
