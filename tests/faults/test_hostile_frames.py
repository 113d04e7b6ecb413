"""Hostile frames find a gateway that falls silent, says "Internal error" or closes with another code."""

import random
from collections import Counter

import pytest

from exchange.gateway import dispatch
from exchange.gateway.dispatch import Dispatcher
from exchange.gateway.frames import MessageReader
from exchange.wire.errors import WireError
from tests.faults import hostile_run
from tests.faults.hostile_frames import Names, draw_group

NAMES = Names({"instrument_name": "BTC-PERP"}, {"amount": "1", "nonce": "5", "signer": "0x"})


def silent(monkeypatch):
    """Frames that are no JSON get no reply."""
    monkeypatch.setattr(Dispatcher, "_refuse", lambda *_: None)


def internal(monkeypatch):
    """An error that nobody thought of."""

    def broken(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(dispatch, "decode_params", broken)


def strange(monkeypatch):
    """A code that is not published."""

    def broken(*_):
        raise WireError(4_711, None, "strange")

    monkeypatch.setattr(dispatch, "decode_params", broken)


def careless(monkeypatch):
    """Text that is no UTF-8 closes as a protocol error."""
    original = MessageReader.__init__

    def init(self, protocol, refuse_text, **parts):
        original(self, protocol, lambda: protocol.send_close(1002), **parts)

    monkeypatch.setattr(MessageReader, "__init__", init)


DEFECTS = {
    silent: "TimeoutError after",
    internal: "code -32603",
    strange: "code 4711",
    careless: "closed with 1002, owed 1007",
}


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.__name__)
def test_a_defect_is_found(monkeypatch, capsys, defect):
    """Each deliberate defect of a gateway ends the run with where it was."""
    monkeypatch.setattr(hostile_run, "_REPLY_S", 1.0)
    defect(monkeypatch)
    assert hostile_run.main(["--frames", "4000"]) == 1
    told = capsys.readouterr().out
    assert "seed 1, part 0, frames behind" in told
    assert DEFECTS[defect] in told


def test_every_kind_of_frame_is_drawn():
    """A thousand groups have each kind of message and each close code; the same seed draws the same bytes."""
    groups = [draw_group(random.Random(seed), NAMES, 40) for seed in range(1_000)]
    assert {group.close_code for group in groups} == {0, 1000, 1002, 1007, 1009}
    kinds = Counter(kind for group in groups for kind in group.kinds)
    assert len(kinds) == 17
    assert min(kinds.values()) > 20
    again = draw_group(random.Random(0), NAMES, 40)
    assert (again.kinds, again.messages) == (groups[0].kinds, groups[0].messages)


def test_a_run_goes_on_from_its_log(monkeypatch, tmp_path, capsys):
    """No fault in 3,000 frames; the second run sends those that the log lacks and adds up."""
    monkeypatch.setattr(hostile_run, "PART_FRAMES", 1_000)
    log = tmp_path / "build" / "hostile.jsonl"
    assert hostile_run.main(["--frames", "2000", "--log", str(log)]) == 0
    assert hostile_run.main(["--frames", "3000", "--log", str(log)]) == 0
    assert "hostile: 3,000 frames, no fault" in capsys.readouterr().out
    assert len(log.read_text().splitlines()) == 3
