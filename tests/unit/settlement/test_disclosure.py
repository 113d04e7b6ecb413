"""The table of `settlement/DISCLOSURE.md` against the bytes that are published: each field is where it says."""

import re
from pathlib import Path

import pytest

from settlement.onchain.answers import AssetRow, encode_answer, orders_tree, parts_of
from settlement.onchain.contract import BatchHeader, PostCall, encode_post
from settlement.protocol.actions import encode_trade
from settlement.protocol.batch import order_fills_of
from settlement.protocol.eip712 import TRADE_MODULE, Action, digest, domain_separator
from settlement.protocol.encoding import encode_batch
from settlement.protocol.evidence import LeafEvidence, SignedAction
from settlement.protocol.justification import leaves_of
from settlement.protocol.keccak import keccak256
from settlement.protocol.netting import Fill, net_fills
from settlement.protocol.orders import order_leaf, orders_root
from settlement.protocol.signature import address_of, sign_digest

DOCUMENT = Path(__file__).parents[3] / "settlement/DISCLOSURE.md"
ASSET, OPTION, CHAIN = b"\x9e" * 20, 0x01020304, 31_337
ALICE, BOB = 0x0A0B0C, 0x0D0E0F
KEYS = {ALICE: b"\x21" * 32, BOB: b"\x22" * 32}
LOTS, PART = 0x12345, 0x2345
FILL_TIME_NS = 1_799_999_999_123_456_789
FEE_E6 = 0x3344
LIMIT_E18, SIZE_E18, CAP_E18, NONCE = 0x1122334455667788, 0x2233445566778899, 0x33445566778899AA, 0x445566778899AABB


def signed_order(account):
    """An order whose every number is its own, larger for bob."""
    more = 0 if account == ALICE else 1 << 60
    data = encode_trade(
        asset=ASSET,
        sub_id=7,
        limit_price_e18=LIMIT_E18 + more,
        amount_e18=SIZE_E18 + more,
        max_fee_e18=CAP_E18 + more,
        recipient_subaccount_id=account,
        is_bid=account == ALICE,
    )
    owner = address_of(KEYS[account])
    action = Action(
        subaccount_id=account,
        nonce=NONCE + more,
        module=TRADE_MODULE,
        data=data,
        expiry_s=1_900_000_000,
        owner=owner,
        signer=owner,
    )
    return SignedAction(action=action, signature=sign_digest(KEYS[account], digest(domain_separator(CHAIN), action)))


ORDERS = {account: signed_order(account) for account in (ALICE, BOB)}
REFS = {account: digest(domain_separator(CHAIN), signed.action) for account, signed in ORDERS.items()}


def published():
    """Calldata of a batch with two fills of one order each, and of the answer to a challenge of alice."""
    fills = [
        Fill(
            buyer=ALICE,
            seller=BOB,
            instrument=OPTION,
            quantity_lots=lots,
            notional_e6=lots * 64,
            buyer_fee_e6=FEE_E6,
            seller_fee_e6=0,
            buyer_ref=REFS[ALICE],
            seller_ref=REFS[BOB],
        )
        for lots in (PART, LOTS - PART)
    ]
    order_fills = order_fills_of(fills)
    data = encode_batch(net_fills(fills), ())
    header = BatchHeader(
        previous_batch_hash=bytes(32),
        previous_root=bytes(32),
        new_root=bytes(32),
        orders_root=orders_root(order_fills),
        data_hash=keccak256(data),
        h=2 * 2 * FEE_E6,
        block_time_s=0,
        block_number=0,
        collateral_e6=0,
    )
    leaves = [
        (place, LeafEvidence(fill=fill, signed=ORDERS[ALICE], asset=ASSET, sub_id=7))
        for place, fill in leaves_of(order_fills, ALICE)[0]
    ]
    tree = orders_tree({place: order_leaf(fill) for place, fill in enumerate(order_fills)})
    (part,) = parts_of(tree, leaves)
    row = AssetRow(False, 1, 10**15, 64, 1)
    answer = encode_answer(b"\x01" * 32, header, part, data, {ASSET: row})
    post = PostCall(seq=1, new_root=bytes(32), orders_root=header.orders_root, h=header.h, data=data)
    return {"Batch": encode_post(post), "Answer": answer}


def word(value, size=32):
    """An integer as the contract's bytes have it."""
    return value.to_bytes(size, "big")


FIELDS = {
    "account index": word(ALICE, 4),
    "net lots per account and instrument": word(2 * LOTS, 4)[1:],
    "net cash per account": word(2 * (LOTS * 64), 8)[2:],
    "sum of fees of the batch": word(2 * 2 * FEE_E6, 8),
    "owner's address": address_of(KEYS[ALICE]),
    "digest of an order": REFS[ALICE],
    "limit price": word(LIMIT_E18),
    "order size": word(SIZE_E18),
    "fee cap": word(CAP_E18),
    "nonce (the client's time)": word(NONCE),
    "signature": ORDERS[ALICE].signature,
    "lots and notional filled per order": word(LOTS) + word(LOTS * 64),
    "another account's order": ORDERS[BOB].signature,
    "counterparty of a fill": address_of(KEYS[BOB]),
    "time of a fill": word(FILL_TIME_NS, 8),
}


def table():
    """Rows of the document's first table: field, where -> yes or no."""
    rows = {}
    for line in DOCUMENT.read_text().splitlines():
        match = re.fullmatch(r"\| (.+) \| (yes|no) \| (yes|no) \|", line)
        if match:
            field, batch, answer = match.groups()
            rows |= {(field, "Batch"): batch, (field, "Answer"): answer}
    return rows


def test_the_document_has_the_fields_that_are_looked_for():
    """None is missing on either side."""
    assert {field for field, _ in table()} == set(FIELDS)


@pytest.mark.parametrize("place", ["Batch", "Answer"])
@pytest.mark.parametrize("field", list(FIELDS))
def test_a_field_is_where_the_document_says(field, place):
    """Found in the calldata if and only if the cell says yes."""
    assert (FIELDS[field] in published()[place]) == (table()[field, place] == "yes")
