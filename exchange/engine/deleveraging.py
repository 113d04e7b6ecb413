"""Who pays for an account that is worth less than nothing: the insurance fund inside its caps, then the other side.

The fund covers what it may; then each position is closed at its bankruptcy price, the price at which nothing is left of
the account, against those who hold the opposite, in proportion to position x profit / equity (risk.md 10.4, 10.5).
"""

from collections.abc import Iterable
from typing import Final

from exchange.domain.ids import FIRST_USER_ACCOUNT, FUND_ACCOUNT
from exchange.domain.instrument import Instrument
from exchange.domain.liquidations import Deleveraged, DeleveragedSide, FundPaid
from exchange.domain.money import ceil_div, floor_div
from exchange.engine import batches, forced, fund
from exchange.engine.booking import change_position
from exchange.engine.funding import pay_funding, pending_e18
from exchange.engine.liquidation_terms import ONE, PPM_TO_ONE
from exchange.engine.records import Account, FundDay
from exchange.engine.state import State
from exchange.engine.turn import Turn
from exchange.engine.valuation import maintenance_without_e6, position_requirement, value_account
from exchange.risk.insurance import Candidate, FundLimits, FundState, Share, deleverage, fund_pays
from exchange.risk.standard import E12

__all__ = ["bankruptcy_quote_e6", "fund_allowance_e6", "pay_from_fund", "resolve"]

_DAY_NS: Final = 86_400_000_000_000
_E9: Final = 10**9


def resolve(state: State, turn: Turn, account: Account) -> None:
    """Let the fund pay what it may, then close what is left against the other side, ascending."""
    forced.begin(state, turn, account, is_paid_by_others=True)
    _take_from_fund(state, turn, account)
    for number in sorted(account.positions):
        if number not in state.auctions:
            _deleverage(state, turn, account, state.instruments[number])


def _is_restored(state: State, account: Account) -> bool:
    value = value_account(state, account)
    return value.equity_e6 >= value.requirement.maintenance_e6


def bankruptcy_quote_e6(state: State, account: Account, instrument: Instrument) -> int:
    """What the account must get (pay: < 0) for its whole position so that, with all others closed alike, 0 is left.

    The value at the mark and the deficit's share by maintenance requirement, rounded up: it receives no less. Who
    still has equity keeps it, and gets the value at the mark.
    """
    weights = {number: _weight(state, account, state.instruments[number]) for number in account.positions}
    total, own = sum(weights.values()), weights[instrument.instrument_id]
    equity_e18 = min(0, _equity_e6(state, account)) * E12
    return ceil_div(_value_e18(state, account, instrument) * total - equity_e18 * own, total * E12)


def _equity_e6(state: State, account: Account) -> int:
    """Equity once the funding that is due was charged, each payment rounded down, as the first transfer does."""
    due_e6 = sum(floor_div(pending_e18(state, account, number), E12) for number in account.positions)
    worth_e18 = sum(_value_e18(state, account, state.instruments[number]) for number in account.positions)
    return account.ledger_cash_e6 + due_e6 + floor_div(worth_e18, E12)


def _weight(state: State, account: Account, instrument: Instrument) -> int:
    """Part of a position in the account's requirement as if it stood alone; at least 1, so that shares sum to one."""
    return 1 + position_requirement(state, account, instrument).maintenance_e6


def _value_e18(state: State, account: Account, instrument: Instrument) -> int:
    number = instrument.instrument_id
    return account.lots(number) * instrument.lot_e9 * state.prices.marks[number].mark_e9


def _take_from_fund(state: State, turn: Turn, account: Account) -> None:
    pay_from_fund(state, turn, account, -value_account(state, account).equity_e6)


def fund_allowance_e6(state: State) -> int:
    """Most that the fund may pay now, by its cash and its caps."""
    return _allowed_e6(state, max(0, fund.worth_e6(state)))


