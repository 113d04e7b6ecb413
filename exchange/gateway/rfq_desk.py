"""The desk of requests for quotes (api.md 6.4): who asked for what, who quoted it, what may be executed now.

Held in memory and outside the engine: only an executed quote becomes a command (engine D-058). Requests and quotes
end with the process. Everything is bounded, times are given by the caller, and what changed is told by `drain`.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum, StrEnum
from typing import Final

import msgspec

from exchange.domain.blocks import BlockLeg, BlockSide
from exchange.domain.instrument import Instrument
from exchange.domain.limits import MAX_BLOCK_LEGS, NONCE_WINDOW_NS
from exchange.gateway.order_checks import nonce_time_ns

__all__ = ["AskedLeg", "Desk", "DeskFault", "DeskLimits", "DeskRefused", "EndReason", "Quote", "Rfq", "Status"]

_SECOND_NS: Final = 1_000_000_000


class Status(StrEnum):
    """Life of a request or a quote, as on the wire; all but OPEN are final."""

    OPEN = "open"
    FILLED = "filled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class EndReason(Enum):
    """Why one was canceled; NONE for all others."""

    NONE = "none"
    USER_REQUEST = "user_request"
    REPLACED = "replaced"
    REQUEST_ENDED = "request_ended"
    KEY_ENDED = "key_ended"
    DISCONNECTED = "disconnected"


class DeskFault(Enum):
    """Why the desk refuses."""

    LEGS_NOT_UNIQUE = "each instrument once"
    LEGS_COUNT = f"1 to {MAX_BLOCK_LEGS} legs"
    UNKNOWN_REQUEST = "no such request"
    UNKNOWN_QUOTE = "no such quote"
    LEGS_DIFFER = "legs are not those of the request"
    NOT_OPEN = "no longer open"
    OTHER_REQUEST = "the quote is for another request"
    NOT_INVITED = "the request names other counterparties"
    COST_OUT_OF_RANGE = "total cost outside the request's bounds"
    OWN_REQUEST = "quoted by the wallet that asks"
    TOO_MANY = "too many open"
    EXECUTING = "is being executed"


class DeskRefused(Exception):
    """The desk refused; nothing changed."""

    def __init__(self, fault: DeskFault) -> None:
        """Keep the reason."""
        super().__init__(fault.value)
        self.fault = fault


class AskedLeg(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One leg of a request: `lots` above zero where a quote of direction buy buys."""

    instrument: int
    lots: int


class DeskLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Most that is open at once and remembered, and how long a request lives."""

    open_requests: int = 4_096
    open_requests_of_subaccount: int = 32
    open_quotes_of_request: int = 64
    open_quotes_of_subaccount: int = 256
    remembered: int = 16_384
    """Ended requests, and as many ended quotes."""
    life_ns: int = 300 * _SECOND_NS


class Rfq(msgspec.Struct, kw_only=True, gc=False):
    """A request for quotes; legs ascend by instrument name, as they are signed."""

    number: int
    subaccount: int
    owner: bytes
    legs: tuple[AskedLeg, ...]
    created_ns: int
    updated_ns: int
    deadline_ns: int
    counterparties: frozenset[bytes] = frozenset()
    """Wallets that may quote; empty: any."""
    minimum_cost_e6: int | None = None
    maximum_cost_e6: int | None = None
    """What the taker may pay in all, fees left out (below zero: is paid); a quote outside is refused."""
    label: str = ""
    status: Status = Status.OPEN
    reason: EndReason = EndReason.NONE
    executing: int = 0
    """Number of the quote that is with the engine now."""


class Quote(msgspec.Struct, kw_only=True, gc=False):
    """A maker's signed quote."""

    number: int
    rfq: int
    owner: bytes
    is_buy: bool
    """The maker buys the legs as the request names them."""
    legs: tuple[BlockLeg, ...]
    half: BlockSide
    taker_pays_e6: int
    created_ns: int
    updated_ns: int
    deadline_ns: int
    """Of signature, nonce and request the one that ends first."""
    session: int = 0
    """Its end cancels the quote; 0: none does."""
    label: str = ""
    status: Status = Status.OPEN
    reason: EndReason = EndReason.NONE

    @property
    def subaccount(self) -> int:
        """The maker's."""
        return self.half.subaccount


