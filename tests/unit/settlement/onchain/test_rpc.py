"""The RPC adapter against a small server that answers badly: typed errors, bounded retries, sends never repeated."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from settlement.onchain.contract import decode_post, encode_call, selector
from settlement.onchain.errors import (
    AlreadyKnown,
    BadSeq,
    CallReverted,
    InsufficientFunds,
    NonceTooHigh,
    NonceTooLow,
    ReplacementUnderpriced,
    RpcRefused,
    RpcUnavailable,
)
from settlement.onchain.rpc import RpcChain, RpcSettings, classify_refusal


class Server:
    """Answers each request with the next of `replies`: (status, body)."""

    def __init__(self):
        self.replies = []
        self.methods = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                outer.methods.append(body["method"])
                status, reply = outer.replies.pop(0)
                self.send_response(status)
                self.send_header("content-length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            def log_message(self, *_):
                """Stay quiet."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()
        self.pauses = []
        settings = RpcSettings(timeout_s=2, attempts=3, backoff_s=0.1)
        self.chain = RpcChain(f"http://127.0.0.1:{self.server.server_port}", settings, self.pauses.append)

    def close(self):
        """Stop the thread."""
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def server():
    """A server and a chain that talks to it."""
    running = Server()
    yield running
    running.close()


def result(value):
    """A good reply."""
    return 200, json.dumps({"jsonrpc": "2.0", "id": 1, "result": value}).encode()


@pytest.mark.parametrize("bad", [(429, b"slow down"), (503, b""), (200, b"<html>"), (200, b"[]"), (200, b"{}")])
def test_unusable_answers_are_tried_again_a_bounded_number_of_times(server, bad):
    """Three tries with growing pauses, then RpcUnavailable."""
    server.replies = [bad, bad, bad]
    with pytest.raises(RpcUnavailable, match="eth_chainId"):
        server.chain.chain_id()
    assert server.pauses == [0.1, 0.2]


def test_a_read_recovers(server):
    """One bad answer is not seen by the caller."""
    server.replies = [(503, b""), result("0x7a69")]
    assert server.chain.chain_id() == 31337


def test_a_send_is_never_repeated(server):
    """After a failed send nobody knows whether it arrived."""
    server.replies = [(503, b"")]
    with pytest.raises(RpcUnavailable):
        server.chain.send_raw(b"\x02")
    assert server.methods == ["eth_sendRawTransaction"]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": -32000, "message": "already known"}, AlreadyKnown),
        ({"code": -32003, "message": "transaction already imported"}, AlreadyKnown),
        ({"code": -32000, "message": "nonce too low: next nonce 3, tx nonce 2"}, NonceTooLow),
        ({"code": -32000, "message": "Nonce too high"}, NonceTooHigh),
        ({"code": -32000, "message": "replacement transaction underpriced"}, ReplacementUnderpriced),
        ({"code": -32000, "message": "insufficient funds for gas * price + value: balance 0"}, InsufficientFunds),
        ({"code": -32003, "message": "Insufficient funds for gas * price + value"}, InsufficientFunds),
        ({"code": -32000, "message": "transaction refused: Sender b'a' cannot afford txn gas 5"}, InsufficientFunds),
        ({"code": 3, "message": "execution reverted", "data": "0xd21fff71"}, BadSeq),
        ({"code": 3, "message": "execution reverted", "data": {"data": "0xd21fff71"}}, BadSeq),
        ({"code": 3, "message": "execution reverted", "data": "0xzz"}, CallReverted),
        ({"code": -32000, "message": "VM Exception: revert"}, CallReverted),
        ({"code": -32601, "message": "no such method"}, RpcRefused),
        ("text", RpcRefused),
    ],
)
def test_refusals_are_typed(error, kind):
    """Messages of geth, anvil and the embedded chain."""
    assert type(classify_refusal("eth_x", error)) is kind


def test_bad_seq_has_the_published_selector():
    """The constant of the design."""
    assert selector("BadSeq()").hex() == "d21fff71"


def test_other_calldata_is_not_a_post():
    """Calldata of another function is refused."""
    with pytest.raises(RpcRefused, match="not with post"):
        decode_post(encode_call("head()"))
