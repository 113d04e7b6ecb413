"""Methods that need no login."""

from typing import Any

from exchange.domain.commands import Side
from exchange.domain.instrument import Instrument, calendar_date, format_e9
from exchange.domain.limits import MAX_DEAD_MAN_MS, MAX_QUOTE_LINES, MAX_SESSION_KEYS_PER_OWNER, MIN_DEAD_MAN_MS
from exchange.gateway.book_topics import checksum_of
from exchange.gateway.calls import Call
from exchange.gateway.candles import candles
from exchange.gateway.core import Core, Handler
from exchange.gateway.history import TradeRecord, page_of
from exchange.gateway.option_chains import quoted_volatilities_e9
from exchange.gateway.oracle import funding_rows
from exchange.wire.errors import RpcCode, WireError
from exchange.wire.market_shapes import (
    currency_object,
    grouped_levels,
    instrument_object,
    quote_currency_object,
    ticker_object,
)
from exchange.wire.methods import METHODS, Bucket
from exchange.wire.objects import Currency, InstrumentObject, Ticker
from exchange.wire.params import (
    BatchesParams,
    CandleParams,
    FundingRateParams,
    HistoryParams,
    InstrumentsParams,
    OrderBookParams,
    TickersParams,
    required,
    text_of,
)
from exchange.wire.price_states import price_state
from exchange.wire.venue import SCHEMA_VERSION, address_text
from settlement.protocol import eip712

__all__ = ["PublicMethods", "order_book_levels", "ticker_of"]

_KINDS = ("perp", "option", "erc20")
_MODULES = {
    "trade": eip712.TRADE_MODULE,
    "withdraw": eip712.WITHDRAW_MODULE,
    "transfer_spot": eip712.TRANSFER_SPOT_MODULE,
    "transfer_spot_external": eip712.TRANSFER_SPOT_EXTERNAL_MODULE,
    "rfq": eip712.RFQ_MODULE,
    "set_session_key": eip712.SET_SESSION_KEY_MODULE,
    "whitelist": eip712.WHITELIST_MODULE,
    "liquidate": eip712.LIQUIDATE_MODULE,
    "mass_quote": eip712.MASS_QUOTE_MODULE,
}


