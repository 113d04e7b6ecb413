# cython: language_level=3, embedsignature=False, binding=True
"""What C must know of listings, prices, keys and sessions, and the rows of used nonces."""

from libc.stdint cimport int64_t, uint32_t
from libc.stdlib cimport calloc
from libc.string cimport memcpy

from exchange.engine._integers cimport int_of, mix, wide_from
from exchange.engine._limit_rows cimport MarketRoom
from exchange.engine._lookup cimport find_listing
from exchange.engine._price_slots cimport RING_SLOTS, RING_WINDOWS
from exchange.engine._rows cimport Engine, KeyEntry, Listing, Market, NonceBucket, NonceEntry, Underlying, grown
from exchange.engine._scenario_rows cimport FURTHER_CELLS, SCENARIOS_MAX, ScenarioPlan, Scenarios
from exchange.engine._scenario_units cimport make_option_units
from exchange.engine._state cimport Store
from exchange.engine._tables cimport fold, put, reserve
from exchange.engine._used_nonces cimport drop_stale_nonces, find_used, make_bucket, reserve_nonce, spend_nonce
from matching_core._order_pool cimport find_instrument

from exchange.engine.limit_table import lot_limits

__all__ = ["Mirror", "NonceRows", "is_narrow"]

# Bits that products of a narrow instrument stay within: a fee below 2**58 is below any cap of 128 bits.
FEE_BITS = 117
UNIT_BITS = 38
LAST_NS = (1 << 63) - 1


