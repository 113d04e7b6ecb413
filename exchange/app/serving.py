"""What processes that serve HTTP share: the listening socket, uvicorn without signals, the venue they speak for."""

import contextlib
import socket
from collections.abc import Iterator

import uvicorn

from exchange.app.config import Settings
from exchange.app.failures import Failure
from exchange.wire.venue import VenueInfo
from settlement.onchain.deployment import Deployment

__all__ = ["Server", "listen", "venue_of"]


class Server(uvicorn.Server):
    """uvicorn without its own signal handlers: this process has one stop event."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to us."""
        yield


def listen(host: str, port: int) -> socket.socket:
    """Listening socket. Raises Failure when the port is taken."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise Failure(f"port {port} is in use: stop what listens there or choose another with --port") from error
    listener.listen(1_024)
    listener.setblocking(False)
    return listener


def venue_of(settings: Settings, deployment: Deployment) -> VenueInfo:
    """Chain, contract and domains of a deployment, in the wire's words."""
    return VenueInfo.for_chain(
        chain_id=deployment.chain_id,
        settlement_contract=deployment.settlement,
        subaccount_base=deployment.subaccount_base,
        accept_derive_sepolia_orders=settings.accept_derive_sepolia_orders or settings.demo,
        separator=deployment.domain_separator,
        env="demo" if settings.demo else "local",
    )
