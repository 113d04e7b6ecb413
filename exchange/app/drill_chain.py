"""The embedded chain of a drill: a process of its own, whose clock is a file that the drill writes."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import exchange
from exchange.app.failures import Failure
from settlement.onchain.local_chain import LocalSettings
from settlement.onchain.local_rpc import serve

__all__ = ["PACKAGE_ROOT", "DrillChain", "main"]

PACKAGE_ROOT: Final = str(Path(exchange.__file__).resolve().parents[1])
_READY: Final = "ready "
_STOP_S: Final = 30


class DrillChain:
    """One chain in `folder`. Its blocks have the time that `advance` set last."""

    def __init__(self, folder: Path, seed: int, now_s: int) -> None:
        """Start the process. Raises Failure when it does not come up."""
        folder.mkdir(parents=True, exist_ok=True)
        self._clock = folder / "clock"
        self.now_s = 0
        self.advance(now_s)
        command = [sys.executable, "-m", "exchange.app.drill_chain", str(folder), str(seed)]
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            command, stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": PACKAGE_ROOT}
        )
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line.startswith(_READY):
            raise Failure(f"drill: the chain in {folder} did not start")
        self.url = line.removeprefix(_READY).strip()

    def advance(self, to_s: int) -> None:
        """Set the clock; it never goes back."""
        self.now_s = max(self.now_s, to_s)
        temporary = self._clock.with_suffix(".new")
        temporary.write_text(str(self.now_s))
        temporary.replace(self._clock)

    def stop(self) -> None:
        """End the process; the blocks stay."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(_STOP_S)
        if self._process.stdout is not None:
            self._process.stdout.close()


def main(arguments: list[str]) -> int:
    """Serve the chain in the folder given first, with accounts of the seed given second, on a free port."""
    folder, seed = Path(arguments[0]), int(arguments[1])
    clock = folder / "clock"

    def ready(port: int) -> None:
        sys.stdout.write(f"{_READY}http://127.0.0.1:{port}\n")
        sys.stdout.flush()

    settings = LocalSettings(seed=seed, history_blocks=0)
    serve(folder / "chain", port=0, settings=settings, ready=ready, clock=lambda: int(clock.read_text()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
