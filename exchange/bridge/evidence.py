"""What users signed, kept for as long as somebody may ask for it: the fold that finds the evidence of every leaf.

Events say which order was accepted, filled and closed; the record of the same sequence in the journal has what was
signed (the price before a slide, the lines of a mass quote). The raw record of an order is kept from its acceptance
until it is closed and the batch of its last fill is built; then `settlement.onchain.evidence_store` has it.
"""

from collections.abc import Iterator
from typing import Final, Protocol

import msgspec

from exchange.bridge.assembler import AssembledBatch, BadEvents
from exchange.domain.auction_bids import BidInAuction
from exchange.domain.blocks import BlockSide, ExecuteBlock
from exchange.domain.commands import OrderFlag, Place, Replace, Side, SignedAmend
from exchange.domain.events import (
    AccountOpened,
    BatchClosed,
    Event,
    InstrumentListed,
    OrderAccepted,
    OrderClosed,
    OrderRevised,
    SessionKeySet,
    Trade,
)
from exchange.domain.instrument import Instrument
from exchange.domain.packing import RECORD_BYTES, BadRecord, CommandEvents, unpack_commands
from exchange.domain.quote_events import MassQuoted, QuotePlaced
from exchange.domain.quotes import MassQuote, pack_lines
from exchange.wire.block_actions import block_action, signed_legs
from exchange.wire.venue import VenueInfo
from settlement.protocol.eip712 import (
    MASS_QUOTE_MODULE,
    TRADE_MODULE,
    Action,
    encode_mass_quote,
    encode_rfq_legs,
    encode_trade,
)
from settlement.protocol.evidence import Evidence, ForcedLeaf, LeafEvidence, SignedAction
from settlement.protocol.forced import FORCED_KINDS
from settlement.protocol.orders import BadOrders, OrderFill, leg_ref, quote_ref, sorted_order_fills

__all__ = ["CommandRecords", "EvidenceBook"]

_FORMAT: Final = 1
_E9: Final = 10**9


class CommandRecords(Protocol):
    """The journal's commands, in order (`exchange.journal.tail.JournalTail`)."""

    def records(self, up_to: int) -> Iterator[tuple[int, bytes, bytes]]:
        """Yield (sequence, record, attachments) from the next command to `up_to`."""
        ...


