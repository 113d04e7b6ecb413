"""Orders tied to each other: children wait for their parent's first fill, and of a group only one may fill or fire.

A group has at most one order in the book, because only trigger orders join one and whoever fires cancels the rest
before it is placed: no sweep can fill two of them. All of this is derived from the orders.
"""

from exchange.engine.records import Order, TriggerStage

__all__ = ["Links"]


class Links:
    """Who is tied to whom, by number."""

    def __init__(self) -> None:
        self.children: dict[int, dict[int, None]] = {}
        """Orders that wait for a parent, by the parent's number."""
        self.groups: dict[int, dict[int, None]] = {}
        """Live orders of a group, by `Order.group`."""

    def is_tied(self, order: Order) -> bool:
        """Whether a fill or the end of this order means anything to others."""
        return order.group != 0 or order.number in self.children

    def add(self, order: Order) -> None:
        """Note a live order's ties."""
        trigger = order.place.trigger
        if trigger is not None and order.stage is TriggerStage.WAITING:
            self.children.setdefault(trigger.parent, {})[order.number] = None
        if order.group:
            self.groups.setdefault(order.group, {})[order.number] = None

    def drop(self, order: Order) -> None:
        """Forget an order that ended; whoever waits for it stays noted."""
        self.drop_child(order)
        members = self.groups.get(order.group)
        if members is not None:
            members.pop(order.number, None)
            if not members:
                del self.groups[order.group]

    def drop_child(self, order: Order) -> None:
        """The order waits for its parent no longer."""
        trigger = order.place.trigger
        siblings = self.children.get(trigger.parent) if trigger is not None else None
        if trigger is not None and siblings is not None:
            siblings.pop(order.number, None)
            if not siblings:
                del self.children[trigger.parent]

    def others(self, order: Order) -> list[int]:
        """Live orders of the same group, by ascending number."""
        return sorted(number for number in self.groups.get(order.group, ()) if number != order.number)
