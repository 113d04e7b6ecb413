"""The engine's own margin implies the chain's floor (F3): no batch of a market that crashes again and again breaks one.

Accounts without money trade as much as the engine lets them, prices jump by percents, positions are liquidated,
deleveraged, paid by the fund, charged and expired. Every account of every batch is judged as the contract would.
"""

from collections import Counter
from dataclasses import replace

import pytest

from exchange.bridge.assembler import AssembledBatch
from settlement.protocol.batch import foresee
from settlement.protocol.floors import broken_floor, broken_floors, standing, traded
from settlement.protocol.ledger import LedgerState
from tests.property import liquidation_run
from tests.property.liquidation_run import Market

STEPS = 2_500
SEEDS = (1, 2, 3, 11)


class Judge:
    """Stands where the settler asks itself, and counts what it saw."""

    def __init__(self) -> None:
        """Nothing seen."""
        self.counts: Counter[str] = Counter()

    def __call__(self, ledger: LedgerState, assembled: AssembledBatch) -> None:
        """Judge one batch, as it is and as a thief would have posted it."""
        batch = assembled.input
        deltas, effect = foresee(ledger, batch)
        rounds = assembled.before, batch.opening
        broken = list(broken_floors(deltas, effect.accounts, *rounds, assembled.terms))
        assert broken == [], (batch.seq, broken)
        for account, cash_e6 in deltas.cash_e6.items():
            after = effect.accounts[account]
            lots = {key: amount for (index, key), amount in deltas.positions_lots.items() if index == account}
            now = standing(after, batch.opening, assembled.terms)
            done = traded(after, cash_e6, lots, batch.opening, assembled.terms)
            self.counts["judged"] += 1
            self.counts["below zero"] += now.is_below(0)
            self.counts["below zero and trading"] += now.is_below(0) and bool(lots)
            if done.loss_e6 is None or not lots:
                continue
            then = standing(after, assembled.before, assembled.terms)
            worth_e6 = sum(abs(one.covered_e6) + abs(one.options_e6 or 0) for one in (now, then))
            theft_e6 = 2 * (worth_e6 + done.band_e6 + abs(done.before_e6)) + 1
            robbed = replace(after, cash_e6=after.cash_e6 - theft_e6)
            found = broken_floor(account, robbed, cash_e6 - theft_e6, lots, *rounds, assembled.terms)
            self.counts["robberies"] += 1
            self.counts["robberies found"] += bool(found)


def test_no_honest_batch_breaks_a_floor(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Counts are printed; each account that is emptied instead of traded with is found at its batch."""
    judge = Judge()
    monkeypatch.setattr(liquidation_run, "check_disputes", judge)
    for seed in SEEDS:
        market = Market(seed)
        market.rows = None
        for _ in range(STEPS):
            market.step()
    with capsys.disabled():
        print(", ".join(f"{name} {count}" for name, count in sorted(judge.counts.items())))  # noqa: T201 - asked for
    assert judge.counts["judged"] > 1_000
    assert judge.counts["below zero"] > 5
    assert judge.counts["robberies"] > 200
    assert judge.counts["robberies found"] == judge.counts["robberies"]
