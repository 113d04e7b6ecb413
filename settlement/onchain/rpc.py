"""JSON-RPC adapter over web3's HTTP provider: typed errors, a timeout per request, bounded retries of reads.

A send is never repeated here: whether it arrived is unknown after a timeout, and the poster decides.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import requests
from web3 import HTTPProvider
from web3.types import RPCEndpoint

from settlement.onchain.chain import BlockRef, Fees, Log, Receipt, TransactionInput
from settlement.onchain.errors import (
    AlreadyKnown,
    BadSeq,
    CallReverted,
    HistoryPruned,
    InsufficientFunds,
    NonceTooHigh,
    NonceTooLow,
    ReplacementUnderpriced,
    RpcRefused,
    RpcUnavailable,
)

__all__ = ["BAD_SEQ_SELECTOR", "PRUNED_CODE", "RpcChain", "RpcSettings", "classify_refusal"]

PRUNED_CODE: Final = 4444
"""JSON-RPC error code of a block that is no longer kept, as geth gives it (EIP-4444)."""
BAD_SEQ_SELECTOR: Final = bytes.fromhex("d21fff71")
_ZERO_ADDRESS = bytes(20)
_Parsed = TypeVar("_Parsed")


@dataclass(frozen=True, slots=True)
class RpcSettings:
    """`timeout_s` per request; reads are tried `attempts` times, pausing `backoff_s` x 2^n in between."""

    timeout_s: float = 5.0
    attempts: int = 3
    backoff_s: float = 0.1


class RpcChain:
    """`Chain` at an RPC URL."""

    def __init__(
        self,
        url: str,
        settings: RpcSettings | None = None,
        pause: Callable[[float], None] = time.sleep,
        provider: Any = None,
    ) -> None:
        """`provider` answers `make_request` in the place of web3's over HTTP."""
        self.url = url
        self._settings = settings or RpcSettings()
        self._pause = pause
        self._provider = provider or HTTPProvider(
            url, request_kwargs={"timeout": self._settings.timeout_s}, exception_retry_configuration=None
        )

    def chain_id(self) -> int:
        """What eth_chainId answers."""
        return self._read(_number, "eth_chainId")

    def block(self, tag: str | int) -> BlockRef | None:
        """Block by number or tag; None when there is none."""
        return self._read(_block, "eth_getBlockByNumber", _tag(tag), False)

    def nonce(self, address: bytes, *, pending: bool = False, tag: str | int = "latest") -> int:
        """Next nonce of an account, after block `tag`."""
        return self._read(_number, "eth_getTransactionCount", _hex(address), "pending" if pending else _tag(tag))

    def fees(self) -> Fees:
        """Base fee of the next block and the node's priority fee."""
        base_fee = self._read(lambda found: _number(found["baseFeePerGas"][-1]), "eth_feeHistory", "0x1", "latest", [])
        return Fees(base_fee, self._read(_number, "eth_maxPriorityFeePerGas"))

    def send_raw(self, raw: bytes) -> bytes:
        """Hand over a signed transaction once."""
        return self._ask(_bytes, "eth_sendRawTransaction", [_hex(raw)])

    def receipt(self, tx_hash: bytes) -> Receipt | None:
        """Receipt on the current best chain, None when not mined there."""
        return self._read(_receipt, "eth_getTransactionReceipt", _hex(tx_hash))

    def transaction(self, tx_hash: bytes) -> TransactionInput | None:
        """The transaction with its calldata, None when unknown."""
        return self._read(_transaction, "eth_getTransactionByHash", _hex(tx_hash))

    def call(self, to: bytes, data: bytes, *, sender: bytes = _ZERO_ADDRESS, tag: str | int = "latest") -> bytes:
        """Output of a call."""
        request = {"from": _hex(sender), "to": _hex(to), "data": _hex(data)}
        return self._read(_bytes, "eth_call", request, _tag(tag))

    def estimate_gas(self, sender: bytes, to: bytes | None, data: bytes) -> int:
        """Gas that the transaction needs."""
        request = {"from": _hex(sender), "data": _hex(data)}
        if to is not None:
            request["to"] = _hex(to)
        return self._read(_number, "eth_estimateGas", request)

    def logs(self, address: bytes, topics: Sequence[bytes | None], first_block: int, last_block: int) -> list[Log]:
        """Logs of one contract in a block range, both ends included."""
        query = {
            "address": _hex(address),
            "topics": [None if topic is None else _hex(topic) for topic in topics],
            "fromBlock": hex(first_block),
            "toBlock": hex(last_block),
        }
        return self._read(_logs, "eth_getLogs", query)

    def code(self, address: bytes) -> bytes:
        """Deployed code, empty when there is none."""
        return self._read(_bytes, "eth_getCode", _hex(address), "latest")

    def _read(self, parse: Callable[[Any], _Parsed], method: str, *params: object) -> _Parsed:
        for attempt in range(self._settings.attempts - 1):
            try:
                return self._ask(parse, method, list(params))
            except RpcUnavailable:
                self._pause(self._settings.backoff_s * 2**attempt)
        return self._ask(parse, method, list(params))

    def _ask(self, parse: Callable[[Any], _Parsed], method: str, params: list[object]) -> _Parsed:
        """One request; an answer of another shape than the method's is no answer."""
        result = self._request(method, params)
        try:
            return parse(result)
        except (TypeError, ValueError, KeyError, IndexError, AttributeError) as error:
            raise RpcUnavailable(f"chain at {self.url} gave an answer of another shape to {method}") from error

    def _request(self, method: str, params: list[object]) -> Any:
        try:
            reply: Any = self._provider.make_request(RPCEndpoint(method), params)
        except (requests.RequestException, OSError, ValueError) as error:
            raise RpcUnavailable(f"chain at {self.url} gave no answer to {method}: {type(error).__name__}") from error
        if not isinstance(reply, Mapping) or ("result" not in reply and "error" not in reply):
            raise RpcUnavailable(f"chain at {self.url} gave no JSON-RPC answer to {method}")
        if reply.get("error") is not None:
            raise classify_refusal(method, reply["error"])
        return reply["result"]


