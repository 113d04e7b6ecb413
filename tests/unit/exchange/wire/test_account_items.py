"""What a liquidation looks like in an account's own stream: started, paid by the fund, closed against others, ended."""

from typing import Any, get_args

import pytest

from exchange.domain.events import Event
from exchange.domain.liquidations import (
    Deleveraged,
    DeleveragedSide,
    FundPaid,
    LiquidationEnded,
    LiquidationMarks,
    LiquidationStage,
    LiquidationStarted,
)
from exchange.domain.views import Output
from exchange.gateway.account_log import AccountLog
from exchange.wire.account_items import deleveraging_members, other_members
from tests.unit.exchange.engine.world import PERP, instruments

E6 = 10**6
BY_ID = {row.instrument_id: row for row in instruments()}
BANKRUPT = DeleveragedSide(
    subaccount=2, account_seq=7, realized_pnl_e6=-900 * E6, position_lots=0, ledger_cash_e6=0, cash_e6=0
)
GAVE_WAY = DeleveragedSide(
    subaccount=3, account_seq=9, realized_pnl_e6=900 * E6, position_lots=-500, ledger_cash_e6=5 * E6, cash_e6=6 * E6
)
CLOSED = Deleveraged(
    trade=4,
    instrument=PERP,
    bankrupt_lots=-1_000,
    notional_e6=-58_000 * E6,
    mark_e9=58_000 * 10**9,
    bankrupt=BANKRUPT,
    counterparty=GAVE_WAY,
)


def test_an_event_without_a_shape_is_an_error():
    """A new event must be given one; it is not dropped in silence."""
    with pytest.raises(TypeError, match="LiquidationMarks"):
        other_members(LiquidationMarks(subaccount=2, marks=()), BY_ID)


@pytest.mark.parametrize("kind", [kind for kind in get_args(Event) if "account_seq" in kind.__struct_fields__])
def test_every_numbered_event_reaches_the_stream(kind: Any):
    """A number that the log does not take would be a gap for whoever counts."""
    assert kind in AccountLog.EVENTS


@pytest.mark.parametrize(
    ("event", "members"),
    [
        (
            LiquidationStarted(
                subaccount=2,
                account_seq=5,
                stage=LiquidationStage.AUCTION,
                equity_e6=100 * E6,
                maintenance_requirement_e6=150 * E6,
                price_e6=98 * E6,
            ),
            {
                "kind": "liquidation",
                "event": "started",
                "stage": "auction",
                "subaccount_value": "100",
                "maintenance_requirement": "150",
                "price": "98",
            },
        ),
        (
            LiquidationEnded(subaccount=2, account_seq=6, equity_e6=E6, maintenance_requirement_e6=0),
            {"kind": "liquidation", "event": "ended", "subaccount_value": "1", "maintenance_requirement": "0"},
        ),
        (
            FundPaid(subaccount=2, account_seq=6, amount_e6=3 * E6, fund_cash_e6=0, ledger_cash_e6=0, cash_e6=0),
            {"kind": "liquidation", "event": "fund_paid", "amount": "3", "cash": "0"},
        ),
    ],
)
def test_a_liquidation_says_what_it_does(event: Any, members: dict[str, Any]):
    """In USDC; the stage by name."""
    assert other_members(event, BY_ID) == members


def test_both_parties_of_a_deleveraging_see_their_own_side():
    """The bankrupt account sold what the other one bought, each with its own position and number."""
    log = AccountLog(10)
    log.record(Output(sequence=1, timestamp_ns=0, events=(CLOSED,), orders={}), CLOSED)
    rows = [row for account in (2, 3) for row in log.since(account, 0)]
    shown = [deleveraging_members(row.event, row.side, BY_ID) for row in rows if row.side is not None]
    assert [row.account_seq for row in rows] == [7, 9]
    assert [(one["role"], one["amount"], one["position"]) for one in shown] == [
        ("bankrupt", "-1", "0"),
        ("counterparty", "1", "-0.5"),
    ]
    assert {one["notional"] for one in shown} == {"58000"}
    assert all(one["kind"] == "adl" for one in shown)
