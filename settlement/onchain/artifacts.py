"""Built contracts as shipped: creation code, code hash, places of immutables."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from eth_abi.abi import encode

from settlement.onchain.errors import DeploymentMismatch

__all__ = ["Artifact", "load_artifact"]


@dataclass(frozen=True, slots=True)
class Artifact:
    """One contract of `settlement/contracts/artifacts`."""

    name: str
    bytecode: bytes
    deployed_sha256: str
    immutable_ranges: tuple[tuple[int, int], ...]
    constructor_types: tuple[str, ...]

    def creation_code(self, arguments: Sequence[Any]) -> bytes:
        """Bytes that a creating transaction carries."""
        return self.bytecode + encode(self.constructor_types, arguments)

    def matches(self, deployed: bytes) -> bool:
        """Whether deployed code is this artifact's, immutables masked with zeros."""
        masked = bytearray(deployed)
        for start, length in self.immutable_ranges:
            masked[start : start + length] = bytes(length)
        return len(masked) == len(deployed) and hashlib.sha256(masked).hexdigest() == self.deployed_sha256


@cache
def load_artifact(name: str) -> Artifact:
    """Read `<name>.json`. Raises `DeploymentMismatch` when it is missing."""
    path = files("settlement") / "contracts" / "artifacts" / f"{name}.json"
    try:
        raw = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise DeploymentMismatch(f"contract artifact {name}.json is missing: reinstall the package") from error
    constructor: dict[str, Any] = next(
        (entry for entry in raw["abi"] if entry["type"] == "constructor"), {"inputs": []}
    )
    return Artifact(
        name=name,
        bytecode=bytes.fromhex(raw["bytecode"].removeprefix("0x")),
        deployed_sha256=raw["deployedBytecodeSha256"],
        immutable_ranges=tuple((ref["start"], ref["length"]) for ref in raw["immutableReferences"]),
        constructor_types=tuple(_abi_type(entry) for entry in constructor["inputs"]),
    )


def _abi_type(entry: dict[str, Any]) -> str:
    """Canonical type of a parameter: a struct is the tuple of its members."""
    kind = str(entry["type"])
    if not kind.startswith("tuple"):
        return kind
    return "(" + ",".join(_abi_type(member) for member in entry["components"]) + ")" + kind.removeprefix("tuple")
