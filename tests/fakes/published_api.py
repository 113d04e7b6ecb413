"""The published documents as judges of what a gateway sends: replies on sockets and over REST, items of channels."""

import json
from typing import Any

from exchange.gateway.calls import Call
from exchange.gateway.gateway import Gateway
from exchange.wire.api_documents import asyncapi, openapi
from exchange.wire.channels import parse_channel
from exchange.wire.envelope import normal_method
from exchange.wire.methods import ALIASES
from exchange.wire.results import ITEMS, item_pattern
from tests.fakes.json_schema import Mismatch, Schemas

__all__ = ["REST_PATHS", "Mismatch", "check_item", "check_reply", "check_rest_reply", "judged_sockets"]

_SOCKET, _REST = asyncapi(), openapi()
_SOCKET_SCHEMAS, _REST_SCHEMAS = Schemas(_SOCKET), Schemas(_REST)
REST_PATHS = frozenset(_REST["paths"])
_MESSAGES = _SOCKET["components"]["messages"]
_BY_PATTERN = {row["summary"]: name for name, row in _MESSAGES.items() if row.get("summary") in ITEMS}


def check_reply(method: str, frame: dict[str, Any]) -> None:
    """Raise Mismatch unless a socket's reply is what the document says of `method`."""
    path = normal_method(method)
    path = ALIASES.get(path, path)
    name = "error" if "error" in frame else f"{path.replace('/', '_')}.reply"
    _socket(f"#/components/messages/{name}/payload", method, frame)


def judged_sockets(gateway: Gateway) -> list[Mismatch]:
    """Let every socket that `gateway` accepts from now on check its replies; what does not fit comes into the list."""
    mismatches: list[Mismatch] = []

    class JudgedConnection(gateway.socket_class):  # type: ignore[name-defined, misc]
        def deliver(self, call: Call, frame: bytes) -> None:
            try:
                if not call.legacy:
                    check_reply(call.method.path, json.loads(frame))
            except Mismatch as mismatch:
                mismatches.append(mismatch)
            super().deliver(call, frame)

    gateway.socket_class = JudgedConnection
    return mismatches


def check_item(frame: dict[str, Any]) -> None:
    """Raise Mismatch unless a frame that nobody asked for is an item of its channel or a heartbeat."""
    if frame["method"] != "subscription":
        _socket(f"#/components/messages/{frame['method']}/payload", frame["method"], frame)
        return
    name = frame["params"]["channel"]
    _socket(f"#/components/messages/{_BY_PATTERN[item_pattern(parse_channel(name))]}/payload", name, frame)


def check_rest_reply(path: str, body: dict[str, Any]) -> None:
    """Raise Mismatch unless the body of a 200 is what the document says of `/{scope}/{method}`."""
    operation = _REST["paths"][path]["post"]
    _REST_SCHEMAS.check(body, operation["responses"]["200"]["content"]["application/json"]["schema"])


def _socket(reference: str, subject: str, frame: dict[str, Any]) -> None:
    try:
        _SOCKET_SCHEMAS.check(frame, {"$ref": reference})
    except Mismatch as mismatch:
        raise Mismatch(f"{subject}: {mismatch}") from None