class PublicMethods:
    """Handlers by path."""

    def __init__(self, core: Core) -> None:
        """Work on `core`."""
        self._core = core

    def handlers(self) -> dict[str, Handler]:
        """Return the table."""
        return {
            "public/get_time": lambda call: call.result(self._core.clock_ns() // 1_000_000),
            "public/get_info": self._info,
            "public/get_all_currencies": lambda call: call.result(self._currencies()),
            "public/get_currency": self._currency,
            "public/get_all_instruments": self._all_instruments,
            "public/get_instruments": self._instruments,
            "public/get_all_live_instruments": self._live,
            "public/get_instrument": lambda call: call.result(self._shape(self._named(call))),
            "public/get_ticker": lambda call: call.result(ticker_of(self._core, self._named(call))),
            "public/get_tickers": self._tickers,
            "public/get_trade_history": self._trades,
            "public/get_tradingview_chart_data": self._candles,
            "public/get_funding_rate_history": self._funding_rates,
            "public/get_option_settlement_prices": self._settlement_prices,
            "public/get_order_book": self._order_book,
            "public/getRateLimits": self._rate_limits,
            "public/get_limits": self._limits,
            "public/get_batches": self._batches,
            "public/get_batch": self._batch,
            "ping": lambda call: call.result({}),
        }

    def _named(self, call: Call) -> Instrument:
        return self._core.market.named(call.params.instrument_name)

    def _shape(self, instrument: Instrument) -> InstrumentObject:
        now_ns = self._core.clock_ns()
        return instrument_object(
            instrument,
            self._core.venue,
            now_ns // 1_000_000_000,
            state=price_state(instrument, self._core.market.prices, now_ns),
            rate_e9=self._core.market.prices.rates_e9.get(instrument.instrument_id, 0),
            settlement_e9=self._core.history.oracle.settled.get((instrument.underlying, instrument.expiry_s)),
        )

    def _info(self, call: Call) -> None:
        venue = self._core.venue
        readiness = self._core.readiness()
        call.result(
            {
                "env": venue.env,
                "chain_id": venue.chain_id,
                "domain_separator": "0x" + venue.domain_separator.hex(),
                "accepted_separators": [
                    {"separator": "0x" + row.separator.hex(), "name": row.name, "trade_only": row.trade_only}
                    for row in venue.domains
                ],
                "settlement_contract": address_text(venue.settlement_contract),
                "subaccount_base": venue.subaccount_base,
                "schema_version": SCHEMA_VERSION,
                "server_version": venue.server_version,
                "modules": {name: address_text(module) for name, module in _MODULES.items()},
                "started_at": self._core.started_ns // 1_000_000,
                "chain": readiness.chain,
                "degraded": readiness.degraded,
                "reason": readiness.reason,
            }
        )

    def _currencies(self) -> list[Currency]:
        index_e9 = self._core.market.prices.index_e9
        kinds = self._core.market.currencies()
        rows = [currency_object(name, kinds[name], self._core.venue, index_e9.get(name, 0)) for name in sorted(kinds)]
        return [*rows, quote_currency_object(self._core.venue)]

    def _currency(self, call: Call) -> None:
        wanted = required(call.params.currency, "currency").upper()
        row = next((row for row in self._currencies() if row.currency == wanted), None)
        if row is None:
            raise WireError(RpcCode.CURRENCY_NOT_FOUND, {"currency": wanted[:64]})
        call.result(row)

    def _matching(self, params: InstrumentsParams) -> list[Instrument]:
        kind = params.instrument_type
        if kind is not None and kind not in _KINDS:
            raise WireError.bad_param("instrument_type", "must be one of perp, option, erc20")
        now_s = self._core.clock_ns() // 1_000_000_000
        wanted = bool(params.expired)
        rows = self._core.market.of_kind(kind, params.currency)
        return [row for row in rows if (row.is_option and row.expiry_s <= now_s) is wanted]

    def _all_instruments(self, call: Call) -> None:
        params: InstrumentsParams = call.params
        page = page_of(list(self._matching(params)), params.page, params.page_size)
        shapes = [self._shape(row) for row in page.rows if isinstance(row, Instrument)]
        call.result({"instruments": shapes, "pagination": page.pagination})

    def _instruments(self, call: Call) -> None:
        call.result([self._shape(row) for row in self._matching(call.params)])

    def _live(self, call: Call) -> None:
        now_s = self._core.clock_ns() // 1_000_000_000
        rows = self._core.market.of_kind(None, None)
        call.result([row.name for row in rows if row.is_perpetual or row.expiry_s > now_s])

    def _tickers(self, call: Call) -> None:
        params: TickersParams = call.params
        expiry = text_of(params.expiry_date)
        if params.instrument_type == "option" and not (params.currency and expiry):
            raise WireError.bad_param("expiry_date", "options need currency and expiry_date (YYYYMMDD)")
        rows = self._core.market.of_kind(params.instrument_type, params.currency)
        fitting = (row for row in rows if not expiry or (row.is_option and calendar_date(row.expiry_s) == expiry))
        call.result({"tickers": {row.name: ticker_of(self._core, row) for row in fitting}})

    def _trades(self, call: Call) -> None:
        params: HistoryParams = call.params
        instruments = self._core.market.of_kind(params.instrument_type, params.currency)
        if params.instrument_name is not None:
            instruments = [self._core.market.named(params.instrument_name)]
        records = [row for one in instruments for row in self._core.history.trades.get(one.instrument_id, ())]
        records.sort(key=lambda row: row.trade.trade, reverse=True)
        fitting = (row for row in records if _in_range(row, params))
        rows: list[object] = [shape for row in fitting for shape in self._public_rows(row)]
        page = page_of(rows, params.page, params.page_size)
        call.result({"trades": page.rows, "pagination": page.pagination})

    def _public_rows(self, row: TradeRecord) -> list[Any]:
        batch = self._core.history.batch_of(row.sequence)
        instrument = self._core.market.by_id[row.trade.instrument]
        return [
            self._core.shapes.public_trade(
                row.trade,
                instrument,
                is_maker=is_maker,
                timestamp_ns=row.timestamp_ns,
                batch_status=batch.status if batch else None,
            )
            for is_maker in (False, True)
        ]

    def _candles(self, call: Call) -> None:
        params: CandleParams = call.params
        instrument = self._named(call)
        records = self._core.history.trades.get(instrument.instrument_id, ())
        call.result(
            candles(
                instrument,
                records,
                period_s=params.period or 0,
                start_s=params.start_timestamp or 0,
                end_s=params.end_timestamp or 0,
            )
        )

    def _funding_rates(self, call: Call) -> None:
        params: FundingRateParams = call.params
        instrument = self._named(call)
        rows = funding_rows(
            self._core.history.oracle.rates.get(instrument.instrument_id, ()),
            instrument.underlying,
            period_s=3_600 if params.period is None else params.period,
            start_ms=params.start_timestamp,
            end_ms=params.end_timestamp,
        )
        call.result({"funding_rate_history": rows})

    def _settlement_prices(self, call: Call) -> None:
        currency = self._core.underlying(required(call.params.currency, "currency").upper())
        listed = {row.expiry_s: None for row in self._core.market.of_kind("option", currency)}
        settled = self._core.history.oracle.settled
        prices = listed | {
            expiry_s: format_e9(price) for (name, expiry_s), price in settled.items() if name == currency
        }
        rows = [
            {"expiry_date": calendar_date(expiry_s), "utc_expiry_sec": expiry_s, "price": price}
            for expiry_s, price in sorted(prices.items())
        ]
        call.result({"expiries": rows})

    def _order_book(self, call: Call) -> None:
        params: OrderBookParams = call.params
        instrument = self._named(call)
        depth, group = min(max(params.depth or 20, 1), 100), max(params.group or 1, 1)
        book = self._core.market.book(instrument.instrument_id)
        if book.is_crossed():
            reason = "its book crosses until the call auction ends"
            raise WireError(11021, {"instrument_name": instrument.name, "reason": reason})
        bids, asks = order_book_levels(self._core, instrument, group=group, depth=depth)
        call.result(
            {
                "instrument_name": instrument.name,
                "timestamp": self._core.clock_ns() // 1_000_000,
                "seq": book.seq,
                "bids": bids,
                "asks": asks,
                "checksum": checksum_of(book, instrument),
            }
        )

    def _rate_limits(self, call: Call) -> None:
        now_ns, identity = self._core.clock_ns(), call.client.identity
        who: bytes | str = identity.owner if identity else call.client.address
        state = self._core.credits.state
        call.result(
            {
                "remaining_matching": state(Bucket.MATCHING, who, now_ns),
                "remaining_non_matching": state(Bucket.READS if identity else Bucket.PUBLIC, who, now_ns),
                "remaining_per_endpoint": {},
                "remaining_connections": None,
            }
        )

    def _limits(self, call: Call) -> None:
        settings = self._core.settings
        budgets = {
            "matching": settings.matching,
            "cancels": settings.cancels,
            "quotes": settings.quotes,
            "reads": settings.reads,
            "public": settings.public,
        }
        call.result(
            {
                "budgets": {name: {"per_second": row.per_second, "burst": row.burst} for name, row in budgets.items()},
                "methods": {
                    path: {"bucket": row.bucket.value, "cost": row.cost, "socket_only": row.socket_only}
                    for path, row in METHODS.items()
                },
                "max_frame_bytes": settings.max_frame_bytes,
                "channels_per_socket": settings.channels_per_socket,
                "sockets_per_ip": settings.sockets_per_ip,
                "unanswered_requests": settings.pause_at,
                "max_page_size": 1_000,
                "max_quote_lines": MAX_QUOTE_LINES,
                "max_session_keys": MAX_SESSION_KEYS_PER_OWNER,
                "dead_man_ms": {"min": MIN_DEAD_MAN_MS, "max": MAX_DEAD_MAN_MS},
            }
        )

    def _batches(self, call: Call) -> None:
        params: BatchesParams = call.params
        limit = min(max(params.limit or 50, 1), 1_000)
        rows = [row for row in self._core.history.batches.values() if row.seq >= (params.from_seq or 0)]
        call.result({"batches": rows[-limit:] if params.from_seq is None else rows[:limit]})

    def _batch(self, call: Call) -> None:
        seq = required(call.params.seq, "seq")
        row = self._core.history.batches.get(seq)
        if row is None:
            raise WireError.bad_param("seq", "no such batch in memory")
        call.result(row)


def ticker_of(core: Core, instrument: Instrument) -> Ticker:
    """Build the ticker of `instrument` as of now."""
    book, now_ns = core.market.book(instrument.instrument_id), core.clock_ns()
    auction_ns = core.market.auctions.get(instrument.instrument_id)
    return ticker_object(
        instrument,
        core.market.prices,
        best_bid=book.best(Side.BUY),
        best_ask=book.best(Side.SELL),
        stats=core.market.stats(instrument, now_ns),
        timestamp_ms=now_ns // 1_000_000,
        auction_end_ms=None if auction_ns is None else auction_ns // 1_000_000,
        quoted_ivs_e9=quoted_volatilities_e9(core, instrument) if instrument.is_option else (None, None),
    )


def order_book_levels(
    core: Core, instrument: Instrument, *, group: int, depth: int
) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Return the best `depth` bids and asks in steps of `group` ticks."""
    book = core.market.book(instrument.instrument_id)
    bids = grouped_levels(book.iterate(Side.BUY), instrument, group=group, depth=depth, upward=False)
    asks = grouped_levels(book.iterate(Side.SELL), instrument, group=group, depth=depth, upward=True)
    return bids, asks


def _in_range(row: TradeRecord, params: HistoryParams) -> bool:
    timestamp_ms = row.timestamp_ns // 1_000_000
    low, high = params.from_timestamp, params.to_timestamp
    return (low is None or timestamp_ms >= low) and (high is None or timestamp_ms <= high)
