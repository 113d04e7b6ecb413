"""What an operator does to the limits of the markets of a running exchange: set them, look at them."""

import asyncio
from pathlib import Path
from typing import Final

import msgspec

from exchange.app.auction_control import named, with_port
from exchange.app.failures import Failure
from exchange.bus.unix_socket import UnixPort
from exchange.domain.events import CommandRefused
from exchange.domain.instrument import Instrument
from exchange.domain.limits import MAX_MONEY_E6
from exchange.domain.market_limits import (
    GetOpenInterest,
    MarketLimits,
    MarketLimitsSet,
    OpenInterestView,
    SetMarketLimits,
)

__all__ = ["set_limits", "show_limits"]

_E6: Final = 10**6


def set_limits(socket: Path, name: str, amounts_e6: dict[str, int]) -> MarketLimits:
    """Change the limits named (fields of MarketLimits); returns all of the market's once durable. Raises Failure."""
    wrong = [amount_e6 for amount_e6 in amounts_e6.values() if not 0 <= amount_e6 <= MAX_MONEY_E6]
    if wrong:
        raise Failure(f"{name}: amounts are 0 to {MAX_MONEY_E6 // _E6} USDC, not {wrong[0] // _E6}")

    async def story(port: UnixPort) -> MarketLimits:
        instrument = await named(port, name)
        before = (await _open_interest(port, instrument)).limits or MarketLimits(instrument=instrument.instrument_id)
        command = SetMarketLimits(limits=msgspec.structs.replace(before, **amounts_e6))
        for event in [event for history in await port.execute(command) for event in history.events]:
            if isinstance(event, MarketLimitsSet):
                return event.limits
            if isinstance(event, CommandRefused):
                raise Failure(f"{name}: margin grows between two rising bounds, and of perpetuals alone")
        raise Failure(f"{name}: the exchange gave no answer about its limits")

    return asyncio.run(with_port(socket, story))


def show_limits(socket: Path, name: str) -> tuple[Instrument, OpenInterestView]:
    """What is open on `name` and what may be. Raises Failure."""

    async def story(port: UnixPort) -> tuple[Instrument, OpenInterestView]:
        instrument = await named(port, name)
        return instrument, await _open_interest(port, instrument)

    return asyncio.run(with_port(socket, story))


async def _open_interest(port: UnixPort, instrument: Instrument) -> OpenInterestView:
    answer = await port.query(GetOpenInterest())
    for row in answer if isinstance(answer, tuple) else ():
        if isinstance(row, OpenInterestView) and row.instrument == instrument.instrument_id:
            return row
    raise Failure(f"{instrument.name}: the exchange does not say what is open")
