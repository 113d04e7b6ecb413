"""What `offbook vol` prints of a running exchange: the volatility index of an underlying, and the check of its surface.

Both read what is published (marks and forwards, which are journaled) and what is quoted, through the exchange's port,
so they see the same as everybody. Each report is lines of text, made by pure functions from a `ChainState`.
"""

import asyncio
import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Final

import msgspec

from exchange.app.failures import Failure
from exchange.bus.interface import Busy
from exchange.bus.unix_socket import LinkClosed, UnixPort
from exchange.domain.instrument import Instrument, InstrumentKind
from exchange.domain.views import BookView, GetBook, GetInstruments, GetPrices, PricesView
from exchange.pricing.forwards import forward_by_parity
from exchange.pricing.gates import prices_have_arbitrage
from exchange.pricing.quotes import OptionQuote, QuotedVolatility
from exchange.pricing.smile import SviSlice, butterfly_density, crosses_calendar, gate_points
from exchange.pricing.svi_fit import fit_slice
from exchange.pricing.variance_index import (
    HORIZON_YEARS,
    ChainPrice,
    ExpiryVariance,
    expiry_variance,
    index_volatility,
)

__all__ = ["ChainState", "check_lines", "index_lines", "read_chains"]

_E9: Final = 1e9
_YEAR_S: Final = 365.0 * 86_400.0
_TIMEOUT_S: Final = 20.0
_FITTED_WITHIN: Final = 0.02
"""Marks are clamped to narrow quotes; a slice through them may miss one by two points."""


class OptionState(msgspec.Struct, frozen=True):
    """An option as it is published and quoted: mark and volatility, None before its first price; its best quotes."""

    strike: float
    is_call: bool
    mark: float | None
    volatility: float | None
    quote: OptionQuote | None
    tick: float


class ChainState(msgspec.Struct, frozen=True, kw_only=True):
    """One expiry of an underlying. `forward` is None before its first price."""

    underlying: str
    expiry_s: int
    now_s: float
    index: float
    forward: float | None
    options: tuple[OptionState, ...]

    @property
    def years(self) -> float:
        """Time left, in years of 365 days."""
        return (self.expiry_s - self.now_s) / _YEAR_S

    @property
    def title(self) -> str:
        """Underlying, day and days left."""
        day = datetime.fromtimestamp(self.expiry_s, UTC)
        return f"{self.underlying} {day:%Y-%m-%d %H:%M} UTC, {self.years * 365.0:.3f} days"


def read_chains(socket: Path, currency: str) -> list[ChainState]:
    """Ask a running exchange for the chains of `currency`, earliest expiry first. Raises Failure."""
    return asyncio.run(_read(socket, currency))


def index_lines(chains: Sequence[ChainState], *, explain: bool) -> list[str]:
    """The index of an underlying, with every step of it if asked. Raises Failure where the chains name none."""
    known = [(chain, found) for chain in chains if (found := _variance(chain)) is not None]
    if len(known) < 2:
        raise Failure(f"the index needs two expiries with marks on both sides of the forward; {len(known)} has them")
    near, later = _around_horizon(known)
    value = index_volatility(near[1], later[1])
    name = near[0].underlying
    lines = []
    if explain:
        for chain, found in (near, later):
            lines += _variance_lines(chain, found)
        lines += _interpolation_lines(near[1], later[1], value)
    lines.append(f"{name} volatility index {100.0 * value:.2f} (30 days, points of volatility a year)")
    return lines


def check_lines(chains: Sequence[ChainState], *, explain: bool) -> tuple[list[str], bool]:
    """Whether what is published is free of arbitrage, one line per expiry, and whether all of it is.

    Marks are looked at as they are (monotone, inside their bounds) and through a slice fitted to them
    (butterfly, calendar); an expiry without marks is named and is no failure, because nothing of it can be traded
    against.
    """
    lines: list[str] = []
    sound = True
    earlier: SviSlice | None = None
    for chain in chains:
        smile, figures, faults = _examine(chain, earlier)
        sound = sound and not faults
        verdict = ", ".join(faults) if faults else "no marks yet" if smile is None else "no arbitrage"
        lines.append(f"{chain.title}: {verdict}")
        if explain:
            lines += [f"  {figure}" for figure in figures]
        earlier = smile or earlier
    return lines, sound


async def _read(socket: Path, currency: str) -> list[ChainState]:
    try:
        port = await UnixPort.connect(socket)
    except OSError as error:
        raise Failure("no exchange runs on this data directory: start it with `offbook up`") from error
    try:
        return await asyncio.wait_for(_ask(port, currency), _TIMEOUT_S)
    except (LinkClosed, TimeoutError) as error:
        raise Failure("the exchange did not answer") from error
    except Busy as error:
        raise Failure("the exchange is overloaded: try again") from error
    finally:
        port.close()


