"""OpenAPI 3.1 (REST) and AsyncAPI 3.0 (socket) documents, made from the method table, its parameters and its results.

Both are pure functions of the code: same code, same bytes. Parameters are described as they are best sent; what is
accepted beyond that (scalars coerced, unknown members ignored, null as absent) stands in the description once. Results
are described as they leave: every member that is not marked optional is always there.
"""

import copy
import re
from typing import Any, Final

import msgspec

from exchange.wire.errors import MESSAGES
from exchange.wire.methods import METHODS, Method
from exchange.wire.results import CLOSED, ITEMS, RESULTS
from exchange.wire.venue import SCHEMA_VERSION

__all__ = ["DOCUMENTS", "asyncapi", "document_bytes", "openapi"]

_REF: Final = "#/components/schemas/{name}"
_SUBSCRIPTION: Final = "subscription"
_LENIENT: Final = (
    'Parameters are read liberally: scalars are coerced ("7" and 7 are the same), unknown members are ignored, null '
    "means absent, decimals may be strings or JSON numbers. Results are strict. Times are milliseconds unless a name "
    "ends in `_sec` or the member says otherwise. Decimals in results are canonical strings."
)
_AUTH: Final = {
    "wallet": ("X-DeriveWallet", "Owner's address."),
    "timestamp": ("X-DeriveTimestamp", "Milliseconds, within a minute of the server's clock."),
    "signature": ("X-DeriveSignature", "EIP-191 signature of the timestamp's text by the owner or a session key."),
}
_META: Final = {name: {"type": "integer"} for name in ("cost", "remaining", "reset_ms", "us_in", "us_out", "sequence")}
Json = dict[str, Any]


def openapi() -> Json:
    """REST: a path for every method that is not for sockets alone."""
    methods = [method for method in METHODS.values() if not method.socket_only]
    schemas, params, results = _schemas()
    return {
        "openapi": "3.1.0",
        "info": {"title": "Offbook REST", "version": SCHEMA_VERSION, "description": _LENIENT},
        "servers": [{"url": "/v3"}],
        "paths": {_rest_path(row): {"post": _rest_operation(row, params, results)} for row in methods},
        "components": {
            "schemas": schemas | {"Error": _error()},
            "securitySchemes": {
                name: {"type": "apiKey", "in": "header", "name": header, "description": text}
                for name, (header, text) in _AUTH.items()
            },
        },
    }


def asyncapi() -> Json:
    """The socket: a request and a reply for every method, an item for every kind of channel."""
    schemas, params, results = _schemas()
    messages: Json = {"error": {"payload": _envelope({"error": _ref("Error")}, id_type=_ANY_ID)}}
    operations: Json = {}
    for method in METHODS.values():
        name = _operation_id(method)
        messages[f"{name}.request"] = {"payload": _request(method, params)}
        messages[f"{name}.reply"] = {
            "payload": _envelope({"result": results[method.path], "meta": _ref("Meta")}, id_type=_ANY_ID)
        }
        operations[name] = {
            "action": "receive",
            "channel": _SOCKET,
            "messages": [_message(f"{name}.request")],
            "reply": {"channel": _SOCKET, "messages": [_message(f"{name}.reply"), _message("error")]},
            **_extensions(method),
        }
    for pattern in ITEMS:
        name = _item_name(pattern)
        messages[name] = {"summary": pattern, "payload": _notification(results[pattern], pattern)}
        operations[name] = {"action": "send", "channel": _SOCKET, "messages": [_message(name)]}
    for name, payload in _UNASKED.items():
        messages[name] = {"payload": payload}
        operations[name] = {"action": "send", "channel": _SOCKET, "messages": [_message(name)]}
    meta: Json = {"type": "object", "properties": _META, "required": list(_META)}
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Offbook socket", "version": SCHEMA_VERSION, "description": _LENIENT},
        "defaultContentType": "application/json",
        "channels": {
            "socket": {"address": "/v3/ws", "messages": {name: _component(name) for name in messages}},
        },
        "operations": operations,
        "components": {"schemas": schemas | {"Error": _error(), "Meta": meta}, "messages": messages},
    }


DOCUMENTS: Final = {"openapi": openapi, "asyncapi": asyncapi}


def document_bytes(name: str) -> bytes:
    """One document as indented JSON with a newline at its end; KeyError for another name."""
    return msgspec.json.format(msgspec.json.encode(DOCUMENTS[name]()), indent=1) + b"\n"


_SOCKET: Final = {"$ref": "#/channels/socket"}
_ANY_ID: Final = {"type": ["string", "integer", "number", "null"]}


def _unasked(method: str, description: str, params: Json) -> Json:
    return {
        "type": "object",
        "description": description,
        "properties": {
            "jsonrpc": {"const": "2.0"},
            "method": {"const": method},
            "params": {"type": "object", "properties": params, "required": list(params)},
        },
        "required": ["jsonrpc", "method", "params"],
    }


_UNASKED: Final[Json] = {
    "heartbeat": _unasked(
        "heartbeat",
        "After `public/set_heartbeat`. `test_request` asks for a `public/test`.",
        {"type": {"enum": ["heartbeat", "test_request"]}},
    ),
    "auth_expiring": _unasked(
        "auth_expiring",
        "On sockets with an account channel, a minute before the session key ends (milliseconds).",
        {"expires_at": {"type": "integer"}},
    ),
    "auth_ended": _unasked(
        "auth_ended",
        "The session key is over; the private channels of the socket are gone.",
        {"reason": {"enum": ["expired", "revoked"]}},
    ),
}


