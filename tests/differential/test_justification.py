"""F2 on chain with orders signed, netted and proven by the production code in Python."""

import random

import pytest
from web3 import Web3

from settlement.protocol.actions import encode_trade
from settlement.protocol.batch import order_fills_of
from settlement.protocol.eip712 import TRADE_MODULE, Action, digest, domain_separator
from settlement.protocol.encoding import encode_batch
from settlement.protocol.justification import leaves_of
from settlement.protocol.merkle import fold_multiproof
from settlement.protocol.netting import Fill, net_fills
from settlement.protocol.oracle import MarkRow, OracleVector
from settlement.protocol.orders import OrderFill, order_leaf, orders_root
from settlement.protocol.signature import address_of, sign_digest
from settlement.protocol.transition import RequestKind
from tests.differential.dispute_world import DisputeWorld

PERP = 0x80000001
ASSET = b"\x9e" * 20
LOT_E18 = 10**15
UNIT_E6 = 10  # one tick of one lot
KEYS = [bytes([number]) * 32 for number in (0x21, 0x22, 0x23)]
BASE = 5_000_000
FRESH = (0, bytes(32), 0, [], [])
NOT_THE_DELTA = bytes(Web3.keccak(text="NotTheDelta()")[:4])
SPEC = (ASSET, 0, True, False, 1, 0, 0, LOT_E18, UNIT_E6, 1)


@pytest.fixture(scope="module")
def world() -> DisputeWorld:
    """Three owners by key with an account each, and one listed perpetual."""
    world = DisputeWorld()
    calls = world.vault.functions
    world.send(calls.setAsset(ASSET, (True, True, 1, LOT_E18, UNIT_E6, 1)))
    world.send(calls.listInstruments([PERP], [ASSET], [0]))
    for key in KEYS:
        owner = Web3.to_checksum_address(address_of(key))
        world.web3.provider.ethereum_tester.add_account("0x" + key.hex())
        world.send_value(owner)
        world.send(world.token.functions.mint(owner, 10**10))
        world.send(world.token.functions.approve(world.vault.address, 10**10), owner)
        world.ask(RequestKind.DEPOSIT, 0, owner, 10**9)
    world.publish(OracleVector(round_number=1, rows={PERP: MarkRow(mark_e6=10**6)}))
    return world


def signed_order(world: DisputeWorld, trader: int, *, is_bid: bool, limit_ticks: int, lots: int, nonce: int):
    """An order of trader 0, 1 or 2 with 1 % of fee at most: its action, digest and signature."""
    owner = address_of(KEYS[trader])
    # a tick is unit / lot in USDC: 10e-6 / 1e-3
    price_e18 = limit_ticks * UNIT_E6 * 10**12 * 10**18 // LOT_E18
    data = encode_trade(
        asset=ASSET,
        sub_id=0,
        limit_price_e18=price_e18,
        amount_e18=lots * LOT_E18,
        max_fee_e18=price_e18 // 100,
        recipient_subaccount_id=BASE + 2 + trader,
        is_bid=is_bid,
    )
    action = Action(
        subaccount_id=BASE + 2 + trader,
        nonce=nonce,
        module=TRADE_MODULE,
        data=data,
        expiry_s=world.now_s() + 100_000,
        owner=owner,
        signer=owner,
    )
    hashed = digest(domain_separator(world.web3.eth.chain_id), action)
    return action, hashed, sign_digest(KEYS[trader], hashed)


def random_fills(world: DisputeWorld, rng: random.Random):
    """Fills between orders of the three, each order filled at its limit, now and then several times."""
    fills, orders = [], {}
    for number in range(8):
        buyer, seller = rng.sample(range(3), 2)
        ticks, lots = rng.randint(900, 1100), rng.randint(2, 40)
        sides = []
        for trader, is_bid in ((buyer, True), (seller, False)):
            order = signed_order(world, trader, is_bid=is_bid, limit_ticks=ticks, lots=lots, nonce=10**18 + number)
            orders[order[1]] = order
            sides.append(order[1])
        for part in (1, lots - 1):
            notional_e6 = part * ticks * UNIT_E6
            fills.append(
                Fill(
                    buyer=2 + buyer,
                    seller=2 + seller,
                    instrument=PERP,
                    quantity_lots=part,
                    notional_e6=notional_e6,
                    buyer_fee_e6=notional_e6 // 200,
                    seller_fee_e6=-(notional_e6 // 2000),
                    buyer_ref=sides[0],
                    seller_ref=sides[1],
                )
            )
    return fills, orders


def evidence(place: int, fill: OrderFill, order) -> tuple:
    """The tuple that `answer` takes."""
    action, _, signature = order
    signed = (action.subaccount_id, action.nonce, action.module, action.expiry_s, action.owner, action.signer)
    amounts = (fill.instrument, fill.position_lots, fill.notional_e6, fill.fee_e6)
    return (place, *amounts, 0, False, signed, action.data, b"", signature, SPEC, [])


def test_answers_of_the_production_code_hold(world: DisputeWorld) -> None:
    """Digest, leaf, order of leaves, tree and siblings are those of the contract; a part of the leaves is no answer."""
    fills, orders = random_fills(world, random.Random(1))
    deltas = net_fills(fills).touching(range(2, 5))
    order_fills = order_fills_of(fills)
    data = encode_batch(deltas, ())
    posted = world.post(world.header(deltas), data, b"\x01" * 32, orders_root(order_fills))
    calls = world.vault.functions
    for account in range(2, 5):
        leaves, siblings = leaves_of(order_fills, account)
        assert fold_multiproof(20, {place: order_leaf(fill) for place, fill in leaves}, siblings) == posted.header[3]
        world.send(calls.challenge(posted.seq, posted.header, account, 0, 0), world.owners[0])
        asked = (posted.header_hash, account, 0, 0)
        id_ = Web3.keccak(world.web3.codec.encode(["bytes32", "uint32", "uint64", "uint64"], asked))
        shown = [evidence(place, fill, orders[fill.ref]) for place, fill in leaves]
        answer = (id_, posted.header, FRESH)
        some, lacking = leaves_of([fill for _, fill in leaves], account)
        assert len(some) == len(leaves)
        assert lacking != siblings
        assert world.refusal(calls.answer(*answer, [], b"", data)) == NOT_THE_DELTA
        receipt = world.send(calls.answer(*answer, shown, b"".join(siblings), data))
        print(f"answer of {len(leaves)} orders: {receipt['gasUsed']} gas")  # noqa: T201
        assert not calls.challengeOf(id_).call()[3]


def test_an_account_without_fills_has_no_leaves() -> None:
    """Nothing to show, nothing to prove."""
    assert leaves_of([], 2) == ([], [])
