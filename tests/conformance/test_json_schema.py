"""The judge of the published documents: each keyword refuses, and a keyword that it does not know is no silent pass."""

from typing import Any

import pytest

from tests.fakes.json_schema import Mismatch, Schemas
from tests.fakes.published_api import check_item, check_reply, check_rest_reply

DOCUMENT = {"name": {"type": "string"}, "pair": {"prefixItems": [{"type": "string"}], "items": False}}
CASES = [
    # schema                                              fits         does not
    ({"type": "string"}, "a", 1),
    ({"type": "integer"}, 1, True),
    ({"type": "integer"}, 1.0, 1.5),
    ({"type": "number"}, 1.5, "1.5"),
    ({"type": ["null", "boolean"]}, None, 0),
    ({"const": 1}, 1, True),
    ({"enum": ["a", None]}, None, "b"),
    ({"$ref": "#/name"}, "a", None),
    ({"anyOf": [{"type": "string"}, {"type": "null"}]}, None, 1),
    ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, 1.5, 1),
    ({"properties": {"a": {"type": "null"}}}, {"a": None}, {"a": 1}),
    ({"required": ["a"]}, {"a": 1}, {"b": 1}),
    ({"properties": {"a": {}}, "additionalProperties": False}, {"a": 1}, {"b": 1}),
    ({"additionalProperties": {"type": "null"}}, {"a": None}, {"a": 1}),
    ({"items": {"type": "null"}}, [None], [None, 1]),
    ({"$ref": "#/pair"}, ["a"], ["a", "b"]),
    ({"$ref": "#/pair"}, [], [1]),
    ({"minItems": 1}, [1], []),
    ({"maxItems": 1}, [1], [1, 2]),
    ({"pattern": "^a+$"}, "aa", "ab"),
]


@pytest.mark.parametrize(("schema", "good", "bad"), CASES)
def test_a_keyword_refuses_what_it_forbids(schema: dict[str, Any], good: Any, bad: Any) -> None:
    """And takes what it allows."""
    schemas = Schemas(DOCUMENT)
    with pytest.raises(Mismatch):
        schemas.check(bad, schema)
    schemas.check(good, schema)


def test_an_unknown_keyword_is_an_error() -> None:
    """A document that says more than the judge reads is not called kept."""
    with pytest.raises(ValueError, match="no check for multipleOf"):
        Schemas({}).check(3, {"multipleOf": 2})


ENVELOPE = {"id": 1, "jsonrpc": "2.0"}
META = dict.fromkeys(("cost", "remaining", "reset_ms", "us_in", "us_out", "sequence"), 0)
WRONG = [
    ("public/get_time", ENVELOPE | {"result": "1", "meta": META}),
    ("public/get_time", ENVELOPE | {"result": 1}),
    ("public/get_time", ENVELOPE | {"result": 1, "meta": META, "extra": 1}),
    ("private/cancel_all", ENVELOPE | {"result": "done", "meta": META}),
    ("private/get_open_orders", ENVELOPE | {"result": {"subaccount_id": 7, "orders": [{}]}, "meta": META}),
    ("public/get_time", ENVELOPE | {"error": {"code": 1, "message": "x", "data": {}}}),
    ("public/get_time", ENVELOPE | {"error": {"code": 1, "message": "x"}}),
]


@pytest.mark.parametrize(("method", "frame"), WRONG)
def test_a_reply_of_another_shape_is_a_mismatch(method: str, frame: dict[str, Any]) -> None:
    """A wrong type, a missing member and an undocumented one."""
    with pytest.raises(Mismatch):
        check_reply(method, frame)


def test_replies_and_items_of_the_documented_shape_pass() -> None:
    """By any spelling of the method that the gateway takes."""
    for method in ("public/get_time", "/v3/public/get_time"):
        check_reply(method, ENVELOPE | {"result": 1, "meta": META})
    check_rest_reply("/public/get_time", {"id": "a", "jsonrpc": "2.0", "result": 1})
    check_item({"jsonrpc": "2.0", "method": "heartbeat", "params": {"type": "heartbeat"}})


def test_an_item_with_an_undocumented_member_is_a_mismatch() -> None:
    """In the data of a channel."""
    row = {"name": "USDC", "new_balance": "1", "previous_balance": "0", "update_type": "trade"}
    params = {"channel": "7.balances", "data": [row], "seq": 1, "prev_seq": 0}
    frame = {"jsonrpc": "2.0", "method": "subscription", "params": params}
    check_item(frame)
    with pytest.raises(Mismatch, match="undocumented"):
        check_item(frame | {"params": params | {"data": [row | {"fee": "0"}]}})
