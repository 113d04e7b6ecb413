"""Rounds that go too far (F4) on the embedded chain: the watcher reverts the batch that begins with one, by itself."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec.structs import replace as with_fields

from exchange.bridge import batcher
from exchange.bridge.assembler import AssembledBatch, BatchAssembler
from exchange.domain.commands import SetPrices, UnderlyingRow
from exchange.domain.packing import CommandEvents
from exchange.domain.rounds import FundingRow, OracleRound, SettlementRow
from settlement.onchain.deploy import DeploymentSettings
from settlement.onchain.funded_accounts import WATCHER_INDEX
from settlement.protocol.oracle import MarkRow, OracleVector
from tests.e2e.test_disputes import OPERATOR_BOND_E6, WINDOW_S, credit, reverted, watcher_of
from tests.fakes.settled_market import SettledMarket
from tests.unit.exchange.engine.world import CALL, EXPIRY_S, PERP, SECOND_NS

ACCOUNTS = (2, 3, 4)
RATE_E9 = 28_800_000


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[SettledMarket]:
    """Positions in a perpetual and a call; on chain the marks of the first trades, and a round with index prices."""
    market = SettledMarket(tmp_path, DeploymentSettings(finality_window_s=WINDOW_S))
    for account in ACCOUNTS:
        market.fund(account)
    market.take_requests()
    market.trade(2, 3, 600_000, 50, PERP)
    market.trade(4, 2, 1_500, 5, CALL)
    market.run(OracleRound(round=1, funding=(FundingRow(PERP, RATE_E9),)))
    market.trade(2, 3, 600_000, 1, PERP)
    market.settle()
    market.work(steps=12)
    assert market.contract.view("oracleHead()", ["uint64"]) == 2
    yield market
    market.close()


def later_round(market: SettledMarket) -> None:
    """Nine seconds of funding, and a batch that begins with them."""
    market.prices()
    market.run(OracleRound(round=2), after_ns=9 * SECOND_NS)
    market.trade(2, 4, 600_000, 1, PERP)


def expiry_round(market: SettledMarket) -> None:
    """The call ends in the money."""
    market.clock(EXPIRY_S - market.now_ns // SECOND_NS + 1)
    market.run(OracleRound(round=2, settlements=(SettlementRow("BTC", EXPIRY_S, 70_123 * 10**9),)))


def overcharged(vector: OracleVector) -> OracleVector:
    """A thousand times the funding."""
    row = vector.rows[PERP]
    return replace(vector, rows={**vector.rows, PERP: replace(row, fund_index=row.fund_index * 1_000)})


def hidden(vector: OracleVector) -> OracleVector:
    """No price against which funding could be held."""
    return replace(vector, index_e6={})


def inflated(vector: OracleVector) -> OracleVector:
    """A price that makes any funding look small."""
    return replace(vector, index_e6={key: 10 * price_e6 for key, price_e6 in vector.index_e6.items()})


def overpaid(vector: OracleVector) -> OracleVector:
    """A payoff that is not the settlement price's."""
    return replace(vector, rows={**vector.rows, CALL: MarkRow(payoff_e12=2 * vector.rows[CALL].value)})


def lie_in_rounds(monkeypatch: pytest.MonkeyPatch, lie: Callable[[OracleVector], OracleVector]) -> None:
    """From here on the operator publishes, charges and pays other values than the engine's."""
    honest = BatchAssembler.take

    def dishonest(assembler: BatchAssembler, item: CommandEvents) -> Iterator[AssembledBatch]:
        for assembled in honest(assembler, item):
            if assembled.input.opening.round_number < 3:
                yield assembled
            else:
                yield with_fields(assembled, input=replace(assembled.input, opening=lie(assembled.input.opening)))

    monkeypatch.setattr(BatchAssembler, "take", dishonest)
    monkeypatch.setattr(batcher, "check_disputes", lambda *_: None)


@pytest.mark.parametrize(
    ("happens", "lie"),
    [(later_round, overcharged), (later_round, hidden), (later_round, inflated), (expiry_round, overpaid)],
)
def test_a_round_that_goes_too_far_is_reverted(
    exchange: SettledMarket,
    monkeypatch: pytest.MonkeyPatch,
    happens: Callable[[SettledMarket], None],
    lie: Callable[[OracleVector], OracleVector],
) -> None:
    """The root follows from the round, so F1 finds nothing; the round does not follow from the one before."""
    found: list[str] = []
    watcher = watcher_of(exchange, found)
    before = watcher.step()
    lie_in_rounds(monkeypatch, lie)
    happens(exchange)
    exchange.settle()
    exchange.work(steps=12)
    assert exchange.contract.head() > before
    assert watcher.step() == before
    watcher.step()
    assert reverted(exchange) == [before + 1]
    assert credit(exchange, WATCHER_INDEX) == OPERATOR_BOND_E6 // 2
    assert found[0].startswith(f"batch {before + 1} is fraudulent (")


@pytest.mark.parametrize("happens", [later_round, expiry_round])
def test_honest_rounds_raise_nothing(exchange: SettledMarket, happens: Callable[[SettledMarket], None]) -> None:
    """The same without a lie, and a watcher that starts late."""
    found: list[str] = []
    happens(exchange)
    exchange.settle()
    exchange.work(steps=12)
    assert watcher_of(exchange, found).step() == exchange.contract.head()
    assert (found, reverted(exchange)) == ([], [])


@pytest.mark.parametrize("factor", [3, 10])
def test_a_market_that_jumps_is_published_at_the_bound(exchange: SettledMarket, factor: int) -> None:
    """An honest feed may jump: the round says no more than may be said, and no marks that nobody could judge by."""
    found: list[str] = []
    far = UnderlyingRow("BTC", 60_000 * 10**9 * factor)
    exchange.run(SetPrices(round=exchange.state.prices.round + 1, underlyings=(far,)))
    later_round_without_prices(exchange)
    exchange.user(2).request_withdraw(2, 10**15)
    exchange.take_requests()
    exchange.side.store(exchange.build(), 0)
    exchange.work(steps=12)
    assert watcher_of(exchange, found).step() == exchange.contract.head()
    assert (found, reverted(exchange)) == ([], [])


def later_round_without_prices(market: SettledMarket) -> None:
    """Funding at the new price, and a batch that begins with it."""
    market.run(OracleRound(round=2), after_ns=3 * SECOND_NS)
    market.trade(2, 4, 600_000, 1, PERP)
    market.settle()
