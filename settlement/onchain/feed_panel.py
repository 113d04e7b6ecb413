"""Signatures of k of n feeds under a round, gathered beside the poster: its thread never waits for a feed.

Each feed is asked by a thread of its own, at most one at a time, and again while it has not signed. What comes back is
believed only if it recovers to a feed that the contract knows. The poster asks again with every step; between round and
post nothing is remembered here: the signed bytes of a flight are in the outbox.
"""

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from typing import Final, Protocol

from settlement.onchain.contract import SettlementReader
from settlement.onchain.errors import RoundUnsigned
from settlement.protocol.oracle_rounds import round_digest
from settlement.protocol.signature import SIGNATURE_BYTES, BadSignature, normalize_signature, recover_address

__all__ = ["Feed", "FeedPanel", "FeedTrouble", "HttpFeed", "NoFeeds", "RoundRequest", "RoundSigners"]

ANSWER_S: Final = 2.0
"""After this long a feed that says nothing counts as away."""
RETRY_S: Final = 1.0
_REPLY_BYTES: Final = 4_096
_SHOWN_LETTERS: Final = 160


class FeedTrouble(Exception):
    """A feed did not sign; the text is one line that says why."""


@dataclass(frozen=True, slots=True)
class RoundRequest:
    """One round to be signed: its number, its time in Unix seconds, the bytes of its vector."""

    round_number: int
    time_s: int
    vector: bytes


class Feed(Protocol):
    """Somebody who signs rounds."""

    name: str

    def sign(self, request: RoundRequest) -> bytes:
        """65 bytes. May block for ANSWER_S. Raises FeedTrouble."""
        ...


class RoundSigners(Protocol):
    """What the poster needs before it publishes a round."""

    def signatures(self, request: RoundRequest) -> bytes | None:
        """Return what `postOracle` takes, None while answers are under way. Raises RoundUnsigned."""
        ...

    def forget(self) -> None:
        """Gather anew: the contract refused what was gathered."""
        ...


class NoFeeds:
    """A deployment where the operator's word is enough."""

    def signatures(self, request: RoundRequest) -> bytes | None:  # noqa: ARG002 - nobody is asked
        """Nothing is signed."""
        return b""

    def forget(self) -> None:
        """Nothing was gathered."""


