"""The evidence of every leaf: found whatever happened to its order, kept over a restart, let go when nobody can ask."""

import pytest

from exchange.bridge.assembler import BadEvents, BatchAssembler
from exchange.bridge.batcher import Batcher, LedgerStore
from exchange.bridge.evidence import EvidenceBook
from exchange.domain.blocks import BlockLeg
from exchange.domain.commands import Amend, ChainRequestKind, ListInstrument, OrderFlag, Replace, Side, SignedAmend
from exchange.domain.packing import pack_events
from exchange.wire.venue import VenueInfo
from settlement.protocol.eip712 import digest
from settlement.protocol.keccak import keccak256
from settlement.protocol.ledger import LedgerState
from settlement.protocol.orders import BadOrders, OrderKind
from settlement.protocol.signature import address_of, recover_address
from tests.fakes.signed_blocks import signed_block
from tests.fakes.signed_market import SignedMarket, key_of
from tests.unit.exchange.engine.world import CALL, E6, PERP, instruments

VENUE = VenueInfo.for_chain(
    chain_id=5, settlement_contract=b"\x66" * 20, subaccount_base=1_000_000, accept_derive_sepolia_orders=True
)
BUY, SELL = Side.BUY, Side.SELL


@pytest.fixture
def market():
    """Three funded accounts."""
    market = SignedMarket(VENUE)
    for instrument in instruments():
        market.run(ListInstrument(instrument=instrument))
    market.prices()
    for account in (2, 3, 4):
        money = {"amount_e6": 100_000 * E6, "owner": address_of(key_of(account))}
        market.request(ChainRequestKind.DEPOSIT, account, **money)
    market.run_cut()
    return market


class Records:
    """The commands of a market from any sequence on."""

    def __init__(self, market, sequence=0):
        self.rows = [row for row in market.commands if row[0] > sequence]

    def records(self, up_to):
        while self.rows and self.rows[0][0] <= up_to:
            yield self.rows.pop(0)


def built(market, book=None):
    """Every batch of the market with its evidence."""
    batcher = Batcher(BatchAssembler(), LedgerState(), None, book or EvidenceBook(VENUE, Records(market)))
    return batcher.take([pack_events([item]) for item in market.history])


def evidence_of(market):
    """Evidence of the last batch, each leaf's signature checked."""
    market.run_cut()
    leaves = built(market)[-1].evidence
    for leaf in leaves:
        domain = VENUE.domains[1 if leaf.signed.is_sepolia else 0]
        hashed = digest(domain.separator, leaf.signed.action)
        assert recover_address(hashed, leaf.signed.signature) == leaf.signed.action.signer
    return leaves


def lots_of(leaves):
    """(account, lots) of every leaf, ascending."""
    return sorted((leaf.fill.account, leaf.fill.position_lots) for leaf in leaves)


def test_a_fill_whose_order_was_never_seen_is_refused(market):
    """The batch must not be posted: nobody could answer for it."""
    market.trade(2, 3, 600_000, 5, PERP)
    market.run_cut()
    book = EvidenceBook(VENUE, Records(market))
    batcher = Batcher(BatchAssembler(), LedgerState(), None, book)
    items = [pack_events([item]) for item in market.history]
    batcher.take(items[:-1])
    book._signed.clear()
    with pytest.raises(BadEvents, match="is not at hand"):
        batcher.take(items[-1:])


def test_a_signature_for_something_else_is_refused(market):
    """The digest in the journal is not that of the order's terms."""
    market.trade(2, 3, 600_000, 5, PERP, digest=b"\x0d" * 32)
    sold = market.signed(3, SELL, 600_000, 5, PERP)
    market.run(sold)
    market.run(market.order(2, BUY, 600_000, 5, signer=address_of(key_of(2)), digest=b"\x0d" * 32))
    market.run_cut()
    with pytest.raises(BadOrders, match="does not authorize ORDER"):
        built(market)


def test_a_reader_that_stands_too_far_is_refused(market):
    """Events and records belong together by sequence."""
    market.trade(2, 3, 600_000, 5, PERP)
    with pytest.raises(BadEvents, match="the journal's reader stands behind"):
        built(market, EvidenceBook(VENUE, Records(market, market.state.sequence)))


@pytest.mark.parametrize("saved", [b"", b"\x93\x01", b"\x98\x02" + b"\x90" * 7])
def test_bytes_of_another_format_are_refused(market, saved):
    """Damage and other versions."""
    with pytest.raises(BadEvents, match="saved evidence"):
        EvidenceBook(VENUE, Records(market)).load(saved)


def test_a_file_without_evidence_is_refused(market, tmp_path):
    """Written by a settler that kept none."""
    path = tmp_path / "ledger.bin"
    LedgerStore(path).save(BatchAssembler(), LedgerState())
    with pytest.raises(BadEvents, match="holds no signatures"):
        LedgerStore(path).load_evidence(EvidenceBook(VENUE, Records(market)))


