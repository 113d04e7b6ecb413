"""What `offbook bridge status` shows: requests of the contract's queue, and how far the exchange has taken them."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from exchange.app.config import Settings
from exchange.app.failures import Failure
from exchange.app.layout import DataDirectory
from exchange.bridge.fast_payments import BOOK_FILE
from exchange.bus.interface import Busy
from exchange.bus.unix_socket import LinkClosed, UnixPort
from exchange.domain.views import GetSummary, SummaryView
from exchange.wire.decimals import format_e6
from settlement.onchain.deployment import load_deployment
from settlement.onchain.errors import ChainError
from settlement.onchain.fast_book import FastBook
from settlement.onchain.request_status import RequestState, RequestStatus, StatusReader
from settlement.onchain.rpc import RpcChain
from settlement.protocol.transition import RequestKind

__all__ = ["bridge_rows", "requests_named"]

_TIMEOUT_S: Final = 5.0
_TX_DIGITS: Final = 64
_MONEY: Final = (RequestKind.DEPOSIT, RequestKind.WITHDRAW)


def bridge_rows(settings: Settings, *, subaccount_id: int | None, limit: int) -> list[dict[str, Any]]:
    """Newest first. Raises Failure without a deployment or a chain."""
    reader, taken = _open(settings)
    account = None if subaccount_id is None else subaccount_id - settings.subaccount_base
    try:
        found = reader.newest(limit, account, taken)
    except ChainError as error:
        raise Failure(f"the chain at {settings.chain_url} does not answer: {error}") from error
    payments = _payments(settings, found)
    return [_row(status, settings, payments) for status in found]


def requests_named(settings: Settings, name: str) -> list[dict[str, Any]]:
    """The request with this number, or those that this transaction queued. Raises Failure when there is none."""
    reader, taken = _open(settings)
    try:
        indices = reader.indices_of(_hash(name)) if name.startswith("0x") else [_number(name)]
        found = [status for index in indices if (status := reader.status(index, taken)) is not None]
    except ChainError as error:
        raise Failure(f"the chain at {settings.chain_url} does not answer: {error}") from error
    payments = _payments(settings, found)
    rows = [_row(status, settings, payments) for status in found]
    if not rows:
        raise Failure(f"{name}: the contract's queue has no such request (not mined, or never sent)")
    return rows


def _open(settings: Settings) -> tuple[StatusReader, int]:
    directory = DataDirectory(settings.data.resolve())
    deployment = load_deployment(directory.deployment)
    if deployment is None:
        raise Failure(f"{directory.deployment}: not here; give the exchange's --data, or start it once")
    reader = StatusReader(RpcChain(settings.chain_url), deployment, settings.confirmations_needed)
    return reader, asyncio.run(_taken_until(directory))


async def _taken_until(directory: DataDirectory) -> int:
    """The last request that the exchange has taken; 0 where none runs, so that nothing is claimed in its name."""
    try:
        port = await UnixPort.connect(directory.socket)
    except OSError:
        return 0
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            answer = await port.query(GetSummary())
        return answer.request_index if isinstance(answer, SummaryView) else 0
    except (LinkClosed, Busy, TimeoutError):
        return 0
    finally:
        port.close()


def _payments(settings: Settings, rows: Sequence[RequestStatus]) -> dict[int, str]:
    """What the operator's own fast payments say of these requests; empty where it makes none."""
    path = DataDirectory(settings.data.resolve()).settler / BOOK_FILE
    if not path.exists():
        return {}
    book = FastBook(path)
    try:
        found = [book.row(status.index) for status in rows]
    finally:
        book.close()
    return {row.request: f"{row.state} ({row.reason})" if row.reason else str(row.state) for row in found if row}


def _row(status: RequestStatus, settings: Settings, payments: Mapping[int, str]) -> dict[str, Any]:
    has_amount = status.kind in _MONEY
    waits = status.state in (RequestState.SEEN, RequestState.CONFIRMED, RequestState.TAKEN)
    return {
        "request": status.index,
        "kind": status.kind.name.lower(),
        "subaccount_id": settings.subaccount_base + status.account,
        "amount": format_e6(status.amount_e6) if has_amount else None,
        "approved": format_e6(status.approved_e6) if status.approved_e6 >= 0 else None,
        "state": str(status.state),
        "confirmations": f"{status.confirmations}/{status.required}" if waits and status.confirmations else None,
        "batch": status.seq or None,
        "requested_at": datetime.fromtimestamp(status.requested_at_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        "tx_hash": "0x" + status.tx_hash.hex() if status.tx_hash else None,
        "paid_by": "0x" + status.payer.hex() if status.payer else None,
        "payment": payments.get(status.index),
    }


def _hash(name: str) -> bytes:
    digits = name.removeprefix("0x")
    if len(digits) != _TX_DIGITS:
        raise Failure(f"{name}: a transaction's hash has {_TX_DIGITS} hex digits behind 0x")
    try:
        return bytes.fromhex(digits)
    except ValueError:
        raise Failure(f"{name}: not a hash") from None


def _number(name: str) -> int:
    if not (name.isascii() and name.isdigit()):
        raise Failure(f"{name}: give a request's number or a transaction's hash (0x...)")
    return int(name)
