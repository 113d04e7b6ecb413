"""Portfolio Margin of an account in the state (risk.md 8, D-045): its rows for `exchange.risk`, its pre-trade check.

Initial margin is the lower of what scenarios leave and what the cash floor leaves (D-053), maintenance the scenarios'
alone. Everything is summed anew at each check, from the journaled cells and the open orders: nothing depends on
history. The compiled state does the same in C (`_portfolio.pxd`).
"""

from collections.abc import Iterable
from typing import Final

from exchange.domain.commands import Place, Side
from exchange.domain.instrument import Instrument, InstrumentKind
from exchange.engine.cash_floor import OpenOrder, cash_floor
from exchange.engine.changes import Change, fees_e18, is_strict_reduction
from exchange.engine.doubt import SURE_E9, confidence_e9
from exchange.engine.flags import QUOTE, REDUCE_ONLY
from exchange.engine.funding import pending_e18
from exchange.engine.market_limits import initial_tiers
from exchange.engine.records import Account
from exchange.engine.state import State
from exchange.risk.cash_floor import floor_margin_e18
from exchange.risk.scenario_portfolio import (
    OpenOrderRow,
    ScenarioExpiry,
    ScenarioMarket,
    ScenarioOption,
    ScenarioPerpetual,
    ScenarioPortfolio,
    perpetual_changes,
    portfolio_value_e18,
    required_e18,
)
from exchange.risk.standard import E12

__all__ = [
    "has_cells",
    "is_affordable",
    "is_portfolio",
    "scenario_portfolio",
    "worst_margin_e18",
]

_NOTHING: Final = Change(0, Side.BUY)


def is_portfolio(state: State, account: Account) -> bool:
    """Whether the account is margined by scenarios."""
    return account.index in state.scenarios.accounts


def has_cells(state: State, subaccount: int, number: int) -> bool:
    """Whether the account's kind of margin can price an instrument: scenarios need an option's cells."""
    is_free = subaccount not in state.scenarios.accounts or state.instruments[number].is_perpetual
    return is_free or number in state.scenarios.packed


def worst_margin_e18(state: State, account: Account, change: Change = _NOTHING, *, without_order: int = 0) -> int:
    """Signed initial margin under a hypothesis after the worst fill of everything open, in 1e-18 USDC.

    The lower of the scenarios' and the floor's. What quotes reserve is not in it, nor what the hypothesis' fills paid.
    """
    orders = _open_orders(state, account, without_order)
    found = scenario_portfolio(state, account, change=change, orders=orders)
    left = portfolio_value_e18(found) - sum(required_e18(row, state.config.portfolio)[0] for row in found.markets)
    lots, rows = _after(account.positions.keys(), account, change, orders)
    floor = floor_margin_e18(account.ledger_cash_e6, cash_floor(state, lots, rows))
    return min(left, floor) + sum(pending_e18(state, account, number) for number in account.positions)


def is_affordable(state: State, place: Place, price_ticks: int, *, reserved_e18: int, without_order: int = 0) -> bool:
    """Rule 9.1; `reserved_e18` is what quotes reserve, `without_order` is open and would be gone."""
    account = state.accounts[place.subaccount]
    state.exposure(place.subaccount, place.instrument)  # a member of its group, should the kind change
    lots, side = place.quantity_lots, place.side
    filled = Change(place.instrument, side, filled_lots=lots)
    if int(place.flags) & REDUCE_ONLY:
        filled.filled_lots = min(lots, abs(account.lots(place.instrument)))
        after = _filled_e18(state, account, place, filled, without_order)
        return after >= reserved_e18 or after >= worst_margin_e18(state, account, without_order=without_order)
    rests = Change(place.instrument, side, resting_lots=lots, price_ticks=price_ticks)
    if worst_margin_e18(state, account, rests, without_order=without_order) >= reserved_e18:
        return True
    if not is_strict_reduction(state, account.index, rests, lots):
        return False
    after = _filled_e18(state, account, place, filled, without_order)
    return after >= worst_margin_e18(state, account, without_order=without_order)


def scenario_portfolio(
    state: State,
    account: Account,
    *,
    change: Change = _NOTHING,
    orders: Iterable[OpenOrder] = (),
    only: int = 0,
    without: int = 0,
    doubts: bool = True,
) -> ScenarioPortfolio:
    """The account in the words of `exchange.risk`, ascending by underlying; `only` one position, or all but one.

    Without `doubts` every index is sure.
    """
    lots, rows = _after((account.positions.keys() if not only else {only}) - {without}, account, change, orders)
    names = {state.instruments[number].underlying for number in (*lots, *(row[0] for row in rows))}
    return ScenarioPortfolio(
        cash_e6=account.ledger_cash_e6,
        markets=tuple(_market(state, name, lots, rows, doubts=doubts) for name in sorted(names)),
    )


def _after(
    numbers: Iterable[int], account: Account, change: Change, orders: Iterable[OpenOrder]
) -> tuple[dict[int, int], list[OpenOrder]]:
    """(Lots by instrument, orders) under a hypothesis, of the positions named."""
    lots = {number: account.lots(number) for number in numbers}
    if change.filled_lots:
        lots[change.instrument] = lots.get(change.instrument, 0) + change.delta_lots
    rows = list(orders)
    if change.resting_lots:
        rows.append((change.instrument, change.side is Side.BUY, change.price_ticks, change.resting_lots))
    return lots, rows


