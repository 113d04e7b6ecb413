"""What must hold of quotes and their groups, from scratch."""

from exchange.engine.flags import QUOTE
from exchange.engine.state import InvariantViolated, State

__all__ = ["check_groups"]


def check_groups(state: State) -> None:
    """Raises InvariantViolated with the first contradiction."""
    _check_quotes(state)
    for (subaccount, number), guard in state.guards.items():
        group = state.guard_groups[guard]
        if group is not state.account_groups[subaccount][number]:
            raise InvariantViolated(f"group {number} of account {subaccount} has two records")
        if state.book.guard(guard)[0] != group.is_frozen:
            raise InvariantViolated(
                f"group {number} of account {subaccount}: the book disagrees on whether it is frozen"
            )
        if group.is_frozen and state.book.guard_orders(guard):
            raise InvariantViolated(f"orders of the frozen group {number} of account {subaccount} rest")
        due = (group.thaw_ns, subaccount, number)
        if bool(group.thaw_ns) != (due in state.thaws) or (group.thaw_ns and not group.is_frozen):
            raise InvariantViolated(f"group {number} of account {subaccount} does not thaw when it says")


def _check_quotes(state: State) -> None:
    """Every quote stands under its name, and the book guards what names a group, and nothing else."""
    named = {}
    for number, order in state.open_orders.items():
        place = order.place
        guard = state.guards[place.subaccount, place.mmp_group] if place.mmp_group else 0
        extension = state.book.extension(state.handles[number])
        # The reference names the guard, the compiled book its place among the guards: both are 0 for none.
        if extension is None or bool(extension[2]) != bool(guard):
            raise InvariantViolated(f"order {number} is guarded otherwise in the book")
        if int(place.flags) & QUOTE:
            named[place.subaccount, place.mmp_group, place.instrument, int(place.side)] = number
    if named != dict(state.quotes):
        raise InvariantViolated("quotes are not where their names lead")
