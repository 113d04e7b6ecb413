"""Liquidation (risk.md 9.3, 10, D-035): orders that add risk go, then positions bit by bit, then others pay.

Every price round has all accounts looked at before anything fills at its prices: by the next Clock, or by an earlier
command that may fill (D-057). Below initial margin, orders that add risk are canceled. Below maintenance the account is
frozen, all its orders end, and a step follows each second until it is restored: an order on the book at a price that
gives way as the account sinks; the whole portfolio offered, once it holds options; the fund and the other side of its
positions (`deleveraging`), once it is worth less than nothing. On a stale index price only orders that add risk go, and
in a call auction nothing is closed.
"""

from typing import Final

from exchange.domain.commands import Side
from exchange.domain.ids import FIRST_USER_ACCOUNT
from exchange.domain.limits import MAX_LIQUIDATION_STEPS_PER_COMMAND
from exchange.domain.liquidations import (
    FIRST_LIQUIDATION_LINE,
    LiquidationEnded,
    LiquidationStage,
    LiquidationStarted,
)
from exchange.domain.result_codes import CloseReason
from exchange.engine import forced
from exchange.engine.auction_offers import offer_of, waits_for_bids
from exchange.engine.deleveraging import resolve
from exchange.engine.flags import REDUCE_ONLY
from exchange.engine.liquidation_orders import closing_order
from exchange.engine.liquidation_terms import exposure_of, is_fresh
from exchange.engine.margin import worst_margin_e18
from exchange.engine.matching import cancel_orders, match_order
from exchange.engine.price_moves import moves_too_far
from exchange.engine.records import Account, Liquidation, Order
from exchange.engine.state import State
from exchange.engine.turn import Turn
from exchange.engine.valuation import AccountValue, value_account
from exchange.risk.liquidation import Exposure
from exchange.risk.waterfall import Level, OpenOrderRisk, cancel_order, level_of
from exchange.risk.waterfall import Standing as WaterfallStanding

__all__ = ["drop_risk", "end_if_restored", "look_before_fills", "take_steps"]

_SECOND_NS: Final = 1_000_000_000
_AUCTIONS: Final = 256
"""Numbers of auctions that one command has, above MAX_LIQUIDATION_STEPS_PER_COMMAND."""
_STAGES: Final = {
    Level.BOOK: LiquidationStage.BOOK,
    Level.AUCTION: LiquidationStage.AUCTION,
    Level.INSOLVENT: LiquidationStage.INSOLVENT,
}


def take_steps(state: State, turn: Turn) -> None:
    """Take the steps that are due, by account, a bounded number; they fill, so all accounts were looked at before."""
    due = [row for _, row in sorted(state.liquidations.items()) if row.next_ns <= state.timestamp_ns]
    for number, liquidation in enumerate(due[:MAX_LIQUIDATION_STEPS_PER_COMMAND]):
        liquidation.next_ns = state.timestamp_ns + state.config.liquidation.step_ns
        _step(state, turn, liquidation, FIRST_LIQUIDATION_LINE + number)
    forced.finish(state, turn)


def look_before_fills(state: State, turn: Turn) -> None:
    """Look at all accounts if that is due, as far as one command may; `is_check_due` stays where it was not enough.

    An order that rests since before a price round, of an account that is now below the chain's floor, must not fill:
    the second batch behind the round would convict an honest operator (settlement F3). While payoffs are unpaid nobody
    is looked at: who still waits for one has no mark of it.
    """
    if state.is_check_due and not state.unpaid:
        state.is_check_due = not _look_at_all(state, turn, may_start=True)


def drop_risk(state: State, turn: Turn) -> bool:
    """Cancel what adds risk to accounts that miss margin, before a command places triggers that its prices fired.

    Liquidations begin with the next look, so a stop has its turn before them. Returns whether anything may fill.
    """
    if state.unpaid:
        return False
    return _look_at_all(state, turn, may_start=False)


