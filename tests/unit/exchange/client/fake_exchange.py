"""A tiny exchange for the client's tests: real websocket, real signature checks, no matching.

It answers the client's methods in the shapes of api.md 6 and 7, fills every market order at the mark, keeps limit
orders open, and can drop its sockets.
"""

import itertools
import json
from contextlib import asynccontextmanager
from decimal import Decimal

from websockets.asyncio.server import serve

from settlement.protocol.eip712 import asset_address, domain_separator, trade_digest
from settlement.protocol.signature import parse_address, parse_signature, personal_digest, recover_address

CHAIN_ID = 424242
SEPARATOR = domain_separator(CHAIN_ID)
CONTRACT = bytes([0x66]) * 20
OWNER = "0x000000000000000000000000000000000000dEaD"
SESSION_KEY = "0x2ae8be44db8a590d20bffbe3b6872df9b569147d3bf6801a35a28281a4816bbd"
SIGNER = "0x86042886b1063625D0B3DDCC9e4cBcf912B79e16"
SUBACCOUNT = 7
_seqs = itertools.count(1)


def instrument_row(name="BTC-PERP", kind="perp", index="BTC-USD", **more):
    """One Instrument object as the protocol shows it."""
    option = {"expiry": 1798185600, "strike": "84000", "option_type": "C", "index": index, "settlement_price": None}
    asset = asset_address(chain_id=CHAIN_ID, settlement_contract=CONTRACT, currency="BTC", kind=kind)
    return {
        "instrument_name": name,
        "instrument_type": kind,
        "instrument_id": 1 << 31 if kind == "perp" else 5,
        "base_currency": "BTC",
        "tick_size": "0.1" if kind == "perp" else "1",
        "amount_step": "0.001" if kind == "perp" else "0.01",
        "minimum_amount": "0.001" if kind == "perp" else "0.01",
        "maximum_amount": "100",
        "maker_fee_rate": "0.0001",
        "taker_fee_rate": "0.0003",
        "base_asset_address": "0x" + asset.hex(),
        "base_asset_sub_id": "0",
        "perp_details": {"index": index} if kind == "perp" else None,
        "option_details": option if kind == "option" else None,
    } | more


class RefusalError(Exception):
    """An error reply."""

    def __init__(self, code, message, data=None):
        super().__init__(message)
        self.error = {"code": code, "message": message, "data": data}