def _schemas() -> tuple[Json, dict[str, Json], dict[str, Json]]:
    """All components, and the schema of each method's parameters and of each result and item."""
    kinds = [method.params for method in METHODS.values()]
    params, of_params = msgspec.json.schema_components(kinds, ref_template=_REF)
    shown = {**RESULTS, **ITEMS}
    results, of_results = msgspec.json.schema_components(shown.values(), ref_template=_REF)
    for kind in kinds:
        of_params[kind.__name__]["required"] = list(kind.REQUIRED)
    of_params = {name: _accepting(row) for name, row in of_params.items()}
    always = {name: _always(copy.deepcopy(row)) for name, row in of_results.items()}
    by_path = dict(zip(METHODS, params, strict=True))
    return of_params | always, by_path, dict(zip(shown, results, strict=True))


def _accepting(schema: Any) -> Any:
    """Decimals of parameters may be numbers as well."""
    if isinstance(schema, list):
        return [_accepting(row) for row in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("format") == "decimal":
        return {"type": ["string", "number"], "format": "decimal"}
    return {name: _accepting(row) for name, row in schema.items() if name != "default"}


def _always(schema: Json) -> Json:
    """Members with a default leave like all others, but for the one type that omits them."""
    defaults = {name for name, row in schema.get("properties", {}).items() if "default" in row}
    closed = CLOSED.get(schema.get("title", ""), {})
    omitted = {"checksum"} if schema.get("title") == "BookChange" else set()
    required = set(schema.get("required", ())) | (defaults - omitted)
    if "properties" in schema:
        for name, row in schema["properties"].items():
            row.pop("default", None)
            if name in closed:
                row["enum"] = list(closed[name])
        schema["required"] = [name for name in schema["properties"] if name in required]
        schema["additionalProperties"] = False
    return schema


def _error() -> Json:
    codes = {str(code): text for code, text in sorted(MESSAGES.items())}
    return {
        "type": "object",
        "description": "`data` is a text, or an object as compact JSON inside a text.",
        "properties": {
            "code": {"type": "integer", "x-codes": codes},
            "message": {"type": "string"},
            "data": {"type": ["string", "null"]},
        },
        "required": ["code", "message", "data"],
        "additionalProperties": False,
    }


def _envelope(members: Json, id_type: Json) -> Json:
    properties = {"id": id_type, "jsonrpc": {"const": "2.0"}, **members}
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _notification(data: Json, pattern: str) -> Json:
    name = re.escape(pattern).replace(r"\{", "{").replace(r"\}", "}")
    channel = {"type": "string", "pattern": "^" + re.sub(r"\{\w+\}", "[^.]+", name) + "$"}
    params = {
        "channel": channel,
        "data": data,
        "seq": {"type": "integer"},
        "prev_seq": {"type": ["integer", "null"]},
    }
    return {
        "type": "object",
        "properties": {
            "jsonrpc": {"const": "2.0"},
            "method": {"const": _SUBSCRIPTION},
            "params": {
                "type": "object",
                "properties": params,
                "required": list(params),
                "additionalProperties": False,
            },
        },
        "required": ["jsonrpc", "method", "params"],
        "additionalProperties": False,
    }


def _request(method: Method, params: dict[str, Json]) -> Json:
    return {
        "type": "object",
        "properties": {
            "id": _ANY_ID,
            "jsonrpc": {"const": "2.0"},
            "method": {"const": method.path},
            "params": params[method.path],
        },
        "required": ["method", *(["params"] if method.params.REQUIRED else [])],
    }


def _rest_operation(method: Method, params: dict[str, Json], results: dict[str, Json]) -> Json:
    result = _envelope({"result": results[method.path]}, id_type={"type": "string"})
    error = _envelope({"error": _ref("Error")}, id_type={"type": "string"})
    operation: Json = {
        "operationId": _operation_id(method),
        "tags": ["private" if method.is_private else "public"],
        "requestBody": {
            "required": bool(method.params.REQUIRED),
            "content": {"application/json": {"schema": params[method.path]}},
        },
        "responses": {
            "200": {
                "description": "Result or error, in the same envelope.",
                "content": {"application/json": {"schema": {"oneOf": [result, error]}}},
            },
            "413": {"description": "The body is too large."},
        },
        **_extensions(method),
    }
    if method.is_private:
        operation["security"] = [{name: [] for name in _AUTH}]
    return operation


def _extensions(method: Method) -> Json:
    return {"x-budget": method.bucket.value, "x-cost": method.cost}


def _rest_path(method: Method) -> str:
    return "/" + (method.path if "/" in method.path else f"public/{method.path}")


def _operation_id(method: Method) -> str:
    return method.path.replace("/", "_")


def _item_name(pattern: str) -> str:
    return "item_" + "_".join(re.findall(r"\w+", pattern))


def _ref(name: str) -> Json:
    return {"$ref": _REF.format(name=name)}


def _component(name: str) -> Json:
    return {"$ref": f"#/components/messages/{name}"}


def _message(name: str) -> Json:
    return {"$ref": f"#/channels/socket/messages/{name}"}
