"""Error codes of the wire with their stable texts, and the exception that carries one to its reply (api.md 9.1).

`data` leaves as a string or null; structured detail is compact JSON inside the string, because typed clients decode it
as text.
"""

from typing import Final

import msgspec

from exchange.domain.result_codes import ResultCode

__all__ = ["MESSAGES", "RpcCode", "WireError", "busy", "data_text", "elsewhere", "message_of"]


class RpcCode:
    """Codes that only the gateway gives; all others are `ResultCode`s."""

    PARSE_ERROR: Final = -32700
    INVALID_REQUEST: Final = -32600
    METHOD_NOT_FOUND: Final = -32601
    INVALID_PARAMS: Final = -32602
    INTERNAL: Final = -32603
    RATE_LIMIT: Final = -32000
    TOO_MANY_SOCKETS: Final = -32100
    CONFIRMATION_TIMEOUT: Final = 9000
    REDUCE_ONLY_TIF: Final = 11024
    CURRENCY_NOT_FOUND: Final = 12002
    BAD_CHANNELS: Final = 13000
    SIGNATURE_INVALID: Final = 14014
    WALLET_MISMATCH: Final = 14020
    SUBSCRIPTION_REFUSED: Final = 14022
    KEY_NOT_FOUND: Final = 14026
    IP_NOT_ALLOWED: Final = 14029
    KEY_EXPIRY_TOO_NEAR: Final = 14039
    SNAPSHOT_REQUIRED: Final = 20002
    ENVIRONMENT_MISMATCH: Final = 20007
    SECOND_FACTOR: Final = 20008
    CHAIN_UNAVAILABLE: Final = 20010
    PUBLIC_ONLY: Final = 20019
    HISTORY_UNAVAILABLE: Final = 20040


MESSAGES: Final[dict[int, str]] = {
    -32700: "Parse error",
    -32600: "Invalid Request",
    -32601: "Method not found",
    -32602: "Invalid params",
    -32603: "Internal error",
    -32000: "Rate limit exceeded",
    -32100: "Number of concurrent websocket clients limit exceeded",
    9000: "Order confirmation timeout",
    10007: "Maximum number of positions per subaccount reached",
    11000: "Insufficient funds",
    11003: "Already cancelled",
    11004: "Already filled",
    11005: "Already expired",
    11006: "Does not exist",
    11007: "Self-crossing disallowed",
    11008: "Post-only order would cross",
    11009: "Zero liquidity for market or IOC/FOK order",
    11010: "Post-only is not allowed with this order type",
    11011: "Invalid signature expiry",
    11012: "Invalid amount",
    11013: "Invalid limit price",
    11014: "Fill-or-kill order was not filled",
    11015: "Market-maker protection is frozen",
    11017: "Nonce already used",
    11018: "Nonce outside the time window",
    11019: "Open orders limit exceeded",
    11021: "Instrument is not live",
    11022: "Reject timestamp exceeded",
    11023: "Max fee order param is too low",
    11024: "Reduce only not supported with this time in force",
    11025: "Reduce only reject",
    11027: "Subaccount is in liquidation",
    11028: "Replaced order filled amount does not match expected state",
    11029: "Open interest cap of this market reached: orders that add to it and may take are refused",
    11051: "Trigger price must be higher than the current price for stop orders and vice versa for take orders",
    11052: "Trigger orders limit exceeded",
    11053: "Trigger price type has no price yet",
    11054: "Trigger orders cannot be replaced",
    11055: "Market order limit_price is unfillable at the given trigger price",
    12000: "Asset not found",
    12001: "Instrument not found",
    12002: "Currency not found",
    13000: "Invalid channels",
    14000: "Account not found",
    14001: "Subaccount not found",
    14014: "Signature invalid for message or transaction",
    14020: "The wallet does not match the requested subaccount or wallet",
    14021: "Not logged in, or authentication header missing",
    14022: "Subscription to a private channel refused",
    14023: "Signer is not the wallet owner or a registered session key",
    14026: "Session key not found",
    14029: "Session key is not allowed from this address",
    14030: "Session key expired",
    14031: "Unauthorized key scope",
    14038: "Signed action outlives its session key",
    14039: "Session key expiry is too near",
    20001: "Client order id is in use by a different order",
    20002: "SNAPSHOT_REQUIRED",
    20004: "Reduce-only: the price of this market is stale or halted, orders that add risk wait for it",
    20006: "Capacity reached",
    20007: "Environment or chain id mismatch",
    20008: "A one-time code is needed",
    20009: "Market-maker protection group or session is missing",
    20011: "Orders cannot be linked this way",
    20012: "Not while orders are open: cancel them first",
    20016: "Display amount is not allowed with this order type",
    20017: "Instrument is in a call auction: IOC, FOK and market orders are not taken",
    20018: "The order would move the price too far in a short time",
    20021: "Position limit of the subaccount or of its owner reached in this market",
    20019: "This gateway serves public data only",
    20040: "The history is not available now, ask again",
    20030: "Session keys limit reached, revoked keys included",
    20031: "The order is worth more than its session key may trade",
    20032: "A session key is fixed once it is registered: revoke it and register another",
    20050: "No such auction, or it is over",
    20051: "The auctioned account changed since the trade that was named",
    20052: "An owner does not bid for an account of his own",
    20053: "A leg of the portfolio is not covered by a line of the bid: size or price",
    20054: "The share costs more than the bid's price limit",
    20055: "There is nothing to take: the share is below a lot everywhere, or the fund cannot pay for it now",
    20010: "Settlement chain is unavailable, nothing was relayed",
}


class WireError(Exception):
    """A request that gets an error reply. `data` is a mapping (sent as JSON text), a text, or None."""

    def __init__(self, code: int, data: dict[str, object] | str | None = None, message: str | None = None) -> None:
        """Remember code, detail and an optional text that replaces the stable one."""
        self.code = int(code)
        self.data = data
        self.message = message if message is not None else message_of(self.code)
        super().__init__(f"{self.code} {self.message}")

    @classmethod
    def bad_param(cls, field: str, reason: str) -> "WireError":
        """-32602 that names the field."""
        return cls(RpcCode.INVALID_PARAMS, {"field": field, "reason": reason})


def message_of(code: int) -> str:
    """Stable text of a code; codes without one say their name."""
    text = MESSAGES.get(code)
    if text is not None:
        return text
    try:
        return ResultCode(code).name.lower().replace("_", " ").capitalize()
    except ValueError:
        return "Internal error"


def busy(retry_after_ms: int) -> WireError:
    """-32000 before admission: nothing happened, a retry is safe."""
    return WireError(RpcCode.RATE_LIMIT, {"reason": "busy", "retry_after_ms": retry_after_ms}, "Exchange is busy")


def elsewhere(exchange_url: str) -> WireError:
    """20019: a private call to a gateway that shows public data; `data` names the exchange that takes it."""
    websocket = "ws" + exchange_url.removeprefix("http") + "/v3/ws"
    return WireError(RpcCode.PUBLIC_ONLY, {"exchange": exchange_url, "websocket": websocket})


def data_text(data: dict[str, object] | str | None) -> str | None:
    """`error.data` as it leaves."""
    if data is None or isinstance(data, str):
        return data
    return msgspec.json.encode(data).decode()
