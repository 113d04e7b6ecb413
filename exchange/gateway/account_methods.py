"""Private reads and the owner-signed actions that the contract's queue gets."""

from collections.abc import Iterable
from typing import Any, Final

from exchange.domain.commands import SetSelfTradePrevention
from exchange.domain.events import CommandRefused
from exchange.domain.portfolio import MarginKind, SetMarginKind
from exchange.domain.views import AccountView, Answer, GetAccount, GetOpenOrders, GetTriggerOrders, OrderView, Output
from exchange.gateway.calls import Call
from exchange.gateway.core import Core, Handler
from exchange.gateway.history import TradeRecord, in_range, page_of
from exchange.gateway.order_checks import choice, self_trade_mode
from exchange.wire.account_shapes import MARGIN_TYPES, collateral_object, position_object, subaccount_object
from exchange.wire.errors import WireError
from exchange.wire.objects import Subaccount, Trade
from exchange.wire.params import (
    HistoryParams,
    MarginTypeParams,
    SelfTradeParams,
    SubaccountParams,
    text_of,
)
from exchange.wire.venue import address_text

__all__ = ["AccountMethods"]

_MARGIN_KINDS: Final = {name.lower(): kind for kind, name in MARGIN_TYPES.items()} | {"pm": MarginKind.PORTFOLIO}
"""PM is what older clients call it."""


