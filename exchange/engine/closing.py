"""CLOSE_ALL of the contract's queue: the fund takes an account's positions over at their marks less 1 % (D-051).

The contract derives all of it from the marks that the batch begins with (settlement.md 3.5, step 3), so nothing is
posted; the rules are those of `settlement.protocol.positions`, over what the account and the fund hold. A request has a
batch of its own: no fill comes between the marks and the closing, and a batch takes one request of this kind.
"""

from collections.abc import Mapping
from typing import Final

from exchange.domain.ids import FUND_ACCOUNT
from exchange.domain.instrument import Instrument
from exchange.domain.rounds import AccountTakenOver, PositionTaken
from exchange.engine.booking import change_position
from exchange.engine.forced import mark_e6
from exchange.engine.funding import pay_funding
from exchange.engine.liquidation_terms import is_fresh
from exchange.engine.records import Account
from exchange.engine.state import State
from exchange.engine.turn import Turn
from settlement.protocol.oracle import MarkRow, OracleVector
from settlement.protocol.positions import close_positions, closing_value_e6, may_close

__all__ = ["close_account", "must_wait_to_close"]

_ANY_ROUND: Final = 1


def must_wait_to_close(state: State, index: int) -> bool:
    """Whether nothing was published yet, or a market that the account holds is halted or stale.

    Nobody closes at such a price, the fund least: the queue waits, and the request comes again.
    """
    account = state.accounts.get(index)
    return not (state.oracle_round and state.prices.round) or (account is not None and not is_fresh(state, account))


def close_account(state: State, turn: Turn, account: Account) -> None:
    """Let the fund take what it has room for, unless the account has too little equity; funding is paid already."""
    fund = state.accounts[FUND_ACCOUNT]
    pay_funding(state, turn, fund)
    marks = {number: mark_e6(state, state.instruments[number]) for number in sorted(account.positions)}
    opening = OracleVector(round_number=_ANY_ROUND, rows={key: MarkRow(mark_e6=mark) for key, mark in marks.items()})
    taken: list[PositionTaken] = []
    if may_close(account.ledger_cash_e6, _lots(account), opening):
        kept, _, _ = close_positions(_lots(account), _lots(fund), opening)
        taken = [
            _take(state, turn, account, state.instruments[number], mark)
            for number, mark in marks.items()
            if number not in kept
        ]
    account.is_close_all_requested = bool(account.positions)
    turn.events.append(
        AccountTakenOver(
            subaccount=account.index,
            account_seq=account.next_seq(),
            marks=tuple(marks.items()),
            taken=tuple(taken),
            amount_e6=sum(row.amount_e6 for row in taken),
            fund_cash_e6=fund.ledger_cash_e6,
            ledger_cash_e6=account.ledger_cash_e6,
            cash_e6=account.cash_e6,
        )
    )


def _lots(account: Account) -> Mapping[int, tuple[int, int]]:
    """Positions as the ledger has them; what is due of funding was paid, so indexes say nothing here."""
    return {number: (account.lots(number), 0) for number in account.positions}


def _take(state: State, turn: Turn, account: Account, instrument: Instrument, mark: int) -> PositionTaken:
    lots = account.lots(instrument.instrument_id)
    amount_e6 = closing_value_e6(lots, mark)
    realized_e6 = _book(state, turn, account, instrument, -lots, -amount_e6)
    _book(state, turn, state.accounts[FUND_ACCOUNT], instrument, lots, amount_e6)
    return PositionTaken(
        instrument=instrument.instrument_id, position_lots=lots, amount_e6=amount_e6, realized_pnl_e6=realized_e6
    )


def _book(state: State, turn: Turn, account: Account, instrument: Instrument, delta: int, paid_e6: int) -> int:
    position, realized_e6 = change_position(state, turn, account, instrument, delta, paid_e6)
    account.ledger_cash_e6 -= paid_e6
    state.book.set_cell(state.cell(account.index, instrument.instrument_id), position.lots)
    return realized_e6
