"""The volatility surface of one underlying, kept from its own books (risk.md 5.4): forwards, slices, marks.

Each refresh takes the quotes of some expiries. What the book gives is smoothed, passes every gate beside its published
neighbours, and only then replaces the slice before it. Three or four quoted strikes move the level of a known shape
(their own before, else a neighbour's: SSVI). Otherwise the last good one stays, with less confidence, for as long as a
volatility may be old (risk.md 3.3). After that an outside slice takes its place, if there is one; else the expiry has
none and nothing of it may be published. Nothing here reads a clock.
"""

import math
from collections.abc import Mapping
from typing import Final

import msgspec

from exchange.pricing.forwards import external_forward, forward_by_parity
from exchange.pricing.gates import Gate, at_years, failed_gate
from exchange.pricing.quotes import OptionQuote, QuotedVolatility, quoted_volatilities
from exchange.pricing.smile import SviSlice
from exchange.pricing.ssvi import fit_level
from exchange.pricing.svi_fit import fit_slice

__all__ = ["ChainBook", "ExpirySlice", "Surface", "SurfaceSettings", "blended", "mark_volatility"]

_YEAR_S: Final = 365.0 * 86_400.0
_MINUTE_S: Final = 60.0
_BISECTIONS: Final = 40


class SurfaceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers of risk.md 5.4 and 3.3; those marked ours await calibration."""

    smoothing_s: float = 10.0
    largest_move: float = 0.10
    """Relative change of the volatility at the money per minute, unless confidence is high."""
    high_confidence: float = 0.9
    """Ours."""
    least_agreement: float = 2.0 / 3.0
    """Share of the points that must hold the slice: half of a book cannot make one. Ours."""
    held_confidence: float = 0.5
    """Most confidence of a slice that the book does not give any more."""
    held_s: float = 60.0
    """How long the last good slice and forward stand."""
    clamp_spread: float = 0.05
    """A quote as narrow as this clamps the mark's volatility, by as much at most."""


