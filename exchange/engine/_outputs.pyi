from collections.abc import Callable, Sequence

from exchange.domain.commands import Command
from exchange.domain.views import OrderView, Output
from exchange.engine._state import Store

def run_outputs(
    store: Store,
    commands: Sequence[Command],
    packed: Sequence[tuple[bytes, bytes]],
    now_ns: int,
    index: int,
    outputs: list[Output],
    view: Callable[[int], OrderView | None],
) -> tuple[int, bool, bytes]: ...
def order_view(store: Store, number: int) -> OrderView | None: ...
