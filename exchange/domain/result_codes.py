"""Public result codes: one number space for engine and wire (api.md 9.1). Retired numbers are never used again."""

from enum import IntEnum, unique

__all__ = ["CloseReason", "OrderStatus", "ResultCode"]


@unique
class ResultCode(IntEnum):
    """Why a command was refused; 0 is success. Wire texts stand in `exchange.wire.errors`."""

    OK = 0
    INSUFFICIENT_MARGIN = 11000
    ALREADY_CANCELED = 11003
    ALREADY_FILLED = 11004
    ALREADY_EXPIRED = 11005
    ORDER_NOT_FOUND = 11006
    SELF_CROSSING = 11007
    POST_ONLY_WOULD_CROSS = 11008
    NO_LIQUIDITY = 11009
    POST_ONLY_NOT_ALLOWED = 11010
    BAD_SIGNATURE_EXPIRY = 11011
    BAD_AMOUNT = 11012
    BAD_PRICE = 11013
    FOK_NOT_FILLED = 11014
    MMP_FROZEN = 11015
    NONCE_USED = 11017
    NONCE_OUTSIDE_WINDOW = 11018
    TOO_MANY_OPEN_ORDERS = 11019
    INSTRUMENT_NOT_LIVE = 11021
    REJECT_TIMESTAMP_PASSED = 11022
    MAX_FEE_TOO_LOW = 11023
    REDUCE_ONLY_REJECTED = 11025
    IN_LIQUIDATION = 11027
    REPLACE_FILL_MISMATCH = 11028
    OPEN_INTEREST_CAP = 11029
    TRIGGER_WRONG_SIDE = 11051
    TOO_MANY_TRIGGER_ORDERS = 11052
    TRIGGER_SOURCE_UNAVAILABLE = 11053
    TRIGGER_NOT_REPLACEABLE = 11054
    TRIGGER_MARKET_UNFILLABLE = 11055
    TOO_MANY_POSITIONS = 10007
    INSTRUMENT_NOT_FOUND = 12001
    ACCOUNT_NOT_FOUND = 14000
    SUBACCOUNT_NOT_FOUND = 14001
    SESSION_MISSING = 14021
    SIGNER_UNKNOWN = 14023
    SESSION_KEY_EXPIRED = 14030
    SCOPE_MISSING = 14031
    ACTION_OUTLIVES_KEY = 14038
    CLIENT_ORDER_ID_CONFLICT = 20001
    CAPACITY = 20006
    MMP_PRECONDITION = 20009
    LINK_INVALID = 20011
    ORDERS_OPEN = 20012
    DISPLAY_NOT_ALLOWED = 20016
    IN_AUCTION = 20017
    PRICE_MOVE_TOO_LARGE = 20018
    POSITION_LIMIT = 20021
    TOO_MANY_SESSION_KEYS = 20030
    KEY_NOTIONAL_EXCEEDED = 20031
    SESSION_KEY_FIXED = 20032
    MARKET_REDUCE_ONLY = 20004
    AUCTION_NOT_FOUND = 20050
    AUCTION_CHANGED = 20051
    AUCTION_OF_OWN_ACCOUNT = 20052
    AUCTION_LEG_NOT_COVERED = 20053
    AUCTION_PRICE_TOO_HIGH = 20054
    AUCTION_NOTHING_TO_TAKE = 20055
    # From here on: codes of commands that no client sends.
    REQUEST_OUT_OF_ORDER = 30001
    REQUEST_NOT_AT_BATCH_START = 30002
    PRICE_INVALID = 30003
    PRICE_OUT_OF_ORDER = 30004
    INSTRUMENT_EXISTS = 30005
    NOTHING_TO_CUT = 30006
    PARAMETER_INVALID = 30007
    INSTRUMENT_LIVE = 30008
    OPEN_INTEREST = 30009
    REQUEST_WAITS_FOR_PRICES = 30020


@unique
class OrderStatus(IntEnum):
    """Life of an order; everything but OPEN and UNTRIGGERED is terminal."""

    OPEN = 1
    FILLED = 2
    CANCELED = 3
    EXPIRED = 4
    REJECTED = 5
    UNTRIGGERED = 6
    """Accepted, and waits for its parent or its trigger."""


@unique
class CloseReason(IntEnum):
    """Why an order ended, closed set (matching.md 3). NONE while open and for filled orders."""

    NONE = 0
    USER_REQUEST = 1
    IOC_REMAINDER = 2
    SELF_TRADE_PREVENTION = 3
    REDUCE_ONLY_EXCESS = 4
    SIGNATURE_EXPIRED = 5
    GOOD_TILL_DATE_REACHED = 6
    CANCEL_ON_DISCONNECT = 7
    SESSION_KEY_REVOKED = 8
    WITHDRAWAL = 9
    REPLACED = 10
    INSTRUMENT_EXPIRED = 11
    INSUFFICIENT_MARGIN = 12
    NO_LIQUIDITY = 13
    TRIGGER_FAILED = 14
    """Its trigger fired, and the order was refused; a TriggerFailed event says why."""
    LINKED_ORDER = 15
    """Another order of its group filled or fired."""
    PARENT_CLOSED = 16
    """Its parent ended without a fill."""
    POSITION_CLOSED = 17
    """The position it was attached to is gone."""
    MMP_TRIGGERED = 18
    """A limit of its protection group was reached."""
    LIQUIDATION = 19
    """Its account is below maintenance."""
    DEAD_MAN_TIMER = 20
    """Its account armed a timer and did not arm it again in time."""
