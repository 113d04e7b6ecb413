"""Bids for an auctioned portfolio (risk.md 10.3, D-049): a share of every position, at once, under one signature.

Each leg is a trade between an order of the engine's own and a line of the bid, which no book sees: the account that is
sold has a LIQUIDATION leaf, the bidder a QUOTE leaf that his signature covers. Of an insolvent portfolio the fund pays
the same share of the deficit in the same batch.
"""

from typing import Final, NamedTuple

from msgspec import structs

from exchange.domain.auction_bids import BidInAuction
from exchange.domain.commands import OrderFlag, Place, Side, TimeInForce
from exchange.domain.ids import order_number
from exchange.domain.limits import MAX_QUOTE_LINES
from exchange.domain.liquidations import FIRST_LIQUIDATION_LINE, AuctionTaken, LiquidationStage
from exchange.domain.money import ceil_div, floor_div
from exchange.domain.quotes import MassQuote, QuoteLine
from exchange.domain.result_codes import CloseReason, OrderStatus, ResultCode
from exchange.engine import batches, forced
from exchange.engine.auction_offers import Leg, Offer, offer_of
from exchange.engine.booking import book_leg
from exchange.engine.deleveraging import fund_allowance_e6, pay_from_fund
from exchange.engine.funding import fund_index_e12
from exchange.engine.liquidation import end_if_restored
from exchange.engine.liquidation_terms import is_fresh
from exchange.engine.margin import worst_margin_of
from exchange.engine.mass_quotes import check_scopes, place_of, place_quote, report_call
from exchange.engine.matching import accept_order, close_order
from exchange.engine.orders import admit, refuse
from exchange.engine.portfolio_margin import has_cells
from exchange.engine.records import Account, Liquidation, Order, Position
from exchange.engine.state import State
from exchange.engine.turn import Turn
from exchange.engine.valuation import value_account

__all__ = ["auction_named", "bid"]

_PPM: Final = 1_000_000
_SECOND_NS: Final = 1_000_000_000
_SOLD: Final = OrderFlag.REDUCE_ONLY | OrderFlag.LIQUIDATION
_STAGES: Final = (LiquidationStage.AUCTION, LiquidationStage.INSOLVENT)


class _Taken(NamedTuple):
    """A share with the lots it comes to; what it costs (below zero: what the fund pays), and what the legs give way."""

    share_ppm: int
    legs: tuple[Leg, ...]
    price_e6: int
    advantage_e6: int


def bid(state: State, turn: Turn, command: BidInAuction) -> None:
    """Take a share of an auctioned portfolio, or refuse the bid.

    Refusals in order: authority, life and nonce as of a mass quote; the bidder's own liquidation; lines and share;
    no such auction; an account of the same owner; changed since; stale or halted prices; a call auction; another
    stage by now; nothing to take; dearer than the limit; a leg without a line; too many positions; a leg that the
    bidder's kind of margin cannot price; margin with the share taken.
    """
    call = command.call
    head = place_of(call, call.lines[0].instrument if call.lines else 0, Side.BUY, 0, 0)
    code = check_scopes(state, call)
    if code:
        refuse(state, turn, head, code)
        return
    if not admit(state, turn, head):
        return
    code = _check_terms(state, command) or _check_auction(state, command)
    if code:
        refuse(state, turn, head, code)
        return
    liquidation = auction_named(state, command.auction)
    taken = _taken(state, liquidation, command)
    code = _check_taken(state, command, taken)
    if code:
        refuse(state, turn, head, code)
        return
    number = order_number(sequence=state.sequence)
    state.nonces.spend(state.accounts[call.subaccount].owner, call.signer, call.nonce, number)
    report_call(turn, call)
    _apply(state, turn, call, liquidation, taken)


def auction_named(state: State, number: int) -> Liquidation:
    """The auction of that number. Raises KeyError when there is none, or it is closed on the book only."""
    for liquidation in state.liquidations.values():
        if liquidation.auction == number and liquidation.stage in _STAGES:
            return liquidation
    raise KeyError(number)


def _check_terms(state: State, command: BidInAuction) -> ResultCode:
    """The bidder may trade; one line per instrument; a share of something."""
    call = command.call
    if state.accounts[call.subaccount].is_in_liquidation:
        return ResultCode.IN_LIQUIDATION
    named = {line.instrument for line in call.lines}
    if not 0 < len(call.lines) <= MAX_QUOTE_LINES or len(named) != len(call.lines):
        return ResultCode.PARAMETER_INVALID
    return ResultCode.OK if 0 < command.share_ppm <= _PPM else ResultCode.BAD_AMOUNT