class ChainBook(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one expiry: its quotes, all listed strikes, the price tick in USDC, and an outside slice."""

    quotes: tuple[OptionQuote, ...]
    strikes: tuple[float, ...]
    tick: float = 0.0
    outside: SviSlice | None = None
    outside_rate: float = 0.0
    """`f` of `S exp(f T)` where the book names no forward."""


class ExpirySlice(msgspec.Struct, frozen=True, kw_only=True):
    """What is published of an expiry. `smile.years` is the time that was left at the refresh."""

    smile: SviSlice
    forward: float
    confidence: float
    """0 to 1: share of the listed strikes that are quoted, times the share of the quotes that agree."""
    fitted_s: float
    """When the book (or an outside source) last gave the slice."""
    from_book: bool
    refused: str = ""
    """Why the last try was not taken: a gate's name, `quotes`, `agreement`; empty when it was."""
    quoted: tuple[QuotedVolatility, ...] = ()
    """Quotes of the last refresh within the spread limit."""


class _Basis(msgspec.Struct, frozen=True):
    log: float
    """ln(forward / spot)."""
    at_s: float


class _Neighbours(msgspec.Struct, frozen=True):
    """Published slices of the expiries before and after, at the variance they have left."""

    earlier: SviSlice | None
    later: SviSlice | None


class Surface:
    """Slices of one underlying by expiry (Unix seconds)."""

    def __init__(self, settings: SurfaceSettings | None = None) -> None:
        self._settings = settings or SurfaceSettings()
        self._slices: dict[int, ExpirySlice] = {}
        self._bases: dict[int, _Basis] = {}

    def published(self, expiry_s: int) -> ExpirySlice | None:
        """What stands for an expiry now; None: nothing of it may be published."""
        return self._slices.get(expiry_s)

    def refresh(self, books: Mapping[int, ChainBook], *, spot: float, now_s: float) -> dict[int, ExpirySlice]:
        """Take the quotes of some expiries and return what is published of them; an expiry without a slice is absent.

        Raises ValueError for a spot that is no price; then nothing changes.
        """
        if not (math.isfinite(spot) and spot > 0.0):
            raise ValueError(f"spot {spot}: must be a price above 0")
        self._drop_expired(now_s)
        alive = [expiry_s for expiry_s in sorted(books) if expiry_s > now_s]
        for expiry_s in alive:
            self._refresh_one(expiry_s, books[expiry_s], spot, now_s)
        for expiry_s in reversed(alive):
            # When all volatilities rise, the near expiry has to wait for the one behind it.
            row = self._slices.get(expiry_s)
            if row is None or row.refused:
                self._refresh_one(expiry_s, books[expiry_s], spot, now_s)
        return {expiry_s: self._slices[expiry_s] for expiry_s in sorted(books) if expiry_s in self._slices}

    def _drop_expired(self, now_s: float) -> None:
        for expiry_s in [expiry_s for expiry_s in self._slices if expiry_s <= now_s]:
            del self._slices[expiry_s]
        for expiry_s in [expiry_s for expiry_s in self._bases if expiry_s <= now_s]:
            del self._bases[expiry_s]

    def _refresh_one(self, expiry_s: int, book: ChainBook, spot: float, now_s: float) -> None:
        years = (expiry_s - now_s) / _YEAR_S
        forward = self._forward(expiry_s, book, spot, years, now_s)
        quoted = quoted_volatilities(book.quotes, forward=forward, years=years, tick=book.tick)
        neighbours = self._neighbours(expiry_s, now_s)
        before = self._slices.get(expiry_s)
        taken, refused = self._from_book(before, book, quoted, forward, years, now_s, neighbours)
        if taken is None:
            taken = self._fallback(before, book, forward, years, now_s, neighbours)
        if taken is None:
            self._slices.pop(expiry_s, None)
        else:
            self._slices[expiry_s] = msgspec.structs.replace(taken, refused=refused, quoted=tuple(quoted))

    def _from_book(
        self,
        before: ExpirySlice | None,
        book: ChainBook,
        quoted: list[QuotedVolatility],
        forward: float,
        years: float,
        now_s: float,
        neighbours: _Neighbours,
    ) -> tuple[ExpirySlice | None, str]:
        """What the quotes give, if it may be published; and why not."""
        start = None if before is None else before.smile
        fit = fit_slice(quoted, years=years, start=start, earlier=neighbours.earlier, later=neighbours.later)
        shape = start or neighbours.later or neighbours.earlier
        if fit is None and shape is not None:
            fit = fit_level(quoted, shape, years=years)
        if fit is None:
            return None, "quotes"
        if fit.agreement < self._settings.least_agreement:
            return None, "agreement"
        coverage = min(1.0, len({point.strike for point in quoted}) / max(len(set(book.strikes)), 1))
        target = ExpirySlice(
            smile=fit.smile, forward=forward, confidence=coverage * fit.agreement, fitted_s=now_s, from_book=True
        )
        row = self._smoothed(before, target, now_s)
        gate = self._gate(row, book, neighbours)
        return (row, "") if gate is None else (None, gate.value)

    def _forward(self, expiry_s: int, book: ChainBook, spot: float, years: float, now_s: float) -> float:
        """Spot times the smoothed basis of the book; the last one while it is young, else the outside's."""
        before = self._bases.get(expiry_s)
        if before is not None and now_s - before.at_s > self._settings.held_s:
            del self._bases[expiry_s]
            before = None
        near = spot if before is None else spot * math.exp(before.log)
        found = forward_by_parity(book.quotes, near=near, years=years)
        if found is None:
            return external_forward(spot, book.outside_rate, years) if before is None else near
        log = math.log(found.forward / spot)
        if before is not None:
            log = before.log + self._share(now_s - before.at_s) * (log - before.log)
        self._bases[expiry_s] = _Basis(log, now_s)
        return spot * math.exp(log)

    def _share(self, elapsed_s: float) -> float:
        """How much of a change an average of `smoothing_s` takes after `elapsed_s`."""
        return -math.expm1(-max(elapsed_s, 0.0) / self._settings.smoothing_s)

    def _smoothed(self, before: ExpirySlice | None, target: ExpirySlice, now_s: float) -> ExpirySlice:
        """The way from the slice before to `target` that the average and the speed limit allow."""
        if before is None or (target.from_book and not before.from_book):
            return target
        elapsed_s = now_s - before.fitted_s
        old, share = at_years(before.smile, target.smile.years), self._share(elapsed_s)
        if target.confidence < self._settings.high_confidence:
            bound = self._settings.largest_move * min(elapsed_s, _MINUTE_S) / _MINUTE_S
            share = _limited(old, target.smile, share, bound)
        return msgspec.structs.replace(target, smile=blended(old, target.smile, share))

    @staticmethod
    def _gate(row: ExpirySlice, book: ChainBook, beside: _Neighbours) -> Gate | None:
        return failed_gate(
            row.smile,
            forward=row.forward,
            strikes=book.strikes,
            earlier=beside.earlier,
            later=beside.later,
            tolerance=book.tick / 2.0,
        )

    def _fallback(
        self,
        before: ExpirySlice | None,
        book: ChainBook,
        forward: float,
        years: float,
        now_s: float,
        neighbours: _Neighbours,
    ) -> ExpirySlice | None:
        """The slice before while it is young, at the variance left; else the outside one, if it passes the gates."""
        if before is not None and before.from_book and now_s - before.fitted_s <= self._settings.held_s:
            confidence = min(before.confidence, self._settings.held_confidence)
            smile = at_years(before.smile, years)
            return msgspec.structs.replace(before, smile=smile, forward=forward, confidence=confidence)
        if book.outside is None:
            return None
        row = ExpirySlice(
            smile=at_years(book.outside, years),
            forward=forward,
            confidence=self._settings.held_confidence,
            fitted_s=now_s,
            from_book=False,
        )
        row = self._smoothed(before, row, now_s)
        return row if self._gate(row, book, neighbours) is None else None

    def _neighbours(self, expiry_s: int, now_s: float) -> _Neighbours:
        before = [other for other in sorted(self._slices) if other < expiry_s]
        after = [other for other in sorted(self._slices) if other > expiry_s]
        return _Neighbours(
            self._left(before[-1], now_s) if before else None, self._left(after[0], now_s) if after else None
        )

    def _left(self, expiry_s: int, now_s: float) -> SviSlice:
        return at_years(self._slices[expiry_s].smile, (expiry_s - now_s) / _YEAR_S)


def mark_volatility(
    row: ExpirySlice, *, strike: float, is_call: bool, settings: SurfaceSettings | None = None
) -> float:
    """Volatility that an option is marked at: the slice, clamped to a narrow quote of its own (5 points or less).

    The clamp moves it by at most those 5 points: a quote further away than it is wide is one that the fit called wild.
    """
    limit = (settings or SurfaceSettings()).clamp_spread
    fitted = row.smile.volatility(strike=strike, forward=row.forward)
    for quote in row.quoted:
        if quote.strike == strike and quote.is_call is is_call and quote.spread <= limit:
            clamped = min(max(fitted, quote.bid), quote.ask)
            return clamped if abs(clamped - fitted) <= limit else fitted
    return fitted


def blended(old: SviSlice, new: SviSlice, share: float) -> SviSlice:
    """The slice `share` (0 to 1) of the way from `old` to `new`; both have the same time left.

    Mixed are lowest variance, b, rho, m and sigma, of which every mixture is a slice.
    """
    lowest, b, rho, m, sigma = (
        here + share * (there - here) for here, there in zip(_parts(old), _parts(new), strict=True)
    )
    return SviSlice(a=lowest - b * sigma * math.sqrt(1.0 - rho * rho), b=b, rho=rho, m=m, sigma=sigma, years=new.years)


def _parts(smile: SviSlice) -> tuple[float, float, float, float, float]:
    lowest = smile.a + smile.b * smile.sigma * math.sqrt(1.0 - smile.rho * smile.rho)
    return lowest, smile.b, smile.rho, smile.m, smile.sigma


def _limited(old: SviSlice, new: SviSlice, share: float, bound: float) -> float:
    """Largest part of `share` that moves the volatility at the money by `bound` at most, relative."""

    def move(part: float) -> float:
        return abs(math.sqrt(blended(old, new, part).raw_variance(0.0) / old.raw_variance(0.0)) - 1.0)

    if move(share) <= bound:
        return share
    low, high = 0.0, share
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if move(middle) <= bound else (low, middle)
    return low
