# cython: language_level=3
"""The pre-trade check in C: worst-fill margin of the touched group, the others from the cache; the twin is `margin`.

1e-18 USDC. A product beyond 128 bits raises `is_wide`, and the Python handlers decide with integers of any width.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t

from exchange.engine._integers cimport add, ceil_div, floor_div, int128, mul
from exchange.engine._rows cimport (
    GROUP_MEMBERS_MAX, ORDER_QUOTE, AccountRow, CellRow, Engine, GroupRow, GuardRow, Listing, Market, OrderRow, Tier,
    Underlying, fetch, order_at,
)


cdef enum:
    ORDER_REDUCE_ONLY = 4            # OrderFlag.REDUCE_ONLY
    CALL = 2                         # InstrumentKind.CALL
    LISTED_PERPETUAL = 1
    CELL_NAMES = 128                 # where a cell says whose it is and which comes next
cdef extern from *:
    """
    #define OFFBOOK_E12 1000000000000LL
    #define OFFBOOK_PPM 1000000LL
    #ifndef OFFBOOK_IS_CHECKED       /* bench_margin builds a second engine with 0, to see what the check costs */
    #define OFFBOOK_IS_CHECKED 1
    #endif
    """
    bint IS_CHECKED "OFFBOOK_IS_CHECKED"
    const int64_t E12 "OFFBOOK_E12"
    const int64_t PPM "OFFBOOK_PPM"


cdef struct Change:                  # a hypothesis: an order that rests, or has filled completely at its limit
    uint32_t cell
    uint8_t side
    uint8_t is_filled
    int64_t lots
    int64_t price

cdef struct Leg:                     # an option of one expiry after the worst fill
    int128 amount                    # 1e-9 units
    int64_t strike
    int64_t mark
    uint8_t is_call


cdef inline void invalidate_cell(Engine* engine, uint32_t cell) noexcept nogil:
    engine.groups[engine.cells[cell].group].round = -1


cdef inline int128 loss_of(
    const Listing* listing, uint8_t side, int64_t price, int64_t lots, int* is_wide
) noexcept nogil:
    """What `lots` filled at the limit lose against the mark."""
    cdef int128 worse = <int128>price * listing.tick_e9 - listing.mark
    if side:
        worse = -worse
    return mul(worse, <int128>lots * listing.lot_e9, is_wide) if worse > 0 else <int128>0


cdef inline void note_lots(Engine* engine, uint32_t row, int64_t lots) noexcept nogil:
    """Add `lots` of a resting order to its account's exposure, or take them off; twin: note_lots of margin."""
    cdef const OrderRow* order = order_at(engine, row)
    cdef CellRow* cell = &engine.cells[order.cell]
    cdef int is_wide = 0
    if order.flags & ORDER_REDUCE_ONLY:
        return
    if order.flags & ORDER_QUOTE:
        note_quote(engine, cell, lots)
        return
    move_exposure(engine, cell, order.side, order.price, lots)
    if cell.loss_round == engine.price_round:
        cell.loss = add(
            cell.loss, loss_of(&engine.listings[order.instrument], order.side, order.price, lots, &is_wide), &is_wide
        )
        if is_wide:
            cell.loss_round = -1
    invalidate_cell(engine, order.cell)


cdef inline bint is_exposed(const CellRow* cell) noexcept nogil:
    """Whether open orders alone may open a position here."""
    return not cell.is_position and (cell.buys or cell.sells or cell.quotes)


cdef inline void note_quote(Engine* engine, CellRow* cell, int64_t lots) noexcept nogil:
    cdef bint before = is_exposed(cell)
    cell.quotes += lots
    engine.accounts[cell.account].exposed_count += is_exposed(cell) - before


cdef inline void move_exposure(
    Engine* engine, CellRow* cell, uint8_t side, int64_t price, int64_t lots
) noexcept nogil:
    cdef bint before = is_exposed(cell)
    if side:
        cell.sells += lots
    else:
        cell.buys += lots
        cell.buy_tick_lots += <int128>price * lots
    engine.accounts[cell.account].exposed_count += is_exposed(cell) - before


cdef inline int128 total_loss(Engine* engine, uint32_t row, int* is_wide) noexcept nogil:
    """Sum of the losses of an account's open orders on an instrument, computed anew after new prices."""
    cdef CellRow* cell = &engine.cells[row]
    cdef uint32_t at
    cdef const OrderRow* order
    if cell.loss_round == engine.price_round:
        return cell.loss
    cell.loss = 0
    at = engine.accounts[cell.account].head
    while at:
        order = order_at(engine, at)
        if order.cell == row and not order.flags & (ORDER_REDUCE_ONLY | ORDER_QUOTE):
            cell.loss = add(cell.loss, loss_of(
                &engine.listings[order.instrument], order.side, order.price, order.quantity - order.filled, is_wide
            ), is_wide)
        at = order.next
    cell.loss_round = -1 if is_wide[0] else engine.price_round
    return cell.loss


