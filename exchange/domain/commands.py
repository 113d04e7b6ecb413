"""What may be asked of the engine: everything that can differ between two runs, journaled.

Commands are frozen values; `exchange.domain.packing` gives each its 64-byte record and attachments. Addresses are 20
bytes, digests 32, signatures 65. Times in `_s` are Unix seconds, in `_ns` nanoseconds. Subaccounts are account indices.
"""

from enum import IntEnum, IntFlag

import msgspec

from exchange.domain.auction_bids import BidInAuction
from exchange.domain.auctions import SetPhase
from exchange.domain.blocks import ExecuteBlock
from exchange.domain.instrument import Instrument
from exchange.domain.market_limits import SetMarketLimits
from exchange.domain.portfolio import SetMarginKind, SetScenarios
from exchange.domain.price_rows import ExpiryRow, MarkRow, UnderlyingRow
from exchange.domain.quotes import MassQuote, ResetMmp, SetMmpConfig
from exchange.domain.rounds import DelistInstrument, OracleRound
from exchange.domain.safeguards import CancelAllAfter, RevokeKey, SetDisconnectRule, SetKeyLimits

__all__ = [
    "Amend",
    "BatchCut",
    "Cancel",
    "CancelMany",
    "CancelScope",
    "ChainRequest",
    "ChainRequestKind",
    "Clock",
    "Command",
    "CommandKind",
    "EpochStart",
    "ExpiryRow",
    "ListInstrument",
    "MarkRow",
    "OrderFlag",
    "Place",
    "PriceSource",
    "Replace",
    "SessionClose",
    "SessionOpen",
    "SetPrices",
    "SetSelfTradePrevention",
    "Side",
    "SignedAmend",
    "TimeInForce",
    "Trigger",
    "TriggerKind",
    "UnderlyingRow",
]


class CommandKind(IntEnum):
    """First byte of a record. Numbers are never reused."""

    PLACE = 1
    CANCEL = 2
    AMEND = 3
    REPLACE = 4
    CANCEL_MANY = 5
    SIGNED_AMEND = 6
    SET_SELF_TRADE_PREVENTION = 7
    MASS_QUOTE = 8
    SET_MMP_CONFIG = 9
    RESET_MMP = 10
    BID_IN_AUCTION = 11
    EXECUTE_BLOCK = 12
    CLOCK = 20
    EPOCH_START = 21
    SESSION_OPEN = 22
    SESSION_CLOSE = 23
    CHAIN_REQUEST = 30
    BATCH_CUT = 31
    SET_PRICES = 40
    LIST_INSTRUMENT = 41
    ORACLE_ROUND = 42
    DELIST_INSTRUMENT = 43
    SET_SCENARIOS = 44
    SET_MARKET_LIMITS = 45
    SET_PHASE = 50
    SET_KEY_LIMITS = 60
    REVOKE_KEY = 61
    SET_DISCONNECT_RULE = 62
    CANCEL_ALL_AFTER = 63
    SET_MARGIN_KIND = 64


class Side(IntEnum):
    """Direction of an order."""

    BUY = 0
    SELL = 1


class TimeInForce(IntEnum):
    """How long an order lives. GTD is GTC with `expires_at_s`; every order ends with its signature."""

    GTC = 0
    IOC = 1
    FOK = 2
    GTD = 3


class OrderFlag(IntFlag):
    """Options of an order (u16)."""

    NONE = 0
    POST_ONLY = 1
    SLIDE = 2
    """With POST_ONLY: slide one tick behind the opposite best instead of a refusal."""
    REDUCE_ONLY = 4
    MARKET = 8
    """The limit price is the signed worst price; executes as IOC."""
    MMP = 16
    """Guarded by the limits of its `mmp_group`."""
    CANCEL_ON_DISCONNECT = 32
    QUOTE = 64
    """One side of a mass quote; the engine sets it."""
    STP_CANCEL_MAKER = 256
    STP_CANCEL_BOTH = 512
    STP_DECREMENT_BOTH = 768
    STP_ACCOUNT = 1024
    """Alone of the STP flags: the mode the account has set."""
    LIQUIDATION = 2048
    """Of the engine's own making."""
    KEEP_ON_DISCONNECT = 4096
    """Stays when its wallet's rule or its session's would cancel it."""
    BLOCK = 8192
    """One party's side of a leg of a block trade; the engine sets it."""


