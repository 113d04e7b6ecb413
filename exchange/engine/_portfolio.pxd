# cython: language_level=3
"""Portfolio Margin in C: worst margin by scenarios and by the cash floor, summed anew; twins: portfolio_margin, risk.

Products of an amount and a cell are made without a check, inside bounds that are asked first: amounts below 2**56 (72
million units), cells below 2**53, per order 2**60, a value of an expiry below 2**88 (310 million USDC). What is beyond
raises `is_wide`, and the Python handlers decide. Profits are 1e-27 USDC until they are divided, the rest 1e-18.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t

from exchange.engine._cash_floor cimport Floor, charge_premiums, charge_reach, floor_margin, note_loss
from exchange.engine._integers cimport add, ceil_div, floor_div, int128, mul
from exchange.engine._margin cimport (
    CALL, E12, LISTED_PERPETUAL, ORDER_REDUCE_ONLY, PPM, Change, fees_e18, is_affordable, is_strict_reduction,
    others_margin, quotes_reserve,
)
from exchange.engine._rows cimport (
    GROUP_MEMBERS_MAX, ORDER_QUOTE, CellRow, Engine, Listing, Market, OrderRow, order_at,
)
from exchange.engine._scenario_rows cimport FURTHER_CELLS, SCENARIOS_MAX, ScenarioPlan, Trust
from exchange.engine._scenario_units cimport ONE, magnitude, make_units


cdef extern from *:
    """
    #define OFFBOOK_AMOUNT_MAX (1LL << 56)
    #define OFFBOOK_UNIT_MAX (1LL << 59)
    #define OFFBOOK_FEE_MAX ((offbook_int128)1 << 116)
    #define OFFBOOK_VALUE_MAX ((offbook_int128)1 << 88)
    """
    const int64_t AMOUNT_MAX "OFFBOOK_AMOUNT_MAX"
    const int64_t UNIT_MAX "OFFBOOK_UNIT_MAX"
    const int128 FEE_MAX "OFFBOOK_FEE_MAX"
    const int128 VALUE_MAX "OFFBOOK_VALUE_MAX"

cdef enum:
    ORDERS_MAX = 1000                # of an account: more could leave 128 bits


cdef struct Sums:                    # of one account in one underlying
    int128 scaled[SCENARIOS_MAX]     # profit by scenario, 1e-27 USDC
    int128 open[SCENARIOS_MAX]       # what open orders lose
    int128 basis                     # 1e-27 USDC
    int128 open_basis
    int128 value                     # of the positions at their marks, with the funding that is due
    int128 exposed                   # 1e-9 units of perpetuals, both sides
    int128 widening                  # by open orders
    int128 shorts                    # of options, not netted
    int128 sells                     # offered options

cdef struct Shorts:                  # options of an expiry, as far as they net
    int64_t strikes[GROUP_MEMBERS_MAX]
    int64_t amounts[GROUP_MEMBERS_MAX]
    uint8_t is_call[GROUP_MEMBERS_MAX]
    uint32_t count


cdef inline int64_t amount_of(const Listing* listing, int128 lots, int* is_wide) noexcept nogil:
    """1e-9 units of so many lots."""
    cdef int128 amount = mul(lots, listing.lot_e9, is_wide)
    if amount >= AMOUNT_MAX or amount <= -AMOUNT_MAX:
        is_wide[0] = 1
        return 0
    return <int64_t>amount


cdef inline bint is_beyond(int128 value, int128 limit) noexcept nogil:
    return value >= limit or value <= -limit


cdef inline int128 held_after(const CellRow* cell, uint32_t row, const Change* change) noexcept nogil:
    if change == NULL or change.cell != row or not change.is_filled:
        return cell.lots
    return <int128>cell.lots + (-change.lots if change.side else change.lots)


cdef inline int64_t resting_lots(uint32_t row, const Change* change, uint8_t side) noexcept nogil:
    if change == NULL or change.cell != row or change.is_filled or change.side != side:
        return 0
    return change.lots


cdef inline void add_perpetual(
    const Engine* engine, uint32_t row, const Change* change, Sums* sums, Floor* floor, int* is_wide
) noexcept nogil:
    cdef const CellRow* cell = &engine.cells[row]
    cdef const Listing* listing = &engine.listings[cell.instrument]
    cdef int128 held = held_after(cell, row, change)
    cdef int128 bought = held + cell.buys + resting_lots(row, change, 0)
    cdef int128 sold = held - cell.sells - resting_lots(row, change, 1)
    cdef int128 widest = magnitude(sold) if magnitude(sold) > magnitude(bought) else magnitude(bought)
    cdef int64_t amount = amount_of(listing, held, is_wide)
    cdef int128 linear = mul(amount, listing.mark, is_wide)
    cdef int128 due = mul(mul(cell.lots, listing.fund_index - cell.fund_index, is_wide), PPM, is_wide)
    cdef uint32_t place
    if is_beyond(linear, VALUE_MAX):
        is_wide[0] = 1
        return
    sums.value = add(sums.value, add(linear, -due, is_wide), is_wide)
    floor.perpetuals = add(floor.perpetuals, add(linear, -due, is_wide), is_wide)
    charge_reach(engine, listing, bought, sold, bought - sold, floor, is_wide)
    sums.exposed += magnitude(amount)
    if widest > magnitude(held):
        sums.widening += amount_of(listing, widest - magnitude(held), is_wide)
    for place in range(engine.rules.plan.count):
        sums.scaled[place] = add(sums.scaled[place], linear * engine.rules.plan.moved[place], is_wide)


cdef inline int128 count_naked(const Shorts* shorts) noexcept nogil:
    """Short options that no other side of their strike nets (risk.md 8.3)."""
    cdef int128 total = 0
    cdef int128 calls, puts, short_side, long_side
    cdef uint32_t first, other
    cdef bint is_known
    for first in range(shorts.count):
        is_known = False
        for other in range(first):
            is_known = is_known or shorts.strikes[other] == shorts.strikes[first]
        if is_known:
            continue
        calls = puts = 0
        for other in range(first, shorts.count):
            if shorts.strikes[other] == shorts.strikes[first]:
                if shorts.is_call[other]:
                    calls += shorts.amounts[other]
                else:
                    puts += shorts.amounts[other]
        short_side = (-calls if calls < 0 else <int128>0) + (-puts if puts < 0 else <int128>0)
        long_side = (calls if calls > 0 else <int128>0) + (puts if puts > 0 else <int128>0)
        total += short_side - (long_side if long_side < short_side else short_side)
    return total


cdef inline void add_option(
    const Engine* engine, uint32_t row, const Change* change, int128* values, Shorts* shorts, Sums* sums, Floor* floor,
    int* is_wide
) noexcept nogil:
    cdef const CellRow* cell = &engine.cells[row]
    cdef const Listing* listing = &engine.listings[cell.instrument]
    cdef int128 held = held_after(cell, row, change)
    cdef int128 sells = <int128>cell.sells + resting_lots(row, change, 1)
    cdef int64_t amount
    cdef uint32_t place
    sums.sells += amount_of(listing, sells, is_wide)
    charge_premiums(engine, cell, listing, resting_lots(row, change, 0), sells, change, floor, is_wide)
    if held == 0:
        return
    amount = amount_of(listing, held, is_wide)
    if listing.scenarios.cells == NULL or shorts.count == GROUP_MEMBERS_MAX:
        is_wide[0] = 1
        return
    sums.value = add(sums.value, mul(amount, listing.mark, is_wide), is_wide)
    floor.options = add(floor.options, mul(amount, listing.mark, is_wide), is_wide)
    for place in range(engine.rules.plan.count + FURTHER_CELLS):
        values[place] += <int128>amount * listing.scenarios.cells[place]
    shorts.strikes[shorts.count] = listing.strike
    shorts.amounts[shorts.count] = amount
    shorts.is_call[shorts.count] = listing.kind == CALL
    shorts.count += 1


cdef inline void add_profits(
    const Engine* engine, const Trust* trust, const int128* values, Sums* sums, int* is_wide
) noexcept nogil:
    """Profits of one expiry: discounted by the sign of its value, bent smiles count as losses."""
    cdef const ScenarioPlan* plan = &engine.rules.plan
    cdef int128 flat = values[plan.count]
    cdef int128 up = values[plan.count + 1] - flat
    cdef int128 down = values[plan.count + 2] - flat
    cdef int128 lowest = up if up < down else down
    cdef int128 change
    cdef uint32_t place
    for place in range(plan.count + FURTHER_CELLS):
        if is_beyond(values[place], VALUE_MAX):
            is_wide[0] = 1
            return
    for place in range(plan.count):
        change = values[place] * (trust.positive if values[place] >= 0 else trust.negative) - flat * ONE
        if plan.is_skew[place]:
            change = -magnitude(change)
        sums.scaled[place] = add(sums.scaled[place], change, is_wide)
    if lowest < 0:
        sums.basis = add(sums.basis, mul(lowest, trust.basis, is_wide), is_wide)


cdef inline void add_expiry(
    const Engine* engine, uint32_t group, const Change* change, Sums* sums, Floor* floor, int* is_wide
) noexcept nogil:
    cdef int128 values[SCENARIOS_MAX + FURTHER_CELLS]
    cdef Shorts shorts
    cdef uint32_t place
    cdef uint32_t row = engine.groups[group].cells
    shorts.count = 0
    for place in range(engine.rules.plan.count + FURTHER_CELLS):
        values[place] = 0
    while row:
        add_option(engine, row, change, values, &shorts, sums, floor, is_wide)
        row = engine.cells[row].next
    if shorts.count and not is_wide[0]:
        add_profits(engine, &engine.markets[engine.groups[group].group].trust, values, sums, is_wide)
        sums.shorts += count_naked(&shorts)


cdef inline void add_order(
    const Engine* engine, uint32_t instrument, uint8_t side, int64_t price, int64_t lots, Sums* sums, Floor* floor,
    int* is_wide
) noexcept nogil:
    """What an order loses where it loses, at its limit and with its fee; and what it loses against the mark."""
    cdef Listing* listing = &engine.listings[instrument]
    cdef int64_t amount = amount_of(listing, lots, is_wide)
    cdef int128 gain = <int128>listing.mark - <int128>price * listing.tick_e9
    cdef int128 fee = fees_e18(engine, listing, lots, 1, is_wide)
    cdef int128 change
    cdef const int64_t* units
    cdef uint32_t place
    cdef uint32_t count = engine.rules.plan.count
    if listing.kind == LISTED_PERPETUAL and listing.scenarios.buy != NULL:
        make_units(&engine.rules.plan, listing.mark, &listing.scenarios)
    units = listing.scenarios.sell if side else listing.scenarios.buy
    gain = -gain if side else gain
    if units == NULL or listing.mark >= AMOUNT_MAX or is_beyond(gain, UNIT_MAX) or is_beyond(fee, FEE_MAX):
        is_wide[0] = 1
        return
    if gain < 0:
        note_loss(listing, <int128>amount * <int64_t>gain, floor, is_wide)
    for place in range(count):
        change = <int128>amount * (units[place] + <int64_t>gain) - fee
        if change < 0:
            sums.open[place] += change
    change = <int128>amount * (units[count] + <int64_t>gain) - fee
    if change < 0:
        sums.open_basis += change


cdef inline void add_orders(
    const Engine* engine, uint32_t account, uint32_t underlying, const Change* change, Sums* sums, Floor* floor,
    int* is_wide
) noexcept nogil:
    cdef const OrderRow* order
    cdef uint32_t at = engine.accounts[account].head
    cdef uint32_t instrument
    while at:
        order = order_at(engine, at)
        if not order.flags & (ORDER_REDUCE_ONLY | ORDER_QUOTE):
            if engine.listings[order.instrument].underlying == underlying:
                add_order(
                    engine, order.instrument, order.side, order.price, order.quantity - order.filled, sums, floor,
                    is_wide,
                )
        at = order.next
    if change == NULL or change.is_filled:
        return
    instrument = engine.cells[change.cell].instrument
    if engine.listings[instrument].underlying == underlying:
        add_order(engine, instrument, change.side, change.price, change.lots, sums, floor, is_wide)


cdef inline int128 contingency(int128 amount, int64_t index, int64_t share, int* is_wide) noexcept nogil:
    return ceil_div(mul(mul(amount, index, is_wide), share, is_wide), ONE)


cdef inline int128 required(const Engine* engine, const Sums* sums, int64_t index, int* is_wide) noexcept nogil:
    """Initial requirement: the worst of all scenarios and the basis term, and the contingencies."""
    cdef const ScenarioPlan* plan = &engine.rules.plan
    cdef int128 worst = floor_div(sums.basis, ONE) + sums.open_basis
    cdef int128 profit, answer
    cdef int64_t option = plan.option_maintenance + plan.option_initial
    cdef int64_t perpetual = plan.perpetual_maintenance + plan.perpetual_initial
    cdef uint32_t place
    for place in range(plan.count):
        profit = sums.scaled[place]
        if plan.dampening[place] != ONE:
            profit = mul(floor_div(profit, ONE), plan.dampening[place], is_wide)
        profit = floor_div(profit, ONE) + sums.open[place]
        worst = profit if profit < worst else worst
    answer = -floor_div(mul(worst, plan.initial_factor, is_wide), ONE)
    answer = add(answer, contingency(sums.exposed, index, plan.perpetual_maintenance, is_wide), is_wide)
    answer = add(answer, contingency(sums.shorts, index, plan.option_maintenance, is_wide), is_wide)
    answer = add(answer, contingency(sums.exposed, index, plan.perpetual_initial, is_wide), is_wide)
    answer = add(answer, contingency(sums.shorts, index, plan.option_initial, is_wide), is_wide)
    answer = add(answer, contingency(sums.sells, index, option, is_wide), is_wide)
    return add(answer, contingency(sums.widening, index, perpetual, is_wide), is_wide)


cdef inline int128 underlying_margin(
    const Engine* engine, uint32_t account, uint32_t underlying, const Change* change, Floor* floor, int* is_wide
) noexcept nogil:
    """Value less requirement of all that an account has in one underlying."""
    cdef Sums sums
    cdef uint32_t place
    cdef uint32_t row = engine.accounts[account].groups
    sums.basis = sums.open_basis = sums.value = sums.exposed = sums.widening = sums.shorts = sums.sells = 0
    for place in range(engine.rules.plan.count):
        sums.scaled[place] = sums.open[place] = 0
    while row:
        if engine.markets[engine.groups[row].group].underlying == underlying:
            if engine.markets[engine.groups[row].group].perpetual:
                add_perpetual(engine, engine.groups[row].cells, change, &sums, floor, is_wide)
            else:
                add_expiry(engine, row, change, &sums, floor, is_wide)
        row = engine.groups[row].next
    add_orders(engine, account, underlying, change, &sums, floor, is_wide)
    if is_wide[0]:
        return 0
    return add(sums.value, -required(engine, &sums, engine.underlyings[underlying].index, is_wide), is_wide)


cdef inline bint is_first_group(const Engine* engine, uint32_t account, uint32_t group) noexcept nogil:
    """Whether no group of the account before this one is of its underlying."""
    cdef uint32_t underlying = engine.markets[engine.groups[group].group].underlying
    cdef uint32_t row = engine.accounts[account].groups
    while row != group:
        if engine.markets[engine.groups[row].group].underlying == underlying:
            return False
        row = engine.groups[row].next
    return True


cdef inline int128 portfolio_margin(
    const Engine* engine, uint32_t account, const Change* change, int* is_wide
) noexcept nogil:
    """Signed initial margin after the worst fill of everything open, under a hypothesis or none; quotes left out.

    The lower of what scenarios leave and what the floor leaves.
    """
    cdef int128 total = mul(engine.accounts[account].cash, E12, is_wide)
    cdef int128 left
    cdef Floor floor
    cdef uint32_t row = engine.accounts[account].groups
    cdef const Market* market
    if engine.rules.plan.count == 0 or engine.accounts[account].open_count >= ORDERS_MAX:
        is_wide[0] = 1
        return 0
    floor.perpetuals = floor.options = floor.premiums = floor.fees = 0
    left = total
    while row and not is_wide[0]:
        if is_first_group(engine, account, row):
            market = &engine.markets[engine.groups[row].group]
            left = add(
                left, underlying_margin(engine, account, market.underlying, change, &floor, is_wide), is_wide
            )
        row = engine.groups[row].next
    total = add(total, floor_margin(&floor, is_wide), is_wide)
    return left if left < total else total


cdef inline bint lacks_scenarios(const Engine* engine, const Listing* listing) noexcept nogil:
    """Whether an option's cells are missing or stale: the handlers say what that means."""
    if listing.kind == LISTED_PERPETUAL:
        return False
    return listing.scenarios.cells == NULL or engine.now > listing.scenarios.until


