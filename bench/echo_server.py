"""The reference of the gateway's figures: uvicorn and websockets' Sans-I/O parser, echoing frames, nothing else.

Same event loop, same parser, same hand-made frames, same one write per read as the gateway, so that the ratio shows
what our own code costs. `python -m bench.echo_server` prints its port and serves until its standard input ends.
"""

import asyncio

from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from bench.serving import serve_until_input_ends
from exchange.gateway.frames import text_frame


class EchoConnection(asyncio.Protocol):
    """Answers all frames of a read with one write of the same payloads."""

    def __init__(self, server_state, **_):
        self._connections = server_state.connections
        self._protocol = ServerProtocol(max_size=1 << 20)
        self._transport = None

    def connection_made(self, transport):
        self._transport = transport
        self._connections.add(self)

    def connection_lost(self, _):
        self._connections.discard(self)

    def shutdown(self):
        self._transport.close()

    def data_received(self, data):
        self._protocol.receive_data(data)
        replies = []
        for event in self._protocol.events_received():
            if isinstance(event, Request):
                self._protocol.send_response(self._protocol.accept(event))
            elif isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                replies.append(text_frame(bytes(event.data)))
        output = b"".join((*self._protocol.data_to_send(), *replies))
        if output:
            self._transport.write(output)


async def _nothing(scope, receive, send):
    """An application without routes."""


if __name__ == "__main__":
    serve_until_input_ends(lambda: (_nothing, EchoConnection))