cdef inline int128 fees_e18(
    const Engine* engine, const Listing* listing, int128 lots, int64_t legs, int* is_wide
) noexcept nogil:
    """Fees of `lots` at the worst rate, rounded up."""
    cdef int128 units
    if lots == 0 or listing.worst_ppm == 0:
        return 0
    units = mul(lots, listing.lot_e9, is_wide)
    units = mul(units, engine.underlyings[listing.underlying].index, is_wide)
    return ceil_div(mul(units, listing.worst_ppm * legs, is_wide), PPM)


cdef inline int128 perpetual_initial(
    const Engine* engine, uint32_t underlying, int128 notional, int* is_wide
) noexcept nogil:
    """Initial requirement of an unsigned notional, bracket by bracket, rounded up."""
    cdef bint is_large = engine.underlyings[underlying].is_large
    cdef const Tier* tiers = &engine.rules.major[0]
    cdef uint32_t count = engine.rules.large_count if is_large else engine.rules.major_count
    cdef uint32_t index
    cdef int128 initial = 0
    cdef int128 lower = 0
    cdef int128 part
    if is_large:
        tiers = &engine.rules.large[0]
    for index in range(count):
        part = notional
        if tiers[index].upper_e18 != 0 and tiers[index].upper_e18 < notional:
            part = tiers[index].upper_e18
        part = part - lower
        if part <= 0:
            break
        initial = add(initial, mul(part, engine.underlyings[underlying].initial_ppm[index], is_wide), is_wide)
        lower = tiers[index].upper_e18
    return ceil_div(initial, PPM)


cdef inline int128 perpetual_group(Engine* engine, uint32_t row, const Change* change, int* is_wide) noexcept nogil:
    cdef CellRow* cell = &engine.cells[row]
    cdef const Listing* listing = &engine.listings[cell.instrument]
    cdef int128 position = cell.lots, buys = cell.buys, sells = cell.sells
    cdef int128 loss = total_loss(engine, row, is_wide)
    cdef int128 reach, value
    if change != NULL and change.is_filled:
        position += -change.lots if change.side else change.lots
    elif change != NULL:
        if change.side:
            sells += change.lots
        else:
            buys += change.lots
        loss = add(loss, loss_of(listing, change.side, change.price, change.lots, is_wide), is_wide)
    reach = buys + position
    if sells - position > reach:
        reach = sells - position
    if reach < 0:
        reach = 0
    reach = mul(mul(reach, listing.lot_e9, is_wide), listing.mark, is_wide)
    value = mul(mul(position, listing.lot_e9, is_wide), listing.mark, is_wide)
    # Funding that is due on what is held now.
    value = add(value, -mul(mul(cell.lots, listing.fund_index - cell.fund_index, is_wide), PPM, is_wide), is_wide)
    value = add(value, -perpetual_initial(engine, listing.underlying, reach, is_wide), is_wide)
    value = add(value, -loss, is_wide)
    # Into the position and out again.
    return add(value, -fees_e18(engine, listing, buys + sells, 2, is_wide), is_wide)


cdef inline int128 option_leg(
    Engine* engine, uint32_t row, const Change* change, Leg* leg, int* is_wide
) noexcept nogil:
    """Fill `leg` with an option after its worst fill; returns the premiums and fees of its open orders."""
    cdef const CellRow* cell = &engine.cells[row]
    cdef const Listing* listing = &engine.listings[cell.instrument]
    cdef int128 position = cell.lots, buys = cell.buys, sells = cell.sells
    cdef int128 tick_lots = cell.buy_tick_lots
    cdef int128 paid
    if change != NULL and change.cell == row:
        if change.is_filled:
            position += -change.lots if change.side else change.lots
        elif change.side:
            sells += change.lots
        else:
            buys += change.lots
            tick_lots += <int128>change.lots * change.price
    leg.amount = mul(position - sells, listing.lot_e9, is_wide)
    leg.strike = listing.strike
    leg.mark = listing.mark
    leg.is_call = listing.kind == CALL
    paid = mul(mul(tick_lots, listing.tick_e9, is_wide), listing.lot_e9, is_wide)
    if position == 0 and sells == 0 and paid == 0:
        return 0
    return add(paid, fees_e18(engine, listing, buys + sells, 1, is_wide), is_wide)


