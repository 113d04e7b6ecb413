"""Auctions of portfolios below maintenance: bid for a share (private/liquidate), and a bot that does when it pays.

    for auction in await client.request("public/get_auctions"):
        await bid(client, auction, percent="10")

A bid signs a line for every leg, so it cannot pay a worse price or get more lots than it says, whatever the venue does.
"""

import asyncio
from decimal import Decimal
from typing import Any, Final

from exchange.client.bot import BotCounts
from exchange.client.client import OffbookClient
from exchange.client.errors import AnswerMissing, ConnectionLost, OffbookError
from exchange.client.markets import Market, QuoteInput
from exchange.client.quoting import view_of
from exchange.client.signing import Credentials

__all__ = ["Liquidator", "bid", "covering_lines"]

_PPM: Final = 1_000_000
_SLACK_PPM: Final = 10_000
_MARGIN_PPM: Final = 2_000
_EVERY_S: Final = 1.0
_RETRY_S: Final = 2.0


async def bid(
    client: OffbookClient,
    auction: dict[str, Any],
    *,
    percent: str = "100",
    price_limit: str | None = None,
    slack_ppm: int = _SLACK_PPM,
) -> dict[str, Any]:
    """Bid for `percent` of an auction as `public/get_auctions` shows it; what restores the account is the most.

    Each leg may be up to `slack_ppm` (1e-6) worse than shown, but the whole costs at most `price_limit` USDC (what it
    costs now, when None). Returns `{"percent_of_acc", "price", "trades", ...}`. Raises OffbookError, ConnectionLost.
    """
    lines = covering_lines(client.markets, auction["legs"], slack_ppm)
    params = {
        "liquidate_subaccount_id": auction["subaccount_id"],
        "percent_of_acc": percent,
        "price_limit": str(max(Decimal(0), Decimal(auction["bid_price"]))) if price_limit is None else price_limit,
    }
    result: dict[str, Any] = await client.request("private/liquidate", params | await client.signed_lines(lines))
    return result


def covering_lines(markets: dict[str, Market], legs: list[dict[str, str]], slack_ppm: int) -> list[QuoteInput]:
    """A line per leg for all of its amount: a bid where the account is long, an ask where it is short."""
    lines: list[QuoteInput] = []
    for leg in legs:
        market, amount = markets[leg["instrument_name"]], Decimal(leg["amount"])
        price_e9 = market.instrument.price_ticks(leg["price"]) * market.instrument.tick_e9
        ppm = _PPM + slack_ppm if amount > 0 else _PPM - slack_ppm
        ticks = max(1, market.ticks_within(price_e9 * ppm // _PPM, up=amount > 0))
        side = (market.instrument.price_text(ticks), str(abs(amount)))
        none = (None, None)
        lines.append((leg["instrument_name"], *(side + none if amount > 0 else none + side)))
    return lines


class Liquidator:
    """One account that looks every second and bids when the legs are better than their marks by `margin_ppm`."""

    def __init__(self, url: str, who: Credentials, *, margin_ppm: int = _MARGIN_PPM, percent: str = "100") -> None:
        self.client = OffbookClient(url, who)
        self.counts = BotCounts()
        self._margin_ppm = margin_ppm
        self._percent = percent

    async def run(self) -> None:
        """Bid for ever; ends by cancellation and closes its client."""
        try:
            while True:
                try:
                    await self.client.open()
                    while True:
                        await self.look()
                        await asyncio.sleep(_EVERY_S)
                except (ConnectionLost, AnswerMissing, OffbookError):
                    self.counts.interruptions += 1
                    await asyncio.sleep(_RETRY_S)
                    await self.client.close()
                    self.client = OffbookClient(self.client.url, self.client.who)
        finally:
            await self.client.close()

    async def look(self) -> None:
        """Bid once for every auction that pays; a refusal is counted and the next one is tried."""
        for auction in await self.client.request("public/get_auctions"):
            if any(leg["instrument_name"] not in self.client.markets for leg in auction["legs"]):
                await self.client.reload_markets()
            if not auction["legs"] or not await self.pays(auction["legs"]):
                continue
            self.counts.orders += 1
            try:
                result = await bid(self.client, auction, percent=self._percent)
            except OffbookError as error:
                self.counts.refused[error.code] += 1
            else:
                self.counts.fills += len(result["trades"])

    async def pays(self, legs: list[dict[str, str]]) -> bool:
        """Whether all legs at their prices are better than at their marks, by the margin of what they are worth."""
        gain = gross = Decimal(0)
        for leg in legs:
            view = view_of(await self.client.ticker(leg["instrument_name"]))
            if view is None:
                return False
            mark, amount = Decimal(view.mark_e9).scaleb(-9), Decimal(leg["amount"])
            gain += amount * (mark - Decimal(leg["price"]))
            gross += abs(amount) * mark
        return gain * _PPM >= gross * self._margin_ppm