def _allowed_e6(state: State, wanted_e6: int) -> int:
    rules, day = state.config.liquidation, _today(state)
    limits = FundLimits(one=ONE, per_event=rules.fund_event_ppm * PPM_TO_ONE, per_day=rules.fund_day_ppm * PPM_TO_ONE)
    cash = FundState(cash=max(0, fund.worth_e6(state)), day_start_cash=day.start_e6, taken_today=day.taken_e6)
    return fund_pays(wanted_e6, cash, limits)


def pay_from_fund(state: State, turn: Turn, account: Account, wanted_e6: int) -> None:
    """Pay into an account what is wanted, or as much of it as the fund may; nothing below one unit."""
    amount_e6 = _allowed_e6(state, wanted_e6) if wanted_e6 > 0 else 0
    if not amount_e6:
        return
    payer, day = state.accounts[FUND_ACCOUNT], _today(state)
    batches.make_room_for_payment(state, turn, account.index, amount_e6)
    pay_funding(state, turn, account)
    day.taken_e6 += amount_e6
    payer.ledger_cash_e6 -= amount_e6
    account.ledger_cash_e6 += amount_e6
    turn.moved_cash = True
    batches.add_fund_payment(state, account.index, amount_e6)
    forced.note(state, account.index)
    turn.events.append(
        FundPaid(
            subaccount=account.index,
            account_seq=account.next_seq(),
            amount_e6=amount_e6,
            fund_cash_e6=payer.ledger_cash_e6,
            ledger_cash_e6=account.ledger_cash_e6,
            cash_e6=account.cash_e6,
        )
    )


def _today(state: State) -> FundDay:
    """The fund's day, begun anew when the date changed."""
    number = floor_div(state.timestamp_ns, _DAY_NS)
    if state.fund_day.day != number:
        start_e6 = max(0, fund.worth_e6(state))
        state.fund_day = FundDay(day=number, start_e6=start_e6)
    return state.fund_day


def _deleverage(state: State, turn: Turn, account: Account, instrument: Instrument) -> None:
    """Close a position at its bankruptcy price against the other side, as far as there are candidates.

    Who holds the opposite as a hedge is spared, unless the others do not reach.
    """
    number = instrument.instrument_id
    lots = account.lots(number)
    quote_e6 = bankruptcy_quote_e6(state, account, instrument)
    if quote_e6 * lots < 0:
        quote_e6 = 0  # no price is below zero; what that leaves open stays the account's debt
    candidates = list(_candidates(state, account, instrument, quote_e6))
    shares = deleverage(abs(lots), candidates)
    left = abs(lots) - sum(share.lots for share in shares)
    if left:
        shares += deleverage(left, [row for row in candidates if row.is_hedge], spare_hedges=False)
    done = paid_e6 = 0
    for share in shares:
        if _is_restored(state, account):
            return  # sold out, but not bankrupt: nobody gives way for more than was needed
        done += share.lots
        part_e6 = ceil_div(quote_e6 * done, abs(lots)) - paid_e6
        paid_e6 += part_e6
        _transfer(state, turn, instrument, account, share, sign=1 if lots > 0 else -1, quote_e6=part_e6)


def _candidates(state: State, bankrupt: Account, instrument: Instrument, quote_e6: int) -> Iterable[Candidate]:
    """Who holds the opposite and could bear the bankruptcy price, ascending."""
    held = bankrupt.lots(instrument.instrument_id)
    for index in state.holders(instrument.instrument_id):
        account = state.accounts[index]
        lots = account.lots(instrument.instrument_id)
        if index < FIRST_USER_ACCOUNT or account.is_in_liquidation or lots * held > 0:
            continue
        # At the same price per lot, rounded down: against the one who gives the position up.
        worth_e6 = floor_div(quote_e6 * lots * (1 if held > 0 else -1), abs(held))
        candidate = _candidate(state, account, instrument, worth_e6)
        if candidate is not None:
            yield candidate


