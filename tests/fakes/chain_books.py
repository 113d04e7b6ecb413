"""Books of an option chain made from a known smile, and what can go wrong with them."""

import math

import msgspec

from exchange.pricing.black76 import Option, price
from exchange.pricing.quotes import OptionQuote
from exchange.pricing.smile import SviSlice

__all__ = ["SMILE", "STRIKES", "chain_quotes", "spoilt"]

SMILE = SviSlice(a=0.01, b=0.05, rho=-0.3, m=0.02, sigma=0.12, years=0.1)
"""About 41 % at the money, a tenth of a year from expiry."""
STRIKES = tuple(50.0 * step for step in range(30, 53, 2))
"""1,500 to 2,600 by 100, around a forward near 2,000."""


def chain_quotes(smile=SMILE, *, forward=2_000.0, strikes=STRIKES, half_spread=0.01, discount=1.0):
    """Calls and puts quoted around the smile's prices, `half_spread` of the out-of-the-money price to each side."""
    quotes = []
    for strike in strikes:
        volatility = math.sqrt(smile.raw_variance(math.log(strike / forward)) / smile.years)
        values = [
            price(
                Option(is_call=is_call, forward=forward, strike=strike, years=smile.years, discount=discount),
                volatility,
            )
            for is_call in (True, False)
        ]
        half = half_spread * min(values)
        quotes += [
            OptionQuote(is_call=is_call, strike=strike, bid=value - half, ask=value + half, bid_size=1.0, ask_size=1.0)
            for is_call, value in zip((True, False), values, strict=True)
        ]
    return quotes


def spoilt(quote, how):
    """One quote made unreadable, or wild."""
    changes = {
        "no bid": {"bid": 0.0, "bid_size": 0.0},
        "no ask": {"ask": 0.0, "ask_size": 0.0},
        "crossed": {"bid": quote.ask, "ask": quote.bid},
        "locked": {"bid": quote.ask},
        "nan bid": {"bid": math.nan},
        "nan ask": {"ask": math.nan},
        "infinite ask": {"ask": math.inf},
        "negative bid": {"bid": -quote.bid},
        "zero sizes": {"bid_size": 0.0, "ask_size": 0.0},
        "nan size": {"bid_size": math.nan},
        "nan strike": {"strike": math.nan},
        "zero strike": {"strike": 0.0},
        "wild": {"bid": quote.bid * 2.0 + 50.0, "ask": quote.ask * 2.0 + 50.0},
    }
    return msgspec.structs.replace(quote, **changes[how])
