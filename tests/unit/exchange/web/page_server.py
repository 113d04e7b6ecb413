"""Serves the page and a plausible market behind it on one port, so that a browser can be pointed at it."""

import itertools
import json
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path

from websockets.asyncio.server import serve
from websockets.datastructures import Headers
from websockets.http11 import Response

from exchange.domain.instrument import InstrumentKind, calendar_date, format_e9
from exchange.feeds.catalogue import demo_catalogue

WEB_ROOT = Path(__file__).parents[4] / "exchange" / "web"
NOVEMBER_22 = 1_795_363_200
TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css"}
INDEX = {"BTC": "84012.35", "ETH": "2799.18"}


class PageServer:
    """The methods and channels the page uses. `degraded` is what /ready says about the chain."""

    def __init__(self):
        self.instruments = {row.name: row for row in demo_catalogue(NOVEMBER_22)}
        self.degraded = False
        self.orders_total = itertools.count(0, 48)
        self.sockets = set()
        self.asked = set()
        self.url = ""

    @asynccontextmanager
    async def running(self, port=0):
        """Serve on a free port of this host."""
        async with serve(self.handle, "127.0.0.1", port, process_request=self.page) as server:
            self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
            yield self

    def page(self, _connection, request):
        """Answer everything that is no upgrade."""
        path = request.path.split("?")[0]
        self.asked.add(path)
        if path == "/v3/ws":
            return None
        if path == "/ready":
            body = {"ready": True, "reason": "", "chain": "down" if self.degraded else "ok", "degraded": self.degraded}
            return answer(json.dumps(body).encode(), "application/json")
        if path == "/metrics":
            count = next(self.orders_total)
            orders = f'offbook_requests_total{{method="private/order",code="0"}} {count}\n'
            return answer(f"{orders}offbook_fills_total {count // 3}\n".encode(), "text/plain")
        file = WEB_ROOT / (path.lstrip("/") or "index.html")
        if not file.is_file():
            return Response(HTTPStatus.NOT_FOUND, "Not Found", Headers(), b"")
        return answer(file.read_bytes(), TYPES[file.suffix])

    async def handle(self, socket):
        """One page."""
        self.sockets.add(socket)
        try:
            async for frame in socket:
                request = json.loads(frame)
                result = getattr(self, "on_" + request["method"].split("/")[-1])(request["params"])
                await socket.send(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": result}))
                if request["method"] == "subscribe":
                    for channel in request["params"]["channels"]:
                        await self.first_frame(socket, channel)
        finally:
            self.sockets.discard(socket)

    async def first_frame(self, socket, channel):
        """Send one notification of a channel right away."""
        kind = channel.split(".")[0]
        data = {"orderbook": self.book, "trades": self.fresh_trade, "batches": self.fresh_batch}[kind](channel)
        params = {"channel": channel, "data": data, "seq": 1, "prev_seq": None}
        await socket.send(json.dumps({"jsonrpc": "2.0", "method": "subscription", "params": params}))

    def on_subscribe(self, params):
        """Accept every channel."""
        return {"status": dict.fromkeys(params["channels"], "ok"), "current_subscriptions": params["channels"]}

    def on_unsubscribe(self, params):
        """Accept every channel."""
        return {"status": dict.fromkeys(params["channels"], "ok"), "remaining_subscriptions": []}

    def on_get_all_instruments(self, params):
        """List the demo's catalogue."""
        wanted = params["instrument_type"] == "perp"
        rows = [self.instrument(row) for row in self.instruments.values() if row.is_perpetual == wanted]
        return {"instruments": rows, "pagination": {"count": len(rows), "num_pages": 1}}

    def on_get_tickers(self, params):
        """Quote every instrument of the filter."""
        rows = [row for row in self.instruments.values() if row.is_perpetual == (params["instrument_type"] == "perp")]
        if "currency" in params:
            rows = [row for row in rows if row.underlying == params["currency"]]
            rows = [row for row in rows if calendar_date(row.expiry_s) == params["expiry_date"]]
        return {"tickers": {row.name: self.ticker(row) for row in rows}}

    def on_get_trade_history(self, params):
        """Thirty past trades."""
        trades = [self.trade(params["instrument_name"], number) for number in range(30)]
        return {"trades": [trade | {"liquidity_role": "taker"} for trade in trades], "pagination": {}}

    def on_get_batches(self, _params):
        """Twenty batches in every state."""
        return {"batches": [self.batch(seq) for seq in range(1, 21)]}

    def instrument(self, row):
        """Wire shape of an instrument."""
        kind = "C" if row.kind is InstrumentKind.CALL else "P"
        option = {"expiry": row.expiry_s, "strike": format_e9(row.strike_e9), "option_type": kind}
        return {
            "instrument_name": row.name,
            "instrument_type": "perp" if row.is_perpetual else "option",
            "base_currency": row.underlying,
            "tick_size": row.price_text(1),
            "amount_step": row.quantity_text(1),
            "option_details": None if row.is_perpetual else option,
        }

    def ticker(self, row):
        """Prices of an instrument."""
        index = INDEX[row.underlying]
        if row.is_perpetual:
            best = {"a": str(float(index) + 4.2), "b": str(float(index) - 3.9)}
            return {"M": index, "I": index, "option_pricing": None} | best
        mark = max(20.0, abs(float(index) - row.strike_e9 / 1e9) / 3 + 300)
        model = {"d": "0.4217", "i": "0.5533"}
        best = {"a": str(mark + 20), "b": "0" if mark > 3000 else str(mark - 20)}
        return {"M": str(mark), "I": index, "option_pricing": model} | best

    def book(self, channel):
        """Twenty levels a side."""
        name = channel.split(".")[1]
        row = self.instruments[name]
        middle = round(float(INDEX[row.underlying]) * 1e9 / row.tick_e9)
        bids = [[row.price_text(middle - 8 * level), row.quantity_text(40 + 37 * level)] for level in range(1, 21)]
        asks = [[row.price_text(middle + 8 * level), row.quantity_text(55 + 31 * level)] for level in range(1, 21)]
        return {"instrument_name": name, "timestamp": 0, "publish_id": 1, "bids": bids, "asks": asks}

    def fresh_trade(self, channel):
        """One new trade."""
        return [self.trade(channel.split(".")[1], 1000)]

    def fresh_batch(self, _channel):
        """A batch that was just built."""
        return self.batch(21) | {"status": "Batching", "tx_hash": None, "gas_used": None, "gas_per_fill": None}

    def trade(self, name, number):
        """One trade of an instrument."""
        row = self.instruments[name]
        return {
            "trade_id": f"{number:08d}",
            "instrument_name": name,
            "timestamp": 1_795_363_200_000 + 700 * number,
            "direction": "buy" if number % 3 else "sell",
            "trade_price": INDEX[row.underlying],
            "trade_amount": row.quantity_text(100 + number),
        }

    def batch(self, seq):
        """One settlement batch."""
        status = {19: "Proving", 20: "Executing", 21: "Batching"}.get(seq, "Settled")
        return {
            "seq": seq, "fills": 90 + seq, "legs": 40, "ratio": f"{(90 + seq) / 40}", "status": status,
            "tx_hash": "0x" + f"{seq:02x}" * 32, "gas_used": 612_000 + 1_000 * seq, "gas_per_fill": "6712.5",
        }  # fmt: skip


def answer(body, kind):
    """A plain 200."""
    return Response(HTTPStatus.OK, "OK", Headers({"Content-Type": kind, "Content-Length": str(len(body))}), body)
