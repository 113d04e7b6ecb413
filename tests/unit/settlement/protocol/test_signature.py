"""Tests of settlement.protocol.signature."""

import pytest

from settlement.protocol import signature as signing
from settlement.protocol.keccak import keccak256

KEY = bytes.fromhex("2ae8be44db8a590d20bffbe3b6872df9b569147d3bf6801a35a28281a4816bbd")
ADDRESS = "0x86042886b1063625D0B3DDCC9e4cBcf912B79e16"
DIGEST = keccak256(b"digest")
SIGNATURE = signing.sign_digest(KEY, DIGEST)


def with_high_s(signature: bytes) -> bytes:
    """Return the other signature that the curve accepts: order - s and the opposite v."""
    s = signing.CURVE_ORDER - int.from_bytes(signature[32:64], "big")
    return signature[:32] + s.to_bytes(32, "big") + bytes([55 - signature[64]])


REFUSED = {
    "empty": b"",
    "64 bytes": SIGNATURE[:64],
    "66 bytes": SIGNATURE + b"\x00",
    "v 29": SIGNATURE[:64] + b"\x1d",
    "v 2": SIGNATURE[:64] + b"\x02",
    "v 255": SIGNATURE[:64] + b"\xff",
    "high s": with_high_s(SIGNATURE),
    "zero r": bytes(32) + SIGNATURE[32:],
    "zero s": SIGNATURE[:32] + bytes(32) + SIGNATURE[64:],
    "r above the order": b"\xff" * 32 + SIGNATURE[32:],
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_signatures(name: str) -> None:
    """Everything but the canonical form is refused, by recovery and by the cached key alike."""
    key = signing.learn_key(DIGEST, SIGNATURE)
    with pytest.raises(signing.BadSignature):
        signing.recover_address(DIGEST, REFUSED[name])
    assert not signing.verify_digest(key, DIGEST, REFUSED[name])


def test_many_at_once_are_judged_like_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every refusal and a good signature, two keys, in one call: compiled, reference and single verdicts agree."""
    other_key, other_digest = bytes(31) + b"\x05", keccak256(b"other")
    other = signing.learn_key(other_digest, signing.sign_digest(other_key, other_digest))
    key = signing.learn_key(DIGEST, SIGNATURE)
    rows = [(key, DIGEST, signature) for signature in (*REFUSED.values(), SIGNATURE)]
    rows += [
        (other, DIGEST, SIGNATURE),
        (key, other_digest, SIGNATURE),
        (key, b"", SIGNATURE),
        (key, DIGEST, SIGNATURE),
    ]
    rows.append((other, other_digest, signing.sign_digest(other_key, other_digest)))
    expected = [signing.verify_digest(*row) for row in rows]
    assert signing.verify_many(rows) == expected
    assert expected.count(True) == 3
    assert signing.verify_many([]) == []
    monkeypatch.setattr(signing, "COMPILED", False)
    assert signing.verify_many(rows) == expected


@pytest.mark.skipif(not signing.COMPILED, reason="settlement.protocol._signatures is not built: make build")
@pytest.mark.parametrize(
    ("rows", "keys"), [(b"", bytes(64)), (bytes(96), b""), (bytes(95), bytes(64)), (bytes(192), bytes(64))]
)
def test_rows_and_keys_must_pair_up(rows: bytes, keys: bytes) -> None:
    """The compiled loop never reads past what it was given."""
    with pytest.raises(ValueError, match="pair up"):
        signing._signatures.verify_rows(0, 0, 0, rows, keys)


@pytest.mark.parametrize("text", ["", "0x", "zz" * 65, "0x" + "00" * 64, "00" * 66, " 1" * 65])
def test_refused_texts(text: str) -> None:
    """A signature that is not 65 bytes of hex is refused."""
    with pytest.raises(signing.BadSignature):
        signing.parse_signature(text)


@pytest.mark.parametrize("text", ["", "0x12", "0x" + "g" * 40, " 1" * 20, "0x" + "11" * 21])
def test_refused_addresses(text: str) -> None:
    """An address that is not 20 bytes of hex is refused."""
    with pytest.raises(signing.BadAddress):
        signing.parse_address(text)


def test_checksum_of_a_short_address_is_refused() -> None:
    """Only 20 bytes have a checksummed form."""
    with pytest.raises(signing.BadAddress):
        signing.checksum_address(bytes(19))


def test_digest_must_have_32_bytes() -> None:
    """A truncated digest is refused, not padded."""
    with pytest.raises(signing.BadSignature, match="32 bytes"):
        signing.recover_address(DIGEST[:31], SIGNATURE)
    assert not signing.learn_key(DIGEST, SIGNATURE).verify(DIGEST[:31], SIGNATURE)


def test_another_digest_leads_to_another_signer() -> None:
    """A signature says nothing about a digest that it was not made for."""
    other = keccak256(b"other")
    key = signing.learn_key(DIGEST, SIGNATURE)
    assert signing.recover_address(other, SIGNATURE) != key.address
    assert not key.verify(other, SIGNATURE)


def test_recovery_id_of_a_stranger_is_refused() -> None:
    """No v makes a signature that of another signer."""
    with pytest.raises(signing.BadSignature, match="recovery id"):
        signing.with_recovery_id(bytes(20), DIGEST, SIGNATURE)


def test_sign_and_recover() -> None:
    """A signature is canonical and recovers to its key's address."""
    assert len(SIGNATURE) == signing.SIGNATURE_BYTES
    assert SIGNATURE[64] in (27, 28)
    assert int.from_bytes(SIGNATURE[32:64], "big") <= signing.CURVE_ORDER // 2
    assert signing.address_of(KEY) == signing.recover_address(DIGEST, SIGNATURE)


def test_cached_key_verifies() -> None:
    """A key learned from one signature verifies later ones of the same signer."""
    key = signing.learn_key(DIGEST, SIGNATURE)
    second = keccak256(b"second")
    assert key.address == signing.address_of(KEY)
    assert signing.verify_digest(key, second, signing.sign_digest(KEY, second))


def test_recovery_id_is_restored() -> None:
    """Evidence on chain needs the one v that recovers the signer; a cached key does not look at v."""
    wrong = SIGNATURE[:64] + bytes([55 - SIGNATURE[64]])
    assert signing.learn_key(DIGEST, SIGNATURE).verify(DIGEST, wrong)
    assert signing.with_recovery_id(signing.address_of(KEY), DIGEST, wrong) == SIGNATURE


@pytest.mark.parametrize("prefix", ["", "0x", "0X"])
@pytest.mark.parametrize("upper", [False, True])
@pytest.mark.parametrize("offset", [0, 27])
def test_liberal_signature_texts(prefix: str, upper: bool, offset: int) -> None:
    """Any case, with or without 0x, v from 0 or from 27: the same canonical bytes."""
    digits = (SIGNATURE[:64] + bytes([SIGNATURE[64] - 27 + offset])).hex()
    assert signing.parse_signature(prefix + (digits.upper() if upper else digits)) == SIGNATURE


def test_login_vector() -> None:
    """The published session login: hash and signature of a millisecond timestamp."""
    digest = signing.personal_digest(b"1795357455576")
    assert digest.hex() == "6dffd5780a644ce659729ef65575c23c3a50fd27719c1e755bf8ace3ffd61e55"
    assert signing.sign_digest(KEY, digest).hex() == (
        "146c273510eddafeee932ed402266e5940b36fbb9a6f28d01799495272eaf5c0"
        "17ba42c22f15028a2b8a2aa0d982ae60ae2c8850fa28c497152e2a5507dcae601b"
    )


@pytest.mark.parametrize(
    "address",
    [
        ADDRESS,
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
        "0x000000000000000000000000000000000000dEaD",
    ],
)
def test_checksummed_addresses(address: str) -> None:
    """Output is in EIP-55 form whatever the case of the input."""
    for text in (address, address.lower(), address[2:].upper()):
        assert address == signing.checksum_address(signing.parse_address(text))


def test_address_of_the_public_test_key() -> None:
    """The published key has the published address."""
    assert signing.checksum_address(signing.address_of(KEY)) == ADDRESS
