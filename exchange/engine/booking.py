"""One trade in the books of both parties: cash, position at average cost, fee, batch. Integers, no rounding but costs.

The ledger pays every fill in full (cash -= size x price + fee) and fees are account 0's at once, so the sum of all cash
equals the collateral after every command (D-004). What users see as cash adds back what open perpetuals cost.
"""

from exchange.domain.commands import PriceSource, Side
from exchange.domain.events import FillSide, Trade
from exchange.domain.ids import FUND_ACCOUNT
from exchange.domain.instrument import Instrument
from exchange.domain.money import ceil_div
from exchange.engine import batches
from exchange.engine.fees import fee_e6, signed_cap_e6
from exchange.engine.flags import LIQUIDATION
from exchange.engine.fund import rebate_room_e6
from exchange.engine.funding import fund_index_e12, pay_funding
from exchange.engine.liquidation_terms import liquidation_fee_e6
from exchange.engine.margin import invalidate, note_lots
from exchange.engine.market_state import is_restricted
from exchange.engine.records import Account, Order, Position
from exchange.engine.state import State
from exchange.engine.turn import Turn
from exchange.engine.waiting import observe

__all__ = ["book_auction_trade", "book_leg", "book_trade", "change_position", "move_position"]


def book_trade(state: State, turn: Turn, *, taker: Order, maker: Order, price_ticks: int, lots: int) -> None:
    """Apply one match at the maker's price and report it; closes the open batch first when it is full."""
    _make_room(state, turn, maker, taker, price_ticks, lots)
    # The maker left the book's total with the match; only what rests is in the exposures.
    note_lots(state, maker, -lots)
    taker_fee_e6 = _fee(state, taker, price_ticks=price_ticks, lots=lots, is_taker=True)
    maker_fee_e6 = _fee(state, maker, price_ticks=price_ticks, lots=lots, is_taker=False)
    # A rebate is paid out of fees: settlement refuses a batch after which the fund owes money.
    maker_fee_e6 = max(maker_fee_e6, -(rebate_room_e6(state) + taker_fee_e6))
    fees_e6 = (maker_fee_e6, taker_fee_e6)
    _book(state, turn, maker=maker, taker=taker, price_ticks=price_ticks, lots=lots, fees_e6=fees_e6)


def book_auction_trade(state: State, turn: Turn, *, buyer: Order, seller: Order, price_ticks: int, lots: int) -> None:
    """Apply one match of an uncross: both rested, nobody took, and both pay the maker's fee without a rebate."""
    _make_room(state, turn, buyer, seller, price_ticks, lots)
    note_lots(state, buyer, -lots)
    note_lots(state, seller, -lots)
    fees_e6 = tuple(
        max(_fee(state, order, price_ticks=price_ticks, lots=lots, is_taker=False), 0) for order in (buyer, seller)
    )
    _book(state, turn, maker=buyer, taker=seller, price_ticks=price_ticks, lots=lots, fees_e6=fees_e6, is_auction=True)


def book_leg(
    state: State,
    turn: Turn,
    *,
    taker: Order,
    maker: Order,
    price_ticks: int,
    lots: int,
    fees_e6: tuple[int, int] = (0, 0),
) -> None:
    """Apply one leg that no book saw, of an auctioned portfolio or a block: it is nobody's last price.

    `fees_e6`: the maker's and the taker's.
    """
    _make_room(state, turn, maker, taker, price_ticks, lots)
    _book(state, turn, maker=maker, taker=taker, price_ticks=price_ticks, lots=lots, fees_e6=fees_e6, is_on_book=False)
    for order in (maker, taker):
        place = order.place
        cell = state.cell(place.subaccount, place.instrument)
        state.book.set_cell(cell, state.accounts[place.subaccount].lots(place.instrument))


def _make_room(state: State, turn: Turn, maker: Order, taker: Order, price_ticks: int, lots: int) -> None:
    """In the batch; then both parties pay the funding that is due on what they hold so far."""
    instrument = state.instruments[taker.place.instrument]
    batches.make_room_for_fill(
        state,
        turn,
        instrument=instrument.instrument_id,
        maker=maker,
        taker=taker,
        lots=lots,
        notional_e6=instrument.notional_e6(price_ticks=price_ticks, quantity_lots=lots),
    )
    for order in (maker, taker):
        pay_funding(state, turn, state.accounts[order.place.subaccount])


def _book(
    state: State,
    turn: Turn,
    *,
    maker: Order,
    taker: Order,
    price_ticks: int,
    lots: int,
    fees_e6: tuple[int, ...],
    is_auction: bool = False,
    is_on_book: bool = True,
) -> None:
    """Both sides, the maker's first, and the report."""
    instrument = state.instruments[taker.place.instrument]
    number = instrument.instrument_id
    state.trade_count += 1
    sides = tuple(
        _book_side(state, turn, instrument, order, price_ticks=price_ticks, lots=lots, fee=fee)
        for order, fee in zip((maker, taker), fees_e6, strict=True)
    )
    batches.add_trade(state, number)
    if is_on_book:
        _note_last_price(state, instrument, price_ticks)
    turn.events.append(
        Trade(
            trade=state.trade_count,
            instrument=number,
            price_ticks=price_ticks,
            quantity_lots=lots,
            taker_side=taker.place.side,
            mark_e9=state.prices.marks[number].mark_e9,
            index_e9=state.prices.index_e9[instrument.underlying],
            maker=sides[0],
            taker=sides[1],
            is_auction=is_auction,
        )
    )


