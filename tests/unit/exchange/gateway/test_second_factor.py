"""One-time codes: on in two steps, asked where money or power leaves, each good once."""

import asyncio
import json
import logging
import stat
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pyotp
import pytest

from exchange.app.factor_file import FactorFile
from exchange.app.failures import Failure
from exchange.gateway.core import RelayRequest
from exchange.gateway.second_factor import Factor, FactorStore, MemoryFactors, SecondFactors
from exchange.wire.errors import WireError
from settlement.protocol.signature import checksum_address
from tests.fakes.live_gateway import Client, login_params, serve
from tests.unit.exchange.gateway.test_account_methods import key_params, withdrawal
from tests.unit.exchange.gateway.test_session_keys import ADDRESS, as_owner, limit, register, relaying

OWNER = b"\x05" * 20
SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
"""Of the vectors of RFC 6238, in base32."""
START_NS = 1_111_111_109 * 10**9


def run(story: Coroutine[Any, Any, None]) -> None:
    """Run one story with a limit."""
    asyncio.run(asyncio.wait_for(story, 20))


class World:
    """Factors on a clock of their own, with SECRET on for OWNER."""

    def __init__(self, store: FactorStore | None = None) -> None:
        """Begin at a time of the RFC's vectors."""
        self.now_ns = START_NS
        self.store = store or MemoryFactors()
        self.store.save({OWNER: Factor(secret=SECRET, is_confirmed=True)})
        self.factors = SecondFactors(self.store, lambda: self.now_ns)
        if isinstance(self.store, MemoryFactors):
            self.factors._factors = {OWNER: Factor(secret=SECRET, is_confirmed=True)}

    def code(self, steps: int = 0) -> str:
        """The code of a step away from now."""
        return pyotp.TOTP(SECRET).at(self.now_ns // 10**9 + 30 * steps)

    def reason(self, code: str | int | None) -> str:
        """Why a code is refused; "" for a good one."""
        try:
            self.factors.check(OWNER, code)
        except WireError as error:
            return str(error.data["reason"]) if isinstance(error.data, dict) and error.code == 20008 else str(error)
        return ""


def test_the_vectors_of_the_rfc() -> None:
    """The last six digits of RFC 6238's SHA-1 vectors are taken at their times, as text and as a number."""
    for second, digits in ((1_111_111_109, "081804"), (1_234_567_890, "005924"), (20_000_000_000, 353130)):
        world = World()
        world.now_ns = second * 10**9
        assert world.reason(digits) == ""


@pytest.mark.parametrize(("steps", "reason"), [(-2, "totp_wrong"), (-1, ""), (0, ""), (1, ""), (2, "totp_wrong")])
def test_one_step_around_now(steps: int, reason: str) -> None:
    """Clocks may be half a minute off, not more."""
    world = World()
    assert world.reason(world.code(steps)) == reason


@pytest.mark.parametrize("code", ["000000", "", "abcdef", "1234567", "\uff10\uff18\uff11\uff18\uff10\uff14", None])
def test_refused_codes(code: str | None) -> None:
    """Wrong ones and none at all."""
    assert World().reason(code) == ("totp_required" if code is None else "totp_wrong")


def test_a_code_counts_once_and_so_does_every_older_one() -> None:
    """The same code again, and the one of the step before, are replays."""
    world = World()
    older, code = world.code(-1), world.code()
    assert [world.reason(code), world.reason(code), world.reason(older)] == ["", "totp_replayed", "totp_replayed"]
    world.now_ns += 30 * 10**9
    assert world.reason(world.code()) == ""


def test_five_wrong_codes_lock_for_five_minutes() -> None:
    """A good code does not help before; no guess is compared meanwhile."""
    world = World()
    assert [world.reason("000000") for _ in range(6)] == ["totp_wrong"] * 5 + ["locked"]
    assert world.reason(world.code()) == "locked"
    world.now_ns += 300 * 10**9
    assert world.reason(world.code()) == ""


def test_wallets_without_codes_are_not_asked() -> None:
    """Neither before anything began nor before the first code was shown."""
    factors = SecondFactors(MemoryFactors(), lambda: START_NS)
    factors.check(OWNER, None)
    secret, uri = factors.begin(OWNER)
    assert secret in uri
    factors.check(OWNER, None)
    factors.confirm(OWNER, pyotp.TOTP(secret).at(START_NS // 10**9))
    with pytest.raises(WireError):
        factors.check(OWNER, None)


def test_the_file_keeps_secrets_private_and_replays_refused(tmp_path: Path) -> None:
    """Mode 0600; a process that starts later refuses a code that was taken before."""
    path = tmp_path / "second_factors.json"
    world = World(FactorFile(path))
    code = world.code()
    assert world.reason(code) == ""
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    world.factors = SecondFactors(FactorFile(path), lambda: world.now_ns)
    assert world.reason(code) == "totp_replayed"


@pytest.mark.parametrize("raw", [b"", b"{", b'{"zz":{"secret":"A"}}', b'{"00":{}}'])
def test_a_damaged_file_stops_the_start(tmp_path: Path, raw: bytes) -> None:
    """Going on without it would let withdrawals pass without a code."""
    path = tmp_path / "second_factors.json"
    path.write_bytes(raw)
    with pytest.raises(Failure, match="is damaged"):
        FactorFile(path).load()


def test_no_secret_in_texts() -> None:
    """A factor that is printed or logged shows none."""
    assert SECRET not in f"{Factor(secret=SECRET)!r} {Factor(secret=SECRET)} {[Factor(secret=SECRET)]}"


async def switch_on(owner: Client) -> tuple[pyotp.TOTP, int]:
    """Turn codes on; returns the generator and the time of the code that is used up."""
    secret = (await owner.call("private/enable_totp"))["secret"]
    totp, now_s = pyotp.TOTP(secret), int(time.time())
    assert (await owner.refused("private/confirm_totp", {"totp": "000000"}))["code"] == 20008
    assert await owner.call("private/confirm_totp", {"totp": totp.at(now_s)}) == "ok"
    return totp, now_s


def reason_of(error: dict[str, Any]) -> tuple[int, str]:
    """Code and reason of a refusal."""
    return error["code"], json.loads(error["data"])["reason"]


def test_codes_guard_withdrawals_new_keys_and_raised_limits(caplog: pytest.LogCaptureFixture) -> None:
    """20008 challenges, nothing is relayed without a code, and a code is good for one of them."""
    caplog.set_level(logging.DEBUG)

    async def story() -> None:
        relayed: list[RelayRequest] = []
        async with serve(relay=relaying(relayed)) as live, live.client() as owner:
            register(live.exchange, 1 << 2)
            await owner.call("public/login", login_params(as_owner(live.exchange)))
            totp, now_s = await switch_on(owner)
            taken, fresh = totp.at(now_s), totp.at(now_s + 30)
            await limit(owner, max_notional="100", label="narrower needs no code")
            raised = {"public_session_key": checksum_address(ADDRESS), "max_notional": "101"}
            calls = (
                ("private/withdraw", withdrawal(live.exchange)),
                ("private/set_session_key", key_params(live)),
                ("private/edit_session_key", raised),
            )
            for method, params in calls:
                assert reason_of(await owner.refused(method, params)) == (20008, "totp_required")
            replayed = await owner.refused("private/withdraw", withdrawal(live.exchange) | {"totp": taken})
            assert reason_of(replayed) == (20008, "totp_replayed")
            bad = withdrawal(live.exchange, signing_key=b"\x31" * 32) | {"totp": fresh}
            assert (await owner.refused("private/withdraw", bad))["code"] == 14014
            assert not relayed
            await owner.call("private/withdraw", withdrawal(live.exchange) | {"totp": fresh})
            assert [request.kind for request in relayed] == ["withdraw"]
            again = await owner.refused("private/edit_session_key", raised | {"totp": fresh})
            assert reason_of(again) == (20008, "totp_replayed")
            # The client's library logs what the client gets.
            assert not [row for row in caplog.records if "client" not in row.name and totp.secret in row.getMessage()]

    run(story())


def test_only_the_owner_turns_codes_on_and_off() -> None:
    """A session key may not, whatever its scopes; off needs a code too."""

    async def story() -> None:
        async with serve() as live, live.client(as_owner(live.exchange)) as owner:
            async with live.client(live.exchange.traders[0]) as client:
                for name in ("enable", "confirm", "disable"):
                    assert (await client.refused(f"private/{name}_totp", {"totp": "1"}))["code"] == 14031
            assert reason_of(await owner.refused("private/confirm_totp", {"totp": "1"})) == (20008, "not_begun")
            assert reason_of(await owner.refused("private/disable_totp", {"totp": "1"})) == (20008, "not_enabled")
            assert (await owner.call("private/get_account"))["is_totp_enabled"] is False
            totp, now_s = await switch_on(owner)
            assert (await owner.call("private/get_account"))["is_totp_enabled"] is True
            assert reason_of(await owner.refused("private/enable_totp")) == (20008, "already_enabled")
            assert reason_of(await owner.refused("private/disable_totp")) == (20008, "totp_required")
            await owner.call("private/disable_totp", {"totp": totp.at(now_s + 30)})
            assert (await owner.call("private/get_account"))["is_totp_enabled"] is False

    run(story())
