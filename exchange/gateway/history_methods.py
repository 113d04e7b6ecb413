"""Private reads of what moved an account's cash: deposits, withdrawals, funding, settled options.

Rows begin with the process and are the newest of each subaccount, as in `history`.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

from exchange.domain.rounds import FundingPaid, PositionExpired
from exchange.gateway.calls import Call
from exchange.gateway.core import Core, Handler
from exchange.gateway.history import CashRecord, Transfer, in_range, page_of
from exchange.wire.decimals import format_e6
from exchange.wire.errors import WireError
from exchange.wire.params import HistoryParams
from exchange.wire.venue import COLLATERAL, address_text

__all__ = ["HistoryMethods"]

_OPEN_BATCH: Final = "Batching"


class HistoryMethods:
    """Handlers by path."""

    def __init__(self, core: Core) -> None:
        """Work on `core`."""
        self._core = core

    def handlers(self) -> dict[str, Handler]:
        """Return the table."""
        return {
            "private/get_deposit_history": lambda call: self._transfers(call, "deposits", is_deposit=True),
            "private/get_withdrawal_history": lambda call: self._transfers(call, "withdrawals", is_deposit=False),
            "private/get_erc20_transfer_history": lambda call: self._nothing(call, "transfers"),
            "private/get_interest_history": lambda call: self._nothing(call, "events"),
            "private/get_funding_history": self._funding,
            "private/get_option_settlement_history": self._settlements,
        }

    def _nothing(self, call: Call, name: str) -> None:
        """Money does not move between subaccounts yet, and nothing bears interest."""
        self._core.accounts(call)
        call.result({name: []})

    def _transfers(self, call: Call, name: str, *, is_deposit: bool) -> None:
        params: HistoryParams = call.params
        owner = self._core.identity(call).owner
        rows = [
            self._transfer_row(transfer, owner, is_deposit=is_deposit)
            for account in self._core.accounts(call)
            for transfer in self._core.history.transfers_of(account)
            if (transfer.event.amount_e6 > 0) is is_deposit and in_range(transfer.timestamp_ns, params)
        ]
        call.result({name: rows})

    def _transfer_row(self, transfer: Transfer, owner: bytes, *, is_deposit: bool) -> dict[str, object]:
        event = transfer.event
        row: dict[str, object] = {
            "asset": COLLATERAL,
            "amount": format_e6(abs(event.amount_e6)),
            "timestamp": transfer.timestamp_ns // 1_000_000,
            "fee": "0",
            **self._batch_members(transfer.sequence),
            "operation_id": str(event.request_index),
            "subaccount_id": self._core.venue.subaccount_id(event.subaccount),
            "wallet": address_text(owner),
            "state": "credited" if is_deposit else "approved",
        }
        if is_deposit:
            return row | {"is_fallback": False, "new_subaccount": event.account_seq == 1}
        asset = address_text(self._core.venue.asset_of(COLLATERAL, "erc20"))
        return row | {"recipient": address_text(owner), "erc20_address": asset}

    def _funding(self, call: Call) -> None:
        name = call.params.instrument_name
        number = None if name is None else self._core.market.named(name).instrument_id

        def row(record: CashRecord) -> dict[str, object] | None:
            event = record.event
            if not isinstance(event, FundingPaid) or number not in (None, event.instrument):
                return None
            return {
                "instrument_name": self._name(event.instrument),
                "timestamp": record.timestamp_ns // 1_000_000,
                "funding": format_e6(event.amount_e6),
                "pnl": "0",
                "subaccount_id": self._core.venue.subaccount_id(event.subaccount),
                **self._batch_members(record.sequence),
            }

        page = page_of(self._records(call, row), call.params.page, call.params.page_size)
        call.result({"events": page.rows, "pagination": page.pagination})

    def _settlements(self, call: Call) -> None:
        call.result({"settlements": self._records(call, self._settlement)})

    def _settlement(self, record: CashRecord) -> dict[str, object] | None:
        event = record.event
        instrument = self._core.market.by_id.get(event.instrument)
        if not isinstance(event, PositionExpired) or instrument is None:
            return None
        price_e9 = self._core.history.oracle.settled.get((instrument.underlying, instrument.expiry_s), 0)
        return {
            "instrument_name": instrument.name,
            "amount": instrument.quantity_text(event.position_lots),
            "expiry": instrument.expiry_s,
            "settlement_price": format_e6(price_e9 // 1_000),
            "settlement_value": format_e6(event.amount_e6),
            "option_settlement_pnl": format_e6(event.realized_pnl_e6),
            "option_settlement_pnl_excl_fees": format_e6(event.realized_pnl_e6),
            "subaccount_id": self._core.venue.subaccount_id(event.subaccount),
        }

    def _records(self, call: Call, row: Callable[[CashRecord], dict[str, object] | None]) -> list[object]:
        """Rows of everything that the call covers, newest first."""
        records: Iterable[CashRecord] = (
            record
            for account in self._core.accounts(call)
            for record in self._core.history.cash_of(account)
            if in_range(record.timestamp_ns, call.params)
        )
        newest_first = sorted(records, key=lambda record: record.sequence, reverse=True)
        return [made for record in newest_first if (made := row(record)) is not None]

    def _name(self, number: int) -> str:
        instrument = self._core.market.by_id.get(number)
        if instrument is None:
            raise WireError(12001, {"instrument_id": number})
        return instrument.name

    def _batch_members(self, sequence: int) -> dict[str, Any]:
        """Where the batch stands that holds a command; its number is its only name."""
        batch = self._core.history.batch_of(sequence)
        return {
            "batch_status": batch.status if batch else _OPEN_BATCH,
            "batch_uuid": str(batch.seq) if batch else "",
            "tx_hash": batch.tx_hash if batch else None,
        }