cdef inline int128 filled_margin(
    Engine* engine, uint32_t row, const Change* wanted, int64_t lots, int* is_wide
) noexcept nogil:
    """Margin after a complete fill at the limit, its fees paid."""
    cdef const Listing* listing = &engine.listings[engine.cells[row].instrument]
    cdef int128 paid = mul(<int128>wanted.price * listing.unit_e6, <int128>lots * E12, is_wide)
    cdef Change filled = wanted[0]
    cdef int128 after
    filled.is_filled = True
    filled.lots = lots
    after = portfolio_margin(engine, engine.cells[row].account, &filled, is_wide)
    after = add(after, paid if wanted.side else -paid, is_wide)
    return add(after, -fees_e18(engine, listing, lots, 1, is_wide), is_wide)


cdef inline bint is_order_affordable(
    Engine* engine, uint32_t row, const Change* wanted, uint32_t flags, int* is_wide
) noexcept nogil:
    """Rule 9.1 by the account's kind of margin."""
    cdef const CellRow* cell = &engine.cells[row]
    cdef int64_t held = cell.lots if cell.lots > 0 else -cell.lots
    cdef int128 reserved, after
    if not engine.accounts[cell.account].is_portfolio:
        return is_affordable(engine, row, wanted, flags, is_wide)
    if lacks_scenarios(engine, &engine.listings[cell.instrument]):
        is_wide[0] = 1
        return False
    reserved = quotes_reserve(engine, cell.account, is_wide)
    if flags & ORDER_REDUCE_ONLY:
        after = filled_margin(engine, row, wanted, min(wanted.lots, held), is_wide)
        return after >= reserved or after >= portfolio_margin(engine, cell.account, NULL, is_wide)
    if portfolio_margin(engine, cell.account, wanted, is_wide) >= reserved:
        return True
    if not is_strict_reduction(engine, row, wanted):
        return False
    after = filled_margin(engine, row, wanted, wanted.lots, is_wide)
    return after >= portfolio_margin(engine, cell.account, NULL, is_wide)


cdef inline int128 account_margin(Engine* engine, uint32_t account, int* is_wide) noexcept nogil:
    """Signed initial margin after the worst fill of everything open, quotes reserved, by the account's kind."""
    if not engine.accounts[account].is_portfolio:
        return others_margin(engine, account, 0, is_wide)
    return add(
        portfolio_margin(engine, account, NULL, is_wide), -quotes_reserve(engine, account, is_wide), is_wide
    )
