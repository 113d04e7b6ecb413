"""The contract's libraries in revm, through settlement/contracts/test/symbolic/CodecProbe.sol."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import pyrevm
from eth_abi import decode, encode

from settlement.protocol.keccak import keccak256
from settlement.protocol.netting import NetDeltas
from tests.threats.rows import ROOT

__all__ = ["SolidityCodec", "compiled_probe"]

_CONTRACTS: Final = ROOT / "settlement/contracts"
_WHO: Final = "0x" + "11" * 20
_READ: Final = keccak256(b"read(bytes,uint256)")[:4]
_FOLD: Final = keccak256(b"fold(uint256[],bytes32[],bytes)")[:4]


def compiled_probe(folder: Path) -> bytes:
    """Creation code, compiled by the pinned forge with node. Raises CalledProcessError."""
    settings = {"FOUNDRY_PROFILE": "symbolic", "FOUNDRY_OUT": f"{folder}/out", "FOUNDRY_CACHE_PATH": f"{folder}/cache"}
    command = [str(_CONTRACTS / "tools/forge"), "build", "--quiet", "test/symbolic/CodecProbe.sol"]
    subprocess.run(command, cwd=_CONTRACTS, env=os.environ | settings, check=True)
    artifact = json.loads((folder / "out/CodecProbe.sol/CodecProbe.json").read_text())
    return bytes.fromhex(artifact["bytecode"]["object"].removeprefix("0x"))


class SolidityCodec:
    """Reads batches and folds proofs as the contract does."""

    def __init__(self, creation: bytes) -> None:
        self._evm = pyrevm.EVM()
        self._probe = self._evm.deploy(_WHO, creation)

    def read(self, data: bytes, withdrawals: int, fee_e6: int) -> NetDeltas | None:
        """The deltas, or None where the contract refuses bytes or sums under the header's fee (1e-6 USDC)."""
        call = _READ + encode(["bytes", "uint256"], [data, withdrawals])
        is_batch, cash_e6, packed = decode(["bool", "int256", "bytes"], self._call(call))
        if not is_batch or cash_e6 != -fee_e6:
            return None
        deltas = _unpack(packed)
        if sum(deltas.cash_e6.values()) != cash_e6:
            raise AssertionError("the contract's sum of cash is not that of its rows")
        return deltas

    def fold(self, leaves: Mapping[int, bytes], siblings: Sequence[bytes]) -> tuple[bytes, int]:
        """Root, and how many bytes of the siblings were used."""
        arguments = [list(leaves), list(leaves.values()), b"".join(siblings)]
        root, used = decode(
            ["bytes32", "uint256"], self._call(_FOLD + encode(["uint256[]", "bytes32[]", "bytes"], arguments))
        )
        return bytes(root), int(used)

    def _call(self, calldata: bytes) -> bytes:
        return bytes(self._evm.message_call(_WHO, self._probe, calldata=calldata))


def _unpack(packed: bytes) -> NetDeltas:
    cash: dict[int, int] = {}
    cells: dict[tuple[int, int], int] = {}
    at = 0
    while at < len(packed):
        account = int.from_bytes(packed[at : at + 4], "big")
        cash[account] = int.from_bytes(packed[at + 4 : at + 12], "big", signed=True)
        end = at + 14 + 16 * int.from_bytes(packed[at + 12 : at + 14], "big")
        for cell in range(at + 14, end, 16):
            lots = int.from_bytes(packed[cell + 4 : cell + 16], "big", signed=True)
            cells[account, int.from_bytes(packed[cell : cell + 4], "big")] = lots
        at = end
    return NetDeltas(cash, cells)