def _look_at_all(state: State, turn: Turn, *, may_start: bool) -> bool:
    """Take the first step with those that miss margin; False: one command was not enough, the next goes on."""
    left = MAX_LIQUIDATION_STEPS_PER_COMMAND
    for index in state.candidates():
        left -= _look(state, turn, state.accounts[index], may_start=may_start)
        if not left:
            return False
    return True


def _look(state: State, turn: Turn, account: Account, *, may_start: bool) -> bool:
    """Cancel what adds risk below initial margin, begin a liquidation below maintenance; whether anything was done.

    Where a market of the account is stale its last price still counts against new risk: the chain knows no other.
    """
    if account.index < FIRST_USER_ACCOUNT or account.is_in_liquidation or worst_margin_e18(state, account) >= 0:
        return False
    if may_start and is_fresh(state, account) and _misses_maintenance(state, account):
        _start(state, turn, account)
        return True
    doomed = _risk_adding(state, account)
    cancel_orders(state, turn, doomed, CloseReason.INSUFFICIENT_MARGIN)
    turn.flush_closes(state)
    return bool(doomed)


def _misses_maintenance(state: State, account: Account) -> bool:
    value = value_account(state, account)
    return value.equity_e6 < value.requirement.maintenance_e6


def _start(state: State, turn: Turn, account: Account) -> None:
    cancel_orders(state, turn, state.live_orders(account.index), CloseReason.LIQUIDATION)
    turn.flush_closes(state)
    account.is_in_liquidation = True
    now_ns = state.timestamp_ns
    state.liquidations[account.index] = Liquidation(
        subaccount=account.index,
        stage=LiquidationStage.BOOK,
        stage_ns=now_ns,
        next_ns=now_ns,
        unfilled_ns=now_ns,
        auction=_next_auction(state),
    )
    _report(state, turn, account, value_account(state, account))


def _next_auction(state: State) -> int:
    """A number that no account is named by: the command's, and how many began in it before."""
    first = state.sequence * _AUCTIONS
    return first + sum(row.auction >= first for row in state.liquidations.values())


def _step(state: State, turn: Turn, liquidation: Liquidation, line: int) -> None:
    account = state.accounts[liquidation.subaccount]
    if not is_fresh(state, account):
        return
    value = value_account(state, account)
    if value.equity_e6 < value.requirement.maintenance_e6:
        _enter_stage(state, turn, liquidation, account, value)
        _act(state, turn, liquidation, account, value, line)
    end_if_restored(state, turn, account)


def end_if_restored(state: State, turn: Turn, account: Account) -> None:
    """Let an account go that has what it must."""
    value = value_account(state, account)
    if value.equity_e6 >= value.requirement.maintenance_e6:
        _end(state, turn, account, value)


def _act(state: State, turn: Turn, liquidation: Liquidation, account: Account, value: AccountValue, line: int) -> None:
    """Sell a part on the book, or let others pay; an insolvent portfolio with options waits for bids first."""
    if liquidation.stage is LiquidationStage.INSOLVENT:
        if not (_has_options(state, account) and waits_for_bids(state, liquidation, value)):
            resolve(state, turn, account)
    elif _is_sold_out(state, liquidation, account):
        resolve(state, turn, account)
    else:
        _close_part(state, turn, liquidation, account, value, line)


def _end(state: State, turn: Turn, account: Account, value: AccountValue) -> None:
    forced.leave(state, turn, account.index)
    del state.liquidations[account.index]
    account.is_in_liquidation = False
    turn.events.append(
        LiquidationEnded(
            subaccount=account.index,
            account_seq=account.next_seq(),
            equity_e6=value.equity_e6,
            maintenance_requirement_e6=value.requirement.maintenance_e6,
        )
    )