class TriggerKind(IntEnum):
    """What makes a trigger order fire: a price against it, a price in its favor, or a price that turned back."""

    STOP = 1
    """A buy fires at or above its trigger price, a sell at or below."""
    TAKE_PROFIT = 2
    """A buy fires at or below its trigger price, a sell at or above."""
    TRAILING = 3
    """A sell fires when the price is `offset` below the highest since it was armed, a buy that far above the lowest."""


class PriceSource(IntEnum):
    """Which price a trigger watches: the instrument's mark, its underlying's index, or its last trade."""

    MARK = 0
    INDEX = 1
    LAST = 2


class Trigger(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """When an order is placed, and which orders it is tied to. Prices are 1e-9 USDC of the source, on no grid.

    TRAILING has no price but exactly one of `offset_e9` and `offset_ppm` (of the extreme, rounded up: it never fires
    earlier than asked); the other kinds have a price and no offset.
    """

    kind: TriggerKind
    source: PriceSource = PriceSource.MARK
    price_e9: int = 0
    offset_e9: int = 0
    offset_ppm: int = 0
    parent: int = 0
    """Number of the order whose first fill arms this one; 0: armed at once. Orders of one parent cancel each other."""
    partner: int = 0
    """Number of an order of the same instrument: when one of the two fills or fires, the other is canceled. 0: none."""


class Place(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A new order; `digest` is its EIP-712 digest, `max_fee_e18` the signed fee cap, 1e-18 USDC per unit."""

    subaccount: int
    instrument: int
    side: Side
    time_in_force: TimeInForce
    flags: OrderFlag
    price_ticks: int
    quantity_lots: int
    nonce: int
    expiry_s: int
    signer: bytes
    max_fee_e18: int = 0
    expires_at_s: int = 0
    reject_after_ms: int = 0
    """Refused when journal time is later; 0: never."""
    domain: int = 0
    """Index of the accepted signing domain that matched."""
    session: int = 0
    digest: bytes = b""
    signature: bytes = b""
    client_order_id: str = ""
    label: str = ""
    mmp_group: int = 0
    """With MMP, and only then: number of the group."""
    trigger: Trigger | None = None
    """None: goes to the book at once."""
    display_lots: int = 0
    """Iceberg: lots shown at a time while it rests; 0: all of them."""


class Replace(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Cancel `target_order` and place `order` in one step; nothing happens when the fill is not as expected."""

    target_order: int
    order: Place
    expected_filled_lots: int = -1
    """-1: not compared."""


class Cancel(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Cancel one order, named by exactly one of number, client order id or nonce."""

    subaccount: int
    order: int = 0
    nonce: int = 0
    client_order_id: str = ""
    instrument: int = 0
    """0: any; else a mismatch is ORDER_NOT_FOUND."""


class CancelScope(IntEnum):
    """Which orders a cancel by filter sees: all, those in the book, or those that wait for a trigger."""

    ALL = 0
    RESTING = 1
    TRIGGERS = 2


class CancelMany(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Cancel all open orders of a subaccount that fit every filter given (0 or "" = any)."""

    subaccount: int
    instrument: int = 0
    label: str = ""
    scope: CancelScope = CancelScope.ALL
    underlying: str = ""
    mmp_group: int = 0


class Amend(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Lower the total quantity of an open order at its price; keeps number and priority and needs no new signature.

    A trigger order may also get another trigger price (TRAILING: another `offset_e9`), which nobody signs.
    """

    subaccount: int
    order: int
    quantity_lots: int
    """New total, filled part included; at or below the filled part closes the order as filled."""
    trigger_e9: int = 0
    """0: unchanged."""


class SignedAmend(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Another price or total for an open order that keeps its number and goes to the back of its level.

    Of `order` only what is signed counts (price, total quantity, fee cap, nonce, life, signer); instrument and side
    must be the target's, and the target keeps its options, label and client order id.
    """

    target_order: int
    order: Place
    expected_filled_lots: int = -1
    """-1: not compared."""
    trigger_e9: int = 0
    """As in Amend."""


class SetSelfTradePrevention(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What an account's orders do that meet its own. Refused while any of its orders lives."""

    subaccount: int
    mode: OrderFlag = OrderFlag.NONE
    """One of the STP_ modes, NONE for canceling the taker: of orders with STP_ACCOUNT."""
    by_owner: bool = False
    """Own are also the orders of the owner's other accounts that set this."""


class Clock(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Time passes: timers that are due fire in (deadline, id) order, at most MAX_TIMERS_PER_CLOCK of them."""


class EpochStart(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """First command of a writer: sessions of the previous life end."""

    epoch: int


class SessionOpen(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A login on a socket. The engine answers with the session's number."""

    owner: bytes
    signer: bytes


class SessionClose(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A session ended; `logged_out` suppresses cancel-on-disconnect."""

    session: int
    logged_out: bool = False


class ChainRequestKind(IntEnum):
    """Kinds of the contract's request queue (ISettlement.sol has the same numbers)."""

    DEPOSIT = 1
    WITHDRAW = 2
    CLOSE_ALL = 3
    CANCEL_ALL = 4
    SET_KEY = 5
    LOCK = 6


class ChainRequest(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Entry `index` of the contract's queue, confirmed. Accepted only as last + 1 and at the start of a batch."""

    index: int
    kind: ChainRequestKind
    account: int
    amount_e6: int = 0
    owner: bytes = b""
    """DEPOSIT: owner of the account (a new account is created for it)."""
    key: bytes = b""
    """SET_KEY: the session key's address."""
    valid_to_s: int = 0
    """SET_KEY: end of validity; at or before journal time revokes."""
    scopes: int = 0
    """SET_KEY: bit mask of scope codes (api.md 4.6)."""
    accounts: tuple[int, ...] = ()
    """SET_KEY: accounts the key acts for; empty: all, present and future."""


class BatchCut(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Close the open settlement batch (if it has content, or where an empty one is allowed) and open the next one."""

    allows_empty: bool = False


class SetPrices(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One round of prices. `round` rises; rows may be partial, what is not named keeps its value."""

    round: int
    underlyings: tuple[UnderlyingRow, ...] = ()
    expiries: tuple[ExpiryRow, ...] = ()
    marks: tuple[MarkRow, ...] = ()

    @property
    def indexes_e9(self) -> dict[str, int]:
        """Index prices by underlying; what is halted has none."""
        return {row.underlying: row.index_e9 for row in self.underlyings if not row.is_halted}


class ListInstrument(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Open a new instrument; its id must be unused."""

    instrument: Instrument


Command = (
    Place
    | Replace
    | Cancel
    | CancelMany
    | Amend
    | SignedAmend
    | SetSelfTradePrevention
    | MassQuote
    | SetMmpConfig
    | ResetMmp
    | Clock
    | EpochStart
    | SessionOpen
    | SessionClose
    | ChainRequest
    | BatchCut
    | SetPrices
    | ListInstrument
    | SetPhase
    | OracleRound
    | DelistInstrument
    | SetKeyLimits
    | RevokeKey
    | SetDisconnectRule
    | CancelAllAfter
    | SetScenarios
    | SetMarginKind
    | BidInAuction
    | SetMarketLimits
    | ExecuteBlock
)
