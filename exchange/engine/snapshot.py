"""The state as canonical bytes and back. Rows are sorted; closed orders keep their order of closing.

`dump` is the only serialization: the state hash is taken over it, so what is not in it cannot matter. Handles, cells,
exposures and caches are derived; a load gives them anew.
"""

from collections.abc import Callable
from enum import IntEnum
from typing import Any, Final

import msgspec

from exchange.domain.commands import MarkRow, OrderFlag, Place
from exchange.domain.instrument import Instrument
from exchange.domain.packing import pack_command, unpack_commands
from exchange.domain.result_codes import CloseReason, OrderStatus, ResultCode
from exchange.engine.config import EngineConfig
from exchange.engine.expiry import expiry_rows, load_expiries
from exchange.engine.limit_snapshot import limit_rows, load_limits
from exchange.engine.liquidation_snapshot import liquidation_rows, load_liquidations
from exchange.engine.portfolio_snapshot import load_portfolios, portfolio_rows
from exchange.engine.quote_snapshot import group_rows, load_groups, load_windows
from exchange.engine.records import Account, Auction, Batch, Funding, KeyRow, Order, Position, Session, TriggerStage
from exchange.engine.restored_book import restore_book, shown_lots
from exchange.engine.safeguard_snapshot import load_safeguards, safeguard_rows
from exchange.engine.state import InvariantViolated, State
from exchange.engine.waiting import await_trigger, extreme_e9, resume
from matching_core import OrderBook

__all__ = ["SECTIONS", "dump", "load"]

SECTIONS: Final = (
    "meta",
    "instruments",
    "prices",
    "accounts",
    "keys",
    "sessions",
    "orders",
    "waiting",
    "closed",
    "nonces",
    "batch",
    "groups",
    "auctions",
    "funding",
    "expiries",
    "liquidations",
    "safeguards",
    "portfolios",
    "limits",
)
_COUNTERS: Final = (
    "sequence",
    "timestamp_ns",
    "epoch",
    "trade_count",
    "session_count",
    "request_index",
    "collateral_e6",
    "oracle_round",
)
_ORDER_FIELDS: Final = (
    "price_ticks",
    "quantity_lots",
    "created_ns",
    "updated_ns",
    "filled_lots",
    "filled_notional_e6",
    "fee_e6",
    "status",
    "reason",
    "version",
    "replaces",
    "filled_batch",
    "rank",
    "refill_rank",
    "stage",
    "trigger_e9",
    "offset_e9",
    "extreme_e9",
    "fired_e9",
    "group",
    "refusal",
)
_ORDER_ENUMS: Final[dict[str, type[IntEnum]]] = {
    "status": OrderStatus,
    "reason": CloseReason,
    "stage": TriggerStage,
    "refusal": ResultCode,
}
_ACCOUNT_FIELDS: Final = (
    "owner",
    "opened_ns",
    "ledger_cash_e6",
    "perpetual_cost_e6",
    "account_seq",
    "cancel_all_ns",
    "is_locked",
    "is_close_all_requested",
    "is_in_liquidation",
    "self_trade_mode",
    "is_self_trade_by_owner",
)
_POSITION_FIELDS: Final = ("lots", "cost_e6", "realized_pnl_e6", "fee_e6", "opened_ns", "fund_index_e12", "funding_e6")
_BATCH_FIELDS: Final = (
    "number",
    "first_sequence",
    "from_s",
    "to_s",
    "fee_e6",
    "fill_count",
    "request_count",
    "expired_count",
)

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


def dump(state: State) -> dict[str, bytes]:
    """Canonical sections, in the order of SECTIONS."""
    rows: tuple[Any, ...] = (
        _values(state, _COUNTERS),
        [instrument for _, instrument in sorted(state.instruments.items())],
        _price_rows(state),
        [_account_row(account) for _, account in sorted(state.accounts.items())],
        [(owner, [row for _, row in sorted(keys.items())]) for owner, keys in sorted(state.keys.items())],
        [session for _, session in sorted(state.sessions.items())],
        [_order_row(order, shown_lots(state, order)) for _, order in sorted(state.open_orders.items())],
        [_waiting_row(state, order) for _, order in sorted(state.waiting_orders.items())],
        [_order_row(order) for order in state.closed_orders.values()],
        state.nonces.rows(),
        _batch_row(state.batch),
        group_rows(state),
        [auction for _, auction in sorted(state.auctions.items())],
        [funding for _, funding in sorted(state.funding.items())],
        expiry_rows(state),
        liquidation_rows(state),
        safeguard_rows(state),
        portfolio_rows(state),
        limit_rows(state),
    )
    return {name: _encode(row) for name, row in zip(SECTIONS, rows, strict=True)}


