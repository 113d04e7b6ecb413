"""From the published slices of a surface to the scenario prices of its options.

Thin: inside the last half hour a forward still moves as a whole here, though a part of it is averaged already; losses
of that expiry are then overstated, never understated.
"""

from collections.abc import Mapping

from exchange.domain.instrument import Instrument, InstrumentKind
from exchange.domain.portfolio import SetScenarios
from exchange.feeds.book_surface import BookSurface, Chain
from exchange.pricing.portfolios import ExpiryTerms
from exchange.pricing.scenario_rounds import ExpiryRound, PricedOption, scenario_round
from exchange.pricing.scenarios import ForwardParts
from exchange.pricing.surface import ExpirySlice, mark_volatility

__all__ = ["scenario_commands"]

_E9 = 1e9
_NS_PER_S = 10**9
_SECONDS_PER_YEAR = 365.0 * 86_400.0


def scenario_commands(
    surface: BookSurface, chains: Mapping[Chain, list[Instrument]], *, now_ns: int
) -> list[SetScenarios]:
    """Rounds of the underlyings of `chains`, each for the chains that have a slice; numbered by time in milliseconds.

    An underlying whose options have no price within the grid's range is left out: its last cells grow old.
    """
    by_underlying: dict[str, list[ExpiryRound]] = {}
    for (underlying, expiry_s), rows in chains.items():
        found = surface.published((underlying, expiry_s))
        if found is not None:
            by_underlying.setdefault(underlying, []).append(_round(expiry_s, found, rows, now_ns))
    commands = []
    for underlying, rounds in sorted(by_underlying.items()):
        try:
            commands.append(scenario_round(underlying, now_ns // 10**6, rounds))  # whole milliseconds
        except ValueError:
            continue
    return commands


def _round(expiry_s: int, found: ExpirySlice, rows: list[Instrument], now_ns: int) -> ExpiryRound:
    years = (expiry_s - now_ns / _NS_PER_S) / _SECONDS_PER_YEAR
    return ExpiryRound(
        expiry_s=expiry_s,
        terms=ExpiryTerms(forward=ForwardParts.free(found.forward), years=years),
        options=tuple(_priced(row, found) for row in rows),
    )


def _priced(row: Instrument, found: ExpirySlice) -> PricedOption:
    strike, is_call = row.strike_e9 / _E9, row.kind is InstrumentKind.CALL
    volatility = mark_volatility(found, strike=strike, is_call=is_call)
    return PricedOption(instrument=row.instrument_id, is_call=is_call, strike=strike, volatility=volatility)