class HttpFeed:
    """A feed behind HTTP: POST /sign with JSON {round, time_s, vector}, answered {signature} or {refused}."""

    def __init__(self, url: str) -> None:
        """Nothing is sent yet."""
        self.name = url.rstrip("/")

    def sign(self, request: RoundRequest) -> bytes:
        """Ask once. Raises FeedTrouble."""
        body = {"round": request.round_number, "time_s": request.time_s, "vector": request.vector.hex()}
        call = urllib.request.Request(  # noqa: S310 - the operator's own URL
            f"{self.name}/sign", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(call, timeout=ANSWER_S) as reply:  # noqa: S310 - as above
                return bytes.fromhex(json.loads(reply.read(_REPLY_BYTES))["signature"])
        except urllib.error.HTTPError as error:
            raise FeedTrouble(_refusal(error)) from error
        except OSError as error:
            raise FeedTrouble(f"no answer: {getattr(error, 'reason', error)}") from error
        except Exception as error:
            # Whatever a stranger's server sends (half a line, another shape) is his trouble, not the poster's.
            raise FeedTrouble(f"no usable answer: {type(error).__name__}") from error


def _refusal(error: urllib.error.HTTPError) -> str:
    with suppress(Exception):
        return f"refused: {json.loads(error.read(_REPLY_BYTES))['refused']}"
    return f"HTTP status {error.code}"


class FeedPanel:
    """Asks `feeds` for one round at a time; `threshold` of them must sign."""

    def __init__(
        self,
        reader: SettlementReader,
        *,
        chain_id: int,
        threshold: int,
        feeds: Sequence[Feed],
        clock_s: Callable[[], float] = time.monotonic,
        start: Callable[[Callable[[], None]], None] | None = None,
    ) -> None:
        """`start` runs a call beside us; the default is a thread that ends with the process."""
        self._reader = reader
        self._chain_id = chain_id
        self._threshold = threshold
        self._feeds = tuple(feeds)
        self._clock_s = clock_s
        self._start = start or _start_thread
        self._request: RoundRequest | None = None
        self._answers: SimpleQueue[tuple[RoundRequest, str, bytes | FeedTrouble]] = SimpleQueue()
        self._asked_s: dict[str, float] = {}
        self._under_way: set[str] = set()
        self._signed: dict[str, tuple[bytes, bytes]] = {}
        """Address and signature by feed."""
        self._trouble: dict[str, str] = {}

    def signatures(self, request: RoundRequest) -> bytes | None:
        """`threshold` signatures of a round, signers ascending; None while answers are under way.

        Raises RoundUnsigned once every feed was heard, or had its time, and too few have signed.
        """
        if request != self._request:
            self.forget()
            self._request = request
        self._hear()
        if len(self._by_signer()) < self._threshold:
            self._ask(request)
            self._hear()
        by_signer = self._by_signer()
        if len(by_signer) >= self._threshold:
            return b"".join(by_signer[signer] for signer in sorted(by_signer)[: self._threshold])
        if any(self._is_expected(feed.name) for feed in self._feeds):
            return None
        raise RoundUnsigned(self._explain(request, len(by_signer)))

    def forget(self) -> None:
        """Ask every feed again, and the contract who they are."""
        self._request = None
        self._asked_s.clear()
        self._signed.clear()
        self._trouble.clear()

    def _by_signer(self) -> dict[bytes, bytes]:
        """Signatures by address: two feeds with one key count once."""
        return dict(self._signed.values())

    def _is_expected(self, name: str) -> bool:
        """Whether a first answer may still come in time."""
        waits = name in self._under_way and name not in self._trouble
        return waits and self._clock_s() - self._asked_s.get(name, 0.0) < ANSWER_S

    def _ask(self, request: RoundRequest) -> None:
        now_s = self._clock_s()
        for feed in self._feeds:
            is_due = now_s - self._asked_s.get(feed.name, now_s - RETRY_S) >= RETRY_S
            if feed.name in self._signed or feed.name in self._under_way or not is_due:
                continue
            self._asked_s[feed.name] = now_s
            self._under_way.add(feed.name)
            self._start(partial(self._ask_one, feed, request))

    def _ask_one(self, feed: Feed, request: RoundRequest) -> None:
        """Beside us."""
        try:
            answer: bytes | FeedTrouble = feed.sign(request)
        except FeedTrouble as trouble:
            answer = trouble
        self._answers.put((request, feed.name, answer))

    def _hear(self) -> None:
        """Take what came back; an answer about another round only frees its feed."""
        with suppress(Empty):
            while True:
                request, name, answer = self._answers.get_nowait()
                self._under_way.discard(name)
                if request == self._request:
                    self._take(request, name, answer)

    def _take(self, request: RoundRequest, name: str, answer: bytes | FeedTrouble) -> None:
        if isinstance(answer, FeedTrouble):
            self._trouble[name] = str(answer)[:_SHOWN_LETTERS]
            return
        signer = self._signer(request, answer)
        if signer is None:
            self._trouble[name] = "its signature is none of this round"
        elif not self._reader.view("feedSigner(address)", ["bool"], signer):
            self._trouble[name] = f"the contract knows no feed 0x{signer.hex()}"
        else:
            self._signed[name] = (signer, normalize_signature(answer))
            self._trouble.pop(name, None)

    def _signer(self, request: RoundRequest, signature: bytes) -> bytes | None:
        digest = round_digest(
            chain_id=self._chain_id,
            contract=self._reader.address,
            round_number=request.round_number,
            time_s=request.time_s,
            vector=request.vector,
        )
        try:
            return recover_address(digest, signature) if len(signature) == SIGNATURE_BYTES else None
        except BadSignature:
            return None

    def _explain(self, request: RoundRequest, count: int) -> str:
        missing = [name for name in (feed.name for feed in self._feeds) if name not in self._signed]
        reasons = "; ".join(f"{name}: {self._trouble.get(name, 'no answer')}" for name in missing)
        return f"round {request.round_number} has {count} of {self._threshold} signatures, waits for {reasons}"


def _start_thread(call: Callable[[], None]) -> None:
    threading.Thread(target=call, name="feed", daemon=True).start()