def _filled_e18(state: State, account: Account, place: Place, filled: Change, without_order: int) -> int:
    """Margin after a complete fill at the order's limit, its fees paid."""
    instrument = state.instruments[place.instrument]
    signed = filled.delta_lots
    paid = instrument.notional_e6(price_ticks=place.price_ticks, quantity_lots=signed) * E12
    fees = fees_e18(state, instrument, filled.filled_lots, legs=1)
    return worst_margin_e18(state, account, filled, without_order=without_order) - paid - fees


def _open_orders(state: State, account: Account, without_order: int) -> list[OpenOrder]:
    """Orders that reserve by themselves, ascending: those that only reduce reserve nothing, quotes their group's."""
    return [
        (order.place.instrument, order.place.side is Side.BUY, order.price_ticks, order.remaining_lots)
        for number, order in sorted(state.account_orders[account.index].items())
        if number != without_order and not int(order.place.flags) & (REDUCE_ONLY | QUOTE)
    ]


def _market(state: State, name: str, lots: dict[int, int], orders: list[OpenOrder], *, doubts: bool) -> ScenarioMarket:
    own = [row for row in orders if state.instruments[row[0]].underlying == name]
    held = sorted(number for number, size in lots.items() if size and state.instruments[number].underlying == name)
    marks = state.prices.marks
    perpetuals = [state.instruments[number] for number in held if state.instruments[number].is_perpetual]
    return ScenarioMarket(
        index_e9=state.prices.index_e9[name],
        tiers=initial_tiers(state, name),
        perpetuals=tuple(
            ScenarioPerpetual(lots[row.instrument_id] * row.lot_e9, marks[row.instrument_id].mark_e9)
            for row in perpetuals
        ),
        expiries=_expiries(state, name, lots, [number for number in held if state.instruments[number].is_option]),
        orders=tuple(_order_row(state, row) for row in own),
        open_sells_e9=_options_e9(state, own, is_buy=False),
        open_buys_e9=_options_e9(state, own, is_buy=True),
        open_perpetuals_e9=_widening_e9(state, lots, own),
        confidence_e9=confidence_e9(state, name) if doubts else SURE_E9,
    )


def _options_e9(state: State, orders: list[OpenOrder], *, is_buy: bool) -> int:
    """Options on one side of the orders."""
    rows = ((state.instruments[row[0]], row[3]) for row in orders if row[1] is is_buy)
    return sum(lots * instrument.lot_e9 for instrument, lots in rows if instrument.is_option)


def _expiries(state: State, name: str, lots: dict[int, int], held: list[int]) -> tuple[ScenarioExpiry, ...]:
    by_expiry: dict[int, list[ScenarioOption]] = {}
    for number in held:
        row = state.instruments[number]
        option = ScenarioOption(
            row.strike_e9,
            row.kind is InstrumentKind.CALL,
            lots[number] * row.lot_e9,
            state.prices.marks[number].mark_e9,
            state.scenarios.cells(number),
        )
        by_expiry.setdefault(row.expiry_s, []).append(option)
    rows = ((state.scenarios.trust[name, expiry_s], options) for expiry_s, options in sorted(by_expiry.items()))
    return tuple(
        ScenarioExpiry(
            positive_e9=trust.positive_e9,
            negative_e9=trust.negative_e9,
            basis_e9=trust.basis_e9,
            options=tuple(options),
        )
        for trust, options in rows
    )


def _order_row(state: State, row: OpenOrder) -> OpenOrderRow:
    number, is_buy, price_ticks, lots = row
    instrument: Instrument = state.instruments[number]
    mark_e9 = state.prices.marks[number].mark_e9
    gain_e9 = mark_e9 - price_ticks * instrument.tick_e9
    parameters, table = state.config.portfolio, state.scenarios
    if instrument.is_perpetual:
        changes = perpetual_changes(mark_e9, parameters)
    else:
        changes = table.changes(number, table.trust[instrument.underlying, instrument.expiry_s], parameters)
    return OpenOrderRow(
        is_buy=is_buy,
        amount_e9=lots * instrument.lot_e9,
        gain_e9=gain_e9 if is_buy else -gain_e9,
        fee_e18=fees_e18(state, instrument, lots, legs=1),
        changes=changes,
    )


def _widening_e9(state: State, lots: dict[int, int], orders: list[OpenOrder]) -> int:
    """By how much the worst side of the orders widens each perpetual position, summed."""
    total = 0
    for number in sorted({row[0] for row in orders if state.instruments[row[0]].is_perpetual}):
        held = lots.get(number, 0)
        buys = sum(row[3] for row in orders if row[0] == number and row[1])
        sells = sum(row[3] for row in orders if row[0] == number and not row[1])
        total += max(0, abs(held + buys) - abs(held), abs(held - sells) - abs(held)) * state.instruments[number].lot_e9
    return total
