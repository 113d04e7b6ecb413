"""Owner-signed actions on their way to the contract: gateway -> settler over the socket, the transaction hash back."""

import asyncio
from typing import Final

import msgspec

from exchange.bus.unix_socket import UnixSocketServer
from exchange.gateway.core import RelayRequest, RelayUnavailable
from settlement.protocol.eip712 import Action

__all__ = ["RELAYED_TOPIC", "RELAY_TOPIC", "RelayOrder", "RelayResult", "SettlerRelay"]

RELAY_TOPIC: Final = "relay"
RELAYED_TOPIC: Final = "relayed"
_TIMEOUT_S: Final = 10.0
_OPEN_LIMIT: Final = 256


class RelayOrder(msgspec.Struct, frozen=True, array_like=True):
    """What the settler is to send as `relayRequest`."""

    number: int
    subaccount_id: int
    nonce: int
    module: bytes
    data: bytes
    expiry_s: int
    owner: bytes
    signer: bytes
    signature: bytes

    def action(self) -> Action:
        """The signed action."""
        return Action(
            subaccount_id=self.subaccount_id,
            nonce=self.nonce,
            module=self.module,
            data=self.data,
            expiry_s=self.expiry_s,
            owner=self.owner,
            signer=self.signer,
        )


class RelayResult(msgspec.Struct, frozen=True, array_like=True):
    """The settler's answer: a transaction hash, or why not."""

    number: int
    tx_hash: str
    error: str


class SettlerRelay:
    """The gateway's `relay`: bounded, with a time limit, typed failure when the settler or chain is away."""

    def __init__(self, bus: UnixSocketServer) -> None:
        """Listen for the settler's answers."""
        self._bus = bus
        self._number = 0
        self._open: dict[int, asyncio.Future[RelayResult]] = {}
        bus.on_topic(RELAYED_TOPIC, self._on_result)

    async def __call__(self, request: RelayRequest) -> str:
        """Hash of the relaying transaction. Raises RelayUnavailable."""
        if len(self._open) >= _OPEN_LIMIT:
            raise RelayUnavailable("too many requests wait for the chain; retry in a minute")
        self._number += 1
        action = request.action
        order = RelayOrder(
            self._number, action.subaccount_id, action.nonce, action.module, action.data, action.expiry_s, action.owner,
            action.signer, request.signature,
        )  # fmt: skip
        waiting: asyncio.Future[RelayResult] = asyncio.get_running_loop().create_future()
        self._open[self._number] = waiting
        try:
            if self._bus.publish(RELAY_TOPIC, msgspec.msgpack.encode(order)) == 0:
                raise RelayUnavailable("the settler is not connected; retry when /ready says so")
            result = await asyncio.wait_for(waiting, _TIMEOUT_S)
        except TimeoutError as error:
            raise RelayUnavailable("the chain did not answer in time; ask for the request before a retry") from error
        finally:
            del self._open[order.number]
        if result.error:
            raise RelayUnavailable(result.error)
        return result.tx_hash

    def _on_result(self, body: bytes) -> None:
        result = msgspec.msgpack.decode(body, type=RelayResult)
        waiting = self._open.get(result.number)
        if waiting is not None and not waiting.done():
            waiting.set_result(result)
