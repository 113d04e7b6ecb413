"""The cheap checks of a mass quote and what its signature covers (api.md 10.3): what fails here fails the whole call.

The lines are signed together, as ticks and lots, so one that has none leaves nothing that a signature could be checked
against. What only one side gets wrong otherwise is the engine's to refuse, side by side.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import ClassVar, Final

import msgspec

from exchange.domain.commands import CancelScope
from exchange.domain.instrument import Instrument
from exchange.domain.limits import MAX_QUOTE_LINES
from exchange.domain.quotes import MassQuote, QuoteLine, pack_lines
from exchange.gateway.calls import Identity
from exchange.gateway.market import Market
from exchange.gateway.mmp_methods import group_of
from exchange.gateway.order_checks import (
    OrderChecks,
    amount_on_step,
    check_nonce_window,
    parse_nonce,
    price_on_tick,
    signature_bytes,
)
from exchange.wire.decimals import fee_cap_e18
from exchange.wire.errors import WireError
from exchange.wire.params import required
from exchange.wire.quote_params import MassQuoteParams, QuoteLineParams
from exchange.wire.venue import VenueInfo, asset_kind
from settlement.protocol.eip712 import MASS_QUOTE_MODULE, Action, digest, encode_mass_quote

__all__ = ["CheckedQuotes", "QuoteChecks", "QuoteTerms", "line_count"]

_SECOND_NS: Final = 1_000_000_000
_CANCEL_ALL: Final = "all"


class QuoteTerms(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the signature of a call covers."""

    is_trade: ClassVar[bool] = False
    """Accepted under the venue's own domain only."""
    lines: tuple[QuoteLine, ...]
    max_fee_e18: int
    subaccount_id: int
    nonce: int
    expiry_s: int
    owner: bytes
    signer: bytes

    def digest(self, separator: bytes, venue: VenueInfo) -> bytes:
        """EIP-712 digest under `separator`."""
        return digest(separator, self.action(venue))

    def action(self, venue: VenueInfo) -> Action:
        """The action as the settlement protocol names it."""
        data = encode_mass_quote(
            settlement_contract=venue.settlement_contract,
            packed_lines=pack_lines(self.lines),
            line_count=len(self.lines),
            max_fee_e18=self.max_fee_e18,
            subaccount_id=self.subaccount_id,
        )
        return Action(
            subaccount_id=self.subaccount_id,
            nonce=self.nonce,
            module=MASS_QUOTE_MODULE,
            data=data,
            expiry_s=self.expiry_s,
            owner=self.owner,
            signer=self.signer,
        )


class CheckedQuotes(msgspec.Struct, frozen=True, gc=False):
    """A signed call whose every cheap check passed, and the command but for domain and digest."""

    terms: QuoteTerms
    signature: bytes
    command: MassQuote
    underlying: str

    def is_hit(self, *, instrument: int, underlying: str, label: str, scope: CancelScope) -> bool:
        """Whether a cancel by filter means one of its quotes (0 or "": any)."""
        return (
            not label
            and scope is not CancelScope.TRIGGERS
            and underlying in ("", self.underlying)
            and (not instrument or any(line.instrument == instrument for line in self.command.lines))
        )


