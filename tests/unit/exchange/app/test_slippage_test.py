"""`offbook slippage test` judges what it should, and a market order keeps its promise."""

import msgspec
import pytest

from exchange.app import slippage_test as module
from exchange.app.slippage_test import SlippageReport, slippage_test
from exchange.cli.main import main
from exchange.domain.commands import Side
from exchange.domain.events import Trade
from exchange.wire.slippage import slippage_text
from tests.fakes.recorded_market import traded_market


def judged(price_ticks, side, limit_ticks):
    """Report of one order with a fill of ten lots at this price."""
    trade = next(event for item in traded_market().history for event in item.events if isinstance(event, Trade))
    trade = msgspec.structs.replace(trade, price_ticks=price_ticks, quantity_lots=10)
    report = SlippageReport()
    module._judge(report, [trade], side, limit_ticks, 10)
    return report


@pytest.mark.parametrize(
    ("price_ticks", "side", "limit_ticks", "is_past"),
    [
        (600_001, Side.BUY, 600_000, True),
        (600_000, Side.BUY, 600_000, False),
        (599_999, Side.SELL, 600_000, True),
        (600_000, Side.SELL, 600_000, False),
    ],
)
def test_a_fill_past_the_limit_is_counted(price_ticks, side, limit_ticks, is_past):
    """One tick decides, on both sides, for the fill and for the average."""
    report = judged(price_ticks, side, limit_ticks)
    assert (report.fills_past_limit, report.averages_past_limit) == (int(is_past), int(is_past))
    assert report.is_good is not is_past


def test_no_orders_are_refused(capsys):
    """Nothing was tested, so nothing is good."""
    assert main(["slippage", "test", "--n", "0"]) == 1
    assert "--n" in capsys.readouterr().err


def test_market_orders_keep_their_limit(capsys):
    """Three hundred of them: some filled, some in part, some refused; the same seed gives the same lines."""
    outputs = []
    for _ in range(2):
        assert main(["slippage", "test", "--n", "300", "--seed", "5"]) == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1]
    *_, report = slippage_test(300, 5)
    assert min(report.filled, report.partly_filled, report.refused) > 10
    assert report.orders == 300
    assert "past limit" in outputs[0]


@pytest.mark.parametrize(
    ("paid", "mark", "side", "text"),
    [
        (101, 100, Side.BUY, "100"),
        (101, 100, Side.SELL, "-100"),
        (99, 100, Side.SELL, "100"),
        (1_000_001, 1_000_000, Side.BUY, "0.01"),
        (10_000_001, 10_000_000, Side.BUY, "0.01"),
        (9_999_999, 10_000_000, Side.BUY, "0"),
        (100, 100, Side.BUY, "0"),
    ],
)
def test_slippage_in_words(paid, mark, side, text):
    """Positive when worse than the mark, never shown better than it was."""
    assert slippage_text(paid, mark, side) == text