def move_position(position: Position, *, delta_lots: int, notional_e6: int) -> int:
    """Add signed `delta_lots` bought for signed `notional_e6`; returns the profit realized, rounded down.

    Average cost: a reduction releases its part of the cost, rounded up, so that rounding never favors the account.
    """
    lots = position.lots
    position.lots += delta_lots
    if lots * delta_lots >= 0:
        position.cost_e6 += notional_e6
        return 0
    closed = min(abs(delta_lots), abs(lots))
    closing_notional = notional_e6 * closed // abs(delta_lots)  # exact: notional is price x lots x unit
    released = ceil_div(position.cost_e6 * closed, abs(lots))
    position.cost_e6 += notional_e6 - closing_notional - released
    return -closing_notional - released


def _note_last_price(state: State, instrument: Instrument, price_ticks: int) -> None:
    number = instrument.instrument_id
    state.prices.last_ticks[number] = price_ticks
    if instrument.is_perpetual:
        state.price_moves.note(number, price_ticks, state.timestamp_ns)
    if state.waiting_orders and not is_restricted(state, number):
        observe(state, (PriceSource.LAST, number), price_ticks * instrument.tick_e9)


def _fee(state: State, order: Order, *, price_ticks: int, lots: int, is_taker: bool) -> int:
    instrument = state.instruments[order.place.instrument]
    if int(order.place.flags) & LIQUIDATION:
        return liquidation_fee_e6(state, order, price_ticks=price_ticks, lots=lots)
    due = fee_e6(
        instrument,
        index_e9=state.prices.index_e9[instrument.underlying],
        price_ticks=price_ticks,
        quantity_lots=lots,
        is_taker=is_taker,
        option_cap_ppm=state.config.option_fee_cap_ppm,
    )
    return min(due, signed_cap_e6(instrument, max_fee_e18=order.place.max_fee_e18, quantity_lots=lots))


def _book_side(
    state: State,
    turn: Turn,
    instrument: Instrument,
    order: Order,
    *,
    price_ticks: int,
    lots: int,
    fee: int,
) -> FillSide:
    account = state.accounts[order.place.subaccount]
    delta = lots if order.place.side is Side.BUY else -lots
    notional = instrument.notional_e6(price_ticks=price_ticks, quantity_lots=delta)
    position, realized = change_position(state, turn, account, instrument, delta, notional)
    position.fee_e6 += fee
    account.ledger_cash_e6 -= notional + fee
    state.accounts[FUND_ACCOUNT].ledger_cash_e6 += fee
    state.cash_sum_e6 -= notional
    order.filled_lots += lots
    order.filled_notional_e6 += abs(notional)
    order.fee_e6 += fee
    order.updated_ns = state.timestamp_ns
    if state.links.is_tied(order):
        turn.tied_fills[order.number] = order
    batches.add_fill(state, order, lots=delta, cash_e6=-notional - fee, fee_e6=fee)
    return FillSide(
        subaccount=account.index,
        account_seq=account.next_seq(),
        order=order.number,
        fee_e6=fee,
        realized_pnl_e6=realized,
        position_lots=position.lots,
        filled_lots=order.filled_lots,
        remaining_lots=order.remaining_lots,
        ledger_cash_e6=account.ledger_cash_e6,
        cash_e6=account.cash_e6,
    )


def change_position(
    state: State, turn: Turn, account: Account, instrument: Instrument, delta: int, notional: int
) -> tuple[Position, int]:
    """Move an account's position by `delta` lots bought for signed `notional`; (position, profit realized)."""
    number = instrument.instrument_id
    position = account.positions.get(number)
    if position is None:
        account.positions[number] = Position(opened_ns=state.timestamp_ns, fund_index_e12=fund_index_e12(state, number))
        position = account.positions[number]
    was_lots, cost_before = position.lots, position.cost_e6
    realized = move_position(position, delta_lots=delta, notional_e6=notional)
    position.realized_pnl_e6 += realized
    if was_lots * position.lots < 0:
        position.opened_ns = state.timestamp_ns
    if instrument.is_perpetual:
        account.perpetual_cost_e6 += position.cost_e6 - cost_before
    if position.lots == 0:
        del account.positions[number]
    state.position_sums[number] += delta
    state.limits.move(number, was_lots, position.lots)
    turn.touched[account.index, number] = None
    if state.account_waiting[account.index]:
        turn.moved[account.index, number] = None
    turn.moved_cash = True
    invalidate(state, account.index, number)
    return position, realized