_PHRASES: Final[tuple[tuple[str, type[RpcRefused]], ...]] = (
    ("already known", AlreadyKnown),
    ("already imported", AlreadyKnown),
    ("nonce too low", NonceTooLow),
    ("nonce too high", NonceTooHigh),
    ("underpriced", ReplacementUnderpriced),
    ("insufficient funds", InsufficientFunds),
    ("cannot afford txn gas", InsufficientFunds),
)


def classify_refusal(method: str, error: object) -> RpcRefused:
    """Typed error for a JSON-RPC error object."""
    if not isinstance(error, Mapping):
        return RpcRefused(f"{method}: {error}")
    message = str(error.get("message", ""))
    lowered = message.lower()
    if error.get("code") == PRUNED_CODE:
        return HistoryPruned(f"{method}: {message}")
    for phrase, kind in _PHRASES:
        if phrase in lowered:
            return kind(f"{method}: {message}")
    data = _revert_data(error.get("data"))
    if data[:4] == BAD_SEQ_SELECTOR:
        return BadSeq(f"{method}: BadSeq()", data)
    if error.get("code") == 3 or "revert" in lowered:
        return CallReverted(f"{method}: {message}", data)
    return RpcRefused(f"{method}: {message}")


def _block(found: Any) -> BlockRef | None:
    if found is None:
        return None
    return BlockRef(_number(found["number"]), _bytes(found["hash"]), _number(found["timestamp"]))


def _receipt(found: Any) -> Receipt | None:
    if found is None or found["blockHash"] is None:
        return None
    created = found.get("contractAddress")
    return Receipt(
        tx_hash=_bytes(found["transactionHash"]),
        block_number=_number(found["blockNumber"]),
        block_hash=_bytes(found["blockHash"]),
        succeeded=_number(found["status"]) == 1,
        gas_used=_number(found["gasUsed"]),
        contract_address=None if created is None else _bytes(created),
        logs=tuple(_logs(found["logs"])),
    )


def _transaction(found: Any) -> TransactionInput | None:
    if found is None:
        return None
    mined, to = found.get("blockNumber"), found.get("to")
    return TransactionInput(
        tx_hash=_bytes(found["hash"]),
        sender=_bytes(found["from"]),
        to=None if to is None else _bytes(to),
        data=_bytes(found["input"]),
        block_number=None if mined is None else _number(mined),
    )


def _logs(found: Any) -> list[Log]:
    if not isinstance(found, list):
        raise TypeError("logs are no array")
    return [_log(entry) for entry in found]


def _revert_data(value: object) -> bytes:
    if isinstance(value, Mapping):
        value = value.get("data")
    if not isinstance(value, str) or not value.startswith("0x"):
        return b""
    try:
        return bytes.fromhex(value[2:])
    except ValueError:
        return b""


def _log(entry: Mapping[str, Any]) -> Log:
    return Log(
        address=_bytes(entry["address"]),
        topics=tuple(_bytes(topic) for topic in entry["topics"]),
        data=_bytes(entry["data"]),
        block_number=_number(entry["blockNumber"]),
        block_hash=_bytes(entry["blockHash"]),
        tx_hash=_bytes(entry["transactionHash"]),
        log_index=_number(entry["logIndex"]),
    )


def _hex(value: bytes) -> str:
    return "0x" + value.hex()


def _bytes(text: str) -> bytes:
    if not text.startswith("0x"):
        raise ValueError("expected a 0x string")
    return bytes.fromhex(text[2:])


def _number(text: str) -> int:
    return int(text, 16)


def _tag(tag: str | int) -> str:
    return tag if isinstance(tag, str) else hex(tag)