async def _ask(port: UnixPort, currency: str) -> list[ChainState]:
    answer = await port.query(GetInstruments())
    rows = [row for row in answer if isinstance(row, Instrument)] if isinstance(answer, tuple) else []
    options = [row for row in rows if row.is_option and row.underlying == currency]
    if not options:
        names = ", ".join(sorted({row.underlying for row in rows if row.is_option})) or "none"
        raise Failure(f"{currency} has no options here; those that have: {names}")
    books = {}
    for row in options:
        book = await port.query(GetBook(instrument=row.instrument_id, levels=1))
        if isinstance(book, BookView):
            books[row.instrument_id] = book
    prices = await port.query(GetPrices())
    if not isinstance(prices, PricesView) or not prices.index_e9.get(currency):
        raise Failure(f"{currency} has no price yet: try again in a few seconds")
    return [
        _chain(currency, expiry_s, [row for row in options if row.expiry_s == expiry_s], books, prices)
        for expiry_s in sorted({row.expiry_s for row in options})
        if expiry_s * _E9 > prices.timestamp_ns
    ]


def _chain(
    currency: str, expiry_s: int, rows: Iterable[Instrument], books: dict[int, BookView], prices: PricesView
) -> ChainState:
    forward_e9 = prices.forward_e9.get((currency, expiry_s))
    return ChainState(
        underlying=currency,
        expiry_s=expiry_s,
        now_s=prices.timestamp_ns / _E9,
        index=prices.index_e9[currency] / _E9,
        forward=None if forward_e9 is None else forward_e9 / _E9,
        options=tuple(_option(row, books.get(row.instrument_id), prices) for row in rows),
    )


def _option(row: Instrument, book: BookView | None, prices: PricesView) -> OptionState:
    mark = prices.marks.get(row.instrument_id)
    is_call, strike, tick = row.kind is InstrumentKind.CALL, row.strike_e9 / _E9, row.tick_e9 / _E9
    quote = None
    if book is not None and book.bids and book.asks and not book.auction_deadline_ns:
        (bid, bid_lots, _), (ask, ask_lots, _) = book.bids[0], book.asks[0]
        quote = OptionQuote(
            is_call=is_call,
            strike=strike,
            bid=bid * tick,
            ask=ask * tick,
            bid_size=bid_lots * row.lot_e9 / _E9,
            ask_size=ask_lots * row.lot_e9 / _E9,
        )
    return OptionState(
        strike,
        is_call,
        None if mark is None else mark.mark_e9 / _E9,
        None if mark is None else mark.volatility_e9 / _E9,
        quote,
        tick,
    )


def _smile(chain: ChainState) -> SviSlice | None:
    """A slice through the marks of the options out of the money."""
    if chain.forward is None:
        return None
    out_of_money = [row for row in chain.options if row.is_call is (row.strike >= chain.forward)]
    points = [
        QuotedVolatility(
            is_call=row.is_call,
            strike=row.strike,
            log_moneyness=math.log(row.strike / chain.forward),
            bid=row.volatility - _FITTED_WITHIN,
            mid=row.volatility,
            ask=row.volatility + _FITTED_WITHIN,
            weight=1.0,
        )
        for row in out_of_money
        if row.volatility
    ]
    fit = fit_slice(points, years=chain.years, avoid_arbitrage=False)
    return None if fit is None else fit.smile


def _variance(chain: ChainState) -> ExpiryVariance | None:
    if chain.forward is None:
        return None
    marks: dict[float, dict[bool, float | None]] = {}
    for row in chain.options:
        marks.setdefault(row.strike, {})[row.is_call] = row.mark
    prices = [ChainPrice(strike, sides.get(True), sides.get(False)) for strike, sides in marks.items()]
    return expiry_variance(prices, forward=chain.forward, years=chain.years, tails=_smile(chain))


def _around_horizon(
    known: Sequence[tuple[ChainState, ExpiryVariance]],
) -> tuple[tuple[ChainState, ExpiryVariance], tuple[ChainState, ExpiryVariance]]:
    """The pair of expiries around 30 days, else the pair nearest to them."""
    for pair in pairwise(known):
        if pair[1][1].years >= HORIZON_YEARS:
            return pair
    return known[-2], known[-1]