class QuoteChecks:
    """Runs the ladder of orders for a call, in its declared order."""

    def __init__(self, venue: VenueInfo, market: Market, orders: OrderChecks, clock_ns: Callable[[], int]) -> None:
        """Share fee, expiry and signer checks with `orders`."""
        self._venue = venue
        self._market = market
        self._orders = orders
        self._clock_ns = clock_ns

    def check_unsigned(self, params: MassQuoteParams, account: int) -> MassQuote:
        """Lines that pull and shrink only; the engine refuses the sides that would need a signature."""
        _, lines = self._lines(params, self._clock_ns())
        return MassQuote(subaccount=account, mmp_group=group_of(params), lines=lines)

    def check(self, params: MassQuoteParams, identity: Identity, account: int) -> CheckedQuotes:
        """Check `params` for `account` (already known to be the wallet's); WireError with the first failing code."""
        now_ns = self._clock_ns()
        if params.cancel_on_disconnect is False:
            raise WireError(20009, {"field": "cancel_on_disconnect", "reason": "quotes end with their session"})
        instruments, lines = self._lines(params, now_ns)
        max_fee_e18 = fee_cap_e18(required(params.max_fee, "max_fee"), "max_fee")
        for instrument in instruments:
            self._orders.check_fee(instrument, max_fee_e18, is_maker=True)
        expiry_s = self._orders.check_expiry(required(params.signature_expiry_sec, "signature_expiry_sec"), now_ns)
        nonce = parse_nonce(required(params.nonce, "nonce"))
        check_nonce_window(nonce, now_ns)
        required(params.signer, "signer")
        for instrument in {asset_kind(row): row for row in instruments}.values():
            signer = self._orders.check_signer(params, identity, instrument, expiry_s, now_ns)
        terms = QuoteTerms(
            lines=lines,
            max_fee_e18=max_fee_e18,
            subaccount_id=self._venue.subaccount_id(account),
            nonce=nonce,
            expiry_s=expiry_s,
            owner=identity.owner,
            signer=signer,
        )
        signature = signature_bytes(str(params.signature), signer)
        command = MassQuote(
            subaccount=account,
            mmp_group=group_of(params),
            lines=lines,
            nonce=nonce,
            expiry_s=expiry_s,
            signer=signer,
            max_fee_e18=max_fee_e18,
            session=identity.session,
            signature=signature,
        )
        return CheckedQuotes(terms, signature, command, instruments[0].underlying)

    def _lines(self, params: MassQuoteParams, now_ns: int) -> tuple[list[Instrument], tuple[QuoteLine, ...]]:
        rows = required(params.lines, "lines")
        if not rows:
            raise WireError.bad_param("lines", "at least one")
        instruments = [self._instrument(row, place, now_ns) for place, row in enumerate(rows)]
        if len({row.instrument_id for row in instruments}) != len(rows):
            raise WireError.bad_param("lines", "each instrument once")
        lines = (_line(row, instrument, at) for at, (row, instrument) in enumerate(zip(rows, instruments, strict=True)))
        return instruments, tuple(lines)

    def _instrument(self, row: QuoteLineParams, place: int, now_ns: int) -> Instrument:
        try:
            instrument = self._market.named(row.instrument_name)
        except WireError as error:
            raise _of_line(error, place) from error
        if instrument.is_option and instrument.expiry_s * _SECOND_NS <= now_ns:
            raise WireError(11021, {"line": place, "instrument_name": instrument.name})
        return instrument


def line_count(params: MassQuoteParams) -> int:
    """Lines of a call, 0 when it pulls its group. WireError 20006 above the cap, -32602 for a call that is neither."""
    if params.cancel is not None:
        if params.cancel != _CANCEL_ALL or params.lines:
            raise WireError.bad_param("cancel", "must be all, without lines")
        return 0
    count = len(required(params.lines, "lines"))
    if count > MAX_QUOTE_LINES:
        raise WireError(20006, {"field": "lines", "maximum": MAX_QUOTE_LINES, "got": count})
    return count


def _line(row: QuoteLineParams, instrument: Instrument, place: int) -> QuoteLine:
    bid = _side(row.bid_price, row.bid_amount, instrument, place, "buy")
    ask = _side(row.ask_price, row.ask_amount, instrument, place, "sell")
    return QuoteLine(instrument.instrument_id, *bid, *ask)


def _side(
    price: Decimal | None, amount: Decimal | None, instrument: Instrument, place: int, direction: str
) -> Sequence[int]:
    """(ticks, lots) of a side; (0, 0) of one that is pulled."""
    if not amount:
        return 0, 0
    try:
        return price_on_tick(instrument, required(price, "lines")), amount_on_step(instrument, amount)
    except WireError as error:
        raise _of_line(error, place, direction) from error


def _of_line(error: WireError, place: int, direction: str | None = None) -> WireError:
    """The same error that says which line, and which side, it is about."""
    data: dict[str, object] = {"line": place} | ({"direction": direction} if direction else {})
    return WireError(error.code, data | error.data if isinstance(error.data, dict) else data)