class AccountMethods:
    """Handlers by path."""

    def __init__(self, core: Core) -> None:
        """Work on `core`."""
        self._core = core

    def handlers(self) -> dict[str, Handler]:
        """Return the table."""
        return {
            "private/get_open_orders": self._open_orders,
            "private/get_trigger_orders": self._trigger_orders,
            "private/get_algo_orders": self._no_algos,
            "private/get_order_history": self._order_history,
            "private/get_orders": self._all_orders,
            "private/get_trade_history": self._trade_history,
            "private/get_positions": self._positions,
            "private/get_collaterals": self._collaterals,
            "private/get_subaccount": self._subaccount,
            "private/get_subaccounts": self._subaccounts,
            "private/get_all_portfolios": self._portfolios,
            "private/get_account": self._account,
            "private/set_self_trade_prevention": self._set_self_trade,
            "private/set_margin_type": self._set_margin_type,
        }

    def _open_orders(self, call: Call) -> None:
        account = self._core.account(call, call.params.subaccount_id)
        self._list_orders(call, GetOpenOrders(subaccount=account))

    def _trigger_orders(self, call: Call) -> None:
        account = self._core.account(call, call.params.subaccount_id)
        self._list_orders(call, GetTriggerOrders(subaccount=account))

    def _list_orders(self, call: Call, query: GetOpenOrders | GetTriggerOrders) -> None:

        def done(answer: Answer) -> None:
            views = answer if isinstance(answer, tuple) else ()
            orders = self._core.orders(views)
            call.result({"subaccount_id": call.params.subaccount_id, "orders": orders})

        self._core.ask(call, query, done)

    def _no_algos(self, call: Call) -> None:
        self._core.account(call, call.params.subaccount_id)
        call.result([])

    def _order_history(self, call: Call) -> None:
        params: HistoryParams = call.params
        accounts = self._core.accounts(call)
        views = [view for account in accounts for view in self._closed(account, params)]
        page = page_of(list(views), params.page, params.page_size)
        orders = self._core.orders(page.rows)
        call.result({"orders": orders, "pagination": page.pagination, "subaccount_id": params.subaccount_id or 0})

    def _all_orders(self, call: Call) -> None:
        params: HistoryParams = call.params
        account = self._core.account(call, params.subaccount_id)

        def done(answer: Answer) -> None:
            views: list[object] = [
                *reversed(answer if isinstance(answer, tuple) else ()),
                *self._closed(account, params),
            ]
            page = page_of(views, params.page, params.page_size)
            orders = self._core.orders(page.rows)
            call.result({"orders": orders, "pagination": page.pagination, "subaccount_id": params.subaccount_id})

        self._core.ask(call, GetOpenOrders(subaccount=account), done)

    def _closed(self, account: int, params: HistoryParams) -> Iterable[OrderView]:
        """Closed orders that fit the filters, each number once in its latest state."""
        seen: set[int] = set()
        for view in self._core.history.orders_of(account):
            name = self._core.market.by_id[view.instrument].name
            fits = in_range(view.updated_ns, params) and params.instrument_name in (None, name)
            if fits and view.order not in seen:
                seen.add(view.order)
                yield view

    def _trade_history(self, call: Call) -> None:
        params: HistoryParams = call.params
        records = [(account, row) for account in self._core.accounts(call) for row in self._fitting(account, params)]
        rows: list[object] = [trade for account, row in records for trade in self._sides(account, row, params)]
        page = page_of(rows, params.page, params.page_size)
        call.result({"trades": page.rows, "pagination": page.pagination, "subaccount_id": params.subaccount_id or 0})

    def _fitting(self, account: int, params: HistoryParams) -> Iterable[TradeRecord]:
        for row in self._core.history.trades_of(account):
            name = self._core.market.by_id[row.trade.instrument].name
            if in_range(row.timestamp_ns, params) and params.instrument_name in (None, name):
                yield row

    def _sides(self, account: int, row: TradeRecord, params: HistoryParams) -> Iterable[Trade]:
        batch = self._core.history.batch_of(row.sequence)
        instrument = self._core.market.by_id[row.trade.instrument]
        for is_maker, side in ((True, row.trade.maker), (False, row.trade.taker)):
            if side.subaccount != account:
                continue
            shape = self._core.shapes.trade(
                row.trade,
                instrument,
                is_maker=is_maker,
                timestamp_ns=row.timestamp_ns,
                label=row.maker_label if is_maker else row.taker_label,
                client_order_id=row.maker_client_order_id if is_maker else row.taker_client_order_id,
                batch_status=batch.status if batch else None,
                tx_hash=batch.tx_hash if batch else None,
            )
            if params.order_id in (None, shape.order_id):
                yield shape

    def _positions(self, call: Call) -> None:
        def done(view: AccountView) -> None:
            market = self._core.market
            rows = [position_object(row, market.by_id[row.instrument], market.prices) for row in view.positions]
            call.result({"subaccount_id": call.params.subaccount_id, "positions": rows})

        self._with_account(call, done)

    def _collaterals(self, call: Call) -> None:
        self._with_account(
            call,
            lambda view: call.result(
                {"subaccount_id": call.params.subaccount_id, "collaterals": [collateral_object(view)]}
            ),
        )

    def _with_account(self, call: Call, done: Any) -> None:
        params: SubaccountParams = call.params
        account = self._core.account(call, params.subaccount_id)

        def known(answer: Answer) -> None:
            if not isinstance(answer, AccountView):
                raise WireError(14001)
            done(answer)

        self._core.ask(call, GetAccount(subaccount=account), known)

    def _subaccount(self, call: Call) -> None:
        account = self._core.account(call, call.params.subaccount_id)
        self._collect(call, [account], lambda rows: call.result(rows[0]))

    def _portfolios(self, call: Call) -> None:
        owner = self._core.own_wallet(call, call.params.wallet)
        wallet = self._core.directory.known(owner)
        accounts = list(wallet.subaccounts) if wallet else []
        self._collect(call, accounts, call.result)

    def _collect(self, call: Call, accounts: list[int], done: Any) -> None:
        """Ask for each account and its open orders; answers come in the order of the questions."""
        rows: list[Subaccount] = []
        views: list[AccountView] = []

        def account_known(answer: Answer) -> None:
            if not isinstance(answer, AccountView):
                raise WireError(14001)
            views.append(answer)

        def orders_known(answer: Answer) -> None:
            rows.append(
                subaccount_object(
                    views[len(rows)],
                    self._core.venue,
                    instrument_of=self._core.market.by_id.__getitem__,
                    prices=self._core.market.prices,
                    open_orders=self._core.orders(answer if isinstance(answer, tuple) else ()),
                )
            )
            if len(rows) == len(accounts):
                done(rows)

        for account in accounts:
            self._core.ask(call, GetAccount(subaccount=account), account_known)
            self._core.ask(call, GetOpenOrders(subaccount=account), orders_known)

    def _subaccounts(self, call: Call) -> None:
        owner = self._core.own_wallet(call, call.params.wallet)
        call.result({"wallet": address_text(owner), "subaccount_ids": self._subaccount_ids(owner)})

    def _account(self, call: Call) -> None:
        owner = self._core.own_wallet(call, call.params.wallet)
        ids = self._subaccount_ids(owner)
        wallet = self._core.directory.known(owner)
        tps = self._core.settings.matching.per_second
        call.result(
            {
                "wallet": address_text(owner),
                "subaccount_ids": ids,
                "fallback_subaccount_id": ids[0],
                "cancel_on_disconnect": wallet is not None and wallet.cancels_on_disconnect,
                "is_totp_enabled": self._core.factors.is_enabled(owner),
                "is_rfq_maker": False,
                "fee_info": {"base_fee_discount": "0", "rfq_maker_discount": "0", "rfq_taker_discount": "0",
                             "option_maker_fee": None, "option_taker_fee": None, "perp_maker_fee": None,
                             "perp_taker_fee": None, "spot_maker_fee": None, "spot_taker_fee": None},
                "websocket_matching_tps": tps,
                "websocket_non_matching_tps": self._core.settings.reads.per_second,
                "websocket_option_tps": tps,
                "websocket_perp_tps": tps,
                "per_endpoint_tps": {},
                "whitelisted_recipients": [],
            }
        )  # fmt: skip

    def _subaccount_ids(self, owner: bytes) -> list[int]:
        wallet = self._core.directory.known(owner)
        return [self._core.venue.subaccount_id(account) for account in wallet.subaccounts] if wallet else []

    def _set_self_trade(self, call: Call) -> None:
        params: SelfTradeParams = call.params
        account = self._core.account(call, params.subaccount_id)
        mode = self_trade_mode(params.mode, "mode")
        scope = choice(params.scope or "account", "scope", ("account", "owner"))

        def done(output: Output) -> None:
            for event in output.events:
                if isinstance(event, CommandRefused):
                    raise WireError(event.code)
            echo = {"subaccount_id": params.subaccount_id, "mode": text_of(params.mode).lower(), "scope": scope}
            call.result(echo, output.sequence)

        command = SetSelfTradePrevention(subaccount=account, mode=mode, by_owner=scope == "owner")
        self._core.submit(call, command, done)

    def _set_margin_type(self, call: Call) -> None:
        params: MarginTypeParams = call.params
        account = self._core.account(call, params.subaccount_id)
        kind = _MARGIN_KINDS[choice(params.margin_type, "margin_type", tuple(_MARGIN_KINDS))]
        if kind is MarginKind.PORTFOLIO and not self._core.settings.offers_portfolio_margin:
            raise WireError.bad_param("margin_type", "Portfolio Margin is not offered by this exchange")

        def done(output: Output) -> None:
            for event in output.events:
                if isinstance(event, CommandRefused):
                    raise WireError(event.code)
            echo = {"subaccount_id": params.subaccount_id, "margin_type": MARGIN_TYPES[kind]}
            call.result(echo, output.sequence)

        self._core.submit(call, SetMarginKind(subaccount=account, kind=kind), done)
