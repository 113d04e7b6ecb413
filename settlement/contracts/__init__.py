"""Settlement contracts: Solidity sources, their build tools, and the built artifacts that are shipped."""

import json
from importlib import resources
from typing import Any

__all__ = ["CONTRACT_NAMES", "load_artifact"]

CONTRACT_NAMES = (
    "Settlement",
    "Disputes",
    "Authority",
    "Forced",
    "Bonds",
    "Markets",
    "Floors",
    "FastPayments",
    "Escape",
    "Notices",
    "DemoUSDC",
)


def load_artifact(name: str) -> dict[str, Any]:
    """Read the committed artifact of `name` (abi, bytecode, deployedBytecode, immutableReferences, storageLayout...).

    Raises `ValueError` for a name that is not in `CONTRACT_NAMES`.
    """
    if name not in CONTRACT_NAMES:
        raise ValueError(f"no contract {name!r}; known: {', '.join(CONTRACT_NAMES)}")
    text = resources.files(__name__).joinpath("artifacts", f"{name}.json").read_text(encoding="utf-8")
    artifact: dict[str, Any] = json.loads(text)
    return artifact
