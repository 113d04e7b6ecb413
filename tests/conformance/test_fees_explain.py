"""`offbook fees explain` computes every fee of an order again and names what differs."""

from dataclasses import replace

import pytest

from exchange.app import fee_reports
from exchange.app.failures import Failure
from exchange.app.fee_reports import order_named, report_lines
from exchange.app.journal_history import replayed
from exchange.cli.main import main
from exchange.domain.commands import Side, SignedAmend
from exchange.domain.events import OrderAccepted, Trade
from exchange.engine.state import State
from exchange.journal.disk import RealDisk
from exchange.wire.order_ids import OrderIds
from matching_core import OrderBook
from tests.fakes.recorded_market import CALL, PERP, RecordedMarket, traded_market, write_journal

SEPARATOR = bytes(range(32))
IDS = OrderIds(SEPARATOR)


def _journal(tmp_path, market):
    (tmp_path / "exchange").mkdir()
    disk = RealDisk(tmp_path / "exchange")
    write_journal(disk, market.steps)
    return disk


def _events(disk):
    """Events of the whole journal; numbers are the journal's, which begins with an epoch."""
    return [event for _, item in replayed(disk, State(OrderBook)) for event in item.events]


def _accepted(disk):
    return [event for event in _events(disk) if isinstance(event, OrderAccepted)]


def _booked_e6(disk, number):
    trades = [event for event in _events(disk) if isinstance(event, Trade)]
    return [side.fee_e6 for trade in trades for side in (trade.maker, trade.taker) if side.order == number]


@pytest.fixture
def explain(tmp_path, monkeypatch, capsys):
    """Return a function that runs the verb: (exit code, lines of stdout, stderr)."""

    class Deployed:
        domain_separator = SEPARATOR

    def run(name):
        monkeypatch.setattr(fee_reports, "load_deployment", lambda _: Deployed)
        code = main(["fees", "explain", name, "--data", str(tmp_path)])
        out = capsys.readouterr()
        return code, out.out.splitlines(), out.err

    return run


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("7", "no order id of this deployment"),
        (OrderIds(bytes(32)).text(5 << 8), "no order id of this deployment"),
        (IDS.text(10_000 << 8), "no such order"),
        (IDS.text(1 << 8), "no such order"),
    ],
)
def test_orders_that_are_not_there_are_one_line(tmp_path, explain, name, words):
    """Not an id, another deployment's, behind the journal's end, and a command that placed nothing: exit code 1."""
    _journal(tmp_path, traded_market())
    code, lines, err = explain(name)
    assert (code, lines) == (1, [])
    assert words in err
    assert err.count("\n") == 1


def test_directory_without_exchange_is_refused(tmp_path):
    """The line names the file and the option."""
    with pytest.raises(Failure, match=r"--data"):
        fee_reports.explain_order(fee_reports.Settings(data=tmp_path), IDS.text(5 << 8))


def test_fee_that_was_booked_otherwise_is_named(tmp_path):
    """One unit more than the figures give."""
    disk = _journal(tmp_path, traded_market())
    order = order_named(disk, _accepted(disk)[0].order)
    order.fills[0] = replace(order.fills[0], fee_e6=order.fills[0].fee_e6 + 1)
    assert list(report_lines(order))[-1].startswith(f"differs          trades {order.fills[0].trade}:")


def test_every_order_of_a_market(tmp_path):
    """Fees of all fills, makers' and takers', on a perpetual and a call, are those that were booked."""
    disk = _journal(tmp_path, traded_market())
    for accepted in _accepted(disk):
        order = order_named(disk, accepted.order)
        assert [fill.fee_e6 for fill in order.fills] == _booked_e6(disk, accepted.order)
        assert [fill.computed_e6 for fill in order.fills] == _booked_e6(disk, accepted.order)
        assert order.status == "filled"


def test_caps_are_shown_where_they_bind(tmp_path):
    """A cheap option pays a part of its value, a low signed cap the signed amount; the sums stay what was booked."""
    market = RecordedMarket()
    market.open()
    market.place(3, Side.SELL, 10, 4, CALL)
    market.place(2, Side.BUY, 10, 4, CALL)
    market.place(3, Side.SELL, 600_000, 10)
    market.place(2, Side.BUY, 600_000, 10, max_fee_e18=10**18)
    disk = _journal(tmp_path, market)
    option, capped = (order_named(disk, _accepted(disk)[place].order) for place in (1, 3))
    (fill,) = option.fills
    assert fill.fee_e6 == fill.option_cap_e6 < min(fill.due_e6, fill.signed_cap_e6)
    (fill,) = capped.fills
    assert fill.fee_e6 == fill.signed_cap_e6 < fill.due_e6
    assert fill.is_equal
    assert [fill.fee_e6] == _booked_e6(disk, capped.number)


def test_signed_edit_moves_the_cap(tmp_path):
    """The fills behind it are judged by the cap that it signed."""
    market = RecordedMarket()
    market.open()
    market.place(3, Side.BUY, 590_000, 10)
    (tmp_path / "first").mkdir()
    number = _accepted(_journal(tmp_path / "first", market))[0].order
    edit = market.order(3, Side.BUY, 600_000, 10, max_fee_e18=10**15)
    market.steps.append((SignedAmend(target_order=number, order=edit), market.now_ns))
    market.place(2, Side.SELL, 600_000, 4)
    disk = _journal(tmp_path, market)
    order = order_named(disk, number)
    (fill,) = order.fills
    assert [fill.fee_e6] == [fill.signed_cap_e6] == _booked_e6(disk, number)
    assert (order.status, fill.is_taker, fill.is_equal) == ("open", False, True)


def test_report_in_words(tmp_path, explain):
    """Each figure of the sum stands there, and the verdict."""
    disk = _journal(tmp_path, traded_market())
    taker = _accepted(disk)[1]
    order = order_named(disk, taker.order)
    code, lines, _ = explain(IDS.text(taker.order))
    assert code == 0
    assert lines == list(report_lines(order))
    assert lines[0] == f"BTC-PERP buy of account {taker.subaccount}, filled, 1 fill"
    assert "taker" in lines[1]
    assert "rounded up" in lines[2]
    assert lines[-1].startswith("checked")
    assert order.instrument.instrument_id == PERP