cdef class Mirror:
    """Copies of what stays in Python, as C reads it; names of underlyings and margin groups get numbers here."""

    cdef Store store
    cdef dict underlyings
    cdef dict markets

    def __init__(self, Store store, parameters):
        self.store = store
        self.underlyings = {}
        self.markets = {}
        self.take_plan(parameters)

    cdef int take_plan(self, parameters) except -1:
        """Copy PortfolioParameters; of what C does not hold the handlers decide."""
        cdef ScenarioPlan* plan = &self.store.engine.rules.plan
        cdef uint32_t place
        if not is_plan_held(parameters):
            return 0
        plan.count = <uint32_t>len(parameters.scenarios)
        for place in range(plan.count):
            plan.moved[place] = parameters.scenarios[place].spot - parameters.one
            plan.dampening[place] = parameters.scenarios[place].dampening
            plan.is_skew[place] = parameters.scenarios[place].is_skew
        plan.initial_factor = parameters.initial_factor
        plan.perpetual_maintenance, plan.perpetual_initial = (
            parameters.perpetual_maintenance, parameters.perpetual_initial
        )
        plan.option_maintenance, plan.option_initial = parameters.option_maintenance, parameters.option_initial
        plan.quote_reserve = parameters.quote_reserve
        return 0

    def list_instrument(self, instrument, market_key, is_large):
        """Open the row of a listed instrument; its book is open already."""
        cdef Engine* engine = &self.store.engine
        cdef uint32_t row = find_instrument(engine.core, instrument.instrument_id)
        cdef Listing* listing
        engine.listings = <Listing*>self.store.rows(grown(engine.listings, &engine.listing_room, row, sizeof(Listing)))
        self.store.need(reserve(&engine.listing_ids))
        listing = &engine.listings[row]
        listing.id = instrument.instrument_id
        listing.tick_e9, listing.lot_e9, listing.unit_e6 = instrument.tick_e9, instrument.lot_e9, instrument.unit_e6
        listing.minimum, listing.maximum = instrument.minimum_lots, instrument.maximum_lots
        listing.price_max, listing.strike = instrument.maximum_price_ticks, instrument.strike_e9
        listing.expiry_s, listing.kind = instrument.expiry_s, int(instrument.kind)
        listing.maker_ppm, listing.taker_ppm = instrument.maker_fee_ppm, instrument.taker_fee_ppm
        listing.worst_ppm = max(0, instrument.maker_fee_ppm, instrument.taker_fee_ppm)
        listing.underlying = self.underlying_row(instrument.underlying, is_large)
        listing.market = self.market_row(market_key, listing.underlying, row if instrument.is_perpetual else 0)
        put(&engine.listing_ids, fold(mix(listing.id, 3)), row)
        if instrument.is_perpetual:
            self.open_scenarios(&listing.scenarios)

    cdef int open_scenarios(self, Scenarios* row) except -1:
        """Room for an option's cells, and for what a unit changes by."""
        cdef uint32_t count = self.store.engine.rules.plan.count
        if row.cells == NULL:
            row.cells = <int64_t*>calloc(3 * (count + FURTHER_CELLS), sizeof(int64_t))
            self.store.need(row.cells != NULL)
            row.buy = row.cells + count + FURTHER_CELLS
            row.sell = row.buy + count + FURTHER_CELLS
        return 0

    cdef uint32_t underlying_row(self, name, is_large) except 0:
        cdef Engine* engine = &self.store.engine
        cdef uint32_t row = self.underlyings.setdefault(name, len(self.underlyings) + 1)
        engine.underlyings = <Underlying*>self.store.rows(
            grown(engine.underlyings, &engine.underlying_room, row, sizeof(Underlying))
        )
        engine.underlyings[row].is_large = is_large
        return row

    cdef uint32_t market_row(self, key, uint32_t underlying, uint32_t perpetual) except 0:
        cdef Engine* engine = &self.store.engine
        cdef uint32_t row = self.markets.setdefault(key, len(self.markets) + 1)
        engine.markets = <Market*>self.store.rows(grown(engine.markets, &engine.market_room, row, sizeof(Market)))
        engine.markets[row].underlying = underlying
        engine.markets[row].perpetual = perpetual
        return row

    def take_prices(self, prices, instruments, config, limits):
        """Mirror a price table: indexes, forwards, marks, until when they hold, what is narrow at them; then limits."""
        cdef Engine* engine = &self.store.engine
        cdef Listing* listing
        for name, row in self.underlyings.items():
            engine.underlyings[<uint32_t>row].index = prices.index_e9.get(name, 0)
            engine.underlyings[<uint32_t>row].open_until = (
                0 if name in prices.halted else last_ns(prices.index_ns.get(name, 0), config.index_life_ns)
            )
        for key, row in self.markets.items():
            engine.markets[<uint32_t>row].forward = prices.forward_e9.get(key, 0) if len(key) == 2 else 0
        for number, mark in prices.marks.items():
            listing = &engine.listings[self.store.listing_row(number)]
            listing.mark, listing.has_mark = mark.mark_e9, True
            listing.mark_until = last_ns(
                prices.mark_ns[number],
                config.option_mark_life_ns if instruments[number].is_option else config.index_life_ns,
            )
            listing.is_narrow = is_narrow(
                instruments[number], prices.index_e9.get(instruments[number].underlying, 0)
            )
        engine.price_round = prices.round
        self.take_brackets(limits, config.margin)
        self.take_limits(limits, prices, instruments)

    def take_brackets(self, limits, parameters):
        """Mirror the initial fractions of perpetuals as a LimitTable has them."""
        for name, row in self.underlyings.items():
            for place, tier in enumerate(limits.tiers(parameters, name)):
                self.store.engine.underlyings[<uint32_t>row].initial_ppm[<uint32_t>place] = tier.initial_ppm

    def take_limits(self, limits, prices, instruments):
        """Mirror what a LimitTable allows at the present indexes."""
        cdef MarketRoom* room
        for number, row in limits.rows.items():
            index_e9 = prices.index_e9.get(instruments[number].underlying)
            if index_e9:
                room = &self.store.engine.listings[self.store.listing_row(number)].room
                lots = lot_limits(row, index_e9=index_e9, lot_e9=instruments[number].lot_e9)
                room.cap, room.subaccount, room.owner = lots.open_lots, lots.subaccount_lots, lots.owner_lots
                room.is_set = True

    def open_lots(self, number):
        """Open interest of an instrument."""
        return int_of(self.store.engine.listings[self.store.listing_row(number)].room.open_lots)

    def set_open_lots(self, number, lots):
        """Set it."""
        self.store.engine.listings[self.store.listing_row(number)].room.open_lots = wide_from(lots)

    def take_scenarios(self, table, instruments, life_ns):
        """Mirror the options of a ScenarioTable that changed, with the trust of their expiries."""
        cdef Engine* engine = &self.store.engine
        cdef Listing* listing
        cdef bytes packed
        cdef const char* source
        if not engine.rules.plan.count:
            return
        for number in table.unseen:
            instrument = instruments[number]
            listing = &engine.listings[self.store.listing_row(number)]
            trust = table.trust[instrument.underlying, instrument.expiry_s]
            engine.markets[listing.market].trust.positive = trust.positive_e9
            engine.markets[listing.market].trust.negative = trust.negative_e9
            engine.markets[listing.market].trust.basis = trust.basis_e9
            self.open_scenarios(&listing.scenarios)
            packed = table.packed[number]
            source = packed
            memcpy(listing.scenarios.cells, source, (engine.rules.plan.count + FURTHER_CELLS) * sizeof(int64_t))
            listing.scenarios.until = last_ns(table.set_ns[number], life_ns)
            make_option_units(&engine.rules.plan, &engine.markets[listing.market].trust, &listing.scenarios)
        table.unseen.clear()

    def take_funding(self, oracle_round, fundings):
        """Mirror a round's funding indexes; every cached margin of a perpetual is old."""
        cdef Engine* engine = &self.store.engine
        cdef uint32_t row
        for funding in fundings:
            engine.listings[self.store.listing_row(funding.instrument)].fund_index = funding.index_e12
        for row in range(1, engine.group_top + 1):
            engine.groups[row].round = -1
        engine.oracle_round = oracle_round

    def last_ticks(self, number):
        """Price of the last trade in ticks, None before the first."""
        cdef uint32_t row = find_listing(&self.store.engine, number)
        return self.store.engine.listings[row].last if row and self.store.engine.listings[row].has_last else None

    def set_last_ticks(self, number, ticks):
        """Remember a last trade."""
        cdef Listing* listing = &self.store.engine.listings[self.store.listing_row(number)]
        listing.last, listing.has_last = ticks, True

    def rings(self, number):
        """Integers of an instrument's rings of prices: slot, high and low, window by window."""
        cdef Listing* listing = &self.store.engine.listings[self.store.listing_row(number)]
        answer = []
        for window in range(RING_WINDOWS):
            for index in range(RING_SLOTS):
                answer += (
                    listing.rings[window][index].slot, listing.rings[window][index].high,
                    listing.rings[window][index].low,
                )
        return answer

    def set_rings(self, number, ring):
        """Set them."""
        cdef Listing* listing = &self.store.engine.listings[self.store.listing_row(number)]
        values = iter(ring)
        for window in range(RING_WINDOWS):
            for index in range(RING_SLOTS):
                listing.rings[window][index].slot = next(values)
                listing.rings[window][index].high = next(values)
                listing.rings[window][index].low = next(values)

    def set_watched(self, number, is_watched):
        """Say whether an order waits for the instrument's last trade."""
        self.store.engine.listings[self.store.listing_row(number)].is_watched = is_watched

    def position_sum(self, number):
        """Sum of all positions."""
        return int_of(self.store.engine.listings[self.store.listing_row(number)].position_sum)

    def set_position_sum(self, number, lots):
        """Set it."""
        self.store.engine.listings[self.store.listing_row(number)].position_sum = wide_from(lots)

    def set_key(self, bytes owner, row, is_limited):
        """Mirror a KeyRow of an owner; what a limited key signs is for the Python handlers."""
        cdef uint32_t owner_row = self.store.key_row(0, owner)
        cdef uint32_t signer = self.store.key_row(0, row.key)
        cdef KeyEntry* key = &self.store.engine.keys[self.store.key_row(owner_row, row.key)]
        cdef uint32_t index
        key.signer = signer
        key.is_far = row.valid_to_s >= 1 << 32
        key.valid_to_s = min(row.valid_to_s, (1 << 32) - 1) if row.valid_to_s > 0 else 0
        key.scopes = row.scopes & 0xFFFFFFFF
        key.is_revoked = row.is_revoked
        key.is_limited = is_limited
        if key.accounts == NULL and row.accounts:
            key.accounts = <uint32_t*>calloc(len(row.accounts), sizeof(uint32_t))
            self.store.need(key.accounts != NULL)
            for index in range(<uint32_t>len(row.accounts)):
                key.accounts[index] = row.accounts[index]
            key.account_count = len(row.accounts)

    def set_session(self, number, bytes owner):
        """Mirror a session; None ends it."""
        cdef Engine* engine = &self.store.engine
        cdef uint32_t row = number
        engine.session_owner = <uint32_t*>self.store.rows(
            grown(engine.session_owner, &engine.session_room, row, sizeof(uint32_t))
        )
        engine.session_owner[row] = 0 if owner is None else self.store.key_row(0, owner)


