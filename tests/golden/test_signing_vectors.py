"""The published signing vectors: reproduced by our encoder and by an independent one, refused where they must be."""

import json
from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data

from settlement.protocol import signature as signing
from tests.golden import signing_vectors

DOCUMENT = json.loads(signing_vectors.PATH.read_text())
ACCEPTED = DOCUMENT["accepted"]
REFUSED = DOCUMENT["refused"]


def typed_data(vector: dict[str, Any]) -> dict[str, Any]:
    """Return the wallet's view of a vector."""
    word = {"type": "uint256"}
    address = {"type": "address"}
    return {
        "primaryType": "Action",
        "types": {
            "EIP712Domain": [
                {"name": "name", "type": "string"},
                {"name": "version", "type": "string"},
                {"name": "chainId", **word},
                {"name": "verifyingContract", **address},
            ],
            "Action": [
                {"name": "subaccountId", **word},
                {"name": "nonce", **word},
                {"name": "module", **address},
                {"name": "data", "type": "bytes"},
                {"name": "expiry", **word},
                {"name": "owner", **address},
                {"name": "signer", **address},
            ],
        },
        "domain": {
            "name": "Matching",
            "version": "1.0",
            "chainId": vector["chain_id"],
            "verifyingContract": "0xeB8d770ec18DB98Db922E9D83260A585b9F0DeAD",
        },
        "message": {
            "subaccountId": vector["subaccount_id"],
            "nonce": int(vector["nonce"]),
            "module": vector["module"],
            "data": bytes.fromhex(vector["data"]),
            "expiry": vector["expiry"],
            "owner": vector["owner"],
            "signer": vector["signer"],
        },
    }


@pytest.mark.parametrize("vector", REFUSED, ids=lambda vector: vector["name"])
def test_refused_vectors(vector: dict[str, str]) -> None:
    """A refused signature is malformed or leads to another signer."""
    try:
        canonical = signing.parse_signature(vector["signature"])
        signer = signing.recover_address(bytes.fromhex(vector["digest"]), canonical)
    except signing.BadSignature:
        return
    assert vector["signer"] != signing.checksum_address(signer)


def test_there_are_at_least_fifty_vectors_with_unique_names() -> None:
    """The file covers every module, and a failure names its vector."""
    names = {vector["name"] for vector in ACCEPTED}
    assert len(names) == len(ACCEPTED)
    assert len(ACCEPTED) >= 50
    assert len({vector["module"] for vector in ACCEPTED}) == 9


def test_file_is_what_the_generator_writes() -> None:
    """The committed file equals the generator's output, so neither changes unseen."""
    assert signing_vectors.PATH.read_text() == signing_vectors.text()


@pytest.mark.parametrize("vector", ACCEPTED, ids=lambda vector: vector["name"])
def test_independent_encoder_agrees(vector: dict[str, Any]) -> None:
    """eth_account derives the same separator, struct hash and signer from the typed data."""
    message = encode_typed_data(full_message=typed_data(vector))
    assert vector["domain_separator"] == message.header.hex()
    assert vector["action_hash"] == message.body.hex()
    assert vector["signer"] == Account.recover_message(message, signature=bytes.fromhex(vector["signature"]))


@pytest.mark.parametrize("vector", ACCEPTED, ids=lambda vector: vector["name"])
def test_signature_recovers_to_its_signer(vector: dict[str, Any]) -> None:
    """Our own recovery accepts every vector."""
    signature = signing.parse_signature(vector["signature"])
    signer = signing.recover_address(bytes.fromhex(vector["digest"]), signature)
    assert vector["signer"] == signing.checksum_address(signer)
