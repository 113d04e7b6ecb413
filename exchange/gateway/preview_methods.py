"""What an order would do, asked before it is signed: `private/order_quote`."""

from exchange.domain.commands import Place, Side
from exchange.domain.instrument import Instrument
from exchange.domain.views import PreviewOrder, PreviewView
from exchange.gateway.calls import Call
from exchange.gateway.core import Core, Handler
from exchange.gateway.display_checks import display_lots
from exchange.gateway.order_checks import amount_on_step, choice, order_mode, price_on_tick
from exchange.wire.decimals import fee_cap_e18
from exchange.wire.errors import WireError
from exchange.wire.params import OrderQuoteParams
from exchange.wire.preview_shapes import order_quote, suggested_fee_cap_e18

__all__ = ["PreviewMethods"]


class PreviewMethods:
    """Handlers by path."""

    def __init__(self, core: Core) -> None:
        """Work on `core`."""
        self._core = core

    def handlers(self) -> dict[str, Handler]:
        """Return the table."""
        return {"private/order_quote": self._order_quote}

    def _order_quote(self, call: Call) -> None:
        params: OrderQuoteParams = call.params
        account = self._core.account(call, params.subaccount_id)
        instrument = self._core.market.named(str(params.instrument_name))
        prices = self._core.market.prices
        suggested_e18 = suggested_fee_cap_e18(instrument, prices.index_e9.get(instrument.underlying, 0))
        cap_e18 = suggested_e18 if params.max_fee is None else fee_cap_e18(params.max_fee, "max_fee")
        place = _unsigned(params, instrument, account, cap_e18, self._core.identity(call).signer)
        mark = prices.marks.get(instrument.instrument_id)

        def answered(view: object) -> None:
            if not isinstance(view, PreviewView):
                raise WireError(14001)
            mark_e9 = mark.mark_e9 if mark is not None else 0
            call.result(order_quote(view, instrument, place.side, mark_e9=mark_e9, fee_cap_e18=suggested_e18))

        self._core.ask(call, PreviewOrder(place=place), answered)


def _unsigned(params: OrderQuoteParams, instrument: Instrument, account: int, cap_e18: int, signer: bytes) -> Place:
    """The order without what only a signature needs: it is never given to the engine as a command."""
    is_bid = choice(params.direction, "direction", ("buy", "sell")) == "buy"
    time_in_force, flags = order_mode(params, cancel_on_disconnect=False)
    quantity_lots = amount_on_step(instrument, params.amount)
    return Place(
        subaccount=account,
        instrument=instrument.instrument_id,
        side=Side.BUY if is_bid else Side.SELL,
        time_in_force=time_in_force,
        flags=flags,
        price_ticks=price_on_tick(instrument, params.limit_price),
        quantity_lots=quantity_lots,
        nonce=0,
        expiry_s=0,
        signer=signer,
        max_fee_e18=cap_e18,
        display_lots=display_lots(params, instrument, quantity_lots, time_in_force, flags),
    )