def test_orders_of_owners_keys_and_both_domains(market):
    """Each leaf has its own action, domain and the list of its key."""
    market.session_keys[address_of(b"\x51" * 32)] = b"\x51" * 32
    key = {"key": address_of(b"\x51" * 32), "valid_to_s": 2_000_000_000, "scopes": 1 << 2, "accounts": (2,)}
    market.request(ChainRequestKind.SET_KEY, 2, owner=address_of(key_of(2)), **key)
    market.trade(2, 3, 600_000, 5, PERP, signer=address_of(b"\x51" * 32))
    market.trade(4, 3, 600_100, 5, PERP, domain=1)
    leaves = evidence_of(market)
    assert lots_of(leaves) == [(2, 5), (3, -5), (3, -5), (4, 5)]
    assert [leaf.key_accounts for leaf in leaves if leaf.fill.account == 2] == [(2,)]
    assert [leaf.signed.is_sepolia for leaf in leaves if leaf.fill.account == 4] == [True]


def test_a_slid_order_shows_the_price_it_was_signed_with(market):
    """The event has the price in the book, the signature the worst one."""
    market.run(market.signed(3, SELL, 600_500, 4, PERP))
    market.run(market.signed(2, BUY, 600_700, 4, PERP, flags=OrderFlag.POST_ONLY | OrderFlag.SLIDE))
    market.run(market.signed(4, SELL, 600_000, 4, PERP))
    assert lots_of(evidence_of(market)) == [(2, 4), (4, -4)]


def test_replaced_and_amended_orders_show_what_they_filled_under(market):
    """A fill belongs to the signature of its time, also when it was replaced before the batch was built."""
    market.run(market.signed(3, SELL, 600_500, 10, PERP))
    number = max(market.state.account_orders[3])
    market.run(market.signed(2, BUY, 600_500, 2, PERP))
    market.run(SignedAmend(target_order=number, order=market.signed(3, SELL, 600_400, 8, PERP)))
    market.run(market.signed(2, BUY, 600_400, 3, PERP))
    market.run(Amend(subaccount=3, order=number, quantity_lots=6))
    market.run(Replace(target_order=number, order=market.signed(3, SELL, 600_300, 4, PERP)))
    market.run(market.signed(4, BUY, 600_300, 4, PERP))
    assert lots_of(evidence_of(market)) == [(2, 2), (2, 3), (3, -4), (3, -3), (3, -2), (4, 4)]


def test_each_side_of_a_quote_shows_the_call(market):
    """Line, side and the packed lines of the whole call."""
    market.quote(4, (PERP, 1, 0, 1, 0), (CALL, 1_400, 5, 1_600, 5))
    market.run(market.signed(2, BUY, 1_600, 3, CALL))
    market.run(market.signed(3, SELL, 1_400, 2, CALL))
    quotes = [leaf for leaf in evidence_of(market) if leaf.fill.account == 4]
    assert {(leaf.line, leaf.fill.position_lots) for leaf in quotes} == {(2, 2), (3, -3)}
    assert {leaf.fill.kind for leaf in quotes} == {OrderKind.QUOTE}
    assert {len(leaf.signed.lines) for leaf in quotes} == {72}


def test_each_leg_of_a_block_shows_its_party_s_action(market):
    """The maker's holds the legs, the taker's their hash, which the legs beside it must have; none is an order."""
    legs = (BlockLeg(CALL, 1_500, 5), BlockLeg(PERP, 600_000, -2))
    market.run(signed_block(market, legs, maker=4, taker=2))
    leaves = evidence_of(market)
    assert {(leaf.fill.account, leaf.line, leaf.fill.position_lots) for leaf in leaves} == {
        (4, 0, 5), (4, 1, -2), (2, 0, -5), (2, 1, 2),
    }  # fmt: skip
    assert {leaf.fill.kind for leaf in leaves} == {OrderKind.RFQ}
    for leaf in leaves:
        shown = leaf.signed.lines
        assert (shown == b"") == (leaf.fill.account == 4)
        assert not shown or keccak256(shown) == leaf.signed.action.data[:32]


def test_a_restart_anywhere_gives_the_same_evidence(market, tmp_path):
    """Saved and loaded after every command, with the journal's reader placed anew."""
    market.run(market.signed(3, SELL, 600_500, 10, PERP))
    market.quote(4, (CALL, 1_400, 5, 1_600, 5))
    market.run(signed_block(market, (BlockLeg(CALL, 1_500, 5), BlockLeg(PERP, 600_000, -2)), maker=4, taker=2))
    for _ in range(3):
        market.run(market.signed(2, BUY, 600_500, 2, PERP))
        market.run(market.signed(2, BUY, 1_600, 1, CALL))
        market.run_cut()
    whole, again = built(market), []
    store = LedgerStore(tmp_path / "ledger.bin")
    for item in market.history:
        assembler, ledger = store.load()
        book = EvidenceBook(VENUE, Records(market, assembler.sequence))
        store.load_evidence(book)
        batcher = Batcher(assembler, ledger, store, book)
        again += batcher.take([pack_events([item])])
        batcher.save()
    assert again == whole


def test_closed_orders_are_forgotten_once_their_batch_is_built(market):
    """Nothing is kept but what is open or filled in the open batch."""
    market.trade(2, 3, 600_000, 5, PERP)
    resting = market.signed(3, SELL, 600_500, 1, PERP)
    market.run(resting)
    market.run(market.signed(2, BUY, 500_000, 1, PERP))
    market.cancel(2, max(market.state.account_orders[2]))
    book = EvidenceBook(VENUE, Records(market))
    batcher = Batcher(BatchAssembler(), LedgerState(), None, book)
    batcher.take([pack_events([item]) for item in market.history])
    assert len(book._signed) == 3
    market.run_cut()
    batcher.take([pack_events(market.history[-1:])])
    assert list(book._signed) == [resting.digest]