def _check_auction(state: State, command: BidInAuction) -> ResultCode:
    """It goes on, for somebody else, as the bidder knows it, in markets that trade."""
    try:
        liquidation = auction_named(state, command.auction)
    except KeyError:
        return ResultCode.AUCTION_NOT_FOUND
    account = state.accounts[liquidation.subaccount]
    if account.owner == state.accounts[command.call.subaccount].owner:
        return ResultCode.AUCTION_OF_OWN_ACCOUNT
    if command.last_seen_seq not in {0, account.account_seq}:
        return ResultCode.AUCTION_CHANGED
    if not is_fresh(state, account):
        return ResultCode.MARKET_REDUCE_ONLY
    if any(number in state.auctions for number in account.positions):
        return ResultCode.IN_AUCTION
    return ResultCode.OK if _stands(state, liquidation, account) else ResultCode.AUCTION_CHANGED


def _stands(state: State, liquidation: Liquidation, account: Account) -> bool:
    """Whether the account is still what its stage says: prices and deposits change it between two steps."""
    value = value_account(state, account)
    is_insolvent = liquidation.stage is LiquidationStage.INSOLVENT
    return value.equity_e6 < value.requirement.maintenance_e6 and (value.equity_e6 < 0) == is_insolvent


def _taken(state: State, liquidation: Liquidation, command: BidInAuction) -> _Taken:
    """What the bid gets: the least of what it asks for, what is for sale, and what the fund can pay for."""
    account = state.accounts[liquidation.subaccount]
    offer = offer_of(state, liquidation, account, value_account(state, account))
    taken = _part(offer, min(command.share_ppm, offer.share_ppm))
    allowed_e6 = fund_allowance_e6(state)
    if taken.price_e6 >= -allowed_e6 or liquidation.stage is not LiquidationStage.INSOLVENT:
        return taken
    return _part(offer, floor_div(taken.share_ppm * allowed_e6, -taken.price_e6), pays_at_most_e6=allowed_e6)


def _part(offer: Offer, share_ppm: int, *, pays_at_most_e6: int | None = None) -> _Taken:
    """A share of all legs, each up to a whole lot; its price rounded against the bidder."""
    rows = (leg._replace(lots=_cut(leg.lots, share_ppm)) for leg in offer.legs)
    legs = tuple(leg for leg in rows if leg.lots)
    advantage_e6 = sum(leg.lots * (leg.mark_e6 - leg.price_e6) for leg in legs)
    price_e6 = ceil_div(offer.worth_e6 * share_ppm, _PPM) - advantage_e6
    if pays_at_most_e6 is not None:
        price_e6 = max(price_e6, -pays_at_most_e6)
    return _Taken(share_ppm, legs, price_e6, advantage_e6)


def _cut(lots: int, share_ppm: int) -> int:
    """A share of signed lots, up to a whole lot: what is restored by a part of a lot is not restored by none."""
    part = ceil_div(abs(lots) * share_ppm, _PPM)
    return part if lots > 0 else -part


def _check_taken(state: State, command: BidInAuction, taken: _Taken) -> ResultCode:
    """Something is taken, inside the bid's limits, and the bidder can hold it."""
    if not taken.legs:
        return ResultCode.AUCTION_NOTHING_TO_TAKE
    if taken.price_e6 > command.price_limit_e6:
        return ResultCode.AUCTION_PRICE_TOO_HIGH
    lines = {line.instrument: line for line in command.call.lines}
    if not all(_covers(lines.get(leg.instrument), leg) for leg in taken.legs):
        return ResultCode.AUCTION_LEG_NOT_COVERED
    bidder = state.accounts[command.call.subaccount]
    after = _account_after(state, bidder, taken)
    if len(after.positions) > state.config.positions_max:
        return ResultCode.TOO_MANY_POSITIONS
    for leg in taken.legs:
        state.exposure(bidder.index, leg.instrument)
    if not all(has_cells(state, bidder.index, leg.instrument) for leg in taken.legs):
        return ResultCode.INSTRUMENT_NOT_LIVE
    return ResultCode.OK if worst_margin_of(state, after) >= 0 else ResultCode.INSUFFICIENT_MARGIN


def _covers(line: QuoteLine | None, leg: Leg) -> bool:
    """Whether a line signs the leg: the bidder buys what the account is long, and sells what it is short."""
    if line is None:
        return False
    if leg.lots > 0:
        return leg.price_ticks <= line.bid_ticks and leg.lots <= line.bid_lots
    return 0 < line.ask_ticks <= leg.price_ticks and -leg.lots <= line.ask_lots


