"""Every limit has a name here, and the relations between them are checked at import."""

from typing import Final

__all__ = [
    "INDEX_HALT_NS",
    "INDEX_LIFE_NS",
    "LIQUIDATION_PRICE_PPM",
    "MAX_ACCOUNTS_PER_BATCH",
    "MAX_AUCTION_NS",
    "MAX_BLOCK_LEGS",
    "MAX_CLIENT_ORDER_ID_CHARACTERS",
    "MAX_DEAD_MAN_MS",
    "MAX_EXPIRED_PER_COMMAND",
    "MAX_FRAME_BYTES",
    "MAX_FUNDING_INDEX_E12",
    "MAX_GROUP_COMMANDS",
    "MAX_INBOX_COMMANDS",
    "MAX_INSTRUMENTS_PER_BATCH",
    "MAX_KEY_LIMIT_ENTRIES",
    "MAX_LABEL_CHARACTERS",
    "MAX_LIQUIDATION_STEPS_PER_COMMAND",
    "MAX_MMP_GROUPS_PER_SUBACCOUNT",
    "MAX_MMP_LIMIT",
    "MAX_MONEY_E6",
    "MAX_OPEN_ORDERS_PER_OWNER",
    "MAX_OPEN_ORDERS_PER_SUBACCOUNT",
    "MAX_ORDERS_PER_ACCOUNT_AND_BATCH",
    "MAX_POSITIONS_PER_SUBACCOUNT",
    "MAX_PRICE_TICKS",
    "MAX_QUANTITY_LOTS",
    "MAX_QUOTE_LINES",
    "MAX_SESSION_KEYS_PER_OWNER",
    "MAX_SIGNATURE_LIFE_S",
    "MAX_STAGED_BYTES",
    "MAX_STAGED_COMMANDS",
    "MAX_SUBACCOUNTS_PER_OWNER",
    "MAX_TIMERS_PER_CLOCK",
    "MAX_TRIGGERS_PER_COMMAND",
    "MAX_TRIGGER_ORDERS",
    "MAX_TRIGGER_ORDERS_PER_SUBACCOUNT",
    "MIN_DEAD_MAN_MS",
    "MIN_SIGNATURE_LIFE_S",
    "NONCE_WINDOW_NS",
    "OPTION_MARK_LIFE_NS",
    "RECENT_CLOSED_ORDERS",
]

MAX_PRICE_TICKS: Final = 1 << 40
MAX_QUANTITY_LOTS: Final = (1 << 47) - 1
"""One order; also the widest position delta of the batch format."""
MAX_MONEY_E6: Final = 1 << 62
MAX_FUNDING_INDEX_E12: Final = 1 << 62
"""Either way, of one lot: a leaf holds it in 64 bits; what would pass it does not accrue."""
MAX_OPEN_ORDERS_PER_SUBACCOUNT: Final = 1_000
MAX_OPEN_ORDERS_PER_OWNER: Final = 10_000
"""Of all subaccounts of a wallet together."""
MAX_QUOTE_LINES: Final = 64
"""Of a mass quote: two orders each, whose lines are the first half of an order number's last byte."""
MAX_BLOCK_LEGS: Final = 16
"""Of a block trade: two orders each."""
MAX_MMP_GROUPS_PER_SUBACCOUNT: Final = 16
MAX_MMP_LIMIT: Final = 1 << 62
"""Of a group's limits and of its times."""
MAX_POSITIONS_PER_SUBACCOUNT: Final = 128
MAX_SUBACCOUNTS_PER_OWNER: Final = 64
MAX_SESSION_KEYS_PER_OWNER: Final = 64
MAX_KEY_LIMIT_ENTRIES: Final = 64
"""Of each list among a key's limits."""
MIN_DEAD_MAN_MS: Final = 1_000
MAX_DEAD_MAN_MS: Final = 3_600_000
MAX_LABEL_CHARACTERS: Final = 64
MAX_CLIENT_ORDER_ID_CHARACTERS: Final = 36
NONCE_WINDOW_NS: Final = 600_000_000_000
"""An order nonce, read as nanoseconds, lies within this distance of journal time (api.md 4.5)."""
MIN_SIGNATURE_LIFE_S: Final = 10
MAX_SIGNATURE_LIFE_S: Final = 10_368_000
RECENT_CLOSED_ORDERS: Final = 100_000
"""Closed orders the engine remembers in all; older ones are history."""
MAX_AUCTION_NS: Final = 86_400_000_000_000
"""Longest call auction that an operator may set."""
MAX_TIMERS_PER_CLOCK: Final = 256
MAX_LIQUIDATION_STEPS_PER_COMMAND: Final = 128
LIQUIDATION_PRICE_PPM: Final = 50_000
"""How far from the mark the contract lets an account be closed without its signature (`Forced.sol`)."""
"""Orders of the engine's own making take the lines from 128 on of a command's order numbers."""
MAX_EXPIRED_PER_COMMAND: Final = 256
"""Positions after which a command pays no further instrument of an expiry; the rest waits for the next Clock."""
INDEX_LIFE_NS: Final = 10_000_000_000
"""Age beyond which an index price, or a perpetual's mark, is stale."""
OPTION_MARK_LIFE_NS: Final = 60_000_000_000
INDEX_HALT_NS: Final = 60_000_000_000
"""Silence after which an index is halted."""
MAX_TRIGGER_ORDERS_PER_SUBACCOUNT: Final = 100
MAX_TRIGGER_ORDERS: Final = 100_000
"""Of all subaccounts: what one move of a price can fire at most."""
MAX_TRIGGERS_PER_COMMAND: Final = 128
"""Fired orders placed inside one command; the rest waits for the next Clock."""
MAX_ACCOUNTS_PER_BATCH: Final = 102
MAX_INSTRUMENTS_PER_BATCH: Final = 255
MAX_ORDERS_PER_ACCOUNT_AND_BATCH: Final = 4_480
"""Leaves that the orders tree takes of one account."""
MAX_GROUP_COMMANDS: Final = 1_024
MAX_INBOX_COMMANDS: Final = 65_536
MAX_STAGED_COMMANDS: Final = 65_536
MAX_STAGED_BYTES: Final = 64 << 20
MAX_FRAME_BYTES: Final = 1 << 20

if MAX_PRICE_TICKS * MAX_QUANTITY_LOTS >= 1 << 127:
    raise ValueError("a notional must fit the settlement ledger's int128")
if MAX_SIGNATURE_LIFE_S <= MIN_SIGNATURE_LIFE_S:
    raise ValueError("the signature window is empty")
if 2 * MAX_QUOTE_LINES > 128:
    raise ValueError("sides of a mass quote take the first 128 lines of an order number")
if 2 * MAX_BLOCK_LEGS > 128:
    raise ValueError("sides of a block trade take the first 128 lines of an order number")
if MAX_TRIGGERS_PER_COMMAND > 128:
    raise ValueError("a triggered order's place in line is its command and one of 128 lines above the quotes'")
if MAX_GROUP_COMMANDS > MAX_STAGED_COMMANDS:
    raise ValueError("a full tick must fit the staging area")
