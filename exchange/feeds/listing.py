"""The list kept current (risk.md 5.6): what the catalogue of the day names is listed, what was paid is taken off.

Whoever runs the keeper calls `tick(now_ns)`; it owns no clock and never sleeps. At most one question or submission is
under way; a tick that finds one is skipped.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from exchange.bus.interface import Busy, ExchangePort
from exchange.domain.commands import Command, ListInstrument
from exchange.domain.events import CommandRefused
from exchange.domain.instrument import Instrument
from exchange.domain.rounds import DelistInstrument
from exchange.domain.views import Answer, ExpiryView, GetExpiries, GetInstruments, Output

__all__ = ["ListKeeper"]

_NS_PER_S: Final = 1_000_000_000
_INTERVAL_S: Final = 60


class ListKeeper:
    """Looks once per interval; `on_change` is called when the list has changed, `failures` counts what was refused."""

    def __init__(
        self,
        port: ExchangePort,
        catalogue: Callable[[int], list[Instrument]],
        on_change: Callable[[], None],
        *,
        interval_s: int = _INTERVAL_S,
    ) -> None:
        self._port = port
        self._catalogue = catalogue
        self._on_change = on_change
        self._interval_s = interval_s
        self._listed: dict[int, Instrument] = {}
        self._waiting = False
        self._last_s = 0
        self.failures = 0

    def tick(self, now_ns: int) -> None:
        """Once per interval: ask what is listed and what is paid, then submit the difference."""
        now_s = now_ns // _NS_PER_S
        if self._waiting or now_s < self._last_s + self._interval_s:
            return
        self._last_s, self._waiting = now_s, True
        try:
            self._port.ask(GetInstruments(), self._on_instruments)
            self._port.ask(GetExpiries(), lambda answer: self._on_expiries(answer, now_s))
        except Busy:
            self._give_up()

    def _give_up(self) -> None:
        self._waiting = False
        self.failures += 1

    def _on_instruments(self, answer: Answer) -> None:
        rows = answer if isinstance(answer, tuple) else ()
        self._listed = {row.instrument_id: row for row in rows if isinstance(row, Instrument)}

    def _on_expiries(self, answer: Answer, now_s: int) -> None:
        rows = answer if isinstance(answer, tuple) else ()
        paid = {(row.underlying, row.expiry_s) for row in rows if isinstance(row, ExpiryView) and row.is_paid}
        changes: list[Command] = [*self._missing(now_s), *self._finished(paid)]
        self._waiting = bool(changes)
        if not changes:
            return
        try:
            self._port.submit_together(changes, self._on_reply)
        except Busy:
            self._give_up()

    def _missing(self, now_s: int) -> Iterable[ListInstrument]:
        return (
            ListInstrument(instrument=row) for row in self._catalogue(now_s) if row.instrument_id not in self._listed
        )

    def _finished(self, paid: set[tuple[str, int]]) -> Iterable[DelistInstrument]:
        return (
            DelistInstrument(instrument=number)
            for number, row in sorted(self._listed.items())
            if row.is_option and (row.underlying, row.expiry_s) in paid
        )

    def _on_reply(self, outputs: Sequence[Output]) -> None:
        self._waiting = False
        self.failures += sum(isinstance(event, CommandRefused) for output in outputs for event in output.events)
        self._on_change()