cdef class NonceRows:
    """Used nonces by (owner, signer, nonce)."""

    cdef Store store

    def __init__(self, Store store):
        self.store = store

    def nonce_order(self, bytes owner, bytes signer, nonce):
        """Number of the order that used a nonce (0: refused), None when unused."""
        cdef NonceEntry* entry
        cdef uint32_t owner_row = self.store.key_row(0, owner)
        cdef uint32_t signer_row = self.store.key_row(0, signer)
        entry = find_used(&self.store.engine, owner_row, signer_row, nonce)
        return None if entry == NULL else entry.number

    def spend(self, bytes owner, bytes signer, nonce, order):
        """Mark a nonce as used."""
        cdef uint32_t owner_row = self.store.key_row(0, owner)
        cdef uint32_t signer_row = self.store.key_row(0, signer)
        self.store.need(reserve_nonce(&self.store.engine, nonce))
        spend_nonce(&self.store.engine, owner_row, signer_row, nonce, order)

    def drop_stale(self, now_ns):
        """Forget buckets behind the window."""
        drop_stale_nonces(&self.store.engine, now_ns)

    def open_bucket(self, number):
        """Make sure a bucket is there, used or not."""
        self.store.need(make_bucket(&self.store.engine, number) != NULL)

    def nonce_rows(self):
        """List (bucket, [(owner, signer, nonce, order)]), sorted."""
        cdef uint32_t index, place
        cdef NonceBucket* bucket
        cdef NonceEntry* entry
        answer = []
        for index in range(self.store.engine.bucket_room):
            bucket = &self.store.engine.buckets[index]
            if bucket.entries == NULL:
                continue
            rows = []
            for place in range(bucket.mask + 1):
                entry = &bucket.entries[place]
                if entry.owner:
                    rows.append((
                        self.store.address_of(entry.owner), self.store.address_of(entry.signer), entry.nonce,
                        entry.number,
                    ))
            answer.append((bucket.number, sorted(rows)))
        return sorted(answer)


