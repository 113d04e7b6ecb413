"""Defects of the settler on purpose, put into production objects from outside: chain-fault scenarios must find them."""

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

from settlement.onchain.errors import RpcUnavailable
from settlement.onchain.launching import Launcher
from settlement.onchain.outbox import BatchState, Flight, Outbox, RawTransaction
from settlement.onchain.poster import Poster

__all__ = ["CHAIN_CANARIES"]


def _unsynced_outbox() -> Any:
    """A signed transaction becomes durable only after its send: a death in between forgets it."""
    add_flight, mark_sent = Outbox.add_flight, Outbox.mark_sent
    unsynced: dict[int, tuple[Flight, RawTransaction]] = {}

    def hold_back(self: Outbox, flight: Flight, raw: RawTransaction) -> None:
        unsynced[id(self)] = flight, raw

    def sync(self: Outbox, flight: Flight, now_ms: int) -> None:
        held = unsynced.pop(id(self), None)
        if held is not None and held[0].nonce == flight.nonce:
            add_flight(self, *held)
        mark_sent(self, flight, now_ms)

    return patch.multiple(Outbox, add_flight=hold_back, mark_sent=sync)


def _second_nonce() -> Any:
    """A send without a reply is taken for a failed one: the same batch leaves again under the next nonce."""
    send = Poster._send

    def impatient(self: Poster, flight: Flight, raw: RawTransaction) -> bool:
        try:
            return send(self, flight, raw)
        except RpcUnavailable:
            with patch.object(Launcher, "_next_nonce", lambda _: flight.nonce + 1):
                self._launcher.prepare(flight.seq, flight.purpose, flight.calldata)
            raise

    return patch.object(Poster, "_send", impatient)


def _blind_to_reorganizations() -> Any:
    """What was in a block once counts as final, wherever that block is now."""

    def trusting(self: Poster, flight: Flight, head: Any) -> bool:
        depth = self._finality.depth(flight.block_number or 0, head)
        if flight.state < BatchState.INCLUDED or depth <= flight.state:
            return False
        self._outbox.mark_depth(flight, depth, self._now_ms())
        return True

    return patch.object(Poster, "_check_place", trusting)


CHAIN_CANARIES: dict[str, Callable[[], Any]] = {
    "unsynced-outbox": _unsynced_outbox,
    "second-nonce": _second_nonce,
    "blind-to-reorganizations": _blind_to_reorganizations,
}