cdef inline int128 isolated_short(const Engine* engine, int64_t index, const Leg* leg, int* is_wide) noexcept nogil:
    """Signed initial margin of one short leg alone (risk.md 7.1), rounded down."""
    cdef int128 value = mul(leg.mark, leg.amount, is_wide)
    cdef int128 out_of_money = <int128>leg.strike - index if leg.is_call else <int128>index - leg.strike
    cdef int128 per_unit = <int128>engine.rules.maximum_spot * index
    cdef int128 least = <int128>engine.rules.minimum_spot * index
    cdef int128 initial, spot_part, mark_part, maintenance
    if out_of_money > 0:
        per_unit = per_unit - out_of_money * PPM
    if per_unit < least:
        per_unit = least
    initial = add(floor_div(mul(per_unit, leg.amount, is_wide), PPM), value, is_wide)
    if leg.is_call:
        return initial
    spot_part = floor_div(mul(<int128>engine.rules.put_maintenance * index, leg.amount, is_wide), PPM)
    mark_part = floor_div(mul(engine.rules.put_maintenance_mark, value, is_wide), PPM)
    maintenance = add(spot_part if spot_part < mark_part else mark_part, value, is_wide)
    maintenance = floor_div(mul(maintenance, engine.rules.put_offset, is_wide), PPM)
    return initial if initial < maintenance else maintenance


cdef inline int128 worst_payoff(const Leg* legs, uint32_t count, int* is_wide) noexcept nogil:
    """Lowest payoff at expiry over price 0 and every strike, at most 0; legs ascend by strike, so one pass finds it."""
    cdef uint32_t at
    cdef int64_t price = 0
    cdef int128 payoff = 0, slope = 0, lowest = 0
    for at in range(count):
        if not legs[at].is_call:
            payoff = add(payoff, mul(legs[at].amount, legs[at].strike, is_wide), is_wide)
            slope = add(slope, -legs[at].amount, is_wide)
    for at in range(count):
        lowest = payoff if payoff < lowest else lowest
        payoff = add(payoff, mul(slope, legs[at].strike - price, is_wide), is_wide)
        # A call begins to pay here and a put ends: both add their amount.
        slope = add(slope, legs[at].amount, is_wide)
        price = legs[at].strike
    return payoff if payoff < lowest else lowest


cdef inline int128 expiry_initial(
    const Engine* engine, int64_t index, int64_t forward, const Leg* legs, uint32_t count, int* is_wide
) noexcept nogil:
    """Better of the isolated sum and the maximum loss of one expiry's legs (risk.md 7.2)."""
    cdef int128 isolated = 0, calls = 0, loss
    cdef bint is_short = False
    cdef uint32_t at
    for at in range(count):
        if legs[at].is_call:
            calls = add(calls, legs[at].amount, is_wide)
        if legs[at].amount < 0:
            is_short = True
            isolated = add(isolated, isolated_short(engine, index, &legs[at], is_wide), is_wide)
    if not is_short:
        return 0
    loss = worst_payoff(legs, count, is_wide)
    if calls < 0:
        calls = mul(mul(forward, calls, is_wide), engine.rules.unpaired_initial, is_wide)
        loss = add(loss, floor_div(calls, PPM), is_wide)
    return isolated if isolated > loss else loss


cdef inline int128 option_group(Engine* engine, uint32_t row, const Change* change, int* is_wide) noexcept nogil:
    cdef Leg legs[GROUP_MEMBERS_MAX]
    cdef const Market* market = &engine.markets[engine.groups[row].group]
    cdef int64_t index = engine.underlyings[market.underlying].index
    cdef uint32_t cell = engine.groups[row].cells
    cdef uint32_t count = 0
    cdef int128 paid = 0
    while cell:
        if count == GROUP_MEMBERS_MAX:
            is_wide[0] = 1
            return 0
        # The next cell is found only through this one, and begins anywhere in a line.
        fetch(&engine.cells[engine.cells[cell].next])
        fetch(<const char*>&engine.cells[engine.cells[cell].next] + CELL_NAMES)
        paid = add(paid, option_leg(engine, cell, change, &legs[count], is_wide), is_wide)
        count += legs[count].amount != 0
        cell = engine.cells[cell].next
    return add(
        expiry_initial(engine, index, market.forward if market.forward else index, legs, count, is_wide), -paid, is_wide
    )


cdef inline int128 group_margin(Engine* engine, uint32_t row, const Change* change, int* is_wide) noexcept nogil:
    """Signed worst-fill initial margin of one group of an account, cash left out, under a hypothesis or none."""
    if engine.markets[engine.groups[row].group].perpetual:
        return perpetual_group(engine, engine.groups[row].cells, change, is_wide)
    return option_group(engine, row, change, is_wide)


cdef inline int128 cached_group(Engine* engine, uint32_t row, int* is_wide) noexcept nogil:
    cdef GroupRow* group = &engine.groups[row]
    if group.round != engine.price_round:
        group.margin = group_margin(engine, row, NULL, is_wide)
        group.round = -1 if is_wide[0] else engine.price_round
    return group.margin


