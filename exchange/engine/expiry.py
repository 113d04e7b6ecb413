"""Expiry (risk.md 5.5): the index averaged over the last half hour, options paid in cash at an oracle round (D-033).

Each index price is kept with the time it held, for twice the window before an expiry. The first round behind an expiry
takes the average; with too few samples the expiry waits for governance's price. Then its instruments are paid, each
whole: every holder's position becomes cash against the clearing account, rounded against the holder, so positions sum
to zero and cash to the collateral after every command. What one command leaves over the next Clock does.
"""

from typing import Any, Final

import msgspec

from exchange.domain.ids import CLEARING_ACCOUNT, FUND_ACCOUNT
from exchange.domain.instrument import InstrumentKind
from exchange.domain.limits import MAX_EXPIRED_PER_COMMAND, MAX_MONEY_E6
from exchange.domain.money import floor_div
from exchange.domain.rounds import ExpirySettled, InstrumentSettled, PositionExpired, SettlementRow
from exchange.engine import batches
from exchange.engine.funding import pay_funding
from exchange.engine.records import Account, Expiry
from exchange.engine.state import State
from exchange.engine.turn import Turn
from exchange.risk.expiry import Sample, SettlementPrice, cash_value, payoff, settlement_price

__all__ = ["are_needed", "expiry_rows", "load_expiries", "pay_expired", "sample", "settle_expiries"]

_SECOND_NS: Final = 1_000_000_000
_E6: Final = 10**6


def sample(state: State, underlying: str) -> None:
    """Keep an index price that is about to change, while an expiry that may need it is not settled."""
    last = _running(state, underlying)
    ends_ns = [expiry_s * _SECOND_NS for name, expiry_s in _unsettled(state) if name == underlying]
    if last is None or not ends_ns:
        return
    rows, kept_ns = state.samples.setdefault(underlying, []), 2 * state.config.settlement_window_ns
    while rows and rows[0].end_ns <= min(ends_ns) - kept_ns:
        del rows[0]
    if any(end_ns - kept_ns < last.end_ns and last.start_ns < end_ns for end_ns in ends_ns):
        rows.append(last)


def are_needed(state: State, rows: tuple[SettlementRow, ...]) -> bool:
    """Whether each row names another expiry that passed, is not settled, and cannot be averaged; with a valid price."""
    chains = [(row.underlying, row.expiry_s) for row in rows]
    return len(dict.fromkeys(chains)) == len(chains) and all(
        chain in state.chains
        and chain not in state.expiries
        and row.expiry_s * _SECOND_NS <= state.timestamp_ns
        and 0 < row.price_e9 <= MAX_MONEY_E6
        and _average(state, chain) is None
        for chain, row in zip(chains, rows, strict=True)
    )


def settle_expiries(state: State, turn: Turn, rows: tuple[SettlementRow, ...]) -> None:
    """Give every expiry that passed its price, the earliest first, unless orders are left that end before it."""
    if state.timers and state.timers[0][0] <= state.timestamp_ns:
        return
    given = {(row.underlying, row.expiry_s): row.price_e9 for row in rows}
    for chain in sorted(_unsettled(state), key=lambda chain: (chain[1], chain[0])):
        if chain[1] * _SECOND_NS > state.timestamp_ns:
            return
        found = _average(state, chain)
        if found is None and chain in given:
            found = SettlementPrice(price=given[chain], covered_ns=0, is_disputed=True)
        if found is not None:
            _settle(state, turn, chain, found)


def pay_expired(state: State, turn: Turn) -> None:
    """Pay a share of the earliest expiry that is not paid: instruments ascending and whole, bounded by positions.

    The open batch ends first, because its payoffs were others.
    """
    if not state.unpaid:
        return
    chain = min(state.unpaid, key=lambda chain: (chain[1], chain[0]))
    expiry = state.unpaid[chain]
    left = [number for number in sorted(state.chains[chain]) if number > expiry.last_instrument]
    share = _share(state, left)
    batches.close_content(state, turn)
    values_e12 = {
        number: _settle_instrument(state, turn, number, expiry.price_e9, len(share[number])) for number in share
    }
    for index in sorted({index for holders in share.values() for index in holders}):
        held = [number for number, holders in share.items() if index in holders]
        _pay_holder(state, turn, state.accounts[index], {number: values_e12[number] for number in held})
    expiry.last_instrument = max(share)
    if len(share) == len(left):
        expiry.is_paid = True
        del state.unpaid[chain]


def expiry_rows(state: State) -> list[Any]:
    """Samples, settled expiries and delisted instruments, sorted."""
    samples = [
        (name, [(row.start_ns, row.end_ns, row.price) for row in rows]) for name, rows in sorted(state.samples.items())
    ]
    return [samples, [row for _, row in sorted(state.expiries.items())], sorted(state.delisted)]


