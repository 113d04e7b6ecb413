"""Everything the engine knows. One object, one writer; the handlers of this package change it, nobody else.

`InvariantViolated`, the core's own, means that money or positions do not add up: a bug, never bad input; the writer
stops and shows nothing of that command. Hashed and stored: the records. Derived, rebuilt by a load: handles, cells,
exposures, margin caches, timers, indexes.
"""

from collections.abc import Callable, MutableMapping, Sequence
from typing import Any, Final

from sortedcontainers import SortedList

from exchange.domain.commands import Command
from exchange.domain.events import Event
from exchange.domain.ids import CLEARING_ACCOUNT, FUND_ACCOUNT
from exchange.domain.instrument import Instrument
from exchange.domain.result_codes import CloseReason
from exchange.domain.safeguards import KeyLimits
from exchange.domain.views import OrderView, Output
from exchange.engine.config import EngineConfig
from exchange.engine.exposure import Exposure, GroupKey, MarginCache
from exchange.engine.flags import BLOCK, LIQUIDATION, QUOTE
from exchange.engine.index_ranges import IndexRanges
from exchange.engine.limit_table import LimitTable
from exchange.engine.links import Links
from exchange.engine.nonces import NonceStore
from exchange.engine.price_rings import PriceRings
from exchange.engine.price_table import PriceTable
from exchange.engine.rank_table import RankTable
from exchange.engine.records import (
    Account,
    Auction,
    Batch,
    DeadMan,
    DisconnectRule,
    Expiry,
    Forced,
    FundDay,
    Funding,
    KeyRow,
    Liquidation,
    MmpGroup,
    Order,
    Session,
)
from exchange.engine.scenario_table import ScenarioTable
from exchange.engine.triggers import TriggerBook
from exchange.risk.expiry import Sample
from matching_core import InvariantViolated, OrderBook

__all__ = ["InvariantViolated", "State"]

_SECOND_NS: Final = 1_000_000_000
_JOINED_OWNER: Final = 1 << 31
"""Above every account index."""


