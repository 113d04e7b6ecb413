"""Answers to questions. Nothing here changes the state, but for caches."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, get_args

from exchange.domain.auction_views import GetAuctions
from exchange.domain.events import Event, OrderEvent, Trade
from exchange.domain.instrument import Instrument
from exchange.domain.market_limits import GetOpenInterest
from exchange.domain.money import floor_div
from exchange.domain.quote_events import QuotePlaced
from exchange.domain.views import (
    AccountView,
    Answer,
    BookView,
    ExpiryView,
    GetAccount,
    GetBook,
    GetExpiries,
    GetInstruments,
    GetMmpGroups,
    GetOpenOrders,
    GetOrder,
    GetPrices,
    GetSummary,
    GetTriggerOrders,
    GetWallet,
    MmpGroupView,
    OrderView,
    Output,
    PositionView,
    PreviewOrder,
    PricesView,
    Query,
    SessionKeyView,
    SimulateAccount,
    SummaryView,
    WalletView,
)
from exchange.engine.auction_offers import auction_views
from exchange.engine.deleveraging_ranks import deleveraging_ranks
from exchange.engine.funding import pending_e18
from exchange.engine.liquidation_prices import liquidation_ticks_after
from exchange.engine.margin_kinds import kind_of
from exchange.engine.market_limits import open_interest
from exchange.engine.orders import find_order
from exchange.engine.previews import preview_order
from exchange.engine.records import Account, Expiry, MmpGroup, Order
from exchange.engine.simulations import simulate_account
from exchange.engine.state import State
from exchange.engine.state_hash import state_hash
from exchange.engine.valuation import (
    maintenance_margin_e18,
    open_orders_requirement_e6,
    position_requirement,
    value_account,
)
from exchange.engine.waiting import trigger_price_e9
from exchange.risk.standard import E12

__all__ = ["answer", "order_view", "output_of"]


def answer(state: State, query: Query) -> Answer:
    """The frozen answer to any question of `exchange.domain.views`."""
    match query:
        case GetOrder():
            return _answer_order(state, query)
        case GetOpenOrders():
            return _order_views(state, state.account_orders.get(query.subaccount, {}))
        case GetTriggerOrders():
            return _order_views(state, state.account_waiting.get(query.subaccount, {}))
        case GetAccount():
            account = state.accounts.get(query.subaccount)
            return None if account is None else _account_view(state, account)
        case GetMmpGroups():
            groups = state.account_groups.get(query.subaccount, {})
            return tuple(_group_view(group) for _, group in sorted(groups.items()))
        case GetWallet():
            return _wallet_view(state, query.owner)
        case PreviewOrder():
            return preview_order(state, query.place)
        case SimulateAccount():
            return simulate_account(state, query)
        case GetAuctions():
            return auction_views(state)
        case _:
            return _answer_market(state, query)


def order_view(state: State, number: int) -> OrderView | None:
    """An order by number: open, remembered, or ended just now; None when unknown."""
    quick = state.quick_view(number)
    if quick is not None:
        return quick
    order = state.find_live(number) or state.closed_orders.get(number) or state.find_ended(number)
    return None if order is None else _view(state, order)


def output_of(state: State, events: Sequence[Event]) -> Output:
    """What the last command produced, with every order that its events touched as it is now."""
    return Output(
        sequence=state.sequence,
        timestamp_ns=state.timestamp_ns,
        events=tuple(events),
        orders=_touched(state, events),
    )


def _touched(state: State, events: Sequence[Event]) -> dict[int, OrderView]:
    views: dict[int, OrderView] = {}
    for event in events:
        orders_of = _ORDERS_OF.get(type(event))
        for number in orders_of(event) if orders_of is not None else ():
            view = None if number in views else order_view(state, number)
            if view is not None:
                views[number] = view
    return views


def _own_order(event: OrderEvent | QuotePlaced) -> tuple[int, ...]:
    return (event.order,) if event.order else ()


def _both_orders(event: Trade) -> tuple[int, ...]:
    return event.maker.order, event.taker.order


# By exact type: a chain of isinstance over unions costs more than applying a cancel.
_ORDERS_OF: Final[dict[type, Callable[[Any], tuple[int, ...]]]] = {
    Trade: _both_orders,
    **dict.fromkeys((*get_args(OrderEvent), QuotePlaced), _own_order),
}


def _order_views(state: State, orders: Mapping[int, Order]) -> tuple[OrderView, ...]:
    return tuple(_view(state, order) for _, order in sorted(orders.items()))


def _answer_order(state: State, query: GetOrder) -> OrderView | None:
    order = find_order(
        state,
        query.subaccount,
        number=query.order,
        client_order_id=query.client_order_id,
        nonce=query.nonce,
    )
    return None if order is None else _view(state, order)


def _answer_market(
    state: State, query: GetBook | GetInstruments | GetExpiries | GetOpenInterest | GetPrices | GetSummary
) -> Answer:
    match query:
        case GetOpenInterest():
            return open_interest(state)
        case GetBook():
            return _book_view(state, query)
        case GetInstruments():
            chosen = state.delisted.keys() if query.is_delisted else state.instruments.keys() - state.delisted.keys()
            return tuple(state.instruments[number] for number in sorted(chosen))
        case GetExpiries():
            return tuple(_expiry_view(row) for _, row in sorted(state.expiries.items()))
        case GetPrices():
            prices = state.prices
            return PricesView(
                round=prices.round,
                timestamp_ns=prices.timestamp_ns,
                index_e9=dict(prices.index_e9),
                index_ns=dict(prices.index_ns),
                mark_ns=dict(prices.mark_ns),
                confidence_ppm=dict(prices.confidence_ppm),
                halted=tuple(sorted(prices.halted)),
                forward_e9=dict(prices.forward_e9),
                marks=dict(prices.marks),
                oracle_round=state.oracle_round,
                rates_e9={number: funding.rate_e9 for number, funding in sorted(state.funding.items())},
            )
        case GetSummary():
            return _summary_view(state, with_hash=query.with_hash)


def _view(state: State, order: Order) -> OrderView:
    place = order.place
    return OrderView(
        order=order.number,
        subaccount=place.subaccount,
        instrument=place.instrument,
        side=place.side,
        time_in_force=place.time_in_force,
        flags=place.flags,
        price_ticks=order.price_ticks,
        quantity_lots=order.quantity_lots,
        filled_lots=order.filled_lots,
        filled_notional_e6=order.filled_notional_e6,
        fee_e6=order.fee_e6,
        status=order.status,
        reason=order.reason,
        nonce=place.nonce,
        expiry_s=place.expiry_s,
        expires_at_s=place.expires_at_s,
        max_fee_e18=place.max_fee_e18,
        signer=place.signer,
        signature=place.signature,
        client_order_id=place.client_order_id,
        label=place.label,
        created_ns=order.created_ns,
        updated_ns=order.updated_ns,
        version=order.version,
        replaces=order.replaces,
        trigger=place.trigger,
        trigger_e9=trigger_price_e9(state, order) if place.trigger is not None else 0,
        refusal=order.refusal,
        display_lots=place.display_lots,
    )


def _account_view(state: State, account: Account) -> AccountView:
    value = value_account(state, account)
    return AccountView(
        subaccount=account.index,
        owner=account.owner,
        cash_e6=account.cash_e6,
        ledger_cash_e6=account.ledger_cash_e6,
        equity_e6=value.equity_e6,
        positions_value_e6=value.positions_value_e6,
        initial_requirement_e6=value.requirement.initial_e6,
        maintenance_requirement_e6=value.requirement.maintenance_e6,
        open_orders_requirement_e6=open_orders_requirement_e6(state, account),
        positions=_position_views(state, account),
        account_seq=account.account_seq,
        opened_ns=account.opened_ns,
        is_in_liquidation=account.is_in_liquidation,
        margin_kind=kind_of(state, account.index),
    )


def _position_views(state: State, account: Account) -> tuple[PositionView, ...]:
    left_e18 = maintenance_margin_e18(state, account)
    instruments = [state.instruments[number] for number in sorted(account.positions)]
    ranks = deleveraging_ranks(state, account)
    return tuple(
        _position_view(state, account, instrument, left_e18, ranks[instrument.instrument_id])
        for instrument in instruments
    )


def _position_view(
    state: State, account: Account, instrument: Instrument, left_e18: int, adl_rank: int
) -> PositionView:
    number = instrument.instrument_id
    position = account.positions[number]
    requirement = position_requirement(state, account, instrument)
    return PositionView(
        instrument=number,
        position_lots=position.lots,
        cost_e6=position.cost_e6,
        mark_e9=state.prices.marks[number].mark_e9,
        realized_pnl_e6=position.realized_pnl_e6,
        fee_e6=position.fee_e6,
        initial_requirement_e6=requirement.initial_e6,
        maintenance_requirement_e6=requirement.maintenance_e6,
        opened_ns=position.opened_ns,
        funding_e6=position.funding_e6,
        pending_funding_e6=floor_div(pending_e18(state, account, number), E12),
        liquidation_ticks=liquidation_ticks_after(state, account, instrument, left_e18),
        adl_rank=adl_rank,
    )


def _group_view(group: MmpGroup) -> MmpGroupView:
    return MmpGroupView(
        mmp_group=group.number,
        underlying=group.underlying,
        lot_e9=group.lot_e9,
        interval_ns=group.interval_ns,
        frozen_ns=group.frozen_ns,
        quantity_lots=group.quantity_lots,
        delta_e9=group.delta_e9,
        vega_e9=group.vega_e9,
        count=group.count,
        is_frozen=group.is_frozen,
        thaw_ns=group.thaw_ns,
    )


def _expiry_view(expiry: Expiry) -> ExpiryView:
    return ExpiryView(
        underlying=expiry.underlying, expiry_s=expiry.expiry_s, price_e9=expiry.price_e9, is_paid=expiry.is_paid
    )


def _wallet_view(state: State, owner: bytes) -> WalletView | None:
    accounts = state.owner_accounts.get(owner, [])
    rows = state.keys.get(owner, {})
    if not owner or not (accounts or rows):
        return None
    keys = tuple(
        SessionKeyView(
            key=row.key,
            valid_to_s=row.valid_to_s,
            scopes=row.scopes,
            accounts=row.accounts,
            registered_ns=row.registered_ns,
        )
        for _, row in sorted(rows.items())
    )
    return WalletView(
        owner=owner,
        subaccounts=tuple(sorted(accounts)),
        keys=keys,
        limits=tuple(sorted(state.key_limits.get(owner, {}).items(), key=lambda row: row[0])),
        cancels_on_disconnect=owner in state.disconnect_rules,
    )


def _book_view(state: State, query: GetBook) -> BookView | None:
    if query.instrument not in state.instruments:
        return None
    bids, asks = state.book.depth(query.instrument, query.levels)
    auction = state.auctions.get(query.instrument)
    return BookView(
        instrument=query.instrument,
        bids=tuple((row[0], row[1], row[2]) for row in bids),
        asks=tuple((row[0], row[1], row[2]) for row in asks),
        auction_deadline_ns=auction.deadline_ns if auction is not None else 0,
    )


def _summary_view(state: State, *, with_hash: bool) -> SummaryView:
    return SummaryView(
        sequence=state.sequence,
        timestamp_ns=state.timestamp_ns,
        state_hash=state_hash(state) if with_hash else b"",
        open_order_count=len(state.open_orders),
        account_count=len(state.accounts),
        trade_count=state.trade_count,
        open_batch=state.batch.number,
        open_batch_fill_count=state.batch.fill_count,
        request_index=state.request_index,
        price_round=state.prices.round,
        open_batch_expired_count=state.batch.expired_count,
    )
