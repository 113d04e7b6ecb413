"""Gateway, sequencer and engine in one process, without a disk: what `bench_gateway` loads.

The journal is a sink that commits at the next turn of the loop, as a disk that is infinitely fast would (durability
`off`, stated with the figure). Accounts, keys and instruments are fixed numbers. Budgets are far above the load.
"""

import asyncio
import time

from bench.gateway_world import ACCOUNTS, PERP, VENUE, owner_of, session_of
from bench.serving import serve_until_input_ends
from exchange.domain.commands import ChainRequest, ChainRequestKind, ListInstrument, MarkRow, SetPrices, UnderlyingRow
from exchange.engine.apply import apply
from exchange.engine.config import EngineConfig
from exchange.engine.states import new_state
from exchange.gateway.gateway import Gateway
from exchange.gateway.settings import Budget, GatewaySettings
from exchange.sequencer.sequencer import Sequencer
from settlement.protocol.signature import address_of

E9 = 10**9


class InstantJournal:
    """Commits whatever is staged at the loop's next turn."""

    busy = False
    cancel_only = False

    def __init__(self):
        self.sequencer = None

    def stage(self, group):
        last = group.first_sequence + group.command_count - 1
        asyncio.get_running_loop().call_soon(self.sequencer.committed, last)


def funded_state():
    """One perpetual, its price, and accounts with money and a key."""
    # Its one round of prices lives as long as a run.
    state = new_state(config=EngineConfig(index_life_ns=3_600 * E9))
    now_ns = time.time_ns()
    apply(state, ListInstrument(instrument=PERP), now_ns)
    prices = SetPrices(
        round=1,
        underlyings=(UnderlyingRow("BTC", 84_000 * E9),),
        marks=(MarkRow(PERP.instrument_id, 84_000 * E9),),
    )
    apply(state, prices, now_ns)
    for number in range(ACCOUNTS):
        _fund(state, number, now_ns)
    return state


def _fund(state, number, now_ns):
    owner = address_of(owner_of(number))
    index = state.request_index
    deposit = ChainRequest(
        index=index + 1, kind=ChainRequestKind.DEPOSIT, account=2 + number, amount_e6=10**15, owner=owner
    )
    key = ChainRequest(
        index=index + 2,
        kind=ChainRequestKind.SET_KEY,
        account=0,
        owner=owner,
        key=address_of(session_of(number)),
        valid_to_s=now_ns // E9 + 10**7,
        scopes=1,
    )
    for command in (deposit, key):
        apply(state, command, now_ns)


def make():
    """Build everything on the running loop."""
    loop = asyncio.get_running_loop()
    journal = InstantJournal()
    waking = []

    def wake():
        if not waking:
            waking.append(True)
            loop.call_soon(tick)

    def tick():
        waking.clear()
        sequencer.tick()

    sequencer = Sequencer(funded_state(), journal, None, epoch=1, clock_ns=time.time_ns, wake=wake)
    journal.sequencer = sequencer
    plenty = Budget(10**6, 10**7)
    settings = GatewaySettings(matching=plenty, cancels=plenty, reads=plenty, public=plenty)
    gateway = Gateway(sequencer, VENUE, clock_ns=time.time_ns, settings=settings)
    gateway.start()
    return gateway.app(None), gateway.socket_class


if __name__ == "__main__":
    serve_until_input_ends(make)
