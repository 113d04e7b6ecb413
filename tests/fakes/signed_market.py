"""A market of signed orders and quotes, whose commands are kept as the journal would keep them.

Account n belongs to key n - 2 of the chain's seed; owners and their session keys sign for the venue.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from exchange.domain.commands import Place, SessionOpen, Side
from exchange.domain.packing import CommandEvents, pack_command
from exchange.domain.quotes import MassQuote, QuoteLine, SetMmpConfig, pack_lines
from exchange.gateway.verify import OrderTerms
from exchange.wire.venue import VenueInfo
from matching_core import OrderBook
from settlement.onchain.funded_accounts import account_key
from settlement.protocol.eip712 import MASS_QUOTE_MODULE, Action, digest, encode_mass_quote
from settlement.protocol.signature import address_of, sign_digest
from tests.unit.exchange.engine.world import SECOND_NS, World, instruments

__all__ = ["SEED", "SignedMarket", "key_of"]

SEED = 7
_GROUP = 7


def key_of(account: int) -> bytes:
    """Private key of an account's owner."""
    return account_key(SEED, account - 2)


class SignedMarket(World):
    """Commands, events and records, one after another."""

    def __init__(self, venue: VenueInfo) -> None:
        """Nothing is listed yet."""
        super().__init__(OrderBook)
        self.venue = venue
        self.session_keys: dict[bytes, bytes] = {}
        self.history: list[CommandEvents] = []
        self.commands: list[tuple[int, bytes, bytes]] = []
        self._read = 0
        self._session = 0

    # Journal

    def run(self, command: Any, *, after_ns: int = 1_000_000) -> Any:
        """Apply and remember a command."""
        events = super().run(command, after_ns=after_ns)
        self.history.append(CommandEvents(self.state.sequence, self.now_ns, events))
        self.commands.append((self.state.sequence, *pack_command(command)))
        return events

    def records(self, up_to: int) -> Iterator[tuple[int, bytes, bytes]]:
        """The journal's commands, each once (`CommandRecords`)."""
        while self._read < len(self.commands) and self.commands[self._read][0] <= up_to:
            self._read += 1
            yield self.commands[self._read - 1]

    # Orders

    def signed(
        self, account: int, side: Side, price_ticks: int, lots: int, instrument: int, *, domain: int = 0, **fields: Any
    ) -> Place:
        """An order signed by the owner, or by the session key given as `signer`."""
        order = self.order(account, side, price_ticks, lots, instrument, domain=domain, **fields)
        if "signer" not in fields:
            order = msgspec.structs.replace(order, signer=address_of(key_of(account)))
        terms = OrderTerms(
            instrument=self.state.instruments[instrument],
            price_ticks=price_ticks,
            quantity_lots=lots,
            max_fee_e18=order.max_fee_e18,
            subaccount_id=self.venue.subaccount_id(account),
            is_bid=side is Side.BUY,
            nonce=order.nonce,
            expiry_s=order.expiry_s,
            owner=address_of(key_of(account)),
            signer=order.signer,
        )
        hashed = terms.digest(self.venue.domains[domain].separator, self.venue)
        signature = sign_digest(self.session_keys.get(order.signer, key_of(account)), hashed)
        return msgspec.structs.replace(order, digest=hashed, signature=signature)

    def trade(self, buyer: int, seller: int, price_ticks: int, lots: int, instrument: int, **fields: Any) -> None:
        """Let `seller` rest and `buyer` take, both with signed orders."""
        self.run(self.signed(seller, Side.SELL, price_ticks, lots, instrument))
        self.run(self.signed(buyer, Side.BUY, price_ticks, lots, instrument, **fields))

    def quote(self, account: int, *lines: tuple[int, ...]) -> None:
        """A signed mass quote of the owner, in a group that is made at first."""
        owner = address_of(key_of(account))
        if account not in self.state.account_groups or not self.state.account_groups[account]:
            self.run(SessionOpen(owner=owner, signer=owner))
            lot_e9 = instruments()[1].lot_e9
            limits = {"interval_ns": 10 * SECOND_NS, "frozen_ns": 0, "quantity_lots": 100}
            self.run(SetMmpConfig(subaccount=account, mmp_group=_GROUP, underlying="BTC", lot_e9=lot_e9, **limits))
            self._session = max(self.state.sessions)
        self.run(self.signed_lines(account, *lines, mmp_group=_GROUP, session=self._session))

    def signed_lines(self, account: int, *lines: tuple[int, ...], mmp_group: int = 0, session: int = 0) -> MassQuote:
        """Quote lines signed by the owner."""
        owner = address_of(key_of(account))
        packed = tuple(QuoteLine(*line) for line in lines)
        nonce, expiry_s, max_fee_e18 = self.now_ns + 1, self.now_ns // SECOND_NS + 3_600, 1_000 * 10**18
        data = encode_mass_quote(
            settlement_contract=self.venue.settlement_contract,
            packed_lines=pack_lines(packed),
            line_count=len(packed),
            max_fee_e18=max_fee_e18,
            subaccount_id=self.venue.subaccount_id(account),
        )
        subaccount_id = self.venue.subaccount_id(account)
        action = Action(
            subaccount_id=subaccount_id, nonce=nonce, module=MASS_QUOTE_MODULE, data=data, expiry_s=expiry_s,
            owner=owner, signer=owner,
        )  # fmt: skip
        hashed = digest(self.venue.domain_separator, action)
        return MassQuote(
            subaccount=account, mmp_group=mmp_group, lines=packed, nonce=nonce, expiry_s=expiry_s, signer=owner,
            max_fee_e18=max_fee_e18, session=session, digest=hashed, signature=sign_digest(key_of(account), hashed),
        )  # fmt: skip
