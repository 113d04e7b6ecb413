"""What C must know of owners: their accounts, side by side, and their keys."""

from exchange.engine._account_views import AccountView
from exchange.engine._mirror import Mirror
from exchange.engine.state import State

__all__ = ["OwnerRows"]


class OwnerRows(State):
    """What the compiled state shows C of owners."""

    _mirror: Mirror
    _views: dict[int, AccountView]

    def mirror_all(self) -> None:
        """Show C what changed, after a load."""
        for owner, rows in self.keys.items():
            for key in rows:
                self._mirror_key(owner, key)
        for owner in self.owner_accounts:
            self._mirror_accounts(owner)
        self._mirror.take_prices(self.prices, self.instruments, self.config, self.limits)
        self.mirror(None)

    def _mirror_key(self, owner: bytes, key: bytes) -> None:
        row = self.keys.get(owner, {}).get(key)
        if row is not None:
            limits = self.key_limits.get(owner, {}).get(key)
            self._mirror.set_key(owner, row, limits is not None and limits.binds_orders)

    def _mirror_accounts(self, owner: bytes) -> None:
        accounts = self.owner_accounts[owner]
        for place, index in enumerate(accounts):
            view = self._views[index]
            view.set_book_owner(self.book_owner(index))
            view.set_portfolio(index in self.scenarios.accounts)
            if owner:
                view.set_sibling(self._views[accounts[place - 1]], len(accounts))