def load_expiries(state: State, rows: list[Any]) -> None:
    """Inverse of `expiry_rows`."""
    for name, samples in rows[0]:
        state.samples[name] = [Sample(start_ns=start, end_ns=end, price=price) for start, end, price in samples]
    for expiry in msgspec.convert(rows[1], list[Expiry]):
        chain = (expiry.underlying, expiry.expiry_s)
        state.expiries[chain] = expiry
        if not expiry.is_paid:
            state.unpaid[chain] = expiry
    state.delisted.update(dict.fromkeys(rows[2]))


def _unsettled(state: State) -> list[tuple[str, int]]:
    return [chain for chain in state.chains if chain not in state.expiries]


def _running(state: State, underlying: str) -> Sample | None:
    """The present index price for as long as it held, at most until it was stale; None when it is new."""
    start_ns = state.prices.index_ns.get(underlying)
    if start_ns is None:
        return None
    end_ns = min(state.timestamp_ns, start_ns + state.config.index_life_ns)
    price_e9 = state.prices.index_e9[underlying]
    return Sample(start_ns=start_ns, end_ns=end_ns, price=price_e9) if end_ns > start_ns else None


def _average(state: State, chain: tuple[str, int]) -> SettlementPrice | None:
    """Of what is kept and of the present price, both only from twice the window before the expiry on."""
    underlying, expiry_ns, window_ns = chain[0], chain[1] * _SECOND_NS, state.config.settlement_window_ns
    last = _running(state, underlying)
    rows = [*state.samples.get(underlying, []), *([] if last is None else [last])]
    known = [row for row in rows if row.end_ns > expiry_ns - 2 * window_ns]
    return settlement_price(known, expiry_ns=expiry_ns, window_ns=window_ns)


def _settle(state: State, turn: Turn, chain: tuple[str, int], found: SettlementPrice) -> None:
    underlying, expiry_s = chain
    expiry = Expiry(underlying=underlying, expiry_s=expiry_s, price_e9=found.price)
    state.expiries[chain] = state.unpaid[chain] = expiry
    turn.events.append(
        ExpirySettled(
            underlying=underlying,
            expiry_s=expiry_s,
            price_e9=found.price,
            covered_ns=found.covered_ns,
            is_disputed=found.is_disputed,
        )
    )


def _share(state: State, instruments: list[int]) -> dict[int, dict[int, None]]:
    """Holders by instrument, of as many instruments as one command pays: the first, and more while there is room."""
    share: dict[int, dict[int, None]] = {}
    count = 0
    for number in instruments:
        holders = state.holders(number)
        if share and count + len(holders) > MAX_EXPIRED_PER_COMMAND:
            break
        share[number] = dict.fromkeys(holders)
        count += len(holders)
    return share


def _settle_instrument(state: State, turn: Turn, number: int, price_e9: int, count: int) -> int:
    """Report an instrument's payoff; returns it per lot."""
    instrument = state.instruments[number]
    is_call = instrument.kind is InstrumentKind.CALL
    per_unit_e9 = payoff(settlement=price_e9, strike=instrument.strike_e9, is_call=is_call)
    # Rounded down to 1e-12 of a lot: what a lot is short of then, the short side keeps.
    value_e12 = floor_div(per_unit_e9 * instrument.lot_e9, _E6)
    turn.events.append(
        InstrumentSettled(instrument=number, price_e9=price_e9, value_e12=value_e12, position_count=count)
    )
    return value_e12


def _pay_holder(state: State, turn: Turn, account: Account, values_e12: dict[int, int]) -> None:
    """Pay all that one account has of a share in one batch, the funding due on its perpetuals too: the ledger does."""
    is_listed = account.index != FUND_ACCOUNT  # the chain pays the fund in every batch, and lists it in none
    if is_listed:
        batches.make_room_for_account(state, turn, account.index)
    pay_funding(state, turn, account)
    for number, value_e12 in values_e12.items():
        _pay_position(state, turn, account, number, value_e12)
        if is_listed:
            batches.add_expired(state, account.index)


def _pay_position(state: State, turn: Turn, account: Account, number: int, value_e12: int) -> None:
    position = account.positions[number]
    lots, cost_e6 = position.lots, position.cost_e6
    amount_e6 = cash_value(amount=lots, per_unit=value_e12, one=_E6)
    account.ledger_cash_e6 += amount_e6
    state.accounts[CLEARING_ACCOUNT].ledger_cash_e6 -= amount_e6
    _drop_position(state, turn, account, number, lots)
    turn.events.append(
        PositionExpired(
            subaccount=account.index,
            account_seq=account.next_seq(),
            instrument=number,
            position_lots=lots,
            amount_e6=amount_e6,
            realized_pnl_e6=amount_e6 - cost_e6,
            ledger_cash_e6=account.ledger_cash_e6,
            cash_e6=account.cash_e6,
        )
    )


def _drop_position(state: State, turn: Turn, account: Account, number: int, lots: int) -> None:
    del account.positions[number]
    state.position_sums[number] -= lots
    state.limits.move(number, lots, 0)
    state.book.set_cell(state.cell(account.index, number), 0)
    state.forget_margin(account.index, number)
    turn.touched[account.index, number] = None
    turn.moved_cash = True
