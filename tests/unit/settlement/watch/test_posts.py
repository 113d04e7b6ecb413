"""What the watcher takes for a batch or a round is what the event names, whatever the transaction carries."""

import pytest

from settlement.onchain.contract import PostCall, decode_post, encode_call, encode_post
from settlement.protocol.keccak import keccak256
from settlement.watch.posts import Hidden, read_call, read_round

CALL = PostCall(seq=1, new_root=b"\x01" * 32, orders_root=b"\x02" * 32, h=3, data=b"\x00\x00\x00")
EVENT = CALL.new_root + CALL.orders_root + keccak256(CALL.data) + CALL.h.to_bytes(32, "big")
VECTOR = bytes(8)
ROUND = encode_call("postOracle(uint64,bytes,uint40,bytes)", 1, VECTOR, 1_800_000_000, b"")
ROUND_EVENT = (1_800_000_000).to_bytes(32, "big") + keccak256(VECTOR)


@pytest.mark.parametrize("place", range(len(EVENT) // 32))
def test_a_call_that_differs_from_its_event_is_hidden(place: int) -> None:
    """In the new root, the orders root, the data or the header word."""
    event = bytearray(EVENT)
    event[32 * place + 31] ^= 1
    with pytest.raises(Hidden, match="names another batch"):
        read_call(encode_post(CALL), bytes(event))


@pytest.mark.parametrize("calldata", [b"", b"\x01", encode_post(CALL)[:-40], encode_post(CALL)[:4] + b"\xff" * 160])
def test_a_transaction_that_is_no_post_is_hidden(calldata: bytes) -> None:
    """What a node shows need not be readable."""
    with pytest.raises(Hidden):
        read_call(calldata, EVENT)


@pytest.mark.parametrize("calldata", [b"", ROUND[:40], ROUND[:-1] + b"\x01" + bytes(32), b"\xff" * 200])
def test_a_round_that_is_not_in_the_calldata_is_hidden(calldata: bytes) -> None:
    """Cut off, or another vector than the one of the event."""
    event = ROUND_EVENT if calldata != ROUND[:-1] + b"\x01" + bytes(32) else ROUND_EVENT[:32] + keccak256(b"other")
    with pytest.raises(Hidden, match="names another vector"):
        read_round(calldata, event)


UNUSUAL = {
    "padding that is not zero": encode_post(CALL)[:-1] + b"\x01",
    "padding cut off": encode_post(CALL)[:-29],
    "more behind it": encode_post(CALL) + b"\x01" * 7,
    "data further on": encode_post(CALL)[:163] + b"\xc0" + bytes(32) + encode_post(CALL)[164:],
}


@pytest.mark.parametrize("calldata", UNUSUAL.values(), ids=UNUSUAL.keys())
def test_an_unusual_encoding_hides_nothing(calldata: bytes) -> None:
    """What the contract takes is read, here and where batches are read back, so that it can be proven."""
    assert read_call(calldata, EVENT).data == CALL.data
    assert decode_post(calldata).data == CALL.data


def test_what_the_event_names_is_read() -> None:
    """A post and a round as every operator sends them."""
    assert read_call(encode_post(CALL), EVENT).data == CALL.data
    assert read_round(ROUND, ROUND_EVENT) == VECTOR
