"""JSON-RPC over HTTP for the embedded chain: the methods that web3, deposits, the settler and the command line use.

`serve` blocks until SIGINT or SIGTERM. Everything runs on one thread: a request is answered before the next one starts.
"""

import argparse
import asyncio
import contextlib
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Final

import msgspec
import uvicorn

from settlement.onchain.errors import CallReverted, ChainError, HistoryPruned, RpcRefused
from settlement.onchain.local_chain import DEFAULT_CHAIN_ID, DEFAULT_HISTORY_BLOCKS, LocalChain, LocalSettings
from settlement.onchain.local_format import (
    as_quantity,
    block_json,
    log_json,
    parse_call,
    parse_hex,
    parse_quantity,
    receipt_json,
    transaction_json,
)
from settlement.onchain.rpc import PRUNED_CODE

__all__ = ["LocalRpc", "main", "serve"]

MAX_BODY_BYTES: Final = 1_048_576
MAX_LOGS: Final = 10_000
MAX_BATCH_CALLS: Final = 100
_PRIORITY_FEE_WEI = 1_000_000
_FEE_HISTORY_BLOCKS = 1_024


class LocalRpc:
    """Dispatch of JSON-RPC requests onto one `LocalChain`."""

    def __init__(self, chain: LocalChain) -> None:
        self._chain = chain
        self._methods: dict[str, Callable[..., object]] = {
            "eth_chainId": self._chain_id,
            "net_version": self._net_version,
            "web3_clientVersion": self._web3_client_version,
            "eth_syncing": self._syncing,
            "eth_blockNumber": self._block_number,
            "eth_gasPrice": self._gas_price,
            "eth_maxPriorityFeePerGas": self._max_priority_fee_per_gas,
            "eth_feeHistory": self._fee_history,
            "eth_getBalance": self._get_balance,
            "eth_getTransactionCount": self._get_transaction_count,
            "eth_getCode": self._get_code,
            "eth_getStorageAt": self._get_storage_at,
            "eth_call": self._call,
            "eth_estimateGas": self._estimate_gas,
            "eth_getBlockByNumber": self._get_block_by_number,
            "eth_getBlockByHash": self._get_block_by_hash,
            "eth_sendRawTransaction": self._send_raw_transaction,
            "eth_getTransactionByHash": self._get_transaction_by_hash,
            "eth_getTransactionReceipt": self._get_transaction_receipt,
            "eth_getLogs": self._get_logs,
        }

    def answer(self, body: bytes) -> bytes:
        """Reply to one HTTP body: a request or an array of requests."""
        try:
            request = msgspec.json.decode(body)
        except msgspec.DecodeError as error:
            return msgspec.json.encode(_error(None, -32700, f"parse error: {error}"))
        if not isinstance(request, list):
            return msgspec.json.encode(self._answer_one(request))
        if len(request) > MAX_BATCH_CALLS:
            return msgspec.json.encode(_error(None, -32600, f"at most {MAX_BATCH_CALLS} calls in an array"))
        return msgspec.json.encode([self._answer_one(item) for item in request])

    def _answer_one(self, request: object) -> dict[str, object]:
        if not isinstance(request, dict) or not isinstance(request.get("method"), str):
            return _error(None, -32600, "a request is an object with a method")
        request_id, name = request.get("id"), request["method"]
        method = self._methods.get(name)
        if method is None:
            return _error(request_id, -32601, f"method {name[:64]} is not available")
        try:
            return {"jsonrpc": "2.0", "id": request_id, "result": method(*request.get("params") or ())}
        except CallReverted as error:
            return _error(request_id, 3, str(error), "0x" + error.data.hex())
        except HistoryPruned as error:
            return _error(request_id, PRUNED_CODE, str(error))
        except ChainError as error:
            return _error(request_id, -32000, str(error))
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            return _error(request_id, -32602, f"invalid params of {name}: {error}")

    def _number(self, tag: object = "latest") -> int:
        if isinstance(tag, str) and not tag.startswith("0x"):
            return self._chain.tagged_number(tag)
        return parse_quantity(tag)

    # Chain

    def _chain_id(self) -> str:
        return as_quantity(self._chain.settings.chain_id)

    def _net_version(self) -> str:
        return str(self._chain.settings.chain_id)

    def _web3_client_version(self) -> str:
        return "offbook-local-chain/py-evm"

    def _syncing(self) -> bool:
        return False

    def _block_number(self) -> str:
        return as_quantity(self._chain.head_number)

    def _gas_price(self) -> str:
        return as_quantity(self._chain.next_base_fee() + _PRIORITY_FEE_WEI)

    def _max_priority_fee_per_gas(self) -> str:
        return as_quantity(_PRIORITY_FEE_WEI)

    def _fee_history(self, count: object, newest: object, percentiles: list[float] | None = None) -> object:
        last = self._number(newest)
        first = max(self._chain.horizon, last + 1 - min(parse_quantity(count), _FEE_HISTORY_BLOCKS))
        headers = [header for n in range(first, last + 1) if (header := self._chain.header_by_number(n)) is not None]
        fees = [as_quantity(h.base_fee_per_gas) for h in headers] + [as_quantity(self._chain.next_base_fee())]
        reward = [[as_quantity(_PRIORITY_FEE_WEI) for _ in percentiles or ()] for _ in headers]
        return {
            "oldestBlock": as_quantity(first),
            "baseFeePerGas": fees,
            "gasUsedRatio": [h.gas_used / h.gas_limit for h in headers],
            "reward": reward,
        }

    # State

    def _get_balance(self, address: str, tag: object = "latest") -> str:
        return as_quantity(self._chain.balance(parse_hex(address, 20), self._number(tag)))

    def _get_transaction_count(self, address: str, tag: object = "latest") -> str:
        return as_quantity(self._chain.nonce(parse_hex(address, 20), self._number(tag)))

    def _get_code(self, address: str, tag: object = "latest") -> str:
        return "0x" + self._chain.code(parse_hex(address, 20), self._number(tag)).hex()

    def _get_storage_at(self, address: str, slot: object, tag: object = "latest") -> str:
        return f"0x{self._chain.storage(parse_hex(address, 20), parse_quantity(slot), self._number(tag)):064x}"

    def _call(self, request: Mapping[str, object], tag: object = "latest", *_: object) -> str:
        return "0x" + self._chain.call(parse_call(request), self._number(tag)).hex()

    def _estimate_gas(self, request: Mapping[str, object], tag: object = "latest", *_: object) -> str:
        return as_quantity(self._chain.estimate_gas(parse_call(request), self._number(tag)))

    # Blocks, transactions, logs

    def _get_block_by_number(self, tag: object, full: bool = False) -> object:
        header = self._chain.header_by_number(self._number(tag))
        return None if header is None else block_json(self._chain.block_of(header), full)

    def _get_block_by_hash(self, block_hash: str, full: bool = False) -> object:
        header = self._chain.header_by_hash(parse_hex(block_hash, 32))
        return None if header is None else block_json(self._chain.block_of(header), full)

    def _send_raw_transaction(self, raw: str) -> str:
        return "0x" + self._chain.send_raw(parse_hex(raw)).hex()

    def _get_transaction_by_hash(self, tx_hash: str) -> object:
        found = self._chain.find_transaction(parse_hex(tx_hash, 32))
        return None if found is None else transaction_json(self._chain.block_of(found[0]), found[1])

    def _get_transaction_receipt(self, tx_hash: str) -> object:
        found = self._chain.find_transaction(parse_hex(tx_hash, 32))
        if found is None:
            return None
        header, index = found
        rows = self._chain.store.find_logs(header.block_number, header.block_number, (), MAX_LOGS)
        logs = [log_json(row) for row in rows if row.tx_index == index]
        return receipt_json(self._chain.block_of(header), self._chain.receipts_of(header), index, logs)

    def _get_logs(self, query: Mapping[str, Any]) -> object:
        first, last = self._range_of(query)
        self._chain.check_kept(first)
        address = query.get("address") or []
        addresses = [parse_hex(one, 20) for one in (address if isinstance(address, list) else [address])]
        rows = self._chain.store.find_logs(first, last, addresses, MAX_LOGS + 1)
        if len(rows) > MAX_LOGS:
            raise RpcRefused(f"query returned more than {MAX_LOGS} results: ask for fewer blocks")
        topics = query.get("topics") or []
        return [log_json(row) for row in rows if _matches(row.topics, topics)]

    def _range_of(self, query: Mapping[str, Any]) -> tuple[int, int]:
        if "blockHash" not in query:
            return self._number(query.get("fromBlock", "latest")), self._number(query.get("toBlock", "latest"))
        header = self._chain.header_by_hash(parse_hex(query["blockHash"], 32))
        if header is None:
            raise RpcRefused("unknown block")
        return header.block_number, header.block_number


