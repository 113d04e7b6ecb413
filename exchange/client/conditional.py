"""Orders that wait for a price, and changes of orders that keep their id: the client beyond `order`."""

from typing import Any, Protocol

from exchange.client.markets import Number, decimal_e9
from exchange.domain.instrument import format_e9

__all__ = ["ConditionalOrders"]


class _Orders(Protocol):
    """What the methods here need of the client."""

    async def order(
        self, instrument: str, direction: str, amount: Number, price: Number | None = None, **options: Any
    ) -> dict[str, Any]:
        """See OffbookClient.order."""
        ...

    async def request(self, method: str, params: dict[str, Any] | None = None) -> Any:
        """See OffbookClient.request."""
        ...

    async def signed_params(
        self, instrument: str, direction: str, amount: Number, price: Number | None, options: dict[str, Any]
    ) -> dict[str, Any]:
        """See OffbookClient.signed_params."""
        ...

    def own(self, **params: Any) -> dict[str, Any]:
        """See OffbookClient.own."""
        ...


class ConditionalOrders:
    """Mixin of OffbookClient. Prices are texts, integers or Decimals of USDC; results are the protocol's objects."""

    async def stop(
        self: _Orders,
        instrument: str,
        direction: str,
        amount: Number,
        trigger_price: Number,
        price: Number | None = None,
        **options: Any,
    ) -> dict[str, Any]:
        """Place an order that waits until the price moves against it: a sell at or below `trigger_price`, a buy above.

        Without `price` it is a market order bounded 5 % through the trigger. Options: `trigger_price_type` (mark,
        index, last), `reduce_only`, `oco_order_id`, `parent_order_id`, and those of `order`.
        """
        trigger = {"trigger_type": "stoploss", "trigger_price": _text(trigger_price)}
        return await self.order(instrument, direction, amount, price, **trigger, **options)

    async def take_profit(
        self: _Orders,
        instrument: str,
        direction: str,
        amount: Number,
        trigger_price: Number,
        price: Number | None = None,
        **options: Any,
    ) -> dict[str, Any]:
        """Place an order that waits until the price moves in its favor: a sell at or above the trigger; see `stop`."""
        trigger = {"trigger_type": "takeprofit", "trigger_price": _text(trigger_price)}
        return await self.order(instrument, direction, amount, price, **trigger, **options)

    async def trailing_stop(
        self: _Orders,
        instrument: str,
        direction: str,
        amount: Number,
        price: Number,
        *,
        offset: Number | None = None,
        percent: Number | None = None,
        **options: Any,
    ) -> dict[str, Any]:
        """Place an order that fires when the price turned back from its best by `offset` USDC or `percent`.

        `price` is the worst price, signed now; see `stop` for the options.
        """
        if (offset is None) == (percent is None):
            raise ValueError("a trailing stop needs either offset or percent")
        distance = {"trailing_offset": _text(offset)} if offset is not None else {"trailing_percent": str(percent)}
        return await self.order(instrument, direction, amount, price, trigger_type="trailing", **distance, **options)

    async def bracket(
        self: "_Bracketing",
        instrument: str,
        direction: str,
        amount: Number,
        price: Number,
        *,
        stop_price: Number,
        take_profit_price: Number,
        **options: Any,
    ) -> dict[str, dict[str, Any]]:
        """Place an entry with a stop and a take-profit that its first fill arms; one fires, the other goes.

        Returns `{"entry": result, "stop": result, "take_profit": result}`. The three are signed and sent one after
        the other; a refused exit raises and leaves what is there.
        """
        entry = await self.order(instrument, direction, amount, price, **options)
        exits = "sell" if direction == "buy" else "buy"
        tied = {"parent_order_id": entry["order"]["order_id"], "reduce_only": True}
        stop = await self.stop(instrument, exits, amount, stop_price, **tied)
        target = await self.take_profit(instrument, exits, amount, take_profit_price, **tied)
        return {"entry": entry, "stop": stop, "take_profit": target}

    async def edit(
        self: _Orders, order_id: str, instrument: str, direction: str, amount: Number, price: Number, **options: Any
    ) -> dict[str, Any]:
        """Give an order another price or total amount under a new signature; it keeps its id and goes to the back.

        Options: `expected_filled_amount`, `trigger_price`, `max_fee`, `valid_for_s`. Result as of `order`.
        """
        params = await self.signed_params(instrument, direction, amount, price, options)
        result: dict[str, Any] = await self.request("private/edit", params | {"order_id": order_id})
        return result

    async def reduce(self: _Orders, order_id: str, amount: Number) -> dict[str, Any]:
        """Lower an order's total amount; it keeps its id and its place in line, and nothing is signed."""
        params = self.own(order_id=order_id, amount=_text(amount))
        result: dict[str, Any] = await self.request("private/edit", params)
        return result

    async def move_trigger(self: _Orders, order_id: str, trigger_price: Number) -> dict[str, Any]:
        """Give a waiting order another trigger price."""
        params = self.own(order_id=order_id, trigger_price=_text(trigger_price))
        result: dict[str, Any] = await self.request("private/edit", params)
        return result

    async def trigger_orders(self: _Orders) -> list[dict[str, Any]]:
        """Orders of the subaccount that wait for a price."""
        result: dict[str, list[dict[str, Any]]] = await self.request("private/get_trigger_orders", self.own())
        return result["orders"]

    async def cancel_trigger_orders(self: _Orders) -> Any:
        """Cancel every order that waits for a price."""
        return await self.request("private/cancel_all_trigger_orders", self.own())


class _Bracketing(_Orders, Protocol):
    async def stop(
        self, instrument: str, direction: str, amount: Number, trigger_price: Number, **options: Any
    ) -> dict[str, Any]: ...

    async def take_profit(
        self, instrument: str, direction: str, amount: Number, trigger_price: Number, **options: Any
    ) -> dict[str, Any]: ...


def _text(value: Number) -> str:
    return format_e9(decimal_e9(value))
