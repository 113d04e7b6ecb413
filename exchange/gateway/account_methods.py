"""Private reads and the owner-signed actions that the contract's queue gets."""

import asyncio
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Final

from exchange.domain.views import AccountView, Answer, GetAccount, GetOpenOrders, OrderView, SessionKeyView
from exchange.gateway.auth import parse_wallet
from exchange.gateway.calls import Call
from exchange.gateway.core import Core, Handler, RelayRequest, RelayUnavailable
from exchange.gateway.history import TradeRecord, Transfer, page_of
from exchange.gateway.order_checks import nonce_time_ns, parse_nonce, signature_bytes
from exchange.gateway.verify import recovered_text
from exchange.wire.account_shapes import collateral_object, position_object, subaccount_object
from exchange.wire.decimals import fee_cap_e18, format_e6
from exchange.wire.errors import RpcCode, WireError
from exchange.wire.objects import Subaccount, Trade
from exchange.wire.params import (
    DisconnectParams,
    HistoryParams,
    SessionKeyParams,
    SubaccountParams,
    WithdrawParams,
    required,
    text_of,
)
from exchange.wire.scopes import scope_code, scope_mask, scope_names
from exchange.wire.venue import COLLATERAL, address_text
from settlement.protocol.eip712 import (
    SET_SESSION_KEY_MODULE,
    WITHDRAW_MODULE,
    Action,
    digest,
    encode_set_session_key,
    encode_withdraw,
)

__all__ = ["AccountMethods"]

_NONCE_SKEW_NS: Final = 3_600_000_000_000
_MIN_KEY_LIFE_S: Final = 300


