"""`python -m tests.faults.hostile_run --frames N --seed S --log FILE`: hostile frames against a live gateway.

Parts of 10,000 frames, each from its own seed against a new gateway over real sockets. Every message is answered by one
reply with a known code, never "Internal error", or the socket ends with the close code that its last frame asks for. A
bystander is answered behind each socket, whose 40 frames take less than 100 ms of the process's time together. A line
of JSON per part goes to the log; the same command goes on after the last of them. Exit 1 with the first fault.
"""

import argparse
import asyncio
import gc
import json
import random
import resource
import signal
import struct
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

from websockets.frames import Frame, Opcode

from exchange.gateway.settings import Budget, GatewaySettings
from exchange.wire.errors import MESSAGES, RpcCode
from tests.fakes.live_gateway import Client, Live, login_params, order_params, serve
from tests.faults.hostile_frames import Group, Names, draw_group

__all__ = ["PART_FRAMES", "Fault", "attack", "main"]

PART_FRAMES: Final = 10_000
_GROUP_FRAMES: Final = 40
_SEGMENTS_MAX: Final = 300
_LONGEST_S: Final = 0.1
_REPLY_S: Final = 10.0
_GROWTH_KB: Final = 256 << 10
_RICH: Final = Budget(10**9, 10**9)
"""Budgets refuse before anything is looked at; here everything is."""
_UPGRADE: Final = (
    b"GET /v3/ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class Fault(Exception):
    """The gateway owed something else."""


class Attacker:
    """One socket by hand: what it got, by kind."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take over an upgraded connection."""
        self._reader, self._writer = reader, writer
        self.replies = 0
        self.found: Counter[str] = Counter()

    @classmethod
    async def connected(cls, live: Live) -> "Attacker":
        """Upgrade a new connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", live.port)
        writer.write(_UPGRADE)
        if b" 101 " not in (await reader.readuntil(b"\r\n\r\n")).splitlines()[0]:
            raise Fault("no upgrade")
        return cls(reader, writer)

    async def send(self, data: bytes, step: int) -> None:
        """Write in segments of `step` bytes; what the gateway refuses to read any more is not written."""
        try:
            for at in range(0, len(data), step):
                self._writer.write(data[at : at + step])
                await self._writer.drain()
                await asyncio.sleep(0)
        except ConnectionError:
            pass

    async def read(self, replies: int, close_code: int) -> None:
        """Read until the close code, or that many replies. Raises Fault."""
        while close_code or self.replies < replies:
            try:
                opcode, payload = await asyncio.wait_for(self._frame(), _REPLY_S)
            except (TimeoutError, asyncio.IncompleteReadError, ConnectionError) as error:
                raise Fault(f"{type(error).__name__} after {self.replies} of {replies}, owed {close_code}") from error
            if opcode == Opcode.CLOSE:
                self._check_close(payload, close_code)
                return
            self._count(opcode, payload)

    def close(self) -> None:
        """Drop the connection."""
        self._writer.close()

    def _check_close(self, payload: bytes, close_code: int) -> None:
        code = int.from_bytes(payload[:2], "big")
        if code != close_code:
            raise Fault(f"closed with {code}, owed {close_code}")
        self.found[f"close {code}"] += 1

    def _count(self, opcode: int, payload: bytes) -> None:
        if opcode == Opcode.PONG:
            return
        if payload == b"pong":
            self.replies += 1
            return
        frame = json.loads(payload)
        if "method" in frame:
            return
        self.replies += 1
        code = frame["error"]["code"] if "error" in frame else 0
        if ("result" in frame) == bool(code) or "id" not in frame:
            raise Fault(f"neither result nor error: {payload[:500]!r}")
        if code and (code not in MESSAGES or code in (RpcCode.INTERNAL, RpcCode.RATE_LIMIT)):
            raise Fault(f"code {code}: {payload[:500]!r}")
        self.found[str(code or "result")] += 1

    async def _frame(self) -> tuple[int, bytes]:
        first, second = await self._reader.readexactly(2)
        size = second & 127
        if size == 126:
            (size,) = struct.unpack(">H", await self._reader.readexactly(2))
        elif size == 127:
            (size,) = struct.unpack(">Q", await self._reader.readexactly(8))
        return first & 15, await self._reader.readexactly(size)


def _names(live: Live, number: int) -> Names:
    trader = live.exchange.traders[number]
    order = order_params(live.exchange, trader, "BTC-PERP", "buy", "0.5", "80000")
    values = {
        "instrument_name": "BTC-PERP", "subaccount_id": trader.subaccount_id, "currency": "BTC", "wallet": trader.owner,
        "instrument_type": "perp", "expired": False, "page_size": 10, "expiry_date": "20261225", "direction": "buy",
        "amount": "1", "limit_price": "80000", "channels": ["book.BTC-PERP.raw", "ticker_slim.BTC-PERP.100"],
        "resolution": "60", "period": "60", "start_timestamp": 0, "end_timestamp": 1 << 41, "interval": 30,
        "nonce": order["nonce"], "signer": trader.signer, "signature": order["signature"], "max_fee": "100",
    }  # fmt: skip
    return Names(values, order)


async def attack(live: Live, group: Group, step: int, *, trader: int | None) -> Counter[str]:
    """One socket's frames, logged in or not, and what it got. Raises Fault."""
    attacker = await Attacker.connected(live)
    owed = group.messages
    try:
        if trader is not None:
            login = {"id": 0, "method": "public/login", "params": login_params(live.exchange.traders[trader])}
            await attacker.send(bytes(Frame(Opcode.TEXT, json.dumps(login).encode()).serialize(mask=True)), 1 << 16)
            owed += 1
        await asyncio.gather(attacker.send(group.data, step), attacker.read(owed, group.close_code))
    finally:
        attacker.close()
    return attacker.found


async def _part(seed: int, number: int, frames: int) -> Counter[str]:
    """All groups of one part, the bystander between them. Raises Fault."""
    rng = random.Random(f"{seed}/{number}")
    found: Counter[str] = Counter()
    settings = GatewaySettings(
        matching=_RICH, cancels=_RICH, quotes=_RICH, reads=_RICH, public=_RICH, compiled_frames=number % 8 != 7
    )
    async with serve(settings=settings) as live, live.client() as bystander:
        for at in range(0, frames, _GROUP_FRAMES):
            trader = rng.choice((None, 0, 1, 2))
            group = draw_group(rng, _names(live, trader or 0), min(_GROUP_FRAMES, frames - at))
            least = len(group.data) // _SEGMENTS_MAX + 1
            try:
                found += await _timed(live, bystander, group, max(least, rng.choice((1, 7, 200, 1 << 16))), trader)
            except Fault as fault:
                raise Fault(f"seed {seed}, part {number}, frames behind {at}: {fault}") from fault
            found.update(group.kinds)
            found["frames"] += len(group.kinds)
    return found


async def _timed(live: Live, bystander: Client, group: Group, step: int, trader: int | None) -> Counter[str]:
    """One socket, and behind it a bystander; of the process's own time, because the machine has other work."""
    begun_s = time.process_time()
    found = await attack(live, group, step, trader=trader)
    await bystander.call("public/get_time")
    seconds = time.process_time() - begun_s
    if seconds > _LONGEST_S:
        raise Fault(f"{len(group.kinds)} frames of {len(group.data)} bytes took {seconds * 1_000:.0f} ms")
    found["microseconds"] = round(seconds * 1e6)
    return found


def _run(frames: int, seed: int, log: Path | None) -> Counter[str]:
    """From the first part behind the log on."""
    rows = [json.loads(line) for line in log.read_text().splitlines()] if log and log.exists() else []
    found = Counter(next((row["found"] for row in reversed(rows) if row["seed"] == seed), {}))
    begun_s, least_kb = time.monotonic(), 0
    while found["frames"] < frames:
        size = min(PART_FRAMES, frames - found["frames"])
        found += asyncio.run(_part(seed, found["frames"] // PART_FRAMES, size))
        # The parts' gateways are rings of objects; what is left of them is not what is looked for.
        gc.collect()
        size_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        least_kb = least_kb or size_kb
        if size_kb - least_kb > _GROWTH_KB:
            raise Fault(f"{size_kb} KiB after {found['frames']:,} frames, {least_kb} KiB at first")
        _note(log, {"seed": seed, "seconds": round(time.monotonic() - begun_s), "kb": size_kb, "found": dict(found)})
    return found


def _note(log: Path | None, row: dict[str, Any]) -> None:
    sys.stdout.write(f"{row['found']['frames']:>12,} frames  {row['seconds']:,} s  {row['kb'] >> 10} MiB\n")
    sys.stdout.flush()
    if log:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a") as lines:
            lines.write(json.dumps(row) + "\n")


def main(arguments: list[str] | None = None) -> int:
    """Run what the log lacks and print the sums."""
    # A shell starts its background jobs deaf to the interrupt; this run promises to stop and go on.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--log", type=Path)
    asked = parser.parse_args(arguments)
    try:
        found = _run(asked.frames, asked.seed, asked.log)
    except KeyboardInterrupt:
        sys.stdout.write("stopped; the same command goes on from here\n")
        return 130
    except Fault as fault:
        sys.stdout.write(f"hostile: {fault}\n")
        return 1
    rows = ", ".join(f"{count:,} {name}" for name, count in sorted(found.items()))
    sys.stdout.write(f"hostile: {found['frames']:,} frames, no fault: {rows}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
