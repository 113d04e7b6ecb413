"""A maker with options of one expiry, and calls that quote them all."""

from msgspec.structs import replace

from exchange.domain.commands import (
    ChainRequest,
    ChainRequestKind,
    Clock,
    ExpiryRow,
    ListInstrument,
    MarkRow,
    SessionOpen,
    SetPrices,
    UnderlyingRow,
)
from exchange.domain.quotes import MassQuote, QuoteLine, SetMmpConfig
from exchange.engine.apply import apply
from exchange.engine.state import State
from tests.unit.exchange.engine.world import EXPIRY_S, SECOND_NS, START_S, instruments, owner

__all__ = ["NOW_NS", "open_options", "options_call"]

MAKER = 2
E9 = 10**9
NOW_NS = START_S * SECOND_NS + SECOND_NS


def open_options(state: State, count: int) -> None:
    """List `count` calls with prices, fund the maker, give it a session and group 1."""
    call = instruments()[1]
    numbers = range(10, 10 + count)
    commands = [
        *(
            ListInstrument(instrument=replace(call, instrument_id=number, name=f"BTC-{number}", strike_e9=number * E9))
            for number in numbers
        ),
        SetPrices(
            round=1,
            underlyings=(UnderlyingRow("BTC", 60_000 * E9),),
            expiries=(ExpiryRow("BTC", EXPIRY_S, 60_000 * E9),),
            marks=tuple(MarkRow(number, 1_500 * E9) for number in numbers),
        ),
        Clock(),
        ChainRequest(index=1, kind=ChainRequestKind.DEPOSIT, account=MAKER, amount_e6=10**12, owner=owner(MAKER)),
        SessionOpen(owner=owner(MAKER), signer=owner(MAKER)),
        SetMmpConfig(
            subaccount=MAKER,
            mmp_group=1,
            underlying="BTC",
            lot_e9=call.lot_e9,
            interval_ns=SECOND_NS,
            frozen_ns=SECOND_NS,
            quantity_lots=100,
        ),
    ]
    for number, command in enumerate(commands):
        apply(state, command, START_S * SECOND_NS + number)


def options_call(count: int, step: int, *, away: int, lots: int) -> MassQuote:
    """Both sides of every option, `away` ticks outside 1,000 and 2,000, signed with a fresh nonce."""
    return MassQuote(
        subaccount=MAKER,
        mmp_group=1,
        lines=tuple(QuoteLine(number, 1_000 - away, lots, 2_000 + away, lots) for number in range(10, 10 + count)),
        nonce=NOW_NS + step,
        expiry_s=START_S + 600,
        signer=owner(MAKER),
        max_fee_e18=10**21,
        session=1,
        digest=b"\x01" * 32,
        signature=b"\x02" * 65,
    )
