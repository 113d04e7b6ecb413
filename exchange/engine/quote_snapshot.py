"""Protection groups as rows of a snapshot, with what the book has counted in their windows."""

from typing import Any, Final

from exchange.engine.protection import set_weights
from exchange.engine.records import MmpGroup
from exchange.engine.state import State

__all__ = ["group_rows", "load_groups", "load_windows"]

_FIELDS: Final = (
    "underlying",
    "lot_e9",
    "interval_ns",
    "frozen_ns",
    "quantity_lots",
    "delta_e9",
    "vega_e9",
    "count",
    "is_frozen",
    "thaw_ns",
)


def group_rows(state: State) -> list[Any]:
    """[subaccount, number, fields, window] by subaccount and number."""
    return [
        [*key, [getattr(state.guard_groups[guard], name) for name in _FIELDS], state.book.guard(guard)]
        for key, guard in sorted(state.guards.items())
    ]


def load_groups(state: State, rows: list[Any]) -> None:
    """Open the groups, before the orders that they guard, and tell the book the weights of its instruments.

    Until `load_windows` the book has no limits: a slice that is traded away once more must not reach one.
    """
    for subaccount, number, fields, _ in rows:
        values = dict(zip(_FIELDS, fields, strict=True))
        state.open_group(MmpGroup(subaccount=subaccount, number=number, **values))
        state.book.set_guard(state.guards[subaccount, number], interval_ns=0)
        if values["thaw_ns"]:
            state.thaws.add((values["thaw_ns"], subaccount, number))
    for instrument in state.prices.marks:
        set_weights(state, instrument)


def load_windows(state: State, rows: list[Any]) -> None:
    """Give the book its limits and counts back, behind the orders."""
    for subaccount, number, _, window in rows:
        is_frozen, start_ns, quantity_lots, delta_e9, vega_e9, fills = window
        state.limit_guard(state.account_groups[subaccount][number])
        state.book.set_window(
            state.guards[subaccount, number],
            is_frozen=is_frozen,
            start_ns=start_ns,
            quantity_lots=quantity_lots,
            delta_e9=delta_e9,
            vega_e9=vega_e9,
            fills=fills,
        )
