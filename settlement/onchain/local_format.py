"""JSON forms of the embedded chain's blocks, transactions, receipts and logs, and parsing of request parameters."""

from collections.abc import Mapping
from typing import Any

import rlp  # type: ignore[import-untyped]
from eth_hash.auto import keccak

from settlement.onchain.chain_store import LogRow

__all__ = [
    "as_quantity",
    "block_json",
    "log_json",
    "parse_call",
    "parse_hex",
    "parse_quantity",
    "receipt_json",
    "transaction_json",
]


def as_quantity(value: int) -> str:
    """Integer as JSON-RPC writes it."""
    return hex(value)


def _data(value: bytes) -> str:
    return "0x" + bytes(value).hex()


def parse_hex(text: object, length_bytes: int | None = None) -> bytes:
    """Bytes of a 0x string, with an exact length when given. Raises `ValueError`."""
    if not isinstance(text, str) or not text.startswith("0x"):
        raise ValueError("expected a 0x string")
    value = bytes.fromhex(text[2:])
    if length_bytes is not None and len(value) != length_bytes:
        raise ValueError(f"expected {length_bytes} bytes, got {len(value)}")
    return value


def parse_quantity(value: object) -> int:
    """Integer from a 0x string or a JSON number. Raises `ValueError`."""
    if isinstance(value, str) and value.startswith("0x"):
        return int(value, 16)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError("expected a quantity")


def parse_call(request: Mapping[str, Any]) -> dict[str, Any]:
    """from, to, value, data of a call object; gas and fees are ignored (calls are free and get a block's gas)."""
    data = request.get("input") or request.get("data") or "0x"
    return {
        "from": parse_hex(request.get("from") or "0x" + "00" * 20, 20),
        "to": parse_hex(request["to"], 20) if request.get("to") else b"",
        "value": parse_quantity(request.get("value") or 0),
        "data": parse_hex(data),
    }


def block_json(block: Any, full: bool) -> dict[str, object]:
    """A block; `full` gives whole transactions instead of their hashes."""
    header = block.header
    listed = [transaction_json(block, i) if full else _data(tx.hash) for i, tx in enumerate(block.transactions)]
    return {
        "number": as_quantity(header.block_number),
        "hash": _data(header.hash),
        "parentHash": _data(header.parent_hash),
        "stateRoot": _data(header.state_root),
        "transactionsRoot": _data(header.transaction_root),
        "receiptsRoot": _data(header.receipt_root),
        "logsBloom": f"0x{header.bloom:0512x}",
        "sha3Uncles": _data(header.uncles_hash),
        "miner": _data(header.coinbase),
        "difficulty": "0x0",
        "totalDifficulty": "0x0",
        "extraData": _data(header.extra_data),
        "size": as_quantity(len(rlp.encode(block))),
        "gasLimit": as_quantity(header.gas_limit),
        "gasUsed": as_quantity(header.gas_used),
        "timestamp": as_quantity(header.timestamp),
        "baseFeePerGas": as_quantity(header.base_fee_per_gas),
        "mixHash": _data(header.mix_hash),
        "nonce": _data(header.nonce),
        "uncles": [],
        "transactions": listed,
    }


def transaction_json(block: Any, index: int) -> dict[str, object]:
    """One mined transaction with its input."""
    tx = block.transactions[index]
    type_id = tx.type_id or 0
    fields: dict[str, object] = {
        "hash": _data(tx.hash),
        "blockHash": _data(block.header.hash),
        "blockNumber": as_quantity(block.header.block_number),
        "transactionIndex": as_quantity(index),
        "from": _data(tx.sender),
        "to": _data(tx.to) if tx.to else None,
        "nonce": as_quantity(tx.nonce),
        "value": as_quantity(tx.value),
        "gas": as_quantity(tx.gas),
        "gasPrice": as_quantity(_effective_gas_price(block, tx)),
        "input": _data(tx.data),
        "type": as_quantity(type_id),
        "r": as_quantity(tx.r),
        "s": as_quantity(tx.s),
        "v": as_quantity(tx.y_parity if type_id else tx.v),
    }
    if type_id:
        fields |= {"chainId": as_quantity(tx.chain_id), "accessList": []}
    if type_id >= 2:
        fields |= {
            "maxFeePerGas": as_quantity(tx.max_fee_per_gas),
            "maxPriorityFeePerGas": as_quantity(tx.max_priority_fee_per_gas),
        }
    return fields


def _effective_gas_price(block: Any, tx: Any) -> int:
    base_fee = int(block.header.base_fee_per_gas)
    return base_fee + min(int(tx.max_priority_fee_per_gas), int(tx.max_fee_per_gas) - base_fee)


def receipt_json(block: Any, receipts: tuple[Any, ...], index: int, logs: list[dict[str, object]]) -> dict[str, object]:
    """Receipt of transaction `index`; gas used is its own, not the block's sum."""
    tx, receipt, header = block.transactions[index], receipts[index], block.header
    before = receipts[index - 1].gas_used if index else 0
    created = keccak(rlp.encode([tx.sender, tx.nonce]))[12:] if not tx.to else None
    return {
        "transactionHash": _data(tx.hash),
        "transactionIndex": as_quantity(index),
        "blockHash": _data(header.hash),
        "blockNumber": as_quantity(header.block_number),
        "from": _data(tx.sender),
        "to": _data(tx.to) if tx.to else None,
        "cumulativeGasUsed": as_quantity(receipt.gas_used),
        "gasUsed": as_quantity(receipt.gas_used - before),
        "effectiveGasPrice": as_quantity(_effective_gas_price(block, tx)),
        "contractAddress": None if created is None else _data(created),
        "logs": logs,
        "logsBloom": f"0x{receipt.bloom:0512x}",
        "type": as_quantity(tx.type_id or 0),
        "status": "0x1" if receipt.state_root == b"\x01" else "0x0",
    }


def log_json(row: LogRow) -> dict[str, object]:
    """One event log."""
    return {
        "address": _data(row.address),
        "topics": [_data(row.topics[at : at + 32]) for at in range(0, len(row.topics), 32)],
        "data": _data(row.data),
        "blockNumber": as_quantity(row.block_number),
        "blockHash": _data(row.block_hash),
        "transactionHash": _data(row.tx_hash),
        "transactionIndex": as_quantity(row.tx_index),
        "logIndex": as_quantity(row.log_index),
        "removed": False,
    }
