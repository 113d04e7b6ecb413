"""The command of a vanished operator: takes the money out, step by step, as the contract accepts it."""

import random
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from exchange.app.failures import Failure
from settlement.escape.leaving import EscapeFailed, Leaving, Wait, amount_of
from settlement.onchain.errors import ChainError, HistoryPruned
from settlement.onchain.funded_accounts import account_key
from settlement.onchain.rpc import RpcChain
from settlement.watch.watcher import WatcherWrong

__all__ = ["EscapePlan", "run_escape"]

_DEV_KEY_INDEX: Final = 9
_ADDRESS_BYTES: Final = 20
_KEY_BYTES: Final = 32

Say = Callable[[str], None]


class EscapePlan(NamedTuple):
    """Whose money leaves which contract. `account` None: everybody's; `order` None: ascending, else drawn from it.

    `key_file` None: a key of the development chain with `seed` pays the gas. `poll_s`: longest pause while waiting.
    """

    rpc_url: str
    contract: str
    account: int | None = None
    is_status: bool = False
    is_waiting: bool = False
    poll_s: float = 60.0
    key_file: Path | None = None
    seed: int = 1
    order: int | None = None


def run_escape(plan: EscapePlan, say: Say) -> int:
    """Do what can be done now, or all of it; 0 when nothing is left. Raises Failure, with the time of the next step."""
    try:
        leaving = Leaving(
            RpcChain(plan.rpc_url),
            _address(plan.contract),
            _key(plan),
            account=plan.account,
            say=say,
            order=sorted if plan.order is None else _shuffled(plan.order),
        )
        if plan.is_status:
            _say_state(leaving, say)
        else:
            _leave(leaving, plan, say)
    except HistoryPruned as error:
        raise Failure(
            "escape: the node no longer serves the blocks since the deployment: use one that does"
            " (the embedded chain keeps all with history_blocks 0)"
        ) from error
    except (ChainError, EscapeFailed, WatcherWrong) as error:
        raise Failure(f"escape: {error}") from error
    return 0


def _leave(leaving: Leaving, plan: EscapePlan, say: Say) -> None:
    said = ""
    while (wait := leaving.step()) is not None:
        line = _line_of(wait)
        if not plan.is_waiting:
            raise Failure(f"escape: {line}; run it again then, or with --wait")
        if line != said:
            say(f"waiting: {line}")
            said = line
        time.sleep(min(plan.poll_s, max(1.0, wait.until_s - time.time())))
    state = leaving.state()
    total, assets, paid = map(amount_of, (state.total_claims_e6, state.assets_e6, state.paid_e6))
    say(f"done: claims {total}, assets {assets}, paid {paid}")


def _line_of(wait: Wait) -> str:
    if not wait.until_s:
        return wait.reason
    return f"{wait.reason}; the next step is accepted from {_time(wait.until_s)} on"


def _say_state(leaving: Leaving, say: Say) -> None:
    state = leaving.state()
    if not state.frozen_at_s:
        say(f"not frozen; anyone may begin to freeze from {_time(state.stalled_from_s)} on unless the operator moves")
        if state.freeze_from_s:
            say(f"first call at {_time(state.notice_at_s)}; the second counts from {_time(state.freeze_from_s)} on")
        return
    say(
        f"frozen since {_time(state.frozen_at_s)}; {'the head is final' if state.is_open else 'a window is still open'}"
    )
    if state.claims_end_s:
        say(f"marks of round {state.round_number}; claims share the assets until {_time(state.claims_end_s)}")
    total, assets, paid = map(amount_of, (state.total_claims_e6, state.assets_e6, state.paid_e6))
    say(f"claims {total}, assets {assets}{'' if state.is_closed else ' as of now'}, paid {paid}")


def _time(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC (unix {seconds})"


def _shuffled(seed: int) -> Callable[[Sequence[int]], Iterable[int]]:
    return lambda indices: random.Random(seed).sample(indices, len(indices))  # noqa: S311 - no secret


def _address(text: str) -> bytes:
    try:
        address = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        address = b""
    if len(address) != _ADDRESS_BYTES:
        raise Failure(f"escape: {text} is no address: 0x and 40 hex digits")
    return address


def _key(plan: EscapePlan) -> bytes:
    if plan.key_file is None:
        return account_key(plan.seed, _DEV_KEY_INDEX)
    try:
        key = bytes.fromhex(plan.key_file.read_text().strip().removeprefix("0x"))
    except (OSError, ValueError) as error:
        raise Failure(f"escape: {plan.key_file} holds no private key in hex: {error}") from error
    if len(key) != _KEY_BYTES:
        raise Failure(f"escape: {plan.key_file} holds {len(key)} bytes, a private key has {_KEY_BYTES}")
    return key