def _variance_lines(chain: ChainState, found: ExpiryVariance) -> list[str]:
    lines = [
        f"{chain.title}",
        (
            f"  T = {found.years:.9f} years, forward F = {found.forward:.4f} (index {chain.index:.2f}),"
            f" central strike K0 = {found.center:g}"
        ),
        f"  {'strike':>10} {'option':>6} {'mark Q':>12} {'dK':>8} {'dK/K^2 x Q':>14}",
    ]
    lines += [
        f"  {term.strike:>10g} {term.kind:>6} {term.value:>12.4f} {term.interval:>8g} {term.contribution:>14.10f}"
        for term in found.terms
    ]
    low, high = found.terms[0], found.terms[-1]
    return [
        *lines,
        f"  2/T x sum = {found.strip:.8f}",
        f"  - (F/K0 - 1)^2 / T = {found.correction:.8f}",
        f"  + below {low.strike - low.interval / 2.0:g}, from the slice through the marks = {found.low_tail:.8f}",
        f"  + above {high.strike + high.interval / 2.0:g}, likewise = {found.high_tail:.8f}",
        f"  = variance {found.variance:.8f} a year, volatility {100.0 * math.sqrt(max(found.variance, 0.0)):.4f}",
    ]


def _interpolation_lines(near: ExpiryVariance, later: ExpiryVariance, value: float) -> list[str]:
    part = (HORIZON_YEARS - near.years) / (later.years - near.years)
    side = "between them" if 0.0 <= part <= 1.0 else "outside of them: the line goes on"
    total = (1.0 - part) * near.years * near.variance + part * later.years * later.variance
    return [
        f"30 days are {HORIZON_YEARS:.9f} years, {side}: weights {1.0 - part:.6f} and {part:.6f}",
        (
            f"total variance = {1.0 - part:.6f} x {near.years * near.variance:.8f}"
            f" + {part:.6f} x {later.years * later.variance:.8f} = {total:.8f}"
        ),
        f"index = 100 x sqrt({total:.8f} / {HORIZON_YEARS:.9f}) = {100.0 * value:.4f}",
    ]


def _examine(chain: ChainState, earlier: SviSlice | None) -> tuple[SviSlice | None, list[str], list[str]]:
    """Slice through the marks, figures for people, and what is wrong."""
    if chain.forward is None:
        return None, [], []
    figures, faults = [_forward_line(chain)], _mark_faults(chain, chain.forward)
    smile = _smile(chain)
    if smile is None:
        return None, [*figures, "fewer than five strikes with marks: no slice"], faults
    lowest = min((butterfly_density(smile, place), place) for place in gate_points(smile))
    figures += [
        (
            f"slice through the marks: a {smile.a:.8f}, b {smile.b:.8f}, rho {smile.rho:.6f}, m {smile.m:.6f},"
            f" sigma {smile.sigma:.6f}; at the money {100.0 * math.sqrt(smile.variance(0.0) / smile.years):.4f}"
        ),
        f"butterfly: lowest density g = {lowest[0]:.6f}, at ln(K/F) = {lowest[1]:.4f}; must not be below 0",
    ]
    if lowest[0] < 0.0:
        faults.append("butterfly arbitrage")
    strikes = [row.strike for row in chain.options]
    tick = max(row.tick for row in chain.options)
    if prices_have_arbitrage(smile, forward=chain.forward, strikes=strikes, tolerance=tick / 2.0):
        faults.append("prices of the slice are not convex")
    if earlier is not None:
        points = (*gate_points(earlier), *gate_points(smile))
        gap = min(smile.raw_variance(place) - earlier.raw_variance(place) for place in points)
        figures.append(f"calendar: least variance above the expiry before = {gap:.8f}; must not be below 0")
        if crosses_calendar(earlier, smile):
            faults.append("calendar arbitrage")
    return smile, figures, faults


def _forward_line(chain: ChainState) -> str:
    quotes = [row.quote for row in chain.options if row.quote is not None]
    found = forward_by_parity(quotes, near=chain.index, years=chain.years)
    parity = "the books name none" if found is None else f"by parity now {found.forward:.4f} of {found.strikes} strikes"
    return f"forward: published {chain.forward:.4f}, {parity}; index {chain.index:.2f}"


def _mark_faults(chain: ChainState, forward: float) -> list[str]:
    """What the marks themselves violate by more than half a tick each: bounds, slopes, convexity."""
    calls = sorted((row.strike, row.mark) for row in chain.options if row.is_call and row.mark is not None)
    puts = sorted((row.strike, row.mark) for row in chain.options if not row.is_call and row.mark is not None)
    half = max((row.tick for row in chain.options), default=0.0) / 2.0
    faults = []
    if any(not max(forward - strike, 0.0) - half <= mark <= forward + half for strike, mark in calls):
        faults.append("a call's mark is outside of its bounds")
    if any(not max(strike - forward, 0.0) - half <= mark <= strike + half for strike, mark in puts):
        faults.append("a put's mark is outside of its bounds")
    for name, marks, sign in (("calls", calls, -1.0), ("puts", puts, 1.0)):
        if any(
            not -half <= sign * (after[1] - before[1]) <= after[0] - before[0] + half
            for before, after in pairwise(marks)
        ):
            faults.append(f"marks of {name} are not monotone")
    return faults
