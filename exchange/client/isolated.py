"""An isolated position: one instrument in a subaccount of its own, which loses no more than was paid into it.

client = await OffbookClient.connect(url, owner=..., session_key=..., subaccount_id=ISOLATED)
position = await IsolatedPosition.open(client, "BTC-PERP")
await position.buy("0.01")
...
await position.close()

Subaccounts share nothing: cash, margin and liquidation are each one's own. A new one is opened by a deposit to the
contract and emptied by a withdrawal; there are no transfers between subaccounts.
"""

from decimal import Decimal
from typing import Any, Final, Protocol

from exchange.client.errors import ClientError
from exchange.client.markets import Number

__all__ = ["IsolatedPosition", "NotIsolated"]

_ZERO: Final = Decimal(0)


class NotIsolated(ClientError):
    """The subaccount has, or was asked for, something beside the one instrument."""


class _Client(Protocol):
    async def order(
        self, instrument: str, direction: str, amount: Number, price: Number | None = None, **options: Any
    ) -> dict[str, Any]: ...

    async def cancel_all(self, instrument: str | None = None) -> Any: ...

    async def subaccount(self) -> dict[str, Any]: ...


class IsolatedPosition:
    """Orders and the position of one instrument; `open` is the way in."""

    def __init__(self, client: _Client, instrument: str) -> None:
        self._client = client
        self.instrument = instrument

    @classmethod
    async def open(cls, client: _Client, instrument: str) -> "IsolatedPosition":
        """Take a subaccount for one instrument. Raises NotIsolated when it holds, or has orders in, another."""
        position = cls(client, instrument)
        await position.check()
        return position

    async def check(self) -> dict[str, Any]:
        """The subaccount as it is now. Raises NotIsolated, which names what else is in it."""
        account = await self._client.subaccount()
        rows = [row for row in account["positions"] if Decimal(row["amount"])] + account["open_orders"]
        others = sorted({row["instrument_name"] for row in rows} - {self.instrument})
        if others:
            raise NotIsolated(f"the subaccount of {self.instrument} also has {', '.join(others)}")
        return account

    async def buy(self, amount: Number, price: Number | None = None, **options: Any) -> dict[str, Any]:
        """Buy `amount`; options and result as of `OffbookClient.order`."""
        return await self._client.order(self.instrument, "buy", amount, price, **options)

    async def sell(self, amount: Number, price: Number | None = None, **options: Any) -> dict[str, Any]:
        """Sell `amount`; options and result as of `OffbookClient.order`."""
        return await self._client.order(self.instrument, "sell", amount, price, **options)

    async def amount(self) -> Decimal:
        """What is held, in units of the underlying, shorts below zero."""
        account = await self.check()
        return sum((Decimal(row["amount"]) for row in account["positions"]), _ZERO)

    async def left(self) -> Decimal:
        """Value of the subaccount in USDC: the most that the position can still lose."""
        return Decimal((await self.check())["subaccount_value"])

    async def close(self, **options: Any) -> dict[str, Any] | None:
        """Cancel the orders and close the position at the market, reduce-only; None when there was none.

        Options as of `OffbookClient.order`. What the book cannot take stays open: ask `amount` and close again.
        """
        await self._client.cancel_all(self.instrument)
        held = await self.amount()
        if not held:
            return None
        direction = "sell" if held > 0 else "buy"
        return await self._client.order(self.instrument, direction, abs(held), reduce_only=True, **options)