def _enter_stage(state: State, turn: Turn, liquidation: Liquidation, account: Account, value: AccountValue) -> None:
    """Go to the stage that the account's standing asks for, and report it when it is another one."""
    level = level_of(
        WaterfallStanding(
            equity=value.equity_e6,
            initial=value.equity_e6 - value.requirement.initial_e6,
            maintenance=value.equity_e6 - value.requirement.maintenance_e6,
            has_options=_has_options(state, account),
            unfilled_s=(state.timestamp_ns - liquidation.unfilled_ns) // _SECOND_NS,  # whole seconds
        ),
        patience_s=state.config.liquidation.patience_s,
    )
    stage = _STAGES[level]
    if stage is not liquidation.stage:
        liquidation.stage, liquidation.stage_ns = stage, state.timestamp_ns
        _report(state, turn, account, value)


def _report(state: State, turn: Turn, account: Account, value: AccountValue) -> None:
    liquidation = state.liquidations[account.index]
    turn.events.append(
        LiquidationStarted(
            subaccount=account.index,
            account_seq=account.next_seq(),
            stage=liquidation.stage,
            equity_e6=value.equity_e6,
            maintenance_requirement_e6=value.requirement.maintenance_e6,
            price_e6=_offered_e6(state, liquidation, value),
        )
    )


def _offered_e6(state: State, liquidation: Liquidation, value: AccountValue) -> int:
    """Price of the whole portfolio in its stage, rounded down; 0 on the book."""
    if liquidation.stage is LiquidationStage.BOOK:
        return 0
    return offer_of(state, liquidation, state.accounts[liquidation.subaccount], value).price_e6


def _is_sold_out(state: State, liquidation: Liquidation, account: Account) -> bool:
    """Whether a portfolio with options was offered down to nothing, and nobody took it."""
    rules = state.config.liquidation.auction
    is_over = state.timestamp_ns - liquidation.stage_ns >= (rules.fast_s + rules.slow_s) * _SECOND_NS
    return liquidation.stage is LiquidationStage.AUCTION and _has_options(state, account) and is_over


def _has_options(state: State, account: Account) -> bool:
    return any(state.instruments[number].is_option for number in account.positions)


def _risk_adding(state: State, account: Account) -> list[Order]:
    """Resting orders that go while initial margin is missing, by instrument."""
    rows = [order for _, order in sorted(state.account_orders[account.index].items())]
    doomed: list[Order] = []
    for number in sorted({order.place.instrument for order in rows}):
        own = {order.number: order for order in rows if order.place.instrument == number}
        risks = [_risk_of(state, order) for order in own.values() if not int(order.place.flags) & REDUCE_ONLY]
        doomed += [own[one] for one in cancel_order(risks, position_lots=account.lots(number))]
    return doomed


def _risk_of(state: State, order: Order) -> OpenOrderRisk:
    bid_ticks, _, ask_ticks, _ = state.book.best(order.place.instrument)
    is_buy = order.place.side is Side.BUY
    best = bid_ticks if is_buy else ask_ticks
    distance = 0 if best is None else (best - order.price_ticks if is_buy else order.price_ticks - best)
    return OpenOrderRisk(order_id=order.number, is_buy=is_buy, lots=order.remaining_lots, distance=distance)


def _close_part(
    state: State, turn: Turn, liquidation: Liquidation, account: Account, value: AccountValue, line: int
) -> None:
    """One order on the book: of the perpetual that asks for most, as much as restores the buffer or a step allows."""
    exposures = {
        number: exposure_of(state, account, state.instruments[number])
        for number in sorted(account.positions)
        if state.instruments[number].is_perpetual and number not in state.auctions
    }
    exposures = {number: row for number, row in exposures.items() if row.maintenance}
    if not exposures:
        return  # hedges only: closing one would ask for more
    number = max(exposures, key=lambda one: (_weight(exposures[one]), -one))
    place = closing_order(state, account, state.instruments[number], exposures[number], value)
    if place is None or moves_too_far(state, place, place.quantity_lots):
        return
    lots = account.lots(number)
    forced.begin(state, turn, account, is_paid_by_others=False)
    match_order(state, turn, place, replaces=0, line=line)
    if account.lots(number) != lots:
        liquidation.unfilled_ns = state.timestamp_ns
        forced.note(state, account.index)


def _weight(exposure: Exposure) -> int:
    return abs(exposure.amount) * exposure.price * exposure.maintenance
