"""Frames: lenient in, strict out."""

import json

import pytest

from exchange.wire.envelope import error_reply, normal_method, notification, parse_request, result_reply
from exchange.wire.errors import WireError


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"", -32700),
        (b"{", -32700),
        (b"nonsense", -32700),
        (b'{"id":1,"method":"a"} x', -32700),
        (b'{"id":' + b"[" * 100_000, -32700),
        (b'{"id":' * 100_000, -32700),
        (b"[]", -32600),
        (b'[{"id":1,"method":"public/get_time"}]', -32600),
        (b'"ping"', -32600),
        (b"null", -32600),
        (b"{}", -32600),
        (b'{"id":1}', -32600),
        (b'{"id":1,"method":7}', -32600),
        (b'{"id":{"a":1},"method":"public/get_time"}', -32600),
        (b'{"id":[1],"method":"public/get_time"}', -32600),
        (b'{"id":true,"method":"public/get_time"}', -32600),
    ],
)
def test_refused_frames(frame: bytes, code: int) -> None:
    """Broken JSON is -32700, a frame that is no request -32600."""
    with pytest.raises(WireError) as caught:
        parse_request(frame)
    assert caught.value.code == code


@pytest.mark.parametrize("raw_id", ["1", "1.50", "-3", '"a-b"', '"\\u00e9"', "null", "12345678901234567890"])
def test_ids_are_echoed_verbatim(raw_id: str) -> None:
    """The id's own text comes back, digits and escapes included."""
    request = parse_request(f'{{"id":{raw_id},"method":"x"}}'.encode())
    assert result_reply(bytes(request.id), 1).startswith(f'{{"id":{raw_id},'.encode())


def test_a_missing_id_is_null() -> None:
    """A frame without id gets null."""
    assert bytes(parse_request(b'{"method":"x"}').id) == b"null"


@pytest.mark.parametrize("method", ["public/get_time", "/public/get_time", "/v3/public/get_time", "v3/public/get_time"])
def test_method_prefixes(method: str) -> None:
    """A leading / or /v3/ is stripped."""
    assert normal_method(method) == "public/get_time"


def test_error_data_is_text_or_null() -> None:
    """Structured detail travels as JSON inside a string."""
    frame = json.loads(error_reply(b"1", WireError(11013, {"nearest": ["1", "2"]})))
    assert json.loads(frame["error"]["data"]) == {"nearest": ["1", "2"]}
    assert json.loads(error_reply(b"1", WireError(11013)))["error"]["data"] is None
    assert "result" not in frame


def test_notifications_carry_their_place() -> None:
    """seq and prev_seq stand next to the data."""
    params = json.loads(notification("a.b", [1], 7, 6))["params"]
    assert params == {"channel": "a.b", "data": [1], "seq": 7, "prev_seq": 6}
