"""Oracle rounds: they rise, their rows are perpetuals with rates inside the cap, and a batch ends before each."""

import pytest

from exchange.domain.commands import ListInstrument
from exchange.domain.events import BatchClosed, CommandRefused, InstrumentListed
from exchange.domain.ids import PERPETUAL_BIT
from exchange.domain.packing import pack_command, unpack_commands
from exchange.domain.result_codes import ResultCode
from exchange.domain.rounds import FundingIndexRow, FundingRow, OracleRound, OracleRoundSet
from exchange.engine.rounds import rate_cap_e9
from tests.unit.exchange.engine.world import BUY, CALL, PERP, SELL, World, instruments

CAP_E9 = 120_000_000
OTHER = PERPETUAL_BIT | 7


@pytest.mark.parametrize(
    ("command", "code", "detail"),
    [
        (OracleRound(round=3, funding=(FundingRow(99, 0),)), ResultCode.PRICE_OUT_OF_ORDER, 3),
        (OracleRound(round=2), ResultCode.PRICE_OUT_OF_ORDER, 3),
        (OracleRound(round=4, funding=(FundingRow(99, 0),)), ResultCode.PRICE_INVALID, 4),
        (OracleRound(round=4, funding=(FundingRow(CALL, 0),)), ResultCode.PRICE_INVALID, 4),
        (OracleRound(round=4, funding=(FundingRow(PERP, 0), FundingRow(PERP, 0))), ResultCode.PRICE_INVALID, 4),
        (OracleRound(round=4, funding=(FundingRow(PERP, CAP_E9 + 1),)), ResultCode.PRICE_INVALID, 4),
        (OracleRound(round=4, funding=(FundingRow(PERP, -CAP_E9 - 1),)), ResultCode.PRICE_INVALID, 4),
    ],
)
def test_a_bad_round_changes_nothing(command: OracleRound, code: ResultCode, detail: int) -> None:
    """The first failing check answers: order of rounds, then the rows; the rate stays."""
    world = World().open()
    world.run(OracleRound(round=3, funding=(FundingRow(PERP, 5),)))
    (event,) = world.run(command)
    assert event == CommandRefused(code=code, detail=detail)
    assert world.state.oracle_round == 3
    assert world.state.funding[PERP].rate_e9 == 5


@pytest.mark.parametrize(("underlying", "cap_e9"), [("BTC", 120_000_000), ("DOGE", 300_000_000)])
def test_the_cap_is_six_times_what_leverage_leaves(underlying: str, cap_e9: int) -> None:
    """6 x (initial - maintenance) of the first tier, as 1e-9 per 8 hours."""
    assert rate_cap_e9(World().state, underlying) == cap_e9


def test_a_round_lists_every_perpetual_that_ever_had_a_rate() -> None:
    """Ascending, with those that it does not name."""
    world = World().open()
    other = {**{name: getattr(instruments()[0], name) for name in instruments()[0].__struct_fields__}}
    listed = type(instruments()[0])(**{**other, "instrument_id": OTHER, "name": "ALT-PERP", "underlying": "ALT"})
    assert isinstance(world.run(ListInstrument(instrument=listed))[0], InstrumentListed)
    world.run(OracleRound(round=1, funding=(FundingRow(OTHER, 7),)))
    (event,) = world.run(OracleRound(round=2, funding=(FundingRow(PERP, CAP_E9),)))
    assert event == OracleRoundSet(round=2, funding=(FundingIndexRow(PERP, 0, CAP_E9), FundingIndexRow(OTHER, 0, 7)))


def test_the_open_batch_ends_before_a_round() -> None:
    """Every fill of a batch sees one index; a batch without content goes on."""
    world = World().open()
    assert [type(event) for event in world.run(OracleRound(round=1))] == [OracleRoundSet]
    world.place(2, BUY, 600_000, 10)
    world.place(3, SELL, 600_000, 10)
    number = world.state.batch.number
    closed, _ = world.run(OracleRound(round=2))
    assert isinstance(closed, BatchClosed)
    assert (closed.batch, closed.last_sequence) == (number, world.state.sequence)
    assert world.state.batch.first_sequence == world.state.sequence


def test_a_round_survives_its_packing() -> None:
    """Record and attachments give the command back."""
    command = OracleRound(round=9, funding=(FundingRow(PERP, -3), FundingRow(OTHER, 4)))
    assert list(unpack_commands(*pack_command(command))) == [command]
