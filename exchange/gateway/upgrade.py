"""uvicorn's HTTP protocol, without its loss of bytes that arrive behind an upgrade request in the same segment."""

import sys
from typing import cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["HttpProtocol"]


class HttpProtocol(HttpToolsProtocol):
    """Hands the rest of the segment to the socket protocol."""

    _segment = b""

    def data_received(self, data: bytes) -> None:
        """Remember the segment while it is parsed."""
        self._segment = data
        super().data_received(data)
        self._segment = b""

    def handle_websocket_upgrade(self) -> None:
        """Upgrade, then pass on what the parser left."""
        error = sys.exception()
        rest = self._segment[error.args[0] :] if isinstance(error, httptools.HttpParserUpgrade) else b""
        super().handle_websocket_upgrade()
        if rest and not self.transport.is_closing():
            protocol = cast("HttpToolsProtocol", self.transport.get_protocol())
            protocol.data_received(rest)
