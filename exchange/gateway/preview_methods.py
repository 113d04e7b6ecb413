"""What an order would do before it is signed, what margin other positions would need: `order_quote`, `simulate`."""

from collections.abc import Callable
from typing import Final

from exchange.domain.commands import Place, Side
from exchange.domain.instrument import Instrument
from exchange.domain.views import PreviewOrder, PreviewView, SimulateAccount, SimulationView
from exchange.gateway.calls import Call
from exchange.gateway.core import Core, Handler
from exchange.gateway.display_checks import display_lots
from exchange.gateway.order_checks import amount_on_step, choice, mmp_group_of, order_mode, price_on_tick
from exchange.wire.decimals import fee_cap_e18
from exchange.wire.errors import WireError
from exchange.wire.params import OrderQuoteParams, PositionChange, SimulateParams
from exchange.wire.preview_shapes import margins, order_quote, simulation, suggested_fee_cap_e18

__all__ = ["PreviewMethods"]

_CHANGES_MAX: Final = 64


class PreviewMethods:
    """Handlers by path."""

    def __init__(self, core: Core) -> None:
        """Work on `core`."""
        self._core = core

    def handlers(self) -> dict[str, Handler]:
        """Return the table."""
        return {
            "private/order_quote": self._order_quote,
            "private/simulate": self._simulate,
            "private/get_margin": self._get_margin,
        }

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

    def _simulate(self, call: Call) -> None:
        """The account with the changes, and everything that the result was computed from."""
        query, subaccount_id = self._simulation(call), call.params.subaccount_id
        self._ask(call, query, lambda view: call.result(simulation(view, subaccount_id)))

    def _get_margin(self, call: Call) -> None:
        """Before and after the changes, in one answer of the engine each; nothing happens between the two."""
        query, subaccount_id = self._simulation(call), call.params.subaccount_id

        def asked(before: SimulationView) -> None:
            self._ask(call, query, lambda after: call.result(margins(before, after, subaccount_id)))

        self._ask(call, SimulateAccount(subaccount=query.subaccount), asked)

    def _simulation(self, call: Call) -> SimulateAccount:
        params: SimulateParams = call.params
        account = self._core.account(call, params.subaccount_id)
        given = params.simulated_position_changes or ()
        if len(given) > _CHANGES_MAX:
            raise WireError.bad_param("simulated_position_changes", f"at most {_CHANGES_MAX}")
        return SimulateAccount(subaccount=account, changes=tuple(self._change(change) for change in given))

    def _change(self, change: PositionChange) -> tuple[int, int, int]:
        instrument = self._core.market.named(change.instrument_name)
        if instrument.instrument_id not in self._core.market.prices.marks:
            raise WireError(11021, {"instrument_name": instrument.name})
        lots = amount_on_step(instrument, abs(change.amount))
        ticks = 0 if change.entry_price is None else price_on_tick(instrument, change.entry_price)
        return instrument.instrument_id, lots if change.amount > 0 else -lots, ticks

    def _ask(self, call: Call, query: SimulateAccount, done: Callable[[SimulationView], None]) -> None:
        def answered(view: object) -> None:
            if not isinstance(view, SimulationView):
                raise WireError(14001)
            done(view)

        self._core.ask(call, query, answered)


def _unsigned(params: OrderQuoteParams, instrument: Instrument, account: int, cap_e18: int, signer: bytes) -> Place:
    """The order without what only a signature needs: it is never given to the engine as a command."""
    if params.trigger_type is not None or params.trigger_price is not None:
        raise WireError.bad_param("trigger_type", "what a waiting order will meet is not known yet")
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
        mmp_group=mmp_group_of(params),
        display_lots=display_lots(params, instrument, quantity_lots, time_in_force, flags),
    )
