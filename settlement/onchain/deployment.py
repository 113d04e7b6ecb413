"""The deployment file: where the contracts stand. Light to import, because every process reads it at its start."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from settlement.onchain.errors import DeploymentMismatch

__all__ = ["RESET_HINT", "Deployment", "load_deployment", "save_deployment"]

RESET_HINT: Final = "run `offbook reset`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """Where the contracts stand; written once per data directory."""

    chain_id: int
    settlement: bytes
    token: bytes
    operator: bytes
    subaccount_base: int
    finality_window_s: int
    domain_separator: bytes
    deploy_block: int
    genesis_hash: bytes
    deploy_block_hash: bytes = b""
    """Tells two chains of one seed apart; empty where it was not recorded."""
    feed_threshold: int = 0
    """How many feeds sign a round; 0: the operator's word is enough, and nobody may ask to be closed."""


def save_deployment(deployment: Deployment, path: Path) -> None:
    """Write the file atomically: temporary file, fsync, rename, fsync of the directory."""
    fields = {name: _as_json(value) for name, value in asdict(deployment).items()}
    temporary = path.with_suffix(".tmp")
    with temporary.open("w") as out:
        json.dump(fields, out, indent=2)
        out.write("\n")
        out.flush()
        os.fsync(out.fileno())
    temporary.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def load_deployment(path: Path) -> Deployment | None:
    """Read the file; None when it does not exist. Raises `DeploymentMismatch` when it cannot be read."""
    try:
        fields = json.loads(path.read_text())
        return Deployment(**{name: _from_json(value) for name, value in fields.items()})
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, AttributeError) as error:
        raise DeploymentMismatch(f"{path} cannot be read ({error}): {RESET_HINT}") from error


def _as_json(value: int | bytes) -> int | str:
    return "0x" + value.hex() if isinstance(value, bytes) else value


def _from_json(value: int | str) -> Any:
    return bytes.fromhex(value[2:]) if isinstance(value, str) else value