class Desk:
    """All requests and quotes of one gateway. Call `expire` before anything else of a moment."""

    def __init__(self, limits: DeskLimits | None = None) -> None:
        """Empty; numbers count from 1."""
        self.limits = limits or DeskLimits()
        self._next = 1
        self._requests: OrderedDict[int, Rfq] = OrderedDict()
        """Open ones, by number: with one length of life that is the order of their deadlines."""
        self._quotes: dict[int, Quote] = {}
        self._of_request: dict[int, dict[int, Quote]] = {}
        self._ended: OrderedDict[int, Rfq | Quote] = OrderedDict()
        self._changed: dict[int, Rfq | Quote] = {}

    def request(
        self,
        subaccount: int,
        owner: bytes,
        legs: tuple[AskedLeg, ...],
        now_ns: int,
        *,
        counterparties: frozenset[bytes] = frozenset(),
        minimum_cost_e6: int | None = None,
        maximum_cost_e6: int | None = None,
        label: str = "",
    ) -> Rfq:
        """Open a request. Raises DeskRefused: LEGS_COUNT, LEGS_NOT_UNIQUE, TOO_MANY."""
        if not 0 < len(legs) <= MAX_BLOCK_LEGS:
            raise DeskRefused(DeskFault.LEGS_COUNT)
        if len({leg.instrument for leg in legs}) != len(legs):
            raise DeskRefused(DeskFault.LEGS_NOT_UNIQUE)
        own = sum(row.subaccount == subaccount for row in self._requests.values())
        if own >= self.limits.open_requests_of_subaccount or len(self._requests) >= self.limits.open_requests:
            raise DeskRefused(DeskFault.TOO_MANY)
        row = Rfq(
            number=self._number(),
            subaccount=subaccount,
            owner=owner,
            legs=legs,
            created_ns=now_ns,
            updated_ns=now_ns,
            deadline_ns=now_ns + self.limits.life_ns,
            counterparties=counterparties,
            minimum_cost_e6=minimum_cost_e6,
            maximum_cost_e6=maximum_cost_e6,
            label=label,
        )
        self._requests[row.number] = row
        self._of_request[row.number] = {}
        self._changed[row.number] = row
        return row

    def quote(
        self,
        rfq: int,
        owner: bytes,
        half: BlockSide,
        legs: tuple[BlockLeg, ...],
        instruments: Mapping[int, Instrument],
        now_ns: int,
        *,
        replaces: int = 0,
        session: int = 0,
        label: str = "",
    ) -> Quote:
        """Take a quote; `replaces` is the maker's open one whose place it takes.

        Raises DeskRefused: UNKNOWN_REQUEST, NOT_OPEN, OWN_REQUEST, NOT_INVITED, LEGS_DIFFER, COST_OUT_OF_RANGE, those
        of `own_quote`, OTHER_REQUEST, TOO_MANY.
        """
        asked = self._open_request(rfq)
        is_buy = _direction(asked, legs)
        pays_e6 = -sum(leg.maker_lots * leg.price_ticks * instruments[leg.instrument].unit_e6 for leg in legs)
        self._check_invited(asked, owner, pays_e6)
        old = self.own_quote(replaces, half.subaccount) if replaces else None
        if old is not None and old.rfq != rfq:
            raise DeskRefused(DeskFault.OTHER_REQUEST)
        if old is None:
            self._check_room(rfq, half.subaccount)
        row = Quote(
            number=self._number(),
            rfq=rfq,
            owner=owner,
            is_buy=is_buy,
            legs=legs,
            half=half,
            taker_pays_e6=pays_e6,
            created_ns=now_ns,
            updated_ns=now_ns,
            deadline_ns=_deadline_ns(asked, half),
            session=session,
            label=label,
        )
        if old is not None:
            self._end(old, Status.CANCELLED, EndReason.REPLACED, now_ns)
        self._quotes[row.number] = self._of_request[rfq][row.number] = row
        self._changed[row.number] = row
        return row

    def best(self, rfq: int, *, is_buy: bool) -> Quote | None:
        """The open quote that costs a taker who buys (or sells) the legs least, the oldest of equal ones."""
        rows = (row for row in self._of_request.get(rfq, {}).values() if row.is_buy != is_buy)
        return min(rows, key=lambda row: (row.taker_pays_e6, row.number), default=None)

    def begin(self, rfq: int, quote: int, subaccount: int) -> Quote:
        """Give a quote of the taker's own request to the engine; `finish` must follow.

        Raises DeskRefused: UNKNOWN_REQUEST, UNKNOWN_QUOTE, OTHER_REQUEST, NOT_OPEN, EXECUTING.
        """
        asked = self.own_request(rfq, subaccount)
        found = self.find(quote)
        if not isinstance(found, Quote):
            raise DeskRefused(DeskFault.UNKNOWN_QUOTE)
        if found.rfq != rfq:
            raise DeskRefused(DeskFault.OTHER_REQUEST)
        if found.status is not Status.OPEN:
            raise DeskRefused(DeskFault.NOT_OPEN)
        asked.executing = quote
        return found

    def finish(self, rfq: int, now_ns: int, *, is_filled: bool) -> None:
        """The engine answered what `begin` gave it: the request and its quotes end, or stay as they are."""
        asked = self._requests[rfq]
        taken, asked.executing = asked.executing, 0
        if is_filled:
            self._end(self._quotes[taken], Status.FILLED, EndReason.NONE, now_ns)
            self._end(asked, Status.FILLED, EndReason.NONE, now_ns)

    def own_request(self, rfq: int, subaccount: int) -> Rfq:
        """An open request of a subaccount. Raises DeskRefused: UNKNOWN_REQUEST (others' too), NOT_OPEN, EXECUTING."""
        found = self.find(rfq)
        if not isinstance(found, Rfq) or found.subaccount != subaccount:
            raise DeskRefused(DeskFault.UNKNOWN_REQUEST)
        return self._free(found)

    def own_quote(self, quote: int, subaccount: int) -> Quote:
        """An open quote of a subaccount. Raises DeskRefused: UNKNOWN_QUOTE (others' too), NOT_OPEN, EXECUTING."""
        found = self.find(quote)
        if not isinstance(found, Quote) or found.subaccount != subaccount:
            raise DeskRefused(DeskFault.UNKNOWN_QUOTE)
        if found.status is Status.OPEN and self._requests[found.rfq].executing == quote:
            raise DeskRefused(DeskFault.EXECUTING)
        if found.status is not Status.OPEN:
            raise DeskRefused(DeskFault.NOT_OPEN)
        return found

    def cancel(self, row: Rfq | Quote, reason: EndReason, now_ns: int) -> None:
        """End what `own_request` or `own_quote` gave; a request takes its quotes along."""
        self._end(row, Status.CANCELLED, reason, now_ns)

    def cancel_quotes(self, rows: Iterable[Quote], reason: EndReason, now_ns: int) -> list[int]:
        """End those of `rows` that are open and not with the engine; their numbers."""
        gone = [row for row in rows if row.status is Status.OPEN and self._requests[row.rfq].executing != row.number]
        for row in gone:
            self._end(row, Status.CANCELLED, reason, now_ns)
        return [row.number for row in gone]

    def expire(self, now_ns: int) -> None:
        """End what is past its deadline; what is with the engine waits for its answer."""
        late = [row for row in self._quotes.values() if row.deadline_ns <= now_ns]
        for row in late:
            if self._requests[row.rfq].executing != row.number:
                self._end(row, Status.EXPIRED, EndReason.NONE, now_ns)
        for asked in list(self._requests.values()):
            if asked.deadline_ns > now_ns:
                break
            if not asked.executing:
                self._end(asked, Status.EXPIRED, EndReason.NONE, now_ns)

    def find(self, number: int) -> Rfq | Quote | None:
        """A request or quote, open or remembered."""
        return self._requests.get(number) or self._quotes.get(number) or self._ended.get(number)

    def open_quotes(self) -> Iterator[Quote]:
        """Every open quote, oldest first."""
        return iter(tuple(self._quotes.values()))

    def drain(self) -> list[Rfq | Quote]:
        """What changed since the last call, each once and as it is now, by first change."""
        changed, self._changed = list(self._changed.values()), {}
        return changed

    def _number(self) -> int:
        self._next += 1
        return self._next - 1

    def _open_request(self, rfq: int) -> Rfq:
        found = self.find(rfq)
        if not isinstance(found, Rfq):
            raise DeskRefused(DeskFault.UNKNOWN_REQUEST)
        if found.status is not Status.OPEN:
            raise DeskRefused(DeskFault.NOT_OPEN)
        return found

    def _free(self, asked: Rfq) -> Rfq:
        if asked.status is not Status.OPEN:
            raise DeskRefused(DeskFault.NOT_OPEN)
        if asked.executing:
            raise DeskRefused(DeskFault.EXECUTING)
        return asked

    def _check_invited(self, asked: Rfq, owner: bytes, pays_e6: int) -> None:
        if owner == asked.owner:
            raise DeskRefused(DeskFault.OWN_REQUEST)
        if asked.counterparties and owner not in asked.counterparties:
            raise DeskRefused(DeskFault.NOT_INVITED)
        is_low = asked.minimum_cost_e6 is not None and pays_e6 < asked.minimum_cost_e6
        if is_low or (asked.maximum_cost_e6 is not None and pays_e6 > asked.maximum_cost_e6):
            raise DeskRefused(DeskFault.COST_OUT_OF_RANGE)

    def _check_room(self, rfq: int, subaccount: int) -> None:
        own = sum(row.subaccount == subaccount for row in self._quotes.values())
        is_full = len(self._of_request[rfq]) >= self.limits.open_quotes_of_request
        if is_full or own >= self.limits.open_quotes_of_subaccount:
            raise DeskRefused(DeskFault.TOO_MANY)

    def _end(self, row: Rfq | Quote, status: Status, reason: EndReason, now_ns: int) -> None:
        row.status, row.reason, row.updated_ns = status, reason, now_ns
        if isinstance(row, Quote):
            del self._quotes[row.number]
            del self._of_request[row.rfq][row.number]
        else:
            for quote in list(self._of_request[row.number].values()):
                self._end(quote, Status.CANCELLED, EndReason.REQUEST_ENDED, now_ns)
            del self._requests[row.number], self._of_request[row.number]
        self._changed[row.number] = row
        self._ended[row.number] = row
        while len(self._ended) > self.limits.remembered:
            self._ended.popitem(last=False)


def _direction(asked: Rfq, legs: tuple[BlockLeg, ...]) -> bool:
    """Whether the maker buys the legs as they were asked for. Raises DeskRefused when they are others."""
    for sign in (1, -1):
        if [(leg.instrument, leg.maker_lots * sign) for leg in legs] == [
            (leg.instrument, leg.lots) for leg in asked.legs
        ]:
            return sign > 0
    raise DeskRefused(DeskFault.LEGS_DIFFER)


def _deadline_ns(asked: Rfq, half: BlockSide) -> int:
    """The engine takes a nonce for a while after the time that it names, and no signature past its expiry."""
    return min(asked.deadline_ns, half.expiry_s * _SECOND_NS, nonce_time_ns(half.nonce) + NONCE_WINDOW_NS)