class State:
    """State of one engine. `book_factory()` gives an empty book; handlers name every other field."""

    def __init__(self, book_factory: Callable[[], Any] = OrderBook, config: EngineConfig | None = None) -> None:
        self.config = config or EngineConfig()
        self.book = book_factory()
        self.sequence = 0
        self.timestamp_ns = 0
        self.epoch = 0
        self.trade_count = 0
        self.session_count = 0
        self.request_index = 0
        self.collateral_e6 = 0
        """Deposits less approved withdrawals: the sum of all ledger cash."""
        self.instruments: dict[int, Instrument] = {}
        self.accounts: dict[int, Account] = {
            index: Account(index=index, owner=b"", opened_ns=0, positions={})
            for index in (FUND_ACCOUNT, CLEARING_ACCOUNT)
        }
        self.keys: dict[bytes, dict[bytes, KeyRow]] = {}
        self.sessions: MutableMapping[int, Session] = {}
        self.open_orders: MutableMapping[int, Order] = {}
        self.waiting_orders: dict[int, Order] = {}
        """Accepted orders that wait for their parent or their trigger."""
        self.closed_orders: MutableMapping[int, Order] = {}
        """In order of closing, which is the order of forgetting."""
        self.account_groups: dict[int, dict[int, MmpGroup]] = {}
        """Protection groups by subaccount and number."""
        self.auctions: dict[int, Auction] = {}
        self._init_rounds()
        self._init_safeguards()
        self.price_moves = PriceRings()
        self.nonces = NonceStore()
        self.prices = PriceTable()
        self.batch = Batch(cash_e6={}, legs={}, instruments={}, orders={})
        self._init_derived()
        for account in self.accounts.values():
            self.index_account(account)

    def _init_rounds(self) -> None:
        """What oracle rounds and liquidations leave behind."""
        self.oracle_round = 0
        self.funding: dict[int, Funding] = {}
        """Of the perpetuals that ever had a rate."""
        self.samples: dict[str, list[Sample]] = {}
        """Index prices by underlying for as long as they held, while an expiry may need them."""
        self.expiries: dict[tuple[str, int], Expiry] = {}
        """Settled ones, by (underlying, expiry_s)."""
        self.delisted: dict[int, None] = {}
        self.liquidations: dict[int, Liquidation] = {}
        """Accounts below maintenance."""
        self.forced = Forced(accounts=[])
        self.fund_day, self.scenarios, self.limits = FundDay(), ScenarioTable(), LimitTable()
        self.index_ranges = IndexRanges()
        self.rank_tables: dict[tuple[int, bool], RankTable] = {}
        """Weights of those who are long (True) or short, as of a while ago; a cache, nothing hangs on it."""
        self.is_check_due = False
        """Prices moved since all accounts were looked at."""

    def _init_safeguards(self) -> None:
        """What owners set up against their own keys, lines and bots."""
        self.key_limits: dict[bytes, dict[bytes, KeyLimits]] = {}
        """By owner and key; a key may still be on its way through the chain's queue."""
        self.disconnect_rules: dict[bytes, DisconnectRule] = {}
        self.dead_men: dict[int, DeadMan] = {}
        """Armed timers by subaccount."""

    def _init_derived(self) -> None:
        self.names: dict[str, int] = {}
        self.chains: dict[tuple[str, int], list[int]] = {}
        """Options by (underlying, expiry_s)."""
        self.unpaid: dict[tuple[str, int], Expiry] = {}
        self.group_of: dict[int, GroupKey] = {}
        self.owner_accounts: dict[bytes, list[int]] = {}
        self.account_orders: dict[int, MutableMapping[int, Order]] = {}
        self.account_waiting: dict[int, dict[int, Order]] = {}
        self.triggers = TriggerBook()
        self.links = Links()
        self.exposures: dict[int, MutableMapping[int, Exposure]] = {}
        self.client_ids: dict[int, dict[str, int]] = {}
        self.nonce_orders: dict[int, dict[int, int]] = {}
        self.margins: dict[int, MarginCache] = {}
        self.handles: MutableMapping[int, int] = {}
        self.by_handle: MutableMapping[int, Order] = {}
        self.cells: dict[tuple[int, int], int] = {}
        self.timers = SortedList()
        self.thaws = SortedList()
        """(time, subaccount, number) of groups that thaw by time."""
        self.guards: dict[tuple[int, int], int] = {}
        """The core's number of each group; its value is nobody's business."""
        self.guard_groups: dict[int, MmpGroup] = {}
        self.quotes: MutableMapping[tuple[int, int, int, int], int] = {}
        """Number of the quote of (subaccount, group, instrument, side)."""
        self.ended_quotes: dict[int, Order] = {}
        self.quote_counts: dict[tuple[int, int], int] = {}
        self.position_sums: MutableMapping[int, int] = {}
        self.cash_sum_e6 = 0

    def next_deadline_ns(self) -> int | None:
        """When a Clock is needed: at once while something is left over, else for the next timer; None for never."""
        if self.triggers.fired or self.unpaid or self.is_check_due:
            return self.timestamp_ns
        deadlines = [line[0][0] for line in (self.timers, self.thaws) if line]
        deadlines += [auction.deadline_ns for auction in self.auctions.values()]
        deadlines += [liquidation.next_ns for liquidation in self.liquidations.values()]
        deadlines += [timer.deadline_ns for timer in self.dead_men.values()]
        return min(deadlines) if deadlines else None

    def work_pending(self) -> bool:
        """Whether deadlines are due, triggers fired or expiries unpaid that the last command left over."""
        return (deadline_ns := self.next_deadline_ns()) is not None and deadline_ns <= self.timestamp_ns

    def live_orders(self, subaccount: int) -> list[Order]:
        """All orders of a subaccount that have not ended, resting or waiting, by ascending number."""
        rows = {**self.account_orders[subaccount], **self.account_waiting[subaccount]}
        return [order for _, order in sorted(rows.items())]

    def find_live(self, number: int) -> Order | None:
        """An order that has not ended, or None."""
        return self.open_orders.get(number) or self.waiting_orders.get(number)

    def require_live(self, number: int) -> Order:
        """An order that has not ended. Raises InvariantViolated."""
        order = self.find_live(number)
        if order is None:
            raise InvariantViolated(f"order {number} is not live")
        return order

    def cell(self, subaccount: int, instrument: int) -> int:
        """The core's counter of one position, opened on first use; its number is nobody's business."""
        found = self.cells.get((subaccount, instrument))
        if found is None:
            found = len(self.cells) + 1
            self.cells[subaccount, instrument] = found
            self.book.set_cell(found, self.accounts[subaccount].lots(instrument))
        return found

    def book_owner(self, subaccount: int) -> int:
        """Whom the core takes for the owner of an account's orders: the account, or all that its owner joined."""
        account = self.accounts[subaccount]
        if not account.is_self_trade_by_owner:
            return subaccount
        return _JOINED_OWNER | min(self.owner_accounts[account.owner])

    def exposure(self, subaccount: int, instrument: int) -> Exposure:
        """What an account's open orders on an instrument add up to; opened on first use."""
        rows = self.exposures[subaccount]
        found = rows.get(instrument)
        if found is None:
            found = rows[instrument] = Exposure()
            self.margins[subaccount].members.setdefault(self.group_of[instrument], {})[instrument] = None
        return found

    def margin_cache(self, subaccount: int) -> MarginCache:
        """The account's margin by group, emptied when prices changed since it was filled."""
        cache = self.margins[subaccount]
        if cache.price_round != self.prices.round:
            cache.price_round = self.prices.round
            cache.by_group.clear()
        return cache

    def index_instrument(self, instrument: Instrument) -> None:
        """Derived tables of a listed instrument and its empty book."""
        self.open_book(instrument)
        self.position_sums.setdefault(instrument.instrument_id, 0)

    def open_book(self, instrument: Instrument) -> None:
        """An instrument's name, its margin group and its empty book."""
        number = instrument.instrument_id
        self.names[instrument.name] = number
        chain = (instrument.underlying, instrument.expiry_s)
        self.group_of[number] = (number,) if instrument.is_perpetual else chain
        if instrument.is_option:
            self.chains.setdefault(chain, []).append(number)
        self.book.list_instrument(number, price_min_ticks=1, price_max_ticks=instrument.maximum_price_ticks)

    def open_account(self, account: Account) -> Account:
        """Keep a subaccount; what is known of its index is replaced. Returns the record to go on with."""
        is_new = account.index not in self.accounts
        self.accounts[account.index] = account
        if is_new:
            self.index_account(account)
        return account

    def adopt_order(self, order: Order) -> Order:
        """Keep a new order, which stands nowhere yet. Returns the record to go on with."""
        return order

    def index_account(self, account: Account) -> None:
        """Derived tables of an account."""
        self.owner_accounts.setdefault(account.owner, []).append(account.index)
        self.account_orders[account.index] = {}
        self.account_waiting[account.index] = {}
        self.exposures[account.index] = {}
        self.margins[account.index] = MarginCache()
        self.client_ids[account.index] = {}
        self.nonce_orders[account.index] = {}
        self.account_groups[account.index] = {}

    def open_group(self, group: MmpGroup) -> None:
        """Keep a protection group, new or changed; the core starts its window anew."""
        key = group.subaccount, group.number
        guard = self.guards.setdefault(key, len(self.guards) + 1)
        self.account_groups[group.subaccount][group.number] = self.guard_groups[guard] = group
        self.limit_guard(group)

    def limit_guard(self, group: MmpGroup) -> None:
        """Tell the core a group's limits; its window begins anew."""
        self.book.set_guard(
            self.guards[group.subaccount, group.number],
            interval_ns=group.interval_ns,
            quantity_lots=group.quantity_lots,
            delta_e9=group.delta_e9,
            vega_e9=group.vega_e9,
            count=group.count,
        )

    def find_quote(self, group: MmpGroup, instrument: int, side: int) -> Order | None:
        """The group's quote in the book on one side of an instrument."""
        number = self.quotes.get((group.subaccount, group.number, instrument, side))
        return None if number is None else self.open_orders[number]

    def quote_count(self, group: MmpGroup) -> int:
        """How many quotes of a group are in the book."""
        return self.quote_counts.get((group.subaccount, group.number), 0)

    def rest_quote(self, order: Order) -> None:
        """A quote rests in the book."""
        place = order.place
        self.quotes[place.subaccount, place.mmp_group, place.instrument, place.side] = order.number
        key = place.subaccount, place.mmp_group
        self.quote_counts[key] = self.quote_counts.get(key, 0) + 1

    def unrest_quote(self, order: Order) -> None:
        """Undo `rest_quote`."""
        place = order.place
        del self.quotes[place.subaccount, place.mmp_group, place.instrument, place.side]
        self.quote_counts[place.subaccount, place.mmp_group] -= 1

    def drop_order(self, order: Order) -> None:
        """A quote ended without a fill: it is forgotten when the next command begins."""
        self.ended_quotes[order.number] = order

    def find_ended(self, number: int) -> Order | None:
        """A quote that ended in the last command without a fill."""
        return self.ended_quotes.get(number)

    def begin(self) -> None:
        """Another command."""
        self.ended_quotes.clear()

    def index_order(self, order: Order) -> None:
        """Names under which an order is found, open or closed; what shares a nonce with others has no names."""
        place = order.place
        if int(place.flags) & (QUOTE | LIQUIDATION | BLOCK):
            return
        if place.client_order_id:
            self.client_ids[place.subaccount][place.client_order_id] = order.number
        self.nonce_orders[place.subaccount][place.nonce] = order.number

    def forget_order(self, order: Order) -> None:
        """Undo `index_order`, where the names were not taken over by a younger order."""
        place = order.place
        for names, name in ((self.client_ids, place.client_order_id), (self.nonce_orders, place.nonce)):
            table: dict[Any, int] = names[place.subaccount]
            if table.get(name) == order.number:
                del table[name]

    def number_of(self, subaccount: int, client_order_id: str, nonce: int) -> int:
        """Number of an account's youngest order of that client order id, or else that nonce; 0 when unknown."""
        if client_order_id:
            return self.client_ids[subaccount].get(client_order_id, 0)
        return self.nonce_orders[subaccount].get(nonce, 0)

    def forget_old_orders(self) -> None:
        """Drop closed orders beyond the count or the time for which they are remembered."""
        closed, config = self.closed_orders, self.config
        too_old_ns = self.timestamp_ns - config.closed_orders_life_ns
        while closed:
            oldest = closed[next(iter(closed))]
            if len(closed) <= config.closed_orders_max and oldest.updated_ns > too_old_ns:
                return
            del closed[oldest.number]
            self.forget_order(oldest)

    def candidates(self) -> list[int]:
        """Accounts that may be short of initial margin, ascending: all that are, and perhaps others."""
        return sorted(self.accounts)

    def holders(self, instrument: int) -> list[int]:
        """Accounts with a position, ascending."""
        return [index for index, account in sorted(self.accounts.items()) if instrument in account.positions]

    def forget_margins(self) -> None:
        """Funding indexes moved: every cached margin of a perpetual is old."""
        for cache in self.margins.values():
            cache.by_group.clear()

    def forget_margin(self, subaccount: int, instrument: int) -> None:
        """The account's position or orders on an instrument changed."""
        self.margins[subaccount].by_group.pop(self.group_of[instrument], None)

    def hot(self, command: Command, timestamp_ns: int, packed: tuple[bytes, bytes] | None) -> list[Event] | None:
        """Events of a command that ran compiled; None: the handlers take it, as they take all of this state's."""

    def run_packed(
        self, records: bytes, attachments: bytes, timestamp_ns: int, index: int, offset: int
    ) -> tuple[int, int, bytes, list[Event] | None] | None:
        """Run compiled what may, from the record at `index` on, whose attachments begin at `offset`.

        Returns the place of the first command left over, the packed events of those applied, and the events of the
        last of them where Python finished it (they are not among the packed ones). None: nothing runs compiled.
        """

    def run_outputs(
        self,
        commands: Sequence[Command],
        packed: Sequence[tuple[bytes, bytes]],
        timestamp_ns: int,
        index: int,
        outputs: list[Output],
    ) -> tuple[int, bytes, list[Event] | None] | None:
        """The same for commands at hand: the Output of each but the last where Python finished it goes to `outputs`."""

    def quick_view(self, number: int) -> OrderView | None:
        """View of an order where the state has a shorter way to it than through its record."""

    def mirror(self, command: Command | None) -> None:
        """Behind every command that the handlers took: states with rows look what it changed."""

    def mirror_all(self) -> None:
        """The same behind a load."""

    def deadline(self, order: Order) -> tuple[int, CloseReason]:
        """When an order dies by time, and of what: its signature, its own date or its instrument's end."""
        place = order.place
        limit_s, reason = place.expiry_s, CloseReason.SIGNATURE_EXPIRED
        if place.expires_at_s and place.expires_at_s < limit_s:
            limit_s, reason = place.expires_at_s, CloseReason.GOOD_TILL_DATE_REACHED
        end_s = self.instruments[place.instrument].expiry_s
        if end_s and end_s < limit_s:
            limit_s, reason = end_s, CloseReason.INSTRUMENT_EXPIRED
        return limit_s * _SECOND_NS, reason
