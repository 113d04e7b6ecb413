"""Signatures of quotes and executions: what each covers, and what another one is worth."""

from typing import Any

import pytest
from msgspec.structs import replace

from exchange.domain.blocks import BlockLeg, BlockSide
from exchange.gateway.rfq_terms import BlockTerms
from exchange.gateway.verify import SignatureChecker
from exchange.wire.errors import WireError
from exchange.wire.venue import VenueInfo
from settlement.protocol.signature import address_of, sign_digest
from tests.unit.exchange.engine.world import CALL, PERP, START_S, instruments

VENUE = VenueInfo.for_chain(
    chain_id=5, settlement_contract=b"\x66" * 20, subaccount_base=1_000_000, accept_derive_sepolia_orders=True
)
KEYS = {2: b"\x22" * 32, 3: b"\x33" * 32}
LEGS = (BlockLeg(CALL, 1_500, 10), BlockLeg(PERP, 600_000, -30))


def terms(account: int = 2, **fields: Any) -> BlockTerms:
    """Account 2 quotes, account 3 executes."""
    owner = address_of(KEYS[account])
    half = BlockSide(
        subaccount=account,
        nonce=START_S * 10**9,
        expiry_s=START_S + 600,
        signer=owner,
        max_fee=(10**19).to_bytes(16, "little"),
    )
    rows = {row.instrument_id: row for row in instruments()}
    values = {"half": half, "legs": LEGS, "instruments": rows, "owner": owner, "is_maker": account == 2, **fields}
    return BlockTerms(**values)


def signed(row: BlockTerms, domain: int = 0) -> bytes:
    """The owner's signature under one of the venue's domains."""
    hashed = row.digest(VENUE.domains[domain].separator, VENUE)
    return sign_digest(KEYS[row.half.subaccount], hashed)


@pytest.mark.parametrize("account", [2, 3])
@pytest.mark.parametrize(
    "changed",
    [
        lambda row: replace(row, legs=(replace(LEGS[0], price_ticks=1_501), LEGS[1])),
        lambda row: replace(row, legs=(replace(LEGS[0], maker_lots=-10), LEGS[1])),
        lambda row: replace(row, legs=LEGS[::-1]),
        lambda row: replace(row, legs=LEGS[:1]),
        lambda row: replace(row, is_maker=not row.is_maker),
        lambda row: replace(row, half=replace(row.half, max_fee=bytes(16))),
        lambda row: replace(row, half=replace(row.half, nonce=row.half.nonce + 1)),
        lambda row: replace(row, half=replace(row.half, expiry_s=row.half.expiry_s + 1)),
        lambda row: replace(row, half=replace(row.half, subaccount=9)),
    ],
)
def test_a_signature_for_something_else_is_refused(account: int, changed: Any) -> None:
    """Any leg, direction, party, fee, nonce, life and subaccount is covered for both."""
    row = terms(account)
    with pytest.raises(WireError) as caught:
        SignatureChecker(VENUE).check(changed(row), signed(row))
    assert caught.value.code == 14014


def test_the_test_network_signs_no_quotes() -> None:
    """Its domain counts for orders alone."""
    with pytest.raises(WireError):
        SignatureChecker(VENUE).check(terms(), signed(terms(), domain=1))


@pytest.mark.parametrize("account", [2, 3])
def test_both_parties_sign_the_same_legs(account: int) -> None:
    """Each under the venue's own domain, to its own digest."""
    row = terms(account)
    assert SignatureChecker(VENUE).check(row, signed(row)) == (0, row.digest(VENUE.domain_separator, VENUE))
    assert terms(2).digest(VENUE.domain_separator, VENUE) != terms(3).digest(VENUE.domain_separator, VENUE)