def _account_after(state: State, account: Account, taken: _Taken) -> Account:
    """A copy of the bidder's account that holds the share and has paid for it."""
    positions = {
        number: Position(lots=row.lots, fund_index_e12=row.fund_index_e12) for number, row in account.positions.items()
    }
    for leg in taken.legs:
        index_e12 = fund_index_e12(state, leg.instrument)
        position = positions.setdefault(leg.instrument, Position(fund_index_e12=index_e12))
        position.lots += leg.lots
        if not position.lots:
            del positions[leg.instrument]
    paid_e6 = sum(leg.lots * leg.price_e6 for leg in taken.legs)
    return Account(
        index=account.index,
        owner=account.owner,
        opened_ns=account.opened_ns,
        ledger_cash_e6=account.ledger_cash_e6 - paid_e6,
        positions=positions,
    )


def _apply(state: State, turn: Turn, call: MassQuote, liquidation: Liquidation, taken: _Taken) -> None:
    """Book the legs, then what the fund pays; the liquidation ends with what it needed.

    A bid begins a batch, so that none of its caps comes between two legs: what is left of a portfolio whose short
    options are gone may be worth more than the chain lets anybody close.
    """
    account = state.accounts[liquidation.subaccount]
    is_insolvent = liquidation.stage is LiquidationStage.INSOLVENT
    batches.close_content(state, turn)
    forced.begin(state, turn, account, is_paid_by_others=is_insolvent)
    for line, leg in enumerate(taken.legs, FIRST_LIQUIDATION_LINE):
        _book(state, turn, call, account, leg, line)
    turn.flush_closes(state)
    if is_insolvent:
        pay_from_fund(state, turn, account, max(0, -taken.price_e6))
    else:
        liquidation.reserved_e6 += max(0, taken.price_e6)
    forced.note(state, account.index)
    liquidation.unfilled_ns = state.timestamp_ns
    _report(state, turn, call.subaccount, liquidation, taken)
    end_if_restored(state, turn, account)
    forced.finish(state, turn)


def _book(state: State, turn: Turn, call: MassQuote, account: Account, leg: Leg, line: int) -> None:
    """One leg: the bidder's line is the maker, the engine's order takes it."""
    side = Side.BUY if leg.lots > 0 else Side.SELL
    at = next(number for number, row in enumerate(call.lines) if row.instrument == leg.instrument)
    lots = abs(leg.lots)
    maker = _line_order(state, turn, place_of(call, leg.instrument, side, leg.price_ticks, lots), 2 * at + side)
    taker = accept_order(state, turn, _closing(state, account, leg), leg.price_ticks, 0, line)
    state.open_orders[taker.number] = taker
    book_leg(state, turn, taker=taker, maker=maker, price_ticks=leg.price_ticks, lots=lots)
    for order in (maker, taker):
        close_order(state, turn, order, OrderStatus.FILLED, CloseReason.NONE)


def _closing(state: State, account: Account, leg: Leg) -> Place:
    """The engine's own order, as those of the steps on the book are."""
    return Place(
        subaccount=account.index,
        instrument=leg.instrument,
        side=Side.SELL if leg.lots > 0 else Side.BUY,
        time_in_force=TimeInForce.IOC,
        flags=_SOLD,
        price_ticks=leg.price_ticks,
        quantity_lots=abs(leg.lots),
        nonce=0,
        expiry_s=state.timestamp_ns // _SECOND_NS + 1,  # whole seconds
        signer=bytes(20),
    )


def _line_order(state: State, turn: Turn, place: Place, line: int) -> Order:
    """The bidder's side; it has no name and no group, and ends inside this command."""
    place = structs.replace(place, flags=OrderFlag.LIQUIDATION, time_in_force=TimeInForce.IOC, mmp_group=0)
    return place_quote(state, turn, place, line)


def _report(state: State, turn: Turn, bidder: int, liquidation: Liquidation, taken: _Taken) -> None:
    account = state.accounts[liquidation.subaccount]
    value = value_account(state, account)
    turn.events.append(
        AuctionTaken(
            auction=liquidation.auction,
            subaccount=account.index,
            account_seq=account.next_seq(),
            bidder=bidder,
            stage=liquidation.stage,
            share_ppm=taken.share_ppm,
            price_e6=taken.price_e6,
            advantage_e6=taken.advantage_e6,
            equity_e6=value.equity_e6,
            maintenance_requirement_e6=value.requirement.maintenance_e6,
        )
    )
