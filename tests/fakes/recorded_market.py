"""A small market whose commands and events are kept, and a journal written from such commands by the real writer."""

from exchange.app.recovery import recover_exchange
from exchange.domain.commands import Place, Side
from exchange.domain.packing import CommandEvents
from exchange.sequencer.sequencer import Sequencer
from matching_core import OrderBook
from tests.unit.exchange.engine.world import CALL, PERP, World

__all__ = ["CALL", "PERP", "RecordedMarket", "traded_market", "write_journal"]


class RecordedMarket(World):
    """Every command with its time, and what the engine said to it."""

    def __init__(self) -> None:
        super().__init__(OrderBook)
        self.steps = []
        self.history = []

    def run(self, command, *, after_ns=1_000_000):
        events = super().run(command, after_ns=after_ns)
        self.steps.append((command, self.now_ns))
        self.history.append(CommandEvents(self.state.sequence, self.now_ns, events))
        return events

    def order(self, account, side, price_ticks, lots, instrument=PERP, **fields) -> Place:
        digest = (self.now_ns + 1).to_bytes(32, "big")
        return super().order(account, side, price_ticks, lots, instrument, **{"digest": digest, **fields})

    def trade(self, buyer, seller, price_ticks, lots, instrument=PERP):
        """Let `seller` rest and `buyer` take."""
        self.place(seller, Side.SELL, price_ticks, lots, instrument)
        return self.place(buyer, Side.BUY, price_ticks, lots, instrument)


def traded_market() -> RecordedMarket:
    """Batch 1: deposits; batch 2: fills on a perpetual and a call; batch 3: one fill."""
    market = RecordedMarket()
    market.open()
    market.trade(2, 3, 600_000, 10)
    market.trade(4, 2, 599_000, 3)
    market.trade(3, 4, 1_500, 2, CALL)
    market.run_cut()
    market.trade(2, 4, 601_000, 5)
    market.run_cut()
    return market


def write_journal(disk, steps) -> None:
    """One group per command, through recovery, sequencer and writer."""
    recovered = recover_exchange(disk, OrderBook)
    now_ns = 0
    sequencer = Sequencer(
        recovered.state, recovered.writer, recovered.event_log,
        epoch=recovered.epoch, clock_ns=lambda: now_ns, wake=lambda: None,
    )  # fmt: skip
    for command, at_ns in steps:
        now_ns = at_ns
        sequencer.submit(command)
        sequencer.tick()
        sequencer.committed(recovered.writer.commit_staged())
    recovered.writer.close()
    recovered.event_log.close()
