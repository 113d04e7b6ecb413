"""Mass quotes of a small market: a session, a group on the options of BTC, calls with fresh nonces."""

from typing import Any

from exchange.domain.commands import SessionOpen
from exchange.domain.events import Event, OrderClosed, OrderRefused
from exchange.domain.quote_events import MmpTriggered, QuoteKept, QuotePlaced, QuoteRefused
from exchange.domain.quotes import MassQuote, QuoteLine, SetMmpConfig
from exchange.domain.result_codes import ResultCode
from tests.unit.exchange.engine.world import SECOND_NS, World, instruments, owner

__all__ = [
    "GROUP",
    "MAKER",
    "OPTION_LOT_E9",
    "PERP_LOT_E9",
    "QuoteWorld",
    "closed",
    "code_of",
    "kept",
    "placed",
    "refused",
]

MAKER, GROUP = 2, 7
PERP_LOT_E9, OPTION_LOT_E9 = (row.lot_e9 for row in instruments()[:2])


class QuoteWorld(World):
    """A world whose account 2 may quote: session 1, group 7 with 100 lots in 10 s, frozen for 5 s."""

    def open_maker(self, **limits: Any) -> "QuoteWorld":
        """Accounts as in `open`, the maker's session and its group."""
        self.open()
        self.run(SessionOpen(owner=owner(MAKER), signer=owner(MAKER)))
        self.config(**limits)
        return self

    def config(self, **fields: Any) -> list[Event]:
        """Set the limits of the group."""
        values: dict[str, Any] = {
            "subaccount": MAKER,
            "mmp_group": GROUP,
            "underlying": "BTC",
            "lot_e9": OPTION_LOT_E9,
            "interval_ns": 10 * SECOND_NS,
            "frozen_ns": 5 * SECOND_NS,
            "quantity_lots": 100,
        }
        values.update(fields)
        return self.run(SetMmpConfig(**values))

    def call(self, *lines: tuple[int, ...], **fields: Any) -> MassQuote:
        """A mass quote signed by the owner with a fresh nonce."""
        values: dict[str, Any] = {
            "subaccount": MAKER,
            "mmp_group": GROUP,
            "nonce": self.now_ns + 1,
            "expiry_s": self.now_ns // SECOND_NS + 3_600,
            "signer": owner(fields.get("subaccount", MAKER)),
            "max_fee_e18": 1_000 * 10**18,
            "session": 1,
            "digest": b"\x0d" * 32,
            "signature": b"\x05" * 65,
        }
        values.update(fields)
        return MassQuote(lines=tuple(QuoteLine(*line) for line in lines), **values)

    def quote(self, *lines: tuple[int, ...], **fields: Any) -> list[Event]:
        """Send such a call."""
        return self.run(self.call(*lines, **fields))


def code_of(events: list[Event]) -> ResultCode:
    """Code with which the whole call was refused."""
    return next((event.code for event in events if isinstance(event, OrderRefused)), ResultCode.OK)


def placed(events: list[Event]) -> list[QuotePlaced]:
    """Sides that rest."""
    return [event for event in events if isinstance(event, QuotePlaced)]


def kept(events: list[Event]) -> list[int]:
    """Lines and sides whose quote stayed."""
    return [event.line for event in events if isinstance(event, QuoteKept)]


def refused(events: list[Event]) -> list[tuple[int, ResultCode]]:
    """(Line and side, code) of refused sides."""
    return [(event.order & 0xFF, event.code) for event in events if isinstance(event, QuoteRefused)]


def closed(events: list[Event]) -> list[tuple[int, int]]:
    """(Number, reason) of ended orders."""
    return [(event.order, event.reason) for event in events if isinstance(event, OrderClosed)]


def tripped(events: list[Event]) -> list[MmpTriggered]:
    """Groups that froze."""
    return [event for event in events if isinstance(event, MmpTriggered)]
