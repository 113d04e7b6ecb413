"""What owners set up against their own keys, lines and bots outlives a kill of the exchange."""

import asyncio
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pyotp
import pytest

from exchange.client import OffbookError
from settlement.protocol.signature import address_of, checksum_address
from tests.e2e.owner import Owner
from tests.e2e.running import Running, running, until

PLACE = 7
RESTARTED_WITHIN_S = 55


def exchange_pid(demo: Running) -> int | None:
    """Process id of the exchange, None while there is none."""
    pid: int | None = json.loads((demo.data / "status.json").read_text())["processes"].get("exchange", {}).get("pid")
    return pid


async def refusal(client: Any, method: str, params: dict[str, Any]) -> str:
    """Code and text of a refusal."""
    try:
        await client.request(method, params)
    except OffbookError as error:
        return str(error)
    raise AssertionError(f"{method} was not refused")


async def set_up(owner: Owner, key: dict[str, Any]) -> str:
    """Limit the demo's session key, let orders end with the wallet's lines, turn codes on; returns the code taken."""
    client = await owner.client(owner.key).open()
    try:
        await client.request("private/edit_session_key", key | {"label": "desk", "instruments": ["ETH-PERP"]})
        await client.request("private/set_cancel_on_disconnect", {"enabled": True})
        secret = (await client.request("private/enable_totp", {}))["secret"]
        code = pyotp.TOTP(secret).at(int(time.time()) + 30)  # the next one: it stays near for a minute at least
        await client.request("private/confirm_totp", {"totp": code})
        return code
    finally:
        await client.close()


async def check(owner: Owner, key: dict[str, Any], code: str) -> None:
    """All of it holds: the row, the limit, the rule; a code that was taken before the kill is a replay."""
    client = await owner.client(owner.key).open()
    try:
        rows = (await client.request("private/session_keys", {}))["public_session_keys"]
        assert [(row["label"], row["instruments"]) for row in rows] == [("desk", ["ETH-PERP"])]
        account = await client.request("private/get_account", {})
        assert (account["cancel_on_disconnect"], account["is_totp_enabled"]) == (True, True)
        wider = key | {"instruments": []}
        assert "totp_required" in await refusal(client, "private/edit_session_key", wider)
        assert "totp_replayed" in await refusal(client, "private/edit_session_key", wider | {"totp": code})
    finally:
        await client.close()
    client = await owner.client().open()
    try:
        with pytest.raises(OffbookError, match="14031"):
            await client.buy("BTC-PERP", "0.01", "1000", time_in_force="post_only")
        await client.buy("ETH-PERP", "0.1", "100", time_in_force="post_only")
    finally:
        await client.close()


@pytest.mark.timeout(400)
def test_safeguards_outlive_a_kill(tmp_path: Path) -> None:
    """Limits and rule come from the journal, codes from their own file."""
    with running(tmp_path) as demo:
        owner = Owner(demo, PLACE)
        key = {"public_session_key": checksum_address(address_of(owner.session_key))}
        code = asyncio.run(set_up(owner, key))
        old = exchange_pid(demo)
        assert old is not None
        os.kill(old, signal.SIGKILL)
        until(
            lambda: exchange_pid(demo) not in (None, old) and _is_ready(demo),
            "no restart",
            timeout_s=RESTARTED_WITHIN_S,
        )
        asyncio.run(check(owner, key, code))


def _is_ready(demo: Running) -> bool:
    try:
        demo.public("get_time")
    except OSError:
        return False
    return True
