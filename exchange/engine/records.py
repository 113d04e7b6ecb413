"""What the state is made of. All fields here are hashed and stored; nothing derived, no handle, no cell."""

from enum import IntEnum

import msgspec

from exchange.domain.commands import OrderFlag, Place
from exchange.domain.liquidations import LiquidationStage
from exchange.domain.result_codes import CloseReason, OrderStatus, ResultCode

__all__ = [
    "Account",
    "Auction",
    "Batch",
    "DeadMan",
    "DisconnectRule",
    "Expiry",
    "FundDay",
    "Funding",
    "KeyRow",
    "Liquidation",
    "MmpGroup",
    "Order",
    "Position",
    "Session",
    "TriggerStage",
]


class TriggerStage(IntEnum):
    """Life of a trigger: with its parent, watching a price, fired and in line, over. NONE: an order without one."""

    NONE = 0
    WAITING = 1
    ARMED = 2
    FIRED = 3
    OVER = 4


class Order(msgspec.Struct, kw_only=True):
    """An order, open or remembered. `place` is what its owner signed last; `price_ticks` may differ by a slide."""

    number: int
    place: Place
    price_ticks: int
    quantity_lots: int
    """Total, after amendments."""
    created_ns: int
    updated_ns: int
    filled_lots: int = 0
    filled_notional_e6: int = 0
    fee_e6: int = 0
    status: OrderStatus = OrderStatus.OPEN
    reason: CloseReason = CloseReason.NONE
    version: int = 1
    replaces: int = 0
    filled_batch: int = 0
    """Number of the batch of its last fill under its present signature."""
    rank: int = 0
    """Age in line, in the form of an order number: its own, or the command that moved it to the back."""
    refill_rank: int = 0
    """Place among the icebergs that one order sent to the back of their levels; `rank` is then that order's."""
    first_place: Place | None = None
    """The command that made it, once a signed amendment replaced `place`: a repeat is compared with this one."""
    stage: TriggerStage = TriggerStage.NONE
    trigger_e9: int = 0
    """Price at which it fires; 0 for trailing orders until they fired."""
    offset_e9: int = 0
    """Distance of a trailing order from its extreme, when it is a price."""
    extreme_e9: int = 0
    """Best price since a trailing order was armed, as of its last `disarm` or dump: the trigger book has it."""
    fired_e9: int = 0
    """The price that fired it."""
    group: int = 0
    """Orders of which only one may fill or fire: number of the first of them, minus the parent's for its children."""
    refusal: ResultCode = ResultCode.OK
    """Why it was refused when its trigger fired."""

    @property
    def place_in_line(self) -> tuple[int, int]:
        """What orders of one level are sorted by."""
        return self.rank, self.refill_rank

    @property
    def remaining_lots(self) -> int:
        """What can still trade."""
        return self.quantity_lots - self.filled_lots


class Auction(msgspec.Struct, kw_only=True, array_like=True):
    """The call auction of an instrument."""

    instrument: int
    deadline_ns: int
    first_rank: int
    """Least rank of orders that came during the call: of two own orders the one that came later is the taker."""


class Funding(msgspec.Struct, kw_only=True, array_like=True):
    """Funding of a perpetual: what a lot held long pays. `index_e12` was published, `accrued_e12` is ahead of it."""

    instrument: int
    rate_e9: int = 0
    accrued_e12: int = 0
    index_e12: int = 0
    since_ns: int = 0
    """Up to when it has accrued."""


class Expiry(msgspec.Struct, kw_only=True, array_like=True):
    """A settled expiry of an underlying, and how far its instruments are paid, ascending."""

    underlying: str
    expiry_s: int
    price_e9: int
    last_instrument: int = 0
    is_paid: bool = False


class Liquidation(msgspec.Struct, kw_only=True, array_like=True):
    """An account below maintenance."""

    subaccount: int
    stage: LiquidationStage
    stage_ns: int
    """When the stage began."""
    next_ns: int
    """When its next step is due."""
    unfilled_ns: int
    """Since when nothing was closed."""
    auction: int = 0
    """Name under which it is known to bidders."""
    reserved_e6: int = 0
    """What bidders paid so far: no discount is given on it again."""


class Forced(msgspec.Struct, kw_only=True, array_like=True):
    """What is in a batch that nobody signed; of the open batch while `batch` is its number."""

    batch: int = 0
    price_round: int = 0
    """Whose marks the batch begins with."""
    is_paid_by_others: bool = False
    """Payments of the fund and deleveraging; else orders on the book."""
    accounts: list[int] = []
    """Liquidated ones, ascending."""