cdef inline int128 guard_reserve(Engine* engine, uint32_t row, int* is_wide) noexcept nogil:
    """What quotes of a group reserve; twin: group_reserve_e18."""
    cdef GuardRow* guard = &engine.guards[row]
    cdef int128 notional, initial, spot
    if guard.round != engine.price_round:
        notional = mul(guard.limit, guard.lot_e9, is_wide)
        notional = mul(notional, engine.underlyings[guard.underlying].index, is_wide)
        initial = perpetual_initial(engine, guard.underlying, notional, is_wide)
        spot = ceil_div(mul(notional, engine.rules.maximum_spot, is_wide), PPM)
        guard.reserve = spot if spot > initial else initial
        if engine.accounts[guard.account].is_portfolio:
            spot = ceil_div(mul(notional, engine.rules.plan.quote_reserve, is_wide), 1000 * PPM)
            guard.reserve = spot if spot > guard.reserve else guard.reserve
        guard.round = -1 if is_wide[0] else engine.price_round
    return guard.reserve


cdef inline int128 quotes_reserve(Engine* engine, uint32_t account, int* is_wide) noexcept nogil:
    """Sum over the account's groups that have a quote in the book."""
    cdef int128 total = 0
    cdef uint32_t row = engine.accounts[account].guards
    while row:
        if engine.guards[row].quotes:
            total = add(total, guard_reserve(engine, row, is_wide), is_wide)
        row = engine.guards[row].next
    return total


cdef inline int128 others_margin(Engine* engine, uint32_t account, uint32_t group, int* is_wide) noexcept nogil:
    """Cash less what quotes reserve, and the margins of every group but one."""
    cdef int128 total = mul(engine.accounts[account].cash, E12, is_wide)
    cdef uint32_t row = engine.accounts[account].groups
    if engine.accounts[account].guards:
        total = add(total, -quotes_reserve(engine, account, is_wide), is_wide)
    while row:
        if row != group:
            total = add(total, cached_group(engine, row, is_wide), is_wide)
        row = engine.groups[row].next
    return total


cdef inline bint is_strict_reduction(const Engine* engine, uint32_t row, const Change* change) noexcept nogil:
    """Closes part of a perpetual or buys back part of a short option, together with the orders that already do."""
    cdef const CellRow* cell = &engine.cells[row]
    cdef int64_t waiting = cell.sells if change.side else cell.buys
    if cell.lots == 0 or (cell.lots > 0) == (change.side == 0):
        return False
    if engine.listings[cell.instrument].kind != LISTED_PERPETUAL and cell.lots > 0:
        return False
    return waiting + change.lots <= (cell.lots if cell.lots > 0 else -cell.lots)


cdef inline bint is_fill_affordable(
    Engine* engine, uint32_t row, const Change* wanted, int64_t lots, int128 others, bint has_others, int* is_wide
) noexcept nogil:
    """Whether a complete fill leaves margin (with others) or at least does not lower it."""
    cdef const Listing* listing = &engine.listings[engine.cells[row].instrument]
    cdef uint32_t group = engine.cells[row].group
    cdef Change filled = wanted[0]
    cdef int128 after
    cdef int128 paid = mul(<int128>wanted.price * listing.unit_e6, <int128>lots * E12, is_wide)
    filled.is_filled = True
    filled.lots = lots
    after = group_margin(engine, group, &filled, is_wide)
    after = add(after, paid if wanted.side else -paid, is_wide)
    after = add(after, -fees_e18(engine, listing, lots, 1, is_wide), is_wide)
    if has_others and add(others, after, is_wide) >= 0:
        return True
    return after >= cached_group(engine, group, is_wide)


cdef inline bint is_affordable(
    Engine* engine, uint32_t row, const Change* wanted, uint32_t flags, int* is_wide
) noexcept nogil:
    """Rule 9.1: margin after the worst fill of everything open is >= 0, or the order strictly reduces risk."""
    cdef const CellRow* cell = &engine.cells[row]
    cdef int64_t held = cell.lots if cell.lots > 0 else -cell.lots
    cdef int128 others = others_margin(engine, cell.account, cell.group, is_wide)
    if flags & ORDER_REDUCE_ONLY:
        return is_fill_affordable(engine, row, wanted, min(wanted.lots, held), others, True, is_wide)
    if add(others, group_margin(engine, cell.group, wanted, is_wide), is_wide) >= 0:
        return True
    if not is_strict_reduction(engine, row, wanted):
        return False
    return is_fill_affordable(engine, row, wanted, wanted.lots, 0, False, is_wide)
