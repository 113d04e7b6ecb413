"""The sample that newcomers copy runs as printed: default address, default data directory, no change of a letter."""

import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from tests.e2e.conftest import DEFAULT_PORT
from tests.e2e.running import Running, until

ROOT = Path(__file__).parents[2]
MOST_LINES = 15


def sample() -> str:
    """First Python block of the main README, else of the client's."""
    for path in (ROOT / "README.md", ROOT / "exchange" / "client" / "README.md"):
        found = re.search(r"^```python\n(.*?)^```", path.read_text(), re.DOTALL | re.MULTILINE)
        if found:
            return found.group(1)
    raise AssertionError("no README has a Python sample")


def test_sample_is_short() -> None:
    """Connect, buy and print the streamed fill take at most 15 lines."""
    assert len([line for line in sample().splitlines() if line.strip()]) <= MOST_LINES


def test_sample_runs_as_printed(demo: Running) -> None:
    """It buys and prints the fill of its own order."""
    if demo.port != DEFAULT_PORT:
        pytest.skip(f"port {DEFAULT_PORT} is taken, and the sample uses the default address")
    ticker = {"instrument_name": "BTC-PERP"}
    until(lambda: demo.public("get_ticker", ticker)["a"] != "0", "nobody offers BTC-PERP")
    done = subprocess.run(
        [sys.executable, "-c", sample()],
        cwd=demo.data.parent, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    # The first fill may be a part of the order, when the best offer is smaller.
    bought = re.fullmatch(r"bought (0\.\d+) BTC-PERP at [\d.]+\n", done.stdout)
    assert bought is not None, done.stdout
    assert 0 < Decimal(bought[1]) <= Decimal("0.01")