class FundDay(msgspec.Struct, kw_only=True, array_like=True):
    """What the insurance fund had when the day (UTC) began, and what the day has taken."""

    day: int = -1
    start_e6: int = 0
    taken_e6: int = 0


class Position(msgspec.Struct, kw_only=True):
    """An open position. `cost_e6`: signed notional paid for what is open; entry price = cost / size."""

    lots: int = 0
    cost_e6: int = 0
    realized_pnl_e6: int = 0
    fee_e6: int = 0
    opened_ns: int = 0
    fund_index_e12: int = 0
    """Funding index up to which a perpetual is paid."""
    funding_e6: int = 0
    """Paid (< 0) or received since it was opened."""


class Account(msgspec.Struct, kw_only=True):
    """A subaccount. `ledger_cash_e6` is the settlement ledger's cash: every fill is paid in full, perpetuals too."""

    index: int
    owner: bytes
    opened_ns: int
    ledger_cash_e6: int = 0
    perpetual_cost_e6: int = 0
    """Sum of the cost of open perpetuals: shown cash = ledger cash + this."""
    account_seq: int = 0
    cancel_all_ns: int = 0
    """Time of the last CANCEL_ALL request; older nonces are refused."""
    is_locked: bool = False
    is_close_all_requested: bool = False
    is_in_liquidation: bool = False
    self_trade_mode: OrderFlag = OrderFlag.NONE
    """Mode of orders that leave it to the account."""
    is_self_trade_by_owner: bool = False
    positions: dict[int, Position] = {}

    @property
    def cash_e6(self) -> int:
        """Cash as shown to users."""
        return self.ledger_cash_e6 + self.perpetual_cost_e6

    def next_seq(self) -> int:
        """Number of the account's next event."""
        self.account_seq += 1
        return self.account_seq

    def lots(self, instrument: int) -> int:
        """Signed position."""
        position = self.positions.get(instrument)
        return 0 if position is None else position.lots


class KeyRow(msgspec.Struct, kw_only=True, array_like=True):
    """A session key of an owner. Scopes and accounts never change; a revoked row stays for ever."""

    key: bytes
    valid_to_s: int
    scopes: int
    accounts: tuple[int, ...]
    registered_ns: int
    is_revoked: bool = False


class Session(msgspec.Struct, kw_only=True, array_like=True):
    """A login on a socket."""

    number: int
    owner: bytes
    signer: bytes


class DisconnectRule(msgspec.Struct, kw_only=True, array_like=True):
    """All orders of a wallet end with any of its sessions."""

    spares_reduce_only: bool


class DeadMan(msgspec.Struct, kw_only=True, array_like=True):
    """A subaccount's timer."""

    deadline_ns: int
    spares_reduce_only: bool


class MmpGroup(msgspec.Struct, kw_only=True):
    """A protection group with its limits (as in SetMmpConfig). What its window has counted, the book knows."""

    subaccount: int
    number: int
    underlying: str
    lot_e9: int
    interval_ns: int = 0
    frozen_ns: int = 0
    quantity_lots: int = 0
    delta_e9: int = 0
    vega_e9: int = 0
    count: int = 0
    is_frozen: bool = False
    thaw_ns: int = 0
    """When time thaws it; 0: not frozen, or until a reset."""


class Batch(msgspec.Struct, kw_only=True):
    """The settlement batch that is being filled."""

    number: int = 1
    first_sequence: int = 1
    from_s: int = 0
    to_s: int = 0
    fee_e6: int = 0
    fill_count: int = 0
    request_count: int = 0
    expired_count: int = 0
    """Positions that became cash in it, and payments of the fund: their accounts are listed, even without a delta."""
    cash_e6: dict[int, int] = {}
    """Cash delta by account of trades and fees; accounts of requests are listed with 0."""
    legs: dict[tuple[int, int], int] = {}
    """Position delta by (instrument, account)."""
    instruments: dict[int, int] = {}
    """Fills by instrument."""
    orders: dict[int, int] = {}
    """Orders with fills by account: the leaves of the orders tree."""

    @property
    def has_content(self) -> bool:
        """Whether there is anything to post."""
        return bool(self.fill_count or self.request_count or self.expired_count)