def load(
    sections: dict[str, bytes],
    book_factory: Callable[[], Any] = OrderBook,
    config: EngineConfig | None = None,
    state_class: type[State] = State,
) -> State:
    """The state of `dump`, with every open order back in its place in line. Raises InvariantViolated on bad rows."""
    state = state_class(book_factory, config)
    decoded = {name: _decode(sections[name]) for name in SECTIONS}
    for name, value in zip(_COUNTERS, decoded["meta"], strict=True):
        setattr(state, name, value)
    for instrument in msgspec.convert(decoded["instruments"], list[Instrument]):
        state.instruments[instrument.instrument_id] = instrument
        state.index_instrument(instrument)
    _load_prices(state, decoded["prices"])
    _load_accounts(state, decoded)
    load_groups(state, decoded["groups"])
    state.nonces.restore(decoded["nonces"])
    auctions = msgspec.convert(decoded["auctions"], list[Auction])
    state.auctions.update({auction.instrument: auction for auction in auctions})
    for funding in msgspec.convert(decoded["funding"], list[Funding]):
        state.funding[funding.instrument] = funding
    load_expiries(state, decoded["expiries"])
    load_liquidations(state, decoded["liquidations"])
    load_safeguards(state, decoded["safeguards"])
    load_portfolios(state, decoded["portfolios"])
    load_limits(state, decoded["limits"])
    state.batch = _load_batch(decoded["batch"])
    closed, orders, waiting = (
        [state.adopt_order(_load_order(row)) for row in decoded[name]] for name in ("closed", "orders", "waiting")
    )
    for order in closed:
        state.closed_orders[order.number] = order
    for order in sorted((*closed, *orders, *waiting), key=lambda order: order.number):
        state.index_order(order)
    restore_book(state, orders, {row[0]: row[1] for row in decoded["orders"]})
    for order in waiting:
        await_trigger(state, order)
        resume(state, order)
    load_windows(state, decoded["groups"])
    state.mirror_all()
    return state


def _values(record: object, names: tuple[str, ...]) -> list[Any]:
    return [getattr(record, name) for name in names]


def _price_rows(state: State) -> list[Any]:
    prices = state.prices
    return [
        prices.round,
        prices.timestamp_ns,
        sorted((name, value, prices.index_ns[name]) for name, value in prices.index_e9.items()),
        sorted((*key, value) for key, value in prices.forward_e9.items()),
        [(prices.mark_ns[number], row) for number, row in sorted(prices.marks.items())],
        sorted(prices.last_ticks.items()),
        state.price_moves.rows(state.instruments),
        sorted(prices.confidence_ppm.items()),
        sorted(prices.halted.items()),
    ]


def _account_row(account: Account) -> list[Any]:
    positions = [(n, _values(position, _POSITION_FIELDS)) for n, position in sorted(account.positions.items())]
    return [account.index, _values(account, _ACCOUNT_FIELDS), positions]


def _order_row(order: Order, shown: int = 0) -> list[Any]:
    """`shown`: of an iceberg in the book, what is left of its slice; else 0."""
    first = () if order.first_place is None else pack_command(order.first_place)
    return [order.number, shown, _values(order, _ORDER_FIELDS), *pack_command(order.place), *first]


def _waiting_row(state: State, order: Order) -> list[Any]:
    """An order's row with the extreme that the trigger book keeps for it."""
    order.extreme_e9 = extreme_e9(state, order)
    return _order_row(order)


def _batch_row(batch: Batch) -> list[Any]:
    return [
        _values(batch, _BATCH_FIELDS),
        sorted(batch.cash_e6.items()),
        sorted((*leg, lots) for leg, lots in batch.legs.items()),
        sorted(batch.instruments.items()),
        sorted(batch.orders.items()),
    ]


def _load_prices(state: State, rows: list[Any]) -> None:
    prices = state.prices
    prices.round, prices.timestamp_ns = rows[0], rows[1]
    prices.index_e9 = {name: value for name, value, _ in rows[2]}
    prices.index_ns = {name: time_ns for name, _, time_ns in rows[2]}
    prices.forward_e9 = {(name, expiry_s): value for name, expiry_s, value in rows[3]}
    prices.last_ticks = dict(rows[5])
    state.price_moves.restore(rows[6])
    prices.confidence_ppm, prices.halted = dict(rows[7]), dict(rows[8])
    for set_ns, row in msgspec.convert(rows[4], list[tuple[int, MarkRow]]):
        prices.marks[row.instrument], prices.mark_ns[row.instrument] = row, set_ns


def _load_accounts(state: State, decoded: dict[str, Any]) -> None:
    for index, fields, positions in decoded["accounts"]:
        values = dict(zip(_ACCOUNT_FIELDS, fields, strict=True))
        values["self_trade_mode"] = OrderFlag(values["self_trade_mode"])
        held = {n: Position(**dict(zip(_POSITION_FIELDS, row, strict=True))) for n, row in positions}
        account = Account(index=index, positions=held, **values)
        state.open_account(account)
        state.cash_sum_e6 += account.ledger_cash_e6
        for number, position in held.items():
            state.position_sums[number] += position.lots
            state.limits.move(number, 0, position.lots)
            state.exposure(index, number)
    for owner, rows in decoded["keys"]:
        keys = msgspec.convert(rows, list[KeyRow])
        state.keys[owner] = {row.key: row for row in keys}
    sessions = msgspec.convert(decoded["sessions"], list[Session])
    for session in sessions:
        state.sessions[session.number] = session


def _load_order(row: list[Any]) -> Order:
    number, _, fields, *packed = row
    place, first_place = _unpack_place(packed[:2]), _unpack_place(packed[2:]) if packed[2:] else None
    values = dict(zip(_ORDER_FIELDS, fields, strict=True))
    for name, kind in _ORDER_ENUMS.items():
        values[name] = kind(values[name])
    return Order(number=number, place=place, first_place=first_place, **values)


def _unpack_place(packed: list[bytes]) -> Place:
    (place,) = unpack_commands(*packed)
    if not isinstance(place, Place):
        raise InvariantViolated(f"an order was made by {type(place).__name__}")
    return place


def _load_batch(row: list[Any]) -> Batch:
    fields, cash, legs, instruments, orders = row
    return Batch(
        **dict(zip(_BATCH_FIELDS, fields, strict=True)),
        cash_e6=dict(cash),
        legs={(instrument, account): lots for instrument, account, lots in legs},
        instruments=dict(instruments),
        orders=dict(orders),
    )
