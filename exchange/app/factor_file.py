"""Secrets of one-time codes in a file of their own, beside the journal and never in it (mode 0600)."""

import os
from pathlib import Path

import msgspec

from exchange.app.failures import Failure
from exchange.gateway.second_factor import Factor

__all__ = ["FactorFile"]


class FactorFile:
    """A FactorStore over one file, replaced as a whole."""

    def __init__(self, path: Path) -> None:
        """Use `path`; its folder exists."""
        self._path = path

    def load(self) -> dict[bytes, Factor]:
        """Factors by owner. Raises Failure when the file is damaged: without it withdrawals would need no code."""
        if not self._path.exists():
            return {}
        try:
            rows = msgspec.json.decode(self._path.read_bytes(), type=dict[str, Factor])
            return {bytes.fromhex(owner): factor for owner, factor in rows.items()}
        except (msgspec.MsgspecError, ValueError) as error:
            raise Failure(
                f"{self._path} is damaged: restore it from a backup, or delete it to turn all codes off"
            ) from error

    def save(self, factors: dict[bytes, Factor]) -> None:
        """Write, sync, replace, sync the folder."""
        draft = self._path.with_suffix(".new")
        raw = msgspec.json.encode({owner.hex(): factor for owner, factor in sorted(factors.items())})
        draft.unlink(missing_ok=True)
        draft.touch(mode=0o600, exist_ok=False)
        with draft.open("wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
