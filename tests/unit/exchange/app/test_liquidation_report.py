"""The report after an event: sums of what the engine said, read from its log, and nobody's name."""

import json

import pytest

from exchange.app.failures import Failure
from exchange.app.liquidation_report import events_of, read_events, report_lines, report_numbers
from exchange.cli.main import main
from exchange.domain.events import InstrumentListed
from exchange.domain.packing import CommandEvents, pack_events
from exchange.journal.disk import RealDisk
from exchange.journal.event_log import EventLog
from tests.unit.exchange.engine.liquidating import long_one
from tests.unit.exchange.engine.world import BUY, PERP, SECOND_NS, instruments


def story(*, pause_s=0):
    """Items: account 2 is closed in part on the book, `pause_s` later it is bankrupt and 3 gives up the rest."""
    world, items = long_one(), []

    def told(events):
        items.append(CommandEvents(len(items) + 1, world.now_ns, events))

    world.place(4, BUY, 581_000, 100)
    told(world.prices(58_100))
    told(world.clock())
    world.now_ns += pause_s * SECOND_NS
    for _ in range(world.state.config.halt_good_rows):  # what was silent for long is halted until then
        told(world.prices(50_000))
    told(world.clock(2))
    return items


def known():
    """Instruments by id."""
    return {row.instrument_id: row for row in instruments()}


def test_nothing_happened():
    """One line, or no rows."""
    assert report_lines([], {}) == ["no liquidation in the event log"]
    assert report_numbers([], {}) == []


def test_an_event_is_added_up():
    """A unit in all: a tenth on the book at the mark, nine tenths against the other side, which paid the deficit."""
    (event,) = events_of(story(), known())
    row = event.closed[PERP]
    assert (row.book_lots, row.book_e6, row.impact_e6) == (100, 5_810_000_000, 0)
    assert (row.shared_lots, row.shared_e6) == (900, 45_000_000_000)
    assert row.haircut_e6 + event.fund_e6 > 0
    assert event.fee_e6 > 0
    assert (len(event.accounts), len(event.bankrupt), len(event.reduced), len(event.restored)) == (1, 1, 1, 1)


def test_ten_quiet_minutes_end_an_event():
    """What comes later is another one, with its own sums."""
    assert len(events_of(story(pause_s=590), known())) == 1
    first, second = events_of(story(pause_s=600), known())
    assert first.closed[PERP].book_lots == 100
    assert second.closed[PERP].shared_lots == 900


def listings():
    """Items that list them."""
    return [CommandEvents(0, 1, [InstrumentListed(instrument=row)]) for row in instruments()]


def test_an_instrument_that_nothing_knows_is_one_line():
    """Sizes and money of it would be guesses."""
    with pytest.raises(Failure, match=f"knows instrument {PERP}"):
        events_of(story(), {})


def test_instruments_may_come_with_the_log():
    """Where no snapshot knows them, their listing does."""
    found = {}
    (event,) = events_of([*listings(), *story()], found)
    assert found == known()
    assert event.closed.keys() == {PERP}


def test_the_report_is_read_from_the_log_of_an_exchange(tmp_path):
    """Text and JSON say the same; neither has an account's number as a member."""
    folder = tmp_path / "exchange"
    folder.mkdir(parents=True)
    log = EventLog(RealDisk(folder))
    for number, item in enumerate([*listings(), *story()], 1):
        log.append(
            1, number, number, item.timestamp_ns, pack_events([CommandEvents(number, item.timestamp_ns, item.events)])
        )
    log.close()
    events, found = read_events(folder)
    assert found == known()
    (line, *_) = report_lines(events, known())
    assert line.endswith("UTC")
    (row,) = report_numbers(events, known())
    assert row["closed"]["BTC-PERP"]["book_amount"] == "0.1"
    assert row["closed"]["BTC-PERP"]["adl_amount"] == "0.9"
    assert "subaccount" not in json.dumps(row)


def test_a_directory_without_an_exchange_is_one_line(tmp_path, capsys):
    """It names what to give."""
    assert main(["liquidation", "report", "--data", str(tmp_path / "none")]) == 1
    assert "give the exchange's --data" in capsys.readouterr().err


@pytest.mark.parametrize(("option", "expected"), [([], "no liquidation in the event log\n"), (["--json"], "[]\n")])
def test_a_quiet_exchange_has_nothing_to_report(tmp_path, capsys, option, expected):
    """Exit code 0."""
    (tmp_path / "exchange" / "events").mkdir(parents=True)
    (tmp_path / "exchange" / "snapshots").mkdir()
    assert main(["liquidation", "report", "--data", str(tmp_path), *option]) == 0
    assert capsys.readouterr().out == expected
