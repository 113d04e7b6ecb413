"""The option chain as one read: every option of a currency with quotes, volatilities and Greeks (api.md 10.5)."""

from exchange.domain.commands import Side
from exchange.domain.instrument import Instrument, InstrumentKind, calendar_date
from exchange.gateway.calls import Call
from exchange.gateway.core import Core, Handler
from exchange.gateway.market import Level
from exchange.pricing.quotes import volatilities_e9
from exchange.wire.decimals import format_e9
from exchange.wire.errors import WireError
from exchange.wire.option_chain import MODEL, OptionChain, OptionChainParams, QuotedOption, chain_expiry, chain_row
from exchange.wire.params import required, text_of

__all__ = ["OptionChains", "chain_of", "quoted_volatilities_e9"]


class OptionChains:
    """Handlers by path."""

    def __init__(self, core: Core) -> None:
        """Work on `core`."""
        self._core = core

    def handlers(self) -> dict[str, Handler]:
        """Return the table."""
        return {"public/get_option_chain": self._chain}

    def _chain(self, call: Call) -> None:
        params: OptionChainParams = call.params
        currency = self._core.underlying(required(params.currency, "currency").upper())
        chain = chain_of(self._core, currency, text_of(params.expiry_date))
        if params.expiry_date is not None and not chain.expiries:
            raise WireError.bad_param("expiry_date", "no option expires then; the form is YYYYMMDD")
        call.result(chain)


def chain_of(core: Core, currency: str, expiry_date: str) -> OptionChain:
    """The chain of a currency as of now, one expiry (YYYYMMDD) or all for ""; what has expired is left out."""
    now_ns, prices = core.clock_ns(), core.market.prices
    chains: dict[int, list[Instrument]] = {}
    for row in core.market.of_kind("option", currency):
        if row.expiry_s * 10**9 > now_ns and (not expiry_date or calendar_date(row.expiry_s) == expiry_date):
            chains.setdefault(row.expiry_s, []).append(row)
    expiries, rows = [], []
    for expiry_s, instruments in sorted(chains.items()):
        forward_e9 = prices.forward_e9.get((currency, expiry_s))
        options = _quoted(core, instruments, forward_e9, now_ns)
        priced_ns = core.market.priced_ns.get((currency, expiry_s))
        expiries.append(chain_expiry(expiry_s, options, forward_e9=forward_e9, priced_ns=priced_ns, now_ns=now_ns))
        rows += [chain_row(option) for option in options]
    index_e9 = prices.index_e9.get(currency)
    return OptionChain(
        currency=currency,
        timestamp=now_ns // 1_000_000,
        index_price=None if index_e9 is None else format_e9(index_e9),
        model=MODEL,
        expiries=expiries,
        rows=rows,
        null_reasons={} if index_e9 is not None else {"index_price": "not_priced"},
    )


def _quoted(core: Core, rows: list[Instrument], forward_e9: int | None, now_ns: int) -> list[QuotedOption]:
    """Options of one expiry by strike, calls first, with the volatilities of their quotes."""
    rows = sorted(rows, key=lambda row: (row.strike_e9, row.kind is InstrumentKind.PUT))
    bids, asks = ([core.market.book(row.instrument_id).best(side) for row in rows] for side in (Side.BUY, Side.SELL))
    bid_ivs, ask_ivs = (_volatilities(rows, levels, forward_e9, now_ns) for levels in (bids, asks))
    return [
        QuotedOption(
            instrument=row,
            bid=bid,
            ask=ask,
            bid_iv_e9=bid_iv,
            ask_iv_e9=ask_iv,
            mark=core.market.prices.marks.get(row.instrument_id),
            volume_24h=core.market.stats(row, now_ns).c,
        )
        for row, bid, ask, bid_iv, ask_iv in zip(rows, bids, asks, bid_ivs, ask_ivs, strict=True)
    ]


def quoted_volatilities_e9(core: Core, row: Instrument) -> tuple[int | None, int | None]:
    """Volatilities of an option's best bid and ask in 1e-9, at the time of the last round; None where there is none."""
    prices, book = core.market.prices, core.market.book(row.instrument_id)
    forward_e9 = prices.forward_e9.get((row.underlying, row.expiry_s))
    levels = [book.best(Side.BUY), book.best(Side.SELL)]
    bid, ask = _volatilities([row, row], levels, forward_e9, prices.timestamp_ns)
    return bid, ask


def _volatilities(
    rows: list[Instrument], levels: list[Level | None], forward_e9: int | None, now_ns: int
) -> list[int | None]:
    if forward_e9 is None:
        return [None] * len(rows)
    prices = [
        (row.kind is InstrumentKind.CALL, row.strike_e9, level[0] * row.tick_e9 if level else 0)
        for row, level in zip(rows, levels, strict=True)
    ]
    first = rows[0]
    left_ns = first.expiry_s * 10**9 - now_ns
    return volatilities_e9(prices, forward_e9=forward_e9, left_ns=left_ns, tick_e9=first.tick_e9)
