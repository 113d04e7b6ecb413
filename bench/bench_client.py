"""C1: what the SDK's signature of an order costs, and its check, in one thread.

The message is built, hashed and signed as `OffbookClient.order` does it, then the digest is computed again from the
members that would be sent and checked with the cached key, as the gateway does. Terms change every time.
"""

import statistics
import time

from bench.harness import record_goal, result_hash, sized
from exchange.client.markets import Market
from exchange.client.signing import Credentials, OrderTerms, signed_order
from exchange.domain.instrument import Instrument, InstrumentKind
from settlement.protocol.eip712 import asset_address, domain_separator, trade_digest
from settlement.protocol.signature import VerifierKey, address_of, learn_key, parse_signature, verify_digest

ROUNDS = sized(small=300, full=5_000)
CHAIN_ID = 31_337
SEPARATOR = domain_separator(CHAIN_ID)
KEY = bytes(range(1, 33))
OWNER = b"\x11" * 20
ASSET = asset_address(chain_id=CHAIN_ID, settlement_contract=b"\x66" * 20, currency="BTC", kind="perp")
TICK_E18, LOT_E18 = 10**17, 10**15
PERP = Instrument(
    instrument_id=1 << 31,
    name="BTC-PERP",
    kind=InstrumentKind.PERPETUAL,
    underlying="BTC",
    tick_e9=TICK_E18 // 10**9,
    lot_e9=LOT_E18 // 10**9,
    minimum_lots=1,
    maximum_lots=1_000_000,
    maximum_price_ticks=10_000_000,
    maker_fee_ppm=100,
    taker_fee_ppm=300,
)


def terms_of(number):
    """Other terms every time."""
    market = Market(instrument=PERP, asset=ASSET, asset_sub_id=0)
    return OrderTerms(
        market=market, is_buy=bool(number & 1), price_ticks=840_000 + number, quantity_lots=1 + number,
        max_fee_e9=10**11, nonce=1_700_000_000_000_000_000 + number, expiry_s=1_800_000_000,
    )  # fmt: skip


def digest_of(terms, who):
    """What the gateway computes from the members of the order."""
    return trade_digest(
        SEPARATOR, asset=ASSET, sub_id=0, limit_price_e18=terms.price_ticks * TICK_E18,
        amount_e18=terms.quantity_lots * LOT_E18, max_fee_e18=terms.max_fee_e9 * 10**9,
        subaccount_id=who.subaccount_id, is_bid=terms.is_buy, nonce=terms.nonce, expiry_s=terms.expiry_s,
        owner=who.owner, signer=who.signer,
    )  # fmt: skip


def sign_and_verify(number, who, key: VerifierKey | None):
    """Milliseconds of both, the signature, and whether it was good."""
    terms = terms_of(number)
    start = time.thread_time_ns()
    signature = parse_signature(str(signed_order(who, SEPARATOR, terms)["signature"]))
    digest = digest_of(terms, who)
    is_good = key is None or verify_digest(key, digest, signature)
    return (time.thread_time_ns() - start) / 1e6, digest, signature, is_good


def test_signing(benchmark):
    """C1: sign and verify, median."""
    who = Credentials(owner=OWNER, session_key=KEY, signer=address_of(KEY), subaccount_id=7)
    _, digest, signature, _ = sign_and_verify(0, who, None)
    key = learn_key(digest, signature)
    rows = benchmark.pedantic(lambda: [sign_and_verify(number, who, key) for number in range(ROUNDS)], rounds=1)
    assert key.address == who.signer
    assert all(row[3] for row in rows)
    assert len({row[2] for row in rows}) == ROUNDS
    record_goal(
        benchmark,
        goal="C1",
        value=round(statistics.median(row[0] for row in rows), 4),
        unit="ms",
        target=0.3,
        at_least=False,
        result_hash=result_hash(row[2] for row in rows),
    )
