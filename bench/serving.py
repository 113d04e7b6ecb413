"""Servers of the gateway's benchmarks: a child process that prints its port and ends with its standard input."""

import asyncio
import contextlib
import socket
import subprocess
import sys
from pathlib import Path

import uvicorn

from exchange.gateway.upgrade import HttpProtocol

__all__ = ["child", "serve_until_input_ends"]

ROOT = Path(__file__).resolve().parent.parent


def serve_until_input_ends(make):
    """Serve what `make()` returns, (application, socket class), once the loop runs."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    print(listener.getsockname()[1], flush=True)
    config = uvicorn.Config(_placeholder, loop="auto")
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(_serve(make, listener))


async def _serve(make, listener):
    application, socket_class = make()
    config = uvicorn.Config(
        application, http=HttpProtocol, ws=socket_class, lifespan="off", log_level="warning", access_log=False
    )
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin, lambda: setattr(server, "should_exit", True))
    await server.serve(sockets=[listener])


async def _placeholder(scope, receive, send):
    """An application without routes."""


@contextlib.contextmanager
def child(module, *arguments):
    """Run `python -m module` and yield its port."""
    command = [sys.executable, "-m", module, *arguments]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield int(process.stdout.readline())
    finally:
        process.stdin.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
