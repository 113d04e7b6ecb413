"""Unmodified derive-py, in an environment of its own, trades and decodes every reply and item that it asks for.

One entry of its table of networks is replaced, as it has no other way to name a server. It pins a web3 that is older
than ours, so it runs as another process: `story.py` says what it does, this file what must come of it.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.running import Running, running

PYTHON = Path(sys.prefix) / "typed-client" / "bin" / "python"
STORY = Path(__file__).with_name("story.py")


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What every step of the story came to, against an exchange without bots."""
    if not PYTHON.exists():
        pytest.skip(f"no derive-py: `make typed-client` installs it in {PYTHON.parents[1].name}")
    folder = tmp_path_factory.mktemp("typed")
    with running(folder, rate=0) as exchange:
        world = folder / "world.json"
        world.write_text(json.dumps(_world(exchange)))
        done = subprocess.run(
            [str(PYTHON), str(STORY), str(world)], capture_output=True, text=True, timeout=200, check=False
        )
    assert done.returncode == 0, done.stderr[-3_000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def _world(exchange: Running) -> dict[str, Any]:
    names = exchange.public("get_all_live_instruments")
    return {
        "address": exchange.http.removeprefix("http://"),
        "separator": exchange.public("get_info")["domain_separator"],
        "accounts": exchange.accounts[-2:],
        "option": next(name for name in names if name.startswith("BTC-") and name.endswith("-C")),
    }


def test_every_call_is_answered_and_decoded(steps: list[dict[str, Any]]) -> None:
    """No call raised, nothing that arrived was left undecoded, and the story came to its end."""
    assert [step for step in steps if "error" in step] == []
    assert steps[-1] == {"step": "done"}


def test_every_channel_brought_items(steps: list[dict[str, Any]]) -> None:
    """Books, tickers, trades, the spot feed, and the account's own orders, fills and balances."""
    (heard,) = [step["counts"] for step in steps if step["step"] == "channels" and "counts" in step]
    assert set(heard) == {"book", "ticker", "trades", "trades of perps", "spot", "orders", "fills", "balances"}
    assert all(heard.values())


def test_the_story_is_long_enough(steps: list[dict[str, Any]]) -> None:
    """Forty calls at least, so that a story which ends early does not pass."""
    assert sum("result" in step for step in steps) >= 50