class FakeExchange:
    """One account, one price."""

    def __init__(self):
        self.received = []
        self.open_orders = {}
        self.nonces = set()
        self.sockets = set()
        self.subscribed = {}
        self.refused_channels = {}
        self.silent_methods = set()
        self.mark = self.index = "84000"
        self.numbers = itertools.count(1)
        self.url = ""

    @asynccontextmanager
    async def running(self, port=0):
        """Serve on a free port of this host."""
        async with serve(self.handle, "127.0.0.1", port, compression=None) as server:
            self.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/v3/ws"
            yield self

    async def drop_sockets(self):
        """End every connection without warning."""
        for socket in list(self.sockets):
            socket.transport.abort()

    async def publish(self, channel, data):
        """Send a notification to every subscriber."""
        params = {"channel": channel, "data": data, "seq": next(_seqs)}
        text = json.dumps({"jsonrpc": "2.0", "method": "subscription", "params": params})
        for socket in list(self.subscribed.get(channel, ())):
            await socket.send(text)

    async def handle(self, socket):
        """One connection."""
        self.sockets.add(socket)
        state = {"logged_in": False}
        try:
            async for frame in socket:
                await self.answer(socket, state, json.loads(frame))
        finally:
            self.sockets.discard(socket)
            for members in self.subscribed.values():
                members.discard(socket)

    async def answer(self, socket, state, request):
        """Run one request and its consequences."""
        method, params = request["method"], request["params"]
        self.received.append((method, params))
        if method in self.silent_methods:
            return
        reply, after = {"id": request["id"], "jsonrpc": "2.0"}, []
        try:
            reply["result"] = self.run(socket, state, method, params, after)
        except RefusalError as refusal:
            reply["error"] = refusal.error
        await socket.send(json.dumps(reply))
        for channel, data in after:
            await self.publish(channel, data)

    def run(self, socket, state, method, params, after):
        """Dispatch by method name."""
        if method.startswith("private/") and not state["logged_in"]:
            raise RefusalError(14021, "Not logged in")
        if method == "public/login":
            self.check_login(params)
            state["logged_in"] = True
            return [SUBACCOUNT]
        if method in ("subscribe", "unsubscribe"):
            return self.change_channels(socket, method, params["channels"])
        name = "on_" + method.split("/")[1]
        if not hasattr(self, name):
            raise RefusalError(-32601, "Method not found")
        return getattr(self, name)(params, after)

    def check_login(self, params):
        """EIP-191 over the decimal milliseconds."""
        digest = personal_digest(params["timestamp"].encode())
        if recover_address(digest, parse_signature(params["signature"])) != parse_address(SIGNER):
            raise RefusalError(14014, "Signature does not match")

    def change_channels(self, socket, method, channels):
        """Subscribe or unsubscribe."""
        status = {}
        for channel in channels:
            status[channel] = self.refused_channels.get(channel, "ok")
            members = self.subscribed.setdefault(channel, set())
            if method == "subscribe" and status[channel] == "ok":
                members.add(socket)
            else:
                members.discard(socket)
        return {"status": status, "current_subscriptions": channels}

    def on_get_info(self, _params, _after):
        """Describe the deployment."""
        separator, contract = "0x" + SEPARATOR.hex(), "0x" + "66" * 20
        return {"chain_id": CHAIN_ID, "domain_separator": separator, "settlement_contract": contract}

    def on_get_all_instruments(self, params, _after):
        """One perpetual and one call, two pages of one option row each."""
        if params["instrument_type"] == "perp":
            return {"instruments": [instrument_row()], "pagination": {"count": 1, "num_pages": 1}}
        names = ["BTC-20261225-84000-C", "BTC-20261225-86000-C"]
        row = instrument_row(names[params["page"] - 1], "option")
        return {"instruments": [row], "pagination": {"count": 2, "num_pages": 2}}

    def on_get_ticker(self, _params, _after):
        """Quote around the mark."""
        return {"M": self.mark, "I": self.index, "a": "84001", "A": "1", "b": "83999", "B": "1"}

    def on_get_tickers(self, params, _after):
        """Quote both options of the chain."""
        assert (params["currency"], params["expiry_date"]) == ("BTC", "20261225")
        ticker = {"M": "2500", "I": "84000", "a": "0", "A": "0", "b": "0", "B": "0"}
        return {"tickers": {"BTC-20261225-84000-C": ticker, "BTC-20261225-86000-C": ticker}}

    def on_order(self, params, after):
        """Check the signature, then fill or rest."""
        digest = self.check_order(params)
        number = f"00000000-0000-8{next(self.numbers):03d}-8116-0b9de104199c"
        order = {"order_id": number, "order_status": "open", "filled_amount": "0", "digest": digest.hex()} | params
        trades = []
        if params["order_type"] == "market" or params.get("time_in_force") == "ioc":
            order |= {"order_status": "filled", "filled_amount": params["amount"]}
            trades = [self.trade(order)]
            after.append((f"{SUBACCOUNT}.trades", trades))
        else:
            self.open_orders[number] = order
        after.append((f"{SUBACCOUNT}.orders", [order]))
        return {"order": order, "trades": trades}

    def on_replace(self, params, after):
        """Cancel and place."""
        old = self.on_cancel({"order_id": params["order_id_to_cancel"]}, after)
        return {"cancelled_order": old, "create_order_error": None} | self.on_order(params, after)

    def on_cancel(self, params, after):
        """Cancel one."""
        order = self.open_orders.pop(params["order_id"], None)
        if order is None:
            raise RefusalError(11006, "Order does not exist", json.dumps({"order_id": params["order_id"]}))
        order["order_status"] = "cancelled"
        after.append((f"{SUBACCOUNT}.orders", [order]))
        return order

    def on_cancel_all(self, _params, after):
        """Cancel everything."""
        for number in list(self.open_orders):
            self.on_cancel({"order_id": number}, after)
        return "ok"

    def on_cancel_by_instrument(self, _params, after):
        """Cancel everything of the only instrument."""
        count = len(self.open_orders)
        self.on_cancel_all({}, after)
        return {"cancelled_orders": count}

    def on_get_open_orders(self, params, _after):
        """List open orders."""
        return {"subaccount_id": params["subaccount_id"], "orders": list(self.open_orders.values())}

    def on_get_positions(self, params, _after):
        """No positions."""
        return {"subaccount_id": params["subaccount_id"], "positions": []}

    def on_get_subaccount(self, params, _after):
        """Show a rich account."""
        return {"subaccount_id": params["subaccount_id"], "subaccount_value": "1000000", "positions": []}

    def trade(self, order):
        """Fill at the mark."""
        return {
            "trade_id": order["order_id"], "instrument_name": order["instrument_name"], "trade_price": self.mark,
            "trade_amount": order["amount"], "direction": order["direction"], "order_id": order["order_id"],
        }  # fmt: skip

    def check_order(self, params):
        """Rebuild the digest from the sent texts and compare the signer, as the gateway does."""
        row = instrument_row(kind="perp" if params["instrument_name"].endswith("PERP") else "option")
        digest = trade_digest(
            SEPARATOR,
            asset=parse_address(row["base_asset_address"]),
            sub_id=int(row["base_asset_sub_id"]),
            limit_price_e18=int(Decimal(params["limit_price"]).scaleb(18)),
            amount_e18=int(Decimal(params["amount"]).scaleb(18)),
            max_fee_e18=int(Decimal(params["max_fee"]).scaleb(18)),
            subaccount_id=params["subaccount_id"],
            is_bid=params["direction"] == "buy",
            nonce=int(params["nonce"]),
            expiry_s=params["signature_expiry_sec"],
            owner=parse_address(OWNER),
            signer=parse_address(params["signer"]),
        )
        if recover_address(digest, parse_signature(params["signature"])) != parse_address(params["signer"]):
            raise RefusalError(14014, "Signature does not match", json.dumps({"digest": digest.hex()}))
        if params["nonce"] in self.nonces:
            raise RefusalError(11017, "Nonce used")
        self.nonces.add(params["nonce"])
        return digest
