"""G1 and G5: order round trips through gateway, sequencer and engine, beside an echo server of the same stack.

One socket per account, windows of 16 requests, loopback, no TLS, durability off (commits take no time). In each round
the echo server gets the very frames of the round, then the exchange gets signed orders, then session-only cancels of
them. G1: cancels against echoes. G5: signed orders against bare verification with a cached key on one core. The load
client is Python on the other core: `client_cpu` says how busy it was.
"""

import asyncio
import itertools
import json
import re
import statistics
import time

from websockets.frames import Frame, Opcode

from bench.gateway_world import ACCOUNTS, PERP, VENUE, owner_of, session_of
from bench.harness import record_goal, result_hash, sized
from bench.serving import child
from settlement.protocol.eip712 import trade_digest
from settlement.protocol.signature import address_of, checksum_address, learn_key, personal_digest, sign_digest

PER_ACCOUNT = sized(small=32, full=240)
ROUNDS = sized(small=1, full=5)
VERIFICATIONS = sized(small=200, full=2_000)
WINDOW = 16
TEXT = 0x81
E18 = 10**18
UPGRADE = (
    b"GET /v3/ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
ORDER_ID = re.compile(rb'"order_id":"([0-9a-f-]{36})"')
STATUS = re.compile(rb'"order_status":"(\w+)"')
_nonces = itertools.count(time.time_ns() // 1000 * 1000)


class LoadSocket(asyncio.Protocol):
    """Sends prepared frames in windows and keeps the reply payloads."""

    def __init__(self):
        self.ready = asyncio.get_running_loop().create_future()
        self.done = None
        self.replies = []
        self._buffer = b""
        self._waiting = []
        self._outstanding = 0

    def connection_made(self, transport):
        self._transport = transport
        transport.write(UPGRADE)

    def data_received(self, data):
        self._buffer += data
        if not self.ready.done():
            head, found, self._buffer = self._buffer.partition(b"\r\n\r\n")
            if not found:
                self._buffer = head
                return
            self.ready.set_result(b" 101 " in head)
        self._parse()

    def run(self, frames):
        """Send `frames`; the future ends with the last reply."""
        self.replies = []
        self._waiting = [b"".join(frames[at : at + WINDOW]) for at in range(0, len(frames), WINDOW)][::-1]
        self._sizes = [len(frames[at : at + WINDOW]) for at in range(0, len(frames), WINDOW)][::-1]
        self.done = asyncio.get_running_loop().create_future()
        self._next()
        return self.done

    def close(self):
        self._transport.abort()

    def _next(self):
        if not self._waiting:
            self.done.set_result(self.replies)
            return
        self._outstanding = self._sizes.pop()
        self._transport.write(self._waiting.pop())

    def _parse(self):
        buffer, at = self._buffer, 0
        while len(buffer) - at >= 2:
            size, start = buffer[at + 1], at + 2
            if size == 126:
                size, start = int.from_bytes(buffer[at + 2 : at + 4], "big"), at + 4
            if len(buffer) < start + size:
                break
            if buffer[at] == TEXT:  # a ping of a server that has run for half a minute is no reply
                self.replies.append(buffer[start : start + size])
                self._outstanding -= 1
            at = start + size
        self._buffer = buffer[at:]
        if self.done is not None and not self.done.done() and self._outstanding == 0:
            self._next()


def masked(payload):
    """A client frame."""
    return bytes(Frame(Opcode.TEXT, payload).serialize(mask=True))


def request(number, method, params):
    """A masked request."""
    return masked(json.dumps({"id": number, "method": method, "params": params}, separators=(",", ":")).encode())


def signed_order(number, step):
    """Digest, signature and frame of a resting buy; every price is its own level of a few."""
    price_ticks, nonce, expiry_s = 700_000 + step % 50, next(_nonces), time.time_ns() // 10**9 + 3_600
    owner, signer = address_of(owner_of(number)), address_of(session_of(number))
    subaccount_id = VENUE.subaccount_id(2 + number)
    digest = trade_digest(
        VENUE.domain_separator,
        asset=VENUE.asset(PERP),
        sub_id=0,
        limit_price_e18=price_ticks * E18 // 10,
        amount_e18=E18 // 100,
        max_fee_e18=100 * E18,
        subaccount_id=subaccount_id,
        is_bid=True,
        nonce=nonce,
        expiry_s=expiry_s,
        owner=owner,
        signer=signer,
    )
    signature = sign_digest(session_of(number), digest)
    params = {
        "instrument_name": PERP.name,
        "subaccount_id": subaccount_id,
        "direction": "buy",
        "amount": "0.01",
        "limit_price": PERP.price_text(price_ticks),
        "max_fee": "100",
        "nonce": str(nonce),
        "signer": checksum_address(signer),
        "signature_expiry_sec": expiry_s,
        "signature": signature.hex(),
    }
    return digest, signature, request(step, "private/order", params)


async def connected(port):
    """One socket per account."""
    loop = asyncio.get_running_loop()
    sockets = []
    for _ in range(ACCOUNTS):
        _, protocol = await loop.create_connection(LoadSocket, "127.0.0.1", port)
        assert await protocol.ready
        sockets.append(protocol)
    return sockets


async def log_in(sockets):
    """Log every socket in as its account."""
    for number, one in enumerate(sockets):
        timestamp = str(time.time_ns() // 1_000_000)
        signature = sign_digest(session_of(number), personal_digest(timestamp.encode())).hex()
        wallet = checksum_address(address_of(owner_of(number)))
        params = {"wallet": wallet, "timestamp": timestamp, "signature": signature}
        replies = await one.run([request(0, "public/login", params)])
        assert b'"result":[' in replies[0], replies[0]


async def timed(sockets, frames):
    """Run all sockets together; returns requests per second and the replies of each."""
    start = time.perf_counter()
    replies = await asyncio.gather(*(one.run(rows) for one, rows in zip(sockets, frames, strict=True)))
    return sum(map(len, frames)) / (time.perf_counter() - start), replies


def bare_verifications_per_s(orders):
    """Verify digests against a cached key, and nothing else."""
    digest, signature, _ = orders[0]
    key = learn_key(digest, signature)
    start = time.perf_counter()
    for number in range(VERIFICATIONS):
        digest, signature, _ = orders[number % len(orders)]
        assert key.verify(digest, signature)
    return VERIFICATIONS / (time.perf_counter() - start)


async def one_round(echo, exchange, outcome):
    """Echo, orders, cancels, echo of cancels; returns the four rates."""
    orders = [[signed_order(number, step) for step in range(PER_ACCOUNT)] for number in range(ACCOUNTS)]
    frames = [[frame for _, _, frame in rows] for rows in orders]
    echo_orders, _ = await timed(echo, frames)
    placed, replies = await timed(exchange, frames)
    ids = [[ORDER_ID.search(reply)[1].decode() for reply in rows] for rows in replies]
    assert all(STATUS.search(reply)[1] == b"open" for rows in replies for reply in rows)
    cancels = [
        [
            request(step, "private/cancel", {"order_id": order_id, "subaccount_id": VENUE.subaccount_id(2 + number)})
            for step, order_id in enumerate(rows)
        ]
        for number, rows in enumerate(ids)
    ]
    canceled, replies = await timed(exchange, cancels)
    echo_cancels, _ = await timed(echo, cancels)
    outcome.extend(STATUS.search(reply)[1] for rows in replies for reply in rows)
    return echo_orders, placed, canceled, echo_cancels, bare_verifications_per_s(orders[0])


async def story(echo_port, exchange_port):
    """All rounds; returns medians and the outcome of every cancel."""
    echo, exchange = await connected(echo_port), await connected(exchange_port)
    await log_in(exchange)
    outcome, cpu, wall = [], time.process_time(), time.perf_counter()
    rows = [await one_round(echo, exchange, outcome) for _ in range(ROUNDS + 1)][1:]
    busy = (time.process_time() - cpu) / (time.perf_counter() - wall)
    for one in (*echo, *exchange):
        one.close()
    return [statistics.median(column) for column in zip(*rows, strict=True)], outcome, busy


def measure():
    """Run both servers and the story once."""
    with child("bench.echo_server") as echo_port, child("bench.gateway_server") as exchange_port:
        return asyncio.run(story(echo_port, exchange_port))


_measured = []


def figures():
    """Measure once per process, whichever goals are asked for."""
    if not _measured:
        _measured.append(measure())
    return _measured[0]


def outcome_hash(outcome):
    """Hash of what happened to every order."""
    return result_hash([b"canceled:%d" % outcome.count(b"cancelled"), b"all:%d" % len(outcome)])


def test_session_only_cancels(benchmark):
    """G1: unsigned order round trips against the echo server."""
    rates, outcome, busy = benchmark.pedantic(figures, rounds=1)
    _, _, canceled, echo_cancels, _ = rates
    record_goal(
        benchmark,
        goal="G1",
        value=round(canceled / echo_cancels, 3),
        unit="of the echo rate",
        target=0.6,
        result_hash=outcome_hash(outcome),
        reference=round(echo_cancels),
        ratio=round(canceled / echo_cancels, 3),
        per_second=round(canceled),
        client_cpu=round(busy, 2),
        durability="off",
    )


def test_signed_orders(benchmark):
    """G5: signed orders against bare verification with a cached key."""
    rates, outcome, busy = benchmark.pedantic(figures, rounds=1)
    echo_orders, placed, _, _, verified = rates
    record_goal(
        benchmark,
        goal="G5",
        value=round(placed / verified, 3),
        unit="of bare verification",
        target=0.8,
        result_hash=outcome_hash(outcome),
        reference=round(verified),
        ratio=round(placed / verified, 3),
        per_second=round(placed),
        echo_per_second=round(echo_orders),
        of_echo=round(placed / echo_orders, 3),
        client_cpu=round(busy, 2),
        durability="off",
    )