def _candidate(state: State, account: Account, instrument: Instrument, worth_e6: int) -> Candidate | None:
    """The account that gives up its position for `worth_e6`; None when that would leave it below maintenance."""
    number = instrument.instrument_id
    value, left_e6 = value_account(state, account), maintenance_without_e6(state, account, number)
    needed_e6 = value.requirement.maintenance_e6
    equity_e6 = value.equity_e6 + worth_e6 - ceil_div(_value_e18(state, account, instrument), E12)
    if value.equity_e6 < needed_e6 or equity_e6 < left_e6:
        return None
    return Candidate(
        account=account.index,
        lots=abs(account.lots(number)),
        profit=worth_e6 - account.positions[number].cost_e6,
        equity=value.equity_e6,
        is_hedge=left_e6 > needed_e6 or _offsets_delta(state, account, instrument),
    )


def _offsets_delta(state: State, account: Account, instrument: Instrument) -> bool:
    """Whether the account's other positions on the underlying have more delta without this one than with it (D-038).

    Standard Margin lets perpetuals stand alone, so its requirement never shows that a perpetual hedges options.
    """
    own = _delta_e18(state, account, instrument)
    others = (state.instruments[number] for number in account.positions if number != instrument.instrument_id)
    rest = sum(_delta_e18(state, account, row) for row in others if row.underlying == instrument.underlying)
    return abs(rest) > abs(rest + own)


def _delta_e18(state: State, account: Account, instrument: Instrument) -> int:
    """Delta of a position in 1e-18 units of the underlying: a perpetual's is its size, an option's the mark's."""
    number = instrument.instrument_id
    per_unit_e9 = _E9 if instrument.is_perpetual else state.prices.marks[number].delta_e9
    return account.lots(number) * instrument.lot_e9 * per_unit_e9


def _transfer(
    state: State, turn: Turn, instrument: Instrument, bankrupt: Account, share: Share, *, sign: int, quote_e6: int
) -> None:
    """Move `share` of the bankrupt account's position to its counterparty for `quote_e6`."""
    number, counterparty = instrument.instrument_id, state.accounts[share.account]
    batches.make_room_for_legs(
        state,
        turn,
        instrument=number,
        accounts=(bankrupt.index, counterparty.index),
        lots=share.lots,
        notional_e6=abs(quote_e6),
    )
    pay_funding(state, turn, bankrupt)
    pay_funding(state, turn, counterparty)
    state.trade_count += 1
    delta = -sign * share.lots
    sides = (
        _book_side(state, turn, instrument, bankrupt, delta, -quote_e6),
        _book_side(state, turn, instrument, counterparty, -delta, quote_e6),
    )
    batches.add_trade(state, number)
    forced.note(state, bankrupt.index)
    turn.events.append(
        Deleveraged(
            trade=state.trade_count,
            instrument=number,
            bankrupt_lots=delta,
            notional_e6=abs(quote_e6),
            mark_e9=state.prices.marks[number].mark_e9,
            bankrupt=sides[0],
            counterparty=sides[1],
        )
    )


def _book_side(
    state: State, turn: Turn, instrument: Instrument, account: Account, delta: int, notional_e6: int
) -> DeleveragedSide:
    number = instrument.instrument_id
    position, realized_e6 = change_position(state, turn, account, instrument, delta, notional_e6)
    account.ledger_cash_e6 -= notional_e6
    state.book.set_cell(state.cell(account.index, number), position.lots)
    batches.add_leg(state, account.index, instrument=number, lots=delta, cash_e6=-notional_e6)
    return DeleveragedSide(
        subaccount=account.index,
        account_seq=account.next_seq(),
        realized_pnl_e6=realized_e6,
        position_lots=position.lots,
        ledger_cash_e6=account.ledger_cash_e6,
        cash_e6=account.cash_e6,
    )