def _matches(topics: bytes, wanted: list[Any]) -> bool:
    words = [topics[at : at + 32] for at in range(0, len(topics), 32)]
    for index, want in enumerate(wanted):
        if want is None:
            continue
        options = want if isinstance(want, list) else [want]
        if index >= len(words) or words[index] not in [parse_hex(one, 32) for one in options]:
            return False
    return True


def _error(request_id: object, code: int, message: str, data: str | None = None) -> dict[str, object]:
    body: dict[str, object] = {"code": code, "message": message}
    if data is not None:
        body["data"] = data
    return {"jsonrpc": "2.0", "id": request_id, "error": body}


_Receive = Callable[[], Awaitable[dict[str, Any]]]
_Send = Callable[[dict[str, Any]], Awaitable[None]]


def _asgi(rpc: LocalRpc) -> Callable[[dict[str, Any], _Receive, _Send], Awaitable[None]]:
    async def handle(scope: dict[str, Any], receive: _Receive, send: _Send) -> None:
        if scope["type"] != "http":
            return
        body = bytearray()
        more = True
        while more and len(body) <= MAX_BODY_BYTES:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        too_big = len(body) > MAX_BODY_BYTES
        reply = msgspec.json.encode(_error(None, -32600, "body too large")) if too_big else rpc.answer(bytes(body))
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(reply)).encode())]
        await send({"type": "http.response.start", "status": 413 if too_big else 200, "headers": headers})
        await send({"type": "http.response.body", "body": reply})

    return handle


