"""JSON-RPC frames: what a client may send (leniently) and how a reply leaves (strictly)."""

from typing import Any, Final

import msgspec

from exchange.wire.errors import RpcCode, WireError, data_text

__all__ = [
    "NULL_ID",
    "Request",
    "encode",
    "error_reply",
    "normal_method",
    "notification",
    "parse_request",
    "result_reply",
]

NULL_ID: Final = b"null"
_ID_STARTS: Final = frozenset(b'"-0123456789n')
encode: Final = msgspec.json.Encoder(decimal_format="string").encode


class Request(msgspec.Struct, gc=False):
    """One parsed frame. `id` is the raw JSON text to echo; `params` the raw JSON object."""

    method: str = ""
    id: msgspec.Raw = msgspec.Raw(NULL_ID)
    params: msgspec.Raw = msgspec.Raw(b"{}")


class _Result(msgspec.Struct):
    id: msgspec.Raw
    result: Any
    jsonrpc: str = "2.0"


class _ResultWithMeta(msgspec.Struct):
    id: msgspec.Raw
    result: Any
    meta: Any
    jsonrpc: str = "2.0"


class _ErrorBody(msgspec.Struct):
    code: int
    message: str
    data: str | None


class _Error(msgspec.Struct):
    id: msgspec.Raw
    error: _ErrorBody
    jsonrpc: str = "2.0"


class _Notification(msgspec.Struct):
    params: Any
    method: str = "subscription"
    jsonrpc: str = "2.0"


class _ChannelParams(msgspec.Struct):
    channel: str
    data: Any
    seq: int
    prev_seq: int | None


_decode_request: Final = msgspec.json.Decoder(Request).decode


def parse_request(frame: bytes) -> Request:
    """Parse one frame. WireError -32700 for broken JSON, -32600 for what is no request (arrays included)."""
    try:
        request = _decode_request(frame)
    except msgspec.ValidationError as error:
        raise WireError(RpcCode.INVALID_REQUEST, str(error)) from error
    except msgspec.DecodeError as error:
        raise WireError(RpcCode.PARSE_ERROR, str(error)) from error
    except RecursionError as error:
        raise WireError(RpcCode.PARSE_ERROR, "nested too deeply") from error
    raw_id = bytes(request.id)
    if not raw_id or raw_id[0] not in _ID_STARTS:
        raise WireError(RpcCode.INVALID_REQUEST, "id must be a string, a number or null")
    if not request.method:
        raise WireError(RpcCode.INVALID_REQUEST, "method is missing")
    return request


def normal_method(method: str) -> str:
    """`/v3/public/x`, `/public/x` and `public/x` are one method."""
    return method.removeprefix("/").removeprefix("v3/")


def result_reply(raw_id: bytes, result: Any, meta: dict[str, int] | None = None) -> bytes:
    """Success envelope."""
    if meta is None:
        return encode(_Result(msgspec.Raw(raw_id), result))
    return encode(_ResultWithMeta(msgspec.Raw(raw_id), result, meta))


def error_reply(raw_id: bytes, error: WireError) -> bytes:
    """Error envelope; `data` is always a string or null."""
    return encode(_Error(msgspec.Raw(raw_id), _ErrorBody(error.code, error.message, data_text(error.data))))


def notification(channel: str, data: Any, seq: int, prev_seq: int | None) -> bytes:
    """One item of a channel, with its place in the channel's own sequence; None: it stands for everything before."""
    return encode(_Notification(_ChannelParams(channel, data, seq, prev_seq)))
