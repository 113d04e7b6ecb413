"""What processes that serve HTTP share: the listening socket and uvicorn without signals."""

import contextlib
import socket
from collections.abc import Iterator

import uvicorn

from exchange.app.failures import Failure

__all__ = ["Server", "listen"]


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
