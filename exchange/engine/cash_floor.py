"""The cash floor of an account in the state (D-053): what it holds and has ordered, for `exchange.risk.cash_floor`.

Summed anew at each check like the scenarios. The compiled state does the same in C (`_cash_floor.pxd`).
"""

from collections.abc import Iterable, Mapping

from exchange.domain.instrument import Instrument
from exchange.engine.changes import fees_e18
from exchange.engine.market_limits import initial_tiers
from exchange.engine.state import State
from exchange.risk.cash_floor import CashFloor
from exchange.risk.open_orders import PerpetualExposure

__all__ = ["OpenOrder", "cash_floor"]

OpenOrder = tuple[int, bool, int, int]
"""(instrument, is_buy, price_ticks, lots) of an order that may fill."""


def cash_floor(state: State, lots: Mapping[int, int], orders: Iterable[OpenOrder]) -> CashFloor:
    """Of positions by instrument, with the orders that may fill."""
    by_instrument: dict[int, list[OpenOrder]] = {number: [] for number in lots}
    for row in orders:
        by_instrument.setdefault(row[0], []).append(row)
    perpetuals, options_e18, premiums_e18, losses_e18, fees = [], 0, 0, 0, 0
    for number, rows in sorted(by_instrument.items()):
        instrument, held = state.instruments[number], lots.get(number, 0)
        if instrument.is_perpetual:
            perpetuals.append(_perpetual(state, instrument, held, rows))
            continue
        options_e18 += held * instrument.lot_e9 * state.prices.marks[number].mark_e9
        premiums_e18 += sum(row[2] * row[3] for row in rows if row[1]) * instrument.tick_e9 * instrument.lot_e9
        losses_e18 += _loss_e18(state, instrument, rows)
        fees += fees_e18(state, instrument, sum(row[3] for row in rows), legs=1)
    return CashFloor(
        perpetuals=tuple(perpetuals),
        options_e18=options_e18,
        premiums_e18=premiums_e18,
        losses_e18=losses_e18,
        fees_e18=fees,
    )


def _perpetual(state: State, instrument: Instrument, held: int, rows: list[OpenOrder]) -> PerpetualExposure:
    buys, sells = (sum(row[3] for row in rows if row[1] is is_buy) for is_buy in (True, False))
    return PerpetualExposure(
        position_e9=held * instrument.lot_e9,
        mark_e9=state.prices.marks[instrument.instrument_id].mark_e9,
        tiers=initial_tiers(state, instrument.underlying),
        buys_e9=buys * instrument.lot_e9,
        sells_e9=sells * instrument.lot_e9,
        loss_e18=_loss_e18(state, instrument, rows),
        # Into the position and out again.
        fees_e18=fees_e18(state, instrument, buys + sells, legs=2),
    )


def _loss_e18(state: State, instrument: Instrument, rows: list[OpenOrder]) -> int:
    """What fills at the limits lose against the mark."""
    mark_e9 = state.prices.marks[instrument.instrument_id].mark_e9
    worse_e9 = ((row[2] * instrument.tick_e9 - mark_e9) * (1 if row[1] else -1) * row[3] for row in rows)
    return sum(max(0, row) for row in worse_e9) * instrument.lot_e9
