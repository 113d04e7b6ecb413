"""The state of the production engine: C arrays under the names of `State`, and the hot path over them.

PLACE, CANCEL, AMEND and MASS_QUOTE run in C (`_hot_path`), one call for a run of records; everything else runs in the
handlers of this package over views of the same rows. What C must know of the few things that stay in Python (prices,
keys, sessions, which orders wait) is mirrored behind every command that is not hot. `State` is the twin.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, cast

from sortedcontainers import SortedList

from exchange.domain.commands import (
    Amend,
    Cancel,
    ChainRequest,
    ChainRequestKind,
    Command,
    ListInstrument,
    Place,
    PriceSource,
    SetSelfTradePrevention,
)
from exchange.domain.events import BookLevel, Event, Trade
from exchange.domain.ids import CLEARING_ACCOUNT, FUND_ACCOUNT
from exchange.domain.instrument import Instrument
from exchange.domain.market_limits import SetMarketLimits
from exchange.domain.packing import RECORD_BYTES, attachment_bytes, pack_command, unpack_commands
from exchange.domain.portfolio import SetMarginKind
from exchange.domain.quote_events import MmpTriggered
from exchange.domain.quotes import MassQuote
from exchange.domain.safeguards import RevokeKey, SetKeyLimits
from exchange.domain.views import OrderView as View
from exchange.domain.views import Output
from exchange.engine import _hot_path as hot_path
from exchange.engine._account_views import AccountView, ExposureView
from exchange.engine._guards import GuardRows
from exchange.engine._mirror import Mirror
from exchange.engine._order_view import OrderView
from exchange.engine._outputs import order_view as quick_view
from exchange.engine._outputs import run_outputs
from exchange.engine._state import Store
from exchange.engine.compiled_maps import (
    AccountOrders,
    Cells,
    ClosedOrders,
    Exposures,
    Handles,
    OpenLots,
    OpenOrders,
    OrderOfHandle,
    Positions,
    PositionSums,
    Timers,
    WaitingOrders,
)
from exchange.engine.compiled_owners import OwnerRows
from exchange.engine.compiled_parts import Counter, RowBatch, RowLinks, RowNonces, RowPrices, RowRings, Sessions
from exchange.engine.compiled_quotes import QuoteNumbers, QuoteRows
from exchange.engine.config import EngineConfig
from exchange.engine.doubt import is_in_doubt
from exchange.engine.exposure import Exposure, MarginCache
from exchange.engine.flags import QUOTE
from exchange.engine.fund import is_due, is_exposed
from exchange.engine.invariants import check_turn
from exchange.engine.matching import end_frozen
from exchange.engine.protection import note_frozen
from exchange.engine.queries import order_view
from exchange.engine.records import Account, Batch, MmpGroup, Order
from exchange.engine.state import State
from exchange.engine.trigger_orders import run_triggers
from exchange.engine.triggers import TriggerBook
from exchange.engine.turn import Turn
from exchange.engine.waiting import observe
from matching_core import OrderBook

__all__ = ["CompiledState"]

_HOT: Final = frozenset({Place, Cancel, Amend, MassQuote})


class CompiledState(OwnerRows, QuoteRows, State):
    """State of one engine in C arrays. `book_factory` must give the compiled book."""

    def __init__(self, book_factory: Callable[[], Any] = OrderBook, config: EngineConfig | None = None) -> None:
        self.config = config or EngineConfig()
        self.book = book_factory()
        self.store = store = Store(self.book, self.config)
        self._mirror = Mirror(store, self.config.portfolio)
        self.epoch = 0
        self.session_count = 0
        self.instruments = {}
        self.accounts = {}
        self._views: dict[int, AccountView] = {}
        self.keys = {}
        self.sessions = Sessions(self._mirror)
        self.open_orders = OpenOrders(store)
        self.waiting_orders = {}
        self.closed_orders = ClosedOrders(store)
        self.account_groups = {}
        self.auctions = {}
        self._init_rounds()
        self._init_safeguards()
        self.price_moves = RowRings(self._mirror)
        self.nonces = RowNonces(store)
        self.prices = RowPrices(store, self._mirror, self.instruments)
        self._batch = RowBatch(store)
        self._init_derived()
        self.batch = Batch(cash_e6={}, legs={}, instruments={}, orders={})
        for index in (FUND_ACCOUNT, CLEARING_ACCOUNT):
            self.open_account(Account(index=index, owner=b"", opened_ns=0, positions={}))

    def _init_derived(self) -> None:
        store = self.store
        self.names, self.chains, self.unpaid = {}, {}, {}
        self.group_of = {}
        self.owner_accounts = {}
        self.account_orders = {}
        self.account_waiting = {}
        self.triggers = TriggerBook()
        self.links = RowLinks(store)
        self.exposures = {}
        self.margins = {}
        self.handles = Handles(store)
        self.by_handle = OrderOfHandle(store)
        self.cells = Cells(store)
        self.timers = Timers(store)
        self.thaws = SortedList()
        self.guards = {}
        self.guard_groups = {}
        self._guard_rows = GuardRows(store)
        self.quotes = QuoteNumbers(self._guard_rows)
        self.position_sums = PositionSums(store, self._mirror, self.instruments)
        self.limits.open_lots = OpenLots(store, self._mirror, self.instruments)
        self._watched: set[int | str] = set()

    # The hot path.

    def hot(self, command: Command, timestamp_ns: int, packed: tuple[bytes, bytes] | None) -> list[Event] | None:
        """Apply a command in C and return its events; None when the handlers must take it."""
        if type(command) not in _HOT:
            return None
        record, attachments = packed or pack_command(command)
        _, _, outcome = hot_path.run(self.store, record, attachments, timestamp_ns)
        if outcome == hot_path.OUTCOME_COLD:
            return None
        events = hot_path.decode(self.store, command)
        return events if outcome == hot_path.OUTCOME_DONE else self._go_on(events)

    def run_packed(
        self, records: bytes, attachments: bytes, timestamp_ns: int, index: int, offset: int
    ) -> tuple[int, int, bytes, list[Event] | None]:
        """Run compiled what may; see `State`."""
        index, offset, outcome, blob = hot_path.run_packed(
            self.store, records, attachments, timestamp_ns, index, offset
        )
        if outcome != hot_path.OUTCOME_HANDED:
            return index, offset, blob, None
        record = records[(index - 1) * RECORD_BYTES : index * RECORD_BYTES]
        (command,) = unpack_commands(record, attachments[offset - attachment_bytes(record) : offset])
        return index, offset, blob, self._go_on(hot_path.decode(self.store, command))

    def run_outputs(
        self,
        commands: Sequence[Command],
        packed: Sequence[tuple[bytes, bytes]],
        timestamp_ns: int,
        index: int,
        outputs: list[Output],
    ) -> tuple[int, bytes, list[Event] | None]:
        """The same for commands at hand; see `State`."""
        view = partial(order_view, self)
        index, is_handed, blob = run_outputs(self.store, commands, packed, timestamp_ns, index, outputs, view)
        if not is_handed:
            return index, blob, None
        return index, blob, self._go_on(hot_path.decode(self.store, commands[index - 1]))

    def quick_view(self, number: int) -> View | None:
        """View of an order made in C; None for an unknown number, a trigger, a text beyond ASCII."""
        return quick_view(self.store, number)

    def _go_on(self, events: list[Event]) -> list[Event]:
        """Finish a command that was booked in C and means something to orders that wait."""
        turn = Turn()
        turn.events = events = self._split_levels(turn, events)
        for row, is_close in hot_path.notes(self.store):
            order = OrderView(self.store, row)
            if is_close:
                self._note_end(turn, order)
            else:
                self._note_fill(turn, order)
        for event in events:
            if isinstance(event, Trade) and self.waiting_orders:
                tick_e9 = self.instruments[event.instrument].tick_e9
                observe(self, (PriceSource.LAST, event.instrument), event.price_ticks * tick_e9)
            elif isinstance(event, MmpTriggered):
                note_frozen(self, turn, self.account_groups[event.subaccount][event.mmp_group])
        if turn.frozen:
            end_frozen(self, turn)
        if self.triggers.fired or turn.moved or turn.tied_fills or turn.tied_ends:
            run_triggers(self, turn, may_place=True)
        answer = turn.finish(self)
        check_turn(self, turn)
        self.forget_old_orders()
        self.mirror(None)
        return answer

    def _split_levels(self, turn: Turn, events: list[Event]) -> list[Event]:
        """Put the levels, which come last, into the turn; returns what stands before them."""
        before: list[Event] = []
        for event in events:
            if isinstance(event, BookLevel):
                turn.level(event.instrument, event.side, event.price_ticks, event.quantity_lots)
            else:
                before.append(event)
        return before

    def _note_fill(self, turn: Turn, order: Order) -> None:
        place = order.place
        turn.touched[place.subaccount, place.instrument] = None
        turn.moved_cash = True
        if self.account_waiting[place.subaccount]:
            turn.moved[place.subaccount, place.instrument] = None
        if self.links.is_tied(order):
            turn.tied_fills[order.number] = order

    def _note_end(self, turn: Turn, order: Order) -> None:
        if order.group or order.place.trigger is not None or order.number in self.links.children:
            turn.tied_ends[order.number] = order
            self.links.drop(order)
        turn.closes.append(order)

    def mirror(self, command: Command | None) -> None:
        """Show C what a command that was not hot changed in Python."""
        store = self.store
        # Where something fired, a look at accounts is due, a price is in doubt or the fund owes funding, C leaves every
        # command to the handlers.
        store.fired_count = len(self.triggers.fired) + self.is_check_due + is_in_doubt(self) + is_due(self)
        store.expose_fund(is_exposed(self))
        if isinstance(command, ListInstrument):
            self._mirror.take_prices(self.prices, self.instruments, self.config, self.limits)
        elif isinstance(command, SetMarketLimits):
            self._mirror.take_limits(self.limits, self.prices, self.instruments)
        self._mirror_rounds()
        watched = {number for source, number in self.triggers.ladders if source is PriceSource.LAST}
        for number in watched ^ self._watched:
            self._mirror.set_watched(int(number), number in watched)
        self._watched = watched
        if isinstance(command, ChainRequest) and command.kind is ChainRequestKind.SET_KEY:
            account = self.accounts.get(command.account)
            self._mirror_key(command.owner or (account.owner if account else b""), command.key)
        elif isinstance(command, SetKeyLimits | RevokeKey):
            self._mirror_key(command.owner, command.key)
        elif isinstance(command, SetSelfTradePrevention | SetMarginKind) and command.subaccount in self.accounts:
            self._mirror_accounts(self.accounts[command.subaccount].owner)

    def _mirror_rounds(self) -> None:
        """Prices, funding and scenarios that C has not seen."""
        if self.store.price_round != self.prices.round:
            self._mirror.take_prices(self.prices, self.instruments, self.config, self.limits)
        if self.store.oracle_round != self.oracle_round:
            self._mirror.take_funding(self.oracle_round, self.funding.values())
        self._mirror.take_scenarios(self.scenarios, self.instruments, self.config.option_mark_life_ns)

    # What `State` keeps in attributes and dicts.

    sequence = Counter("sequence")
    timestamp_ns = Counter("now")
    trade_count = Counter("trade_count")
    request_index = Counter("request_index")
    collateral_e6 = Counter("collateral_e6")
    cash_sum_e6 = Counter("cash_sum_e6")

    @property
    def batch(self) -> Batch:
        """The settlement batch that is being filled."""
        return cast("Batch", self._batch)

    @batch.setter
    def batch(self, batch: Batch) -> None:
        self._batch.take(batch)

    def open_account(self, account: Account) -> Account:
        """Give a subaccount its row; what is known of its index is replaced."""
        number = account.index
        positions = Positions(self.store, number)
        view = AccountView(self.store, account, positions)
        is_new = number not in self.accounts
        self.accounts[number] = self._views[number] = view
        if is_new:
            self.index_account(view)
        for instrument, position in account.positions.items():
            positions[instrument] = position
        return view

    def index_account(self, account: Account) -> None:
        """Derived tables of an account."""
        number = account.index
        self.owner_accounts.setdefault(account.owner, []).append(number)
        self.account_orders[number] = AccountOrders(self.store, number)
        self.account_waiting[number] = WaitingOrders(self._views[number])
        self.account_groups[number] = {}
        self.exposures[number] = Exposures(self.store, number)
        if account.owner:
            self._mirror_accounts(account.owner)

    def index_instrument(self, instrument: Instrument) -> None:
        """Derived tables of a listed instrument and its empty book."""
        self.open_book(instrument)
        key = self.group_of[instrument.instrument_id]
        is_large = instrument.underlying in self.config.margin.large_caps
        self._mirror.list_instrument(instrument, key, is_large)

    def adopt_order(self, order: Order) -> Order:
        """Give an order its row."""
        place = order.place
        view = OrderView(self.store, self.store.open_order(order.number, place.subaccount, place.instrument, place))
        view.values(order)
        if int(place.flags) & QUOTE:
            self._guard_rows.set_guard(order.number, self.guards[place.subaccount, place.mmp_group])
        return view

    def open_group(self, group: MmpGroup) -> None:
        """Keep a protection group, new or changed, in a row too."""
        super().open_group(group)
        self._guard_rows.open_group(
            self.guards[group.subaccount, group.number],
            group.subaccount,
            group.number,
            next(n for n, instrument in self.instruments.items() if instrument.underlying == group.underlying),
            lot_e9=group.lot_e9,
            quantity_lots=group.quantity_lots,
            frozen_ns=group.frozen_ns,
        )

    def find_quote(self, group: MmpGroup, instrument: int, side: int) -> Order | None:
        """The group's quote in the book on one side of an instrument."""
        number = self._guard_rows.find(self.guards[group.subaccount, group.number], instrument, side)
        return self.open_orders[number] if number else None

    def find_ended(self, number: int) -> Order | None:
        """A quote that ended in the last command without a fill."""
        row = self.store.find_order(number)
        return OrderView(self.store, row) if row else None

    def begin(self) -> None:
        """Another command."""
        self._guard_rows.forget_spent()

    def index_order(self, order: Order) -> None:
        """Names under which an order is found, open or closed."""
        self.store.index_names(order.number)

    def forget_order(self, order: Order) -> None:
        """Undo `index_order`, where the names were not taken over by a younger order."""
        self.store.forget_names(order.number)

    def number_of(self, subaccount: int, client_order_id: str, nonce: int) -> int:
        """Number of an account's youngest order of that client order id, or else that nonce; 0 when unknown."""
        return int(self.store.find_by_name(subaccount, client_order_id, nonce))

    def forget_old_orders(self) -> None:
        """Drop closed orders beyond the count or the time for which they are remembered."""
        self.store.forget_old()

    def cell(self, subaccount: int, instrument: int) -> int:
        """The core's counter of one position, opened on first use."""
        found = int(self.store.cell_row(subaccount, instrument))
        self.book.set_cell(found, self.accounts[subaccount].lots(instrument))
        return found

    def exposure(self, subaccount: int, instrument: int) -> Exposure:
        """What an account's open orders on an instrument add up to; opened on first use."""
        return ExposureView(self.store, self.store.cell_row(subaccount, instrument))

    def margin_cache(self, subaccount: int) -> MarginCache:
        """An empty cache: what C remembers is C's."""
        cache = MarginCache(price_round=self.prices.round)
        for members in self.store.group_members(subaccount):
            cache.members[self.group_of[members[0]]] = dict.fromkeys(members)
        return cache

    def candidates(self) -> list[int]:
        """Accounts that may be short of initial margin, ascending; inside the command of a round by its prices."""
        self._mirror_rounds()
        return sorted(self.accounts if is_in_doubt(self) else self.store.candidates())

    def holders(self, instrument: int) -> list[int]:
        """Accounts with a position, ascending."""
        return sorted(self.store.holders(instrument))

    def forget_margin(self, subaccount: int, instrument: int) -> None:
        """The account's position or orders on an instrument changed."""
        self.store.forget_margin(subaccount, instrument)
