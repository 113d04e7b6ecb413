"""An operator's hand on the limits of markets, over the socket of an exchange with a real engine."""

import pytest

from exchange.app.failures import Failure
from exchange.app.layout import DataDirectory
from exchange.app.limit_control import set_limits, show_limits
from exchange.cli.main import main
from exchange.domain.commands import Side
from exchange.domain.limits import MAX_MONEY_E6
from tests.unit.exchange.app.test_auction_control import served

__all__ = ["served"]
E6 = 10**6


def test_without_an_exchange_the_line_says_how_to_start_one(tmp_path):
    """No socket: the verb ends with 1 and names `offbook up`."""
    with pytest.raises(Failure, match="start it with `offbook up`"):
        show_limits(DataDirectory(tmp_path).socket, "BTC-PERP")


@pytest.mark.parametrize(
    ("name", "amounts", "line"),
    [
        ("DOGE-PERP", {"owner_e6": 1}, "DOGE-PERP: not listed"),
        ("BTC-PERP", {"owner_e6": -E6}, "amounts are 0 to 4611686018427 USDC, not -1"),
        ("BTC-PERP", {"owner_e6": MAX_MONEY_E6 + 1}, "amounts are 0 to"),
        ("BTC-PERP", {"scaling_from_e6": 5 * E6}, "between two rising bounds"),
    ],
)
def test_what_cannot_be_set_is_refused_in_one_line(served, name, amounts, line):
    """Unknown names, amounts out of range, bounds that do not rise; nothing is limited."""
    with pytest.raises(Failure, match=line):
        set_limits(served.socket, name, amounts)
    assert served.exchange.port.state.limits.rows == {}


def test_the_verbs_change_what_is_named_and_print_the_rest(served, tmp_path, capsys):
    """Whole USDC; a limit of 0 is gone; open interest stands beside."""
    data = ["BTC-PERP", "--data", str(tmp_path)]
    assert main(["limits", "set", *data]) == 1
    assert "name what to change, such as --cap" in capsys.readouterr().err
    assert main(["limits", "set", *data, "--cap", "1000000", "--owner", "5000"]) == 0
    assert main(["limits", "set", *data, "--owner", "0", "--margin-to", "900000"]) == 0
    assert capsys.readouterr().out == ("BTC-PERP: cap 1000000, owner 5000\nBTC-PERP: cap 1000000, margin-to 900000\n")
    instrument = served.exchange.instruments["BTC-PERP"]
    for trader, side in zip(served.exchange.traders, (Side.BUY, Side.SELL), strict=False):
        served.place(trader, instrument, side)
    assert main(["limits", "show", *data]) == 0
    assert capsys.readouterr().out == (
        "BTC-PERP: 0.1 open, initial margin from 4 %\nBTC-PERP: cap 1000000, margin-to 900000\n"
    )
