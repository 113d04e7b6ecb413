"""Help with signatures: what the exchange would hash, and who it thinks signed."""

from exchange.gateway.auth import parse_wallet
from exchange.gateway.calls import Call, Identity
from exchange.gateway.core import Core, Handler
from exchange.gateway.order_checks import (
    CheckedOrder,
    amount_on_step,
    parse_nonce,
    price_on_tick,
    signature_bytes,
)
from exchange.gateway.verify import OrderTerms, recovered_text
from exchange.wire.decimals import fee_cap_e18
from exchange.wire.params import CheckSignatureParams, OrderParams, required, seconds_of, text_of
from exchange.wire.venue import address_text
from settlement.protocol.eip712 import ACTION_TYPEHASH, TRADE_MODULE, action_hash
from settlement.protocol.keccak import keccak256

__all__ = ["DebugMethods"]


class DebugMethods:
    """Handlers by path."""

    def __init__(self, core: Core) -> None:
        """Work on `core`."""
        self._core = core

    def handlers(self) -> dict[str, Handler]:
        """Return the table."""
        return {"private/order_debug": self._order_debug, "public/check_signature": self._check_signature}

    def _order_debug(self, call: Call) -> None:
        params: OrderParams = call.params
        account = self._core.account(call, params.subaccount_id)
        identity = self._core.identity(call)
        checked: CheckedOrder = self._core.checks.check(params, identity, account, cancel_on_disconnect=False)
        terms = checked.terms
        action = terms.action(self._core.venue)
        own = self._core.venue.domain_separator
        domain = next(
            (row for row in self._core.venue.domains if self._matches(terms, row.separator, checked.signature)), None
        )
        separator = domain.separator if domain is not None else own
        signed = terms.digest(separator, self._core.venue)
        call.result(
            {
                "action_hash": "0x" + action_hash(action).hex(),
                "action_typehash": "0x" + ACTION_TYPEHASH.hex(),
                "domain_separator": "0x" + separator.hex(),
                "encoded_data": "0x" + action.data.hex(),
                "encoded_data_hashed": "0x" + keccak256(action.data).hex(),
                "typed_data_hash": "0x" + signed.hex(),
                "expected_signer": address_text(terms.signer),
                "recovered_signer": recovered_text(signed, checked.signature),
                "module": address_text(TRADE_MODULE),
                "owner": address_text(terms.owner),
                "input_data": self._input_data(terms),
            }
        )

    def _matches(self, terms: OrderTerms, separator: bytes, signature: bytes) -> bool:
        return self._core.checker.is_by(terms.signer, terms.digest(separator, self._core.venue), signature)

    def _input_data(self, terms: OrderTerms) -> dict[str, object]:
        instrument = terms.instrument
        return {
            "asset": address_text(self._core.venue.asset(instrument)),
            "sub_id": str(self._core.venue.asset_sub_id(instrument)),
            "limit_price": instrument.price_text(terms.price_ticks),
            "amount": instrument.quantity_text(terms.quantity_lots),
            "max_fee_e18": str(terms.max_fee_e18),
            "recipient_id": terms.subaccount_id,
            "is_bid": terms.is_bid,
            "nonce": str(terms.nonce),
            "expiry": terms.expiry_s,
            "signer": address_text(terms.signer),
        }

    def _check_signature(self, call: Call) -> None:
        params: CheckSignatureParams = call.params
        signer = parse_wallet(text_of(params.signer), "signer")
        identity = call.client.identity
        owner = parse_wallet(text_of(params.wallet), "wallet") if params.wallet else (identity or _self(signer)).owner
        instrument = self._core.market.named(str(params.instrument_name))
        terms = OrderTerms(
            instrument=instrument,
            price_ticks=price_on_tick(instrument, params.limit_price),
            quantity_lots=amount_on_step(instrument, params.amount),
            max_fee_e18=fee_cap_e18(required(params.max_fee, "max_fee"), "max_fee"),
            subaccount_id=required(params.subaccount_id, "subaccount_id"),
            is_bid=params.direction == "buy",
            nonce=parse_nonce(params.nonce),
            expiry_s=seconds_of(params.signature_expiry_sec, "signature_expiry_sec"),
            owner=owner,
            signer=signer,
        )
        signature = signature_bytes(text_of(params.signature), signer)
        domains = self._core.venue.domains
        matched = next((row for row in domains if self._matches(terms, row.separator, signature)), None)
        separator = matched.separator if matched is not None else self._core.venue.domain_separator
        signed = terms.digest(separator, self._core.venue)
        call.result(
            {
                "digest": "0x" + signed.hex(),
                "domain_separator": "0x" + separator.hex(),
                "recovered": recovered_text(signed, signature),
                "expected": address_text(signer),
                "matches": matched is not None,
                "matched_domain": matched.name if matched is not None else None,
            }
        )


def _self(signer: bytes) -> Identity:
    return Identity(owner=signer, signer=signer)
