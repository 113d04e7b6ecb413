"""Defects on purpose, put into production objects from outside: a run with one of them must fail."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import msgspec

from exchange.bridge.assembler import AssembledBatch, BatchAssembler
from exchange.domain.events import BatchClosed, Trade
from exchange.engine.apply import apply_outputs
from exchange.sequencer.sequencer import Sequencer
from settlement.protocol.netting import order_fills_of

__all__ = ["CANARIES", "defect"]

NTH_TRADE = 40


def _early_ack() -> Any:
    """Replies leave at the tick, before the journal has written anything."""
    tick = Sequencer.tick

    def hasty(self: Sequencer) -> None:
        tick(self)
        self.committed(self.state.sequence)

    return patch.object(Sequencer, "tick", hasty)


def _lost_fill() -> Any:
    """The batcher forgets one fill of a batch, and its fees, so that the rest still balances."""
    close = BatchAssembler._close

    def forgetful(self: BatchAssembler, event: BatchClosed) -> AssembledBatch:
        batch = close(self, event)
        fills = batch.input.fills
        if len(fills) < 2:
            return batch
        kept = fills[1:]
        fee_e6 = batch.input.fee_e6 - fills[0].buyer_fee_e6 - fills[0].seller_fee_e6
        less = replace(batch.input, fills=kept, order_fills=order_fills_of(kept), fee_e6=fee_e6)
        return msgspec.structs.replace(batch, input=less)

    return patch.object(BatchAssembler, "_close", forgetful)


def _unbalanced() -> Any:
    """After the 40th trade the taker's account has one unit too much, and no event says so."""

    def generous(state: Any, *given: Any) -> Any:
        outputs, pieces = apply_outputs(state, *given)
        for event in (event for output in outputs for event in output.events):
            if isinstance(event, Trade) and event.trade == NTH_TRADE:
                state.accounts[event.taker.subaccount].ledger_cash_e6 += 1
        return outputs, pieces

    return patch("exchange.sequencer.sequencer.apply_outputs", generous)


CANARIES: dict[str, Callable[[], Any]] = {
    "early-ack": _early_ack,
    "lost-fill": _lost_fill,
    "unbalanced": _unbalanced,
}


@contextmanager
def defect(name: str | None) -> Iterator[None]:
    """Break the system in this way while the context lasts; None leaves it whole."""
    if name is None:
        yield
        return
    with CANARIES[name]():
        yield