async def _mine_at_interval(chain: LocalChain, interval_s: float) -> None:
    while True:
        await asyncio.sleep(interval_s)
        chain.mine()


async def _run(server: uvicorn.Server, bound: socket.socket, chain: LocalChain, interval_s: float) -> None:
    miner = asyncio.create_task(_mine_at_interval(chain, interval_s)) if interval_s > 0 else None
    try:
        await server.serve(sockets=[bound])
    finally:
        if miner is not None:
            miner.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await miner


@contextlib.contextmanager
def _stop_on_signal(server: uvicorn.Server) -> Iterator[None]:
    """Stop cleanly on a signal that comes before uvicorn listens for it, and survive its raising it again after."""

    def stop(*_: object) -> None:
        server.should_exit = True

    names = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(name, stop) for name in names]
    try:
        yield
    finally:
        for name, handler in zip(names, before, strict=True):
            signal.signal(name, handler)


def serve(
    path: Path,
    host: str = "127.0.0.1",
    port: int = 8545,
    settings: LocalSettings | None = None,
    *,
    block_interval_s: float = 0.0,
    ready: Callable[[int], None] | None = None,
    clock: Callable[[], float] = time.time,
) -> None:
    """Serve until SIGINT or SIGTERM. `port` 0 takes a free one; `ready` gets the port once requests are accepted.

    `block_interval_s` > 0 also appends an empty block at that pace. `clock` gives the time of blocks.
    Raises `ChainError`, or `OSError` for a port in use.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(128)
        chain = LocalChain(path, settings, clock)
        config = uvicorn.Config(_asgi(LocalRpc(chain)), log_level="warning", access_log=False, lifespan="off")
        try:
            server = uvicorn.Server(config)
            with _stop_on_signal(server):
                if ready is not None:
                    ready(bound.getsockname()[1])
                asyncio.run(_run(server, bound, chain, block_interval_s))
        finally:
            chain.close()


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="settlement.onchain.local_chain", description="embedded EVM chain")
    parser.add_argument("--data", type=Path, required=True, help="directory of the chain's file")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8545, help="0 takes a free port")
    parser.add_argument("--seed", type=int, default=1, help="seed of the funded accounts")
    parser.add_argument("--chain-id", type=int, default=DEFAULT_CHAIN_ID)
    parser.add_argument("--safe-depth", type=int, default=0, help="blocks behind the head that count as safe")
    parser.add_argument("--final-depth", type=int, default=0, help="blocks behind the head that count as final")
    parser.add_argument(
        "--history-blocks", type=int, default=DEFAULT_HISTORY_BLOCKS, help="blocks to keep, 0: all (default 4096)"
    )
    parser.add_argument("--block-interval-s", type=float, default=0.0, help="also append empty blocks at this pace")
    return parser.parse_args(argv)


def _say(stream: IO[str], line: str) -> None:
    stream.write(line + "\n")
    stream.flush()


def main(argv: list[str] | None = None) -> int:
    """Command line of the embedded chain. Exit code 0 after a clean stop, 1 with one line on stderr otherwise."""
    options = _arguments(argv)
    depths = options.safe_depth, options.final_depth
    settings = LocalSettings(options.chain_id, options.seed, *depths, options.history_blocks)
    try:
        serve(
            options.data,
            options.host,
            options.port,
            settings,
            block_interval_s=options.block_interval_s,
            ready=lambda port: _say(sys.stdout, f"ready http://{options.host}:{port}"),
        )
    except ChainError as error:
        _say(sys.stderr, f"chain: {error}")
        return 1
    except OSError as error:
        _say(sys.stderr, f"chain: {options.host}:{options.port}: {error.strerror}; choose another --port")
        return 1
    return 0