class _Signed(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A raw command, and the line of a side of a mass quote or a block in it: the last byte of its order's number."""

    raw: bytes
    line: int = 0


class _Saved(msgspec.Struct, frozen=True, array_like=True):
    version: int
    instruments: list[Instrument]
    owners: list[tuple[int, bytes]]
    keys: list[tuple[bytes, bytes, tuple[int, ...]]]
    signed: list[tuple[bytes, _Signed]]
    refs: list[tuple[int, list[bytes]]]
    filled: list[bytes]
    ended: list[bytes]


class EvidenceBook:
    """The fold. Take each command's events with `note`, build its batches, then `forget`."""

    def __init__(self, venue: VenueInfo, commands: CommandRecords) -> None:
        """Start empty, before the first event; `commands` must stand where the events do."""
        self._venue = venue
        self._commands = commands
        self._instruments: dict[int, Instrument] = {}
        self._owners: dict[int, bytes] = {}
        self._keys: dict[tuple[bytes, bytes], tuple[int, ...]] = {}
        self._signed: dict[bytes, _Signed] = {}
        self._refs: dict[int, list[bytes]] = {}
        # Of the open batch; `_ended` are those of them whose order is closed; `_unneeded` goes with `forget`.
        self._filled: set[bytes] = set()
        self._ended: set[bytes] = set()
        self._unneeded: set[bytes] = set()
        self._own: set[int] = set()
        """Orders of the engine's own; each ends inside its command."""
        self._last = (0, b"")

    def note(self, item: CommandEvents) -> None:
        """Take one command's events. Raises BadEvents, BadRecord, JournalError."""
        call = b""
        for event in item.events:
            if isinstance(event, OrderAccepted) and event.flags & OrderFlag.LIQUIDATION:
                self._own.add(event.order)
            elif isinstance(event, OrderAccepted) and event.flags & OrderFlag.BLOCK:
                line = event.order & 0xFF
                self._keep(event.order, leg_ref(event.digest, line >> 1), item.sequence, line)
            elif isinstance(event, OrderAccepted | OrderRevised):
                self._keep(event.order, event.digest, item.sequence, 0)
            elif isinstance(event, MassQuoted):
                call = event.digest
            elif isinstance(event, QuotePlaced):
                line = event.order & 0xFF
                self._keep(event.order, quote_ref(call, line), item.sequence, line)
            elif isinstance(event, Trade):
                parties = [party.order for party in (event.maker, event.taker) if party.order not in self._own]
                self._filled.update(map(self._ref, parties))
            else:
                self._note_rare(event)

    def evidence_of(self, batch: AssembledBatch) -> tuple[Evidence, ...]:
        """Return what authorizes each leaf, in the tree's order.

        Raises BadEvents or BadOrders when something of it is missing: such a batch must not be posted.
        """
        return tuple(self._leaf(fill) for fill in sorted_order_fills(batch.input.order_fills))

    def forget(self) -> None:
        """Let go of what no later batch can need."""
        for ref in self._unneeded:
            self._signed.pop(ref, None)
        self._unneeded.clear()

    def dump(self) -> bytes:
        """Everything the fold remembers, canonical. Call it after `forget`."""
        return msgspec.msgpack.encode(
            _Saved(
                _FORMAT,
                [self._instruments[number] for number in sorted(self._instruments)],
                sorted(self._owners.items()),
                sorted((*pair, accounts) for pair, accounts in self._keys.items()),
                sorted(self._signed.items(), key=lambda row: row[0]),
                sorted(self._refs.items()),
                sorted(self._filled),
                sorted(self._ended),
            )
        )

    def load(self, saved: bytes) -> None:
        """Take over what `dump` gave. Raises BadEvents for bytes of another format."""
        try:
            state = msgspec.msgpack.decode(saved, type=_Saved)
        except msgspec.MsgspecError as error:
            raise BadEvents(f"saved evidence: {error}; delete it, it is rebuilt from the event log") from error
        if state.version != _FORMAT:
            raise BadEvents(f"saved evidence has format {state.version}, this build reads {_FORMAT}")
        self._instruments = {row.instrument_id: row for row in state.instruments}
        self._owners = dict(state.owners)
        self._keys = {(owner, key): accounts for owner, key, accounts in state.keys}
        self._signed = dict(state.signed)
        self._refs = dict(state.refs)
        self._filled, self._ended = set(state.filled), set(state.ended)

    def _note_rare(self, event: Event) -> None:
        if isinstance(event, OrderClosed):
            self._own.discard(event.order)
            for ref in self._refs.pop(event.order, ()):
                (self._ended if ref in self._filled else self._unneeded).add(ref)
        elif isinstance(event, BatchClosed):
            self._unneeded |= self._ended
            self._ended.clear()
            self._filled.clear()
        elif isinstance(event, InstrumentListed):
            self._instruments[event.instrument.instrument_id] = event.instrument
        elif isinstance(event, AccountOpened):
            self._owners[event.subaccount] = event.owner
        elif isinstance(event, SessionKeySet):
            self._keys[event.owner, event.key] = event.accounts

    def _ref(self, order: int) -> bytes:
        """Authority key that fills of an open order belong to now."""
        refs = self._refs.get(order)
        if not refs:
            raise BadEvents(f"order {order} was filled and no event introduced it")
        return refs[-1]

    def _keep(self, order: int, ref: bytes, sequence: int, line: int) -> None:
        self._signed[ref] = _Signed(self._record(sequence), line)
        self._refs.setdefault(order, []).append(ref)

    def _record(self, sequence: int) -> bytes:
        """Raw command of `sequence`; a mass quote asks for the same one several times."""
        for number, record, attachments in self._commands.records(sequence):
            if number == sequence:
                self._last = (number, record + attachments)
        if self._last[0] != sequence:
            raise BadEvents(f"the journal's reader stands behind sequence {sequence}")
        return self._last[1]

    def _leaf(self, fill: OrderFill) -> Evidence:
        if fill.kind in FORCED_KINDS:
            return ForcedLeaf(fill)
        signed = self._signed.get(fill.ref)
        instrument = self._instruments.get(fill.instrument)
        if signed is None or instrument is None:
            raise BadEvents(f"what account {fill.account} signed for its fill {fill.ref.hex()} is not at hand")
        command = next(unpack_commands(signed.raw[:RECORD_BYTES], signed.raw[RECORD_BYTES:]))
        if isinstance(command, Replace | SignedAmend):
            command = command.order
        elif isinstance(command, BidInAuction):
            command = command.call
        if isinstance(command, ExecuteBlock):
            is_maker = not signed.line & 1
            action, lines = self._block(fill.account, command, is_maker=is_maker)
            return self._evidence(fill, command.maker if is_maker else command.taker, action, lines, signed.line >> 1)
        if not isinstance(command, Place | MassQuote):
            raise BadRecord(f"{type(command).__name__} authorizes no fill")
        lines = pack_lines(command.lines) if isinstance(command, MassQuote) else b""
        return self._evidence(fill, command, self._action(fill.account, command, instrument), lines, signed.line)

    def _evidence(
        self, fill: OrderFill, command: Place | MassQuote | BlockSide, action: Action, lines: bytes, line: int
    ) -> LeafEvidence:
        """The leaf with what authorizes it, once both agree. Raises BadOrders where they do not."""
        instrument, domain = self._instruments[fill.instrument], self._venue.domains[command.domain]
        leaf = LeafEvidence(
            fill=fill,
            signed=SignedAction(action=action, signature=command.signature, is_sepolia=domain.trade_only, lines=lines),
            asset=self._venue.asset(instrument),
            sub_id=self._venue.asset_sub_id(instrument),
            line=line,
            key_accounts=self._keys.get((action.owner, action.signer), ()),
        )
        leaf.check(domain.separator)
        return leaf

    def _block(self, account: int, block: ExecuteBlock, *, is_maker: bool) -> tuple[Action, bytes]:
        """A party's action, and the legs that a taker signed the hash of."""
        legs = signed_legs(self._venue, block.legs, self._instruments)
        half = block.maker if is_maker else block.taker
        action = block_action(self._venue, half, self._owner(account), legs, is_maker=is_maker)
        return action, b"" if is_maker else encode_rfq_legs(legs)

    def _owner(self, account: int) -> bytes:
        owner = self._owners.get(account)
        if owner is None:
            raise BadOrders(f"account {account} was never opened")
        return owner

    def _action(self, account: int, command: Place | MassQuote, instrument: Instrument) -> Action:
        """The action as its signer hashed it."""
        owner = self._owner(account)
        if isinstance(command, MassQuote):
            module, data = MASS_QUOTE_MODULE, self._quote_data(account, command)
        else:
            module, data = TRADE_MODULE, self._order_data(account, command, instrument)
        return Action(
            subaccount_id=self._venue.subaccount_id(account),
            nonce=command.nonce,
            module=module,
            data=data,
            expiry_s=command.expiry_s,
            owner=owner,
            signer=command.signer,
        )

    def _order_data(self, account: int, order: Place, instrument: Instrument) -> bytes:
        return encode_trade(
            asset=self._venue.asset(instrument),
            sub_id=self._venue.asset_sub_id(instrument),
            limit_price_e18=order.price_ticks * instrument.tick_e9 * _E9,
            amount_e18=order.quantity_lots * instrument.lot_e9 * _E9,
            max_fee_e18=order.max_fee_e18,
            recipient_subaccount_id=self._venue.subaccount_id(account),
            is_bid=order.side is Side.BUY,
        )

    def _quote_data(self, account: int, quote: MassQuote) -> bytes:
        return encode_mass_quote(
            settlement_contract=self._venue.settlement_contract,
            packed_lines=pack_lines(quote.lines),
            line_count=len(quote.lines),
            max_fee_e18=quote.max_fee_e18,
            subaccount_id=self._venue.subaccount_id(account),
        )