cdef bint is_plan_held(parameters):
    """Whether scenarios fit the rows, and their products 128 bits."""
    rows = parameters.scenarios
    if parameters.one != 10**9 or len(rows) > SCENARIOS_MAX:
        return False
    is_within = all(0 <= row.spot < 1 << 33 and 0 <= row.dampening <= parameters.one for row in rows)
    shares = (
        parameters.initial_factor, parameters.perpetual_maintenance, parameters.perpetual_initial,
        parameters.option_maintenance, parameters.option_initial, parameters.quote_reserve,
    )
    return is_within and all(0 <= share < 1 << 40 for share in shares)


cdef int64_t last_ns(set_ns, life_ns):
    """Last time at which a price that was set is not stale."""
    return min(set_ns + life_ns, LAST_NS)


def is_narrow(instrument, index_e9):
    """Whether every product of a fill fits the compiled path's 128 bits at this index; checks have their own flag."""
    most_e9 = instrument.maximum_lots * instrument.lot_e9
    ppm = max(1, abs(instrument.maker_fee_ppm), instrument.taker_fee_ppm)
    if instrument.unit_e6.bit_length() > UNIT_BITS or instrument.lot_e9.bit_length() > 62:
        return False
    return (index_e9 * most_e9 * ppm).bit_length() <= FEE_BITS