class AccountMethods:
    """Handlers by path."""

    def __init__(self, core: Core) -> None:
        """Work on `core`."""
        self._core = core
        self._relays: set[asyncio.Task[None]] = set()

    def handlers(self) -> dict[str, Handler]:
        """Return the table."""
        return {
            "private/get_open_orders": self._open_orders,
            "private/get_trigger_orders": self._no_orders,
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
            "private/session_keys": self._session_keys,
            "private/set_session_key": self._set_session_key,
            "private/withdraw": self._withdraw,
            "private/set_cancel_on_disconnect": self._set_disconnect,
            "private/get_deposit_history": self._deposits,
            "private/get_withdrawal_history": self._withdrawals,
        }

    def stop(self) -> None:
        """Give up relays that are on their way; the contract takes each digest once."""
        for task in self._relays:
            task.cancel()

    def _open_orders(self, call: Call) -> None:
        account = self._core.account(call, call.params.subaccount_id)

        def done(answer: Answer) -> None:
            views = answer if isinstance(answer, tuple) else ()
            orders = self._core.orders(views)
            call.result({"subaccount_id": call.params.subaccount_id, "orders": orders})

        self._core.ask(call, GetOpenOrders(subaccount=account), done)

    def _no_orders(self, call: Call) -> None:
        self._core.account(call, call.params.subaccount_id)
        call.result({"subaccount_id": call.params.subaccount_id, "orders": []})

    def _no_algos(self, call: Call) -> None:
        self._core.account(call, call.params.subaccount_id)
        call.result([])

    def _order_history(self, call: Call) -> None:
        params: HistoryParams = call.params
        accounts = self._accounts(call, params)
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
            fits = _in_range(view.updated_ns, params) and params.instrument_name in (None, name)
            if fits and view.order not in seen:
                seen.add(view.order)
                yield view

    def _trade_history(self, call: Call) -> None:
        params: HistoryParams = call.params
        records = [(account, row) for account in self._accounts(call, params) for row in self._fitting(account, params)]
        rows: list[object] = [trade for account, row in records for trade in self._sides(account, row, params)]
        page = page_of(rows, params.page, params.page_size)
        call.result({"trades": page.rows, "pagination": page.pagination, "subaccount_id": params.subaccount_id or 0})

    def _fitting(self, account: int, params: HistoryParams) -> Iterable[TradeRecord]:
        for row in self._core.history.trades_of(account):
            name = self._core.market.by_id[row.trade.instrument].name
            if _in_range(row.timestamp_ns, params) and params.instrument_name in (None, name):
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
        tps = self._core.settings.matching.per_second
        call.result(
            {
                "wallet": address_text(owner),
                "subaccount_ids": ids,
                "fallback_subaccount_id": ids[0],
                "cancel_on_disconnect": call.client.cancel_on_disconnect,
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

    def _session_keys(self, call: Call) -> None:
        owner = self._core.own_wallet(call, call.params.wallet)
        wallet = self._core.directory.known(owner)
        call.result({"public_session_keys": [self._key_row(key) for key in (wallet.keys if wallet else ())]})

    def _key_row(self, key: SessionKeyView) -> dict[str, object]:
        return {
            "public_session_key": address_text(key.key),
            "expiry_sec": key.valid_to_s,
            "protocol_scopes": scope_names(key.scopes),
            "offchain_scopes": [],
            "subaccount_ids": [self._core.venue.subaccount_id(account) for account in key.accounts],
            "ip_whitelist": [],
            "label": "",
            "registered_sec": key.registered_ns // 1_000_000_000,
        }

    def _set_session_key(self, call: Call) -> None:
        params: SessionKeyParams = call.params
        owner = self._core.own_wallet(call, params.wallet)
        key = parse_wallet(text_of(params.public_session_key), "public_session_key")
        expiry_s = required(params.expiry_sec, "expiry_sec")
        if expiry_s < self._core.clock_ns() // 1_000_000_000 + _MIN_KEY_LIFE_S:
            raise WireError(RpcCode.KEY_EXPIRY_TOO_NEAR, {"minimum_s": _MIN_KEY_LIFE_S})
        scopes = [scope_code(name) for name in (params.protocol_scopes or params.scopes or [])]
        ids = params.subaccount_ids or []
        data = encode_set_session_key(key=key, expiry_s=expiry_s, scopes=scopes, subaccount_ids=ids)
        request = self._owner_action(params, owner, 0, SET_SESSION_KEY_MODULE, data, "set_session_key")
        row = SessionKeyView(
            key=key,
            valid_to_s=expiry_s,
            scopes=scope_mask(scopes),
            accounts=tuple(self._core.venue.account(subaccount_id) for subaccount_id in ids),
            registered_ns=self._core.clock_ns(),
        )
        self._relay(call, request, self._key_row(row))

    def _withdraw(self, call: Call) -> None:
        params: WithdrawParams = call.params
        self._core.account(call, params.subaccount_id)
        owner = self._core.identity(call).owner
        if text_of(params.asset_name).upper() != COLLATERAL:
            raise WireError(12000, {"asset_name": text_of(params.asset_name)[:64]}, "Asset not found")
        recipient = parse_wallet(text_of(params.recipient), "recipient") if params.recipient else owner
        data = encode_withdraw(
            asset=self._core.venue.asset_of(COLLATERAL, "erc20"),
            max_fee_usd_e18=fee_cap_e18(params.max_fee_usd or Decimal(0), "max_fee_usd"),
            recipient=recipient,
            amount_native=_native_e6(required(params.amount_in_underlying, "amount_in_underlying")),
            force_batch=bool(params.force_batch),
        )
        request = self._owner_action(params, owner, params.subaccount_id or 0, WITHDRAW_MODULE, data, "withdraw")
        self._relay(call, request, None)

    def _owner_action(
        self,
        params: WithdrawParams | SessionKeyParams,
        owner: bytes,
        subaccount_id: int,
        module: bytes,
        data: bytes,
        kind: str,
    ) -> RelayRequest:
        """Check an action that only the owner may sign, under our own domain alone (api.md 4.6)."""
        nonce, now_ns = parse_nonce(params.nonce), self._core.clock_ns()
        if len(str(nonce)) != 19 or abs(nonce_time_ns(nonce) - now_ns) > _NONCE_SKEW_NS:
            raise WireError(11018, {"got": str(nonce), "needs": "19 digits, nanoseconds within 1 h"})
        expiry_s = required(params.signature_expiry_sec, "signature_expiry_sec")
        if expiry_s * 1_000_000_000 <= now_ns:
            raise WireError(11011, {"got": expiry_s, "server_time": now_ns // 1_000_000})
        signer = parse_wallet(text_of(params.signer), "signer")
        if signer != owner:
            raise WireError(14031, {"signer": address_text(signer), "needs": "the owner's own signature"})
        action = Action(
            subaccount_id=subaccount_id,
            nonce=nonce,
            module=module,
            data=data,
            expiry_s=expiry_s,
            owner=owner,
            signer=signer,
        )
        signature = signature_bytes(text_of(params.signature), signer)
        own = self._core.venue.domain_separator
        signed = digest(own, action)
        if not self._core.checker.is_by(signer, signed, signature):
            detail: dict[str, object] = {
                "expected": address_text(signer),
                "recovered": recovered_text(signed, signature),
                "digest": "0x" + signed.hex(),
                "domain_separator": "0x" + own.hex(),
            }
            raise WireError(RpcCode.SIGNATURE_INVALID, detail)
        return RelayRequest(kind=kind, action=action, signature=signature, digest=signed)

    def _relay(self, call: Call, request: RelayRequest, result: dict[str, object] | None) -> None:
        relay = self._core.relay
        if relay is None:
            raise WireError(RpcCode.CHAIN_UNAVAILABLE, {"reason": "this server relays nothing"})

        async def run() -> None:
            try:
                transaction = await relay(request)
            except RelayUnavailable as error:
                call.fail(WireError(RpcCode.CHAIN_UNAVAILABLE, {"reason": str(error)[:200]}))
            except Exception as error:  # noqa: BLE001 - a fault of the chain client must not end the loop
                call.crash(error)
            else:
                text = request.digest.hex()
                operation = f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:32]}"
                call.result(result or {"op_uuid": operation, "operation_id": operation, "tx_hash": transaction})

        task = asyncio.get_running_loop().create_task(run())
        self._relays.add(task)
        task.add_done_callback(self._relays.discard)

    def _set_disconnect(self, call: Call) -> None:
        params: DisconnectParams = call.params
        self._core.own_wallet(call, params.wallet)
        if not call.client.is_socket:
            raise WireError.bad_param("enabled", "REST has no session")
        call.client.cancel_on_disconnect = params.enabled is not False
        call.result("ok")

    def _deposits(self, call: Call) -> None:
        self._transfers(call, "deposits", is_deposit=True)

    def _withdrawals(self, call: Call) -> None:
        self._transfers(call, "withdrawals", is_deposit=False)

    def _transfers(self, call: Call, name: str, *, is_deposit: bool) -> None:
        params: HistoryParams = call.params
        rows = [
            _transfer_row(transfer, self._core.identity(call).owner, is_deposit=is_deposit)
            for account in self._accounts(call, params)
            for transfer in self._core.history.transfers_of(account)
            if (transfer.event.amount_e6 > 0) is is_deposit and _in_range(transfer.timestamp_ns, params)
        ]
        call.result({name: rows})

    def _accounts(self, call: Call, params: HistoryParams) -> list[int]:
        """Accounts a history covers: one subaccount, or the whole wallet."""
        if params.subaccount_id is not None:
            return [self._core.account(call, params.subaccount_id)]
        wallet = self._core.directory.known(self._core.own_wallet(call, params.wallet))
        return list(wallet.subaccounts) if wallet else []


def _transfer_row(transfer: Transfer, owner: bytes, *, is_deposit: bool) -> dict[str, object]:
    event = transfer.event
    row: dict[str, object] = {
        "asset": COLLATERAL,
        "amount": format_e6(abs(event.amount_e6)),
        "timestamp": transfer.timestamp_ns // 1_000_000,
        "fee": "0",
        "batch_status": "Batching",
        "batch_uuid": None,
        "operation_id": str(event.request_index),
        "tx_hash": "0x0",
        "state": "credited" if is_deposit else "approved",
    }
    if not is_deposit:
        row |= {"recipient": address_text(owner), "erc20_address": None}
    return row


def _in_range(timestamp_ns: int, params: HistoryParams) -> bool:
    low = params.from_timestamp if params.from_timestamp is not None else params.start_timestamp
    high = params.to_timestamp if params.to_timestamp is not None else params.end_timestamp
    timestamp_ms = timestamp_ns // 1_000_000
    return (low is None or timestamp_ms >= low) and (high is None or timestamp_ms <= high)


def _native_e6(amount: Decimal) -> int:
    """Amount in native units; -32602 unless it is a positive multiple of 1e-6."""
    value_e18 = fee_cap_e18(amount, "amount_in_underlying")
    native, rest = divmod(value_e18, 10**12)
    if rest or native <= 0:
        raise WireError.bad_param("amount_in_underlying", "must be a positive multiple of 0.000001")
    return native
