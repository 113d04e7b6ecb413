"""An hour of real order flow: LOBSTER's AAPL sample through sequencer, journal, engine and book."""

import re

import pytest

from exchange.app.config import shared_folder
from exchange.app.lobster_agreement import Difference
from exchange.cli.main import main

FILE = shared_folder() / "data" / "lobster_aapl_2012-06-21_0930-1030_messages.csv.gz"
PATH_SHA256 = "88470eb520912c08f4503877359ec3351c8358bd91e85e54e8aef0f15889f9e8"
"""Path of best prices that a plain price-time book of dictionaries gave for the same steps."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not FILE.exists(), reason=f"recorded order flow is absent: {FILE}"),
]


def number(pattern, text):
    """The first group of `pattern` as an integer."""
    found = re.search(pattern, text)
    assert found is not None, f"{pattern!r} is not in the output:\n{text}"
    return int(found[1].replace(",", ""))


def test_the_sample_replays_with_the_files_makers(capsys):
    """At least 98 % of the visible executions fill the file's order, each other one has a cause, the journal agrees."""
    code = main(["replay", str(FILE), "--format", "lobster"])
    text = capsys.readouterr().out
    assert code == 0
    assert number(r"rows +([\d,]+):", text) == 91_997
    assert number(r"of ([\d,]+) visible executions", text) == 4_067
    agreed = number(r"makers +([\d,]+) of", text)
    assert agreed >= 0.98 * 4_067
    classed = {one: number(rf"([\d,]+) +{one.name}:", text) for one in Difference if f"{one.name}:" in text}
    assert agreed + sum(classed.values()) == 4_067
    assert Difference.UNEXPLAINED not in classed
    assert "the same state and path" in text
    assert f"path hash   {PATH_SHA256} (15,350 changes" in text
