"""What `offbook vol` says: refusals with the fix, the index with its steps, arbitrage by name."""

import math

import msgspec
import pytest

from exchange.app.failures import Failure
from exchange.app.volatility_reports import ChainState, OptionState, check_lines, index_lines, read_chains
from exchange.cli.main import main
from exchange.pricing.black76 import Option, price
from exchange.pricing.smile import SviSlice

NOW_S = 1_795_363_200.0
DAY_S = 86_400
STRIKES = [1_000.0 + 50 * step for step in range(41)]


def chain(days, *, level=0.5, forward=2_000.0, smile=None, strikes=STRIKES, step=1.0):
    """A chain marked on a smile (flat by default)."""
    years = days / 365
    smile = smile or SviSlice(a=level * level * years, b=0.0, rho=0.0, m=0.0, sigma=0.1, years=years)
    rows = []
    for strike in strikes:
        volatility = math.sqrt(smile.raw_variance(math.log(strike / forward)) / years)
        for is_call in (True, False):
            mark = price(Option(is_call=is_call, forward=forward, strike=strike, years=years), volatility)
            rows.append(OptionState(strike, is_call, mark * step, volatility, None, 0.1))
    return ChainState(
        underlying="BTC", expiry_s=int(NOW_S + days * DAY_S), now_s=NOW_S, index=1_999.0, forward=forward,
        options=tuple(rows),
    )  # fmt: skip


def without_marks(row):
    """The same chain before its first price."""
    return msgspec.structs.replace(
        row, forward=None, options=tuple(OptionState(o.strike, o.is_call, None, None, None, 0.1) for o in row.options)
    )


@pytest.mark.parametrize("chains", [[], [chain(20)], [without_marks(chain(20)), chain(40)]])
def test_an_index_needs_two_marked_expiries(chains):
    """The line says how many there are."""
    with pytest.raises(Failure, match="two expiries"):
        index_lines(chains, explain=False)


def test_no_exchange_is_one_line(tmp_path, capsys):
    """What to do stands in it; the code is 1."""
    with pytest.raises(Failure, match="offbook up"):
        read_chains(tmp_path / "socket", "BTC")
    assert main(["vol", "index", "BTC", "--data", str(tmp_path)]) == 1
    assert "offbook up" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["index", "check"])
def test_a_currency_must_be_named(verb):
    """Wrong usage is 2."""
    with pytest.raises(SystemExit) as ended:
        main(["vol", verb])
    assert ended.value.code == 2


@pytest.mark.parametrize("days", [(20, 40), (7, 14, 21, 35, 70), (31, 60), (5, 9)])
def test_flat_chains_have_their_own_volatility(days):
    """Around, above and below thirty days."""
    (line,) = index_lines([chain(day) for day in days], explain=False)
    assert float(line.split()[3]) == pytest.approx(50.0, abs=0.2)


def test_the_explanation_adds_up():
    """Its printed parts give its printed variance, and its printed totals the index."""
    lines = index_lines([chain(20), chain(40, level=0.6)], explain=True)
    parts = {}
    for line in lines:
        text = line.strip()
        for name in ("2/T x sum", "- (F/K0", "+ below", "+ above"):
            if text.startswith(name):
                parts.setdefault(name, []).append(float(text.rpartition("= ")[2]))
    stated = [float(line.split()[2]) for line in lines if line.startswith("  = variance")]
    for place, variance in enumerate(stated):
        total = parts["2/T x sum"][place] - parts["- (F/K0"][place] + parts["+ below"][place] + parts["+ above"][place]
        assert total == pytest.approx(variance, abs=2e-8)
    contributions = [
        float(line.split()[4])
        for line in lines
        if len(line.split()) == 5 and line.split()[1] in ("put", "call", "both")
    ]
    assert 2 * 365 / 20 * sum(contributions[: len(contributions) // 2]) == pytest.approx(
        parts["2/T x sum"][0], rel=1e-5
    )
    near, later = (variance * days / 365 for variance, days in zip(stated, (20, 40), strict=True))
    assert float(lines[-2].rpartition("= ")[2]) == pytest.approx(
        100 * math.sqrt((near + later) / 2 / (30 / 365)), abs=1e-3
    )


VOGT = SviSlice(a=-0.0410, b=0.1331, m=0.3586, rho=0.3060, sigma=0.4153, years=1.0)
WRONG = [
    ([chain(20, level=0.8), chain(40, level=0.5)], "calendar arbitrage"),
    ([chain(365, smile=VOGT, strikes=[2_000 * math.exp(step / 20) for step in range(-30, 31)])], "butterfly arbitrage"),
    ([chain(20, step=0.5)], "a call's mark is outside of its bounds"),
    ([chain(20, step=40.0)], "a put's mark is outside of its bounds"),
    ([chain(20, step=3.0)], "marks of calls are not monotone"),
]


@pytest.mark.parametrize(("chains", "fault"), WRONG)
def test_arbitrage_is_named(chains, fault):
    """And the check has failed."""
    lines, sound = check_lines(chains, explain=False)
    assert not sound
    assert fault in " ".join(lines)


def test_sound_chains_pass():
    """One line each; an expiry without marks is named and nothing to trade against."""
    chains = [without_marks(chain(7)), chain(20), chain(40)]
    lines, sound = check_lines(chains, explain=False)
    assert sound
    assert [line.rpartition(": ")[2] for line in lines] == ["no marks yet", "no arbitrage", "no arbitrage"]
    explained, _ = check_lines(chains, explain=True)
    assert sum(line.startswith("  butterfly:") for line in explained) == 2
    assert sum(line.startswith("  calendar:") for line in explained) == 1
