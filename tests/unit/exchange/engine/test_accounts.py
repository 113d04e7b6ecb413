"""Requests of the chain's queue: money, keys and forced cancels."""

from typing import Any

import pytest

from exchange.domain.commands import ChainRequest, ChainRequestKind, SessionOpen
from exchange.domain.events import (
    AccountOpened,
    BatchClosed,
    CashMoved,
    CommandRefused,
    OrderClosed,
    RequestApplied,
    SessionClosed,
    SessionKeySet,
)
from exchange.domain.limits import MAX_SESSION_KEYS_PER_OWNER
from exchange.domain.result_codes import CloseReason, ResultCode
from exchange.domain.safeguards import SessionKeyRefused
from tests.unit.exchange.engine.world import BUY, CALL, E6, SECOND_NS, SELL, World, owner, refusal

Kind = ChainRequestKind
KEY = b"\x09" * 20


@pytest.mark.parametrize("index", [0, 3, 5])
def test_requests_come_in_order(index: int) -> None:
    """Any index but last + 1 is refused and names the expected one."""
    world = World().open()
    events = world.run(ChainRequest(index=index, kind=Kind.DEPOSIT, account=2, amount_e6=1, owner=owner(2)))
    assert events == [CommandRefused(code=ResultCode.REQUEST_OUT_OF_ORDER, detail=4)]


def test_requests_come_at_the_start_of_a_batch() -> None:
    """Once the open batch has a fill, a request has to wait for the next batch."""
    world = World().open()
    world.place(2, BUY, 600_000, 1)
    world.place(3, SELL, 600_000, 1)
    assert world.deposit(2, 1) == [CommandRefused(code=ResultCode.REQUEST_NOT_AT_BATCH_START, detail=2)]


@pytest.mark.parametrize("fields", [{"owner": b""}, {"owner": owner(9), "amount_e6": -1}])
def test_bad_requests_are_refused(fields: dict[str, Any]) -> None:
    """A new account needs an owner, an amount is not negative."""
    world = World().open()
    assert world.request(Kind.DEPOSIT, 9, **fields)[0] == CommandRefused(code=ResultCode.PARAMETER_INVALID, detail=9)


def test_deposit_opens_the_account_once() -> None:
    """The first deposit opens it, the second only adds; the ledger total follows."""
    world = World().open(accounts=1)
    first, second = world.deposit(7, 5 * E6), world.deposit(7, 2 * E6)
    assert first[0] == AccountOpened(subaccount=7, owner=owner(7))
    assert [type(event) for event in second] == [CashMoved, RequestApplied]
    assert world.state.accounts[7].ledger_cash_e6 == 7 * E6
    assert world.state.collateral_e6 == 100_007 * E6


def test_deposit_to_the_fund_has_no_owner() -> None:
    """Account 0 exists from the start."""
    world = World().open()
    assert isinstance(world.request(Kind.DEPOSIT, 0, amount_e6=E6)[0], CashMoved)


@pytest.mark.parametrize(
    ("requested", "approved"), [(500 * E6, 500 * E6), (10**12, 100_000 * E6 - 600_000_000 - 300_000)]
)
def test_withdrawal_leaves_what_must_stay(requested: int, approved: int) -> None:
    """0.1 BTC long at 60,000: equity 99,999.7 less 10 % of 6,000 of notional (worked by hand)."""
    world = World().open()
    world.place(2, BUY, 600_000, 100, max_fee_e18=3 * 10**18)
    world.place(3, SELL, 600_000, 100)
    resting = world.place(2, BUY, 500_000, 1)[0]
    world.run_cut()
    events = world.request(Kind.WITHDRAW, 2, amount_e6=requested)
    closed = [event for event in events if isinstance(event, OrderClosed)]
    assert [(c.order, c.reason) for c in closed] == [(resting.order, CloseReason.WITHDRAWAL)]  # type: ignore[union-attr]
    applied = next(event for event in events if isinstance(event, RequestApplied))
    assert applied.approved_e6 == approved


def test_withdrawal_of_a_stranger_approves_nothing() -> None:
    """The request is consumed all the same."""
    world = World().open()
    (event,) = world.request(Kind.WITHDRAW, 55, amount_e6=5)
    assert isinstance(event, RequestApplied)
    assert event.approved_e6 == 0


def test_option_premium_is_cash_but_the_short_stays_covered() -> None:
    """A short call's premium may leave only as far as the requirement allows."""
    world = World().open()
    world.place(2, SELL, 1_500, 100, CALL, max_fee_e18=0)
    world.place(3, BUY, 1_500, 100, CALL, max_fee_e18=0)
    world.run_cut()
    events = world.request(Kind.WITHDRAW, 2, amount_e6=10**12)
    applied = next(event for event in events if isinstance(event, RequestApplied))
    # Equity 100,000; requirement max(15 % - 1/6, 12 %) x 60,000 = 7,200.
    assert applied.approved_e6 == (100_000 - 7_200) * E6


def set_key(world: World, valid_for_s: int, scopes: int = 4) -> list[Any]:
    """Register or revoke KEY of account 2's owner."""
    valid_to_s = world.now_ns // SECOND_NS + valid_for_s
    return world.request(Kind.SET_KEY, 2, owner=owner(2), key=KEY, valid_to_s=valid_to_s, scopes=scopes)


def test_revoked_key_takes_its_orders_and_sessions_along() -> None:
    """Orders it signed are canceled, its sessions end, and it never comes back."""
    world = World().open()
    set_key(world, 7_200)
    world.run(SessionOpen(owner=owner(2), signer=KEY))
    assert refusal(world.place(2, BUY, 500_000, 1, signer=KEY)) is ResultCode.OK
    events = set_key(world, 0)
    assert [type(event) for event in events[:3]] == [OrderClosed, SessionClosed, SessionKeySet]
    assert [type(event) for event in set_key(world, 7_200)] == [SessionKeyRefused, RequestApplied]
    assert refusal(world.place(2, BUY, 500_000, 1, signer=KEY)) is ResultCode.SESSION_KEY_EXPIRED


def test_a_key_is_fixed() -> None:
    """A second registration changes neither scopes nor life."""
    world = World().open()
    set_key(world, 7_200, scopes=1 << 5)
    refused, applied = set_key(world, 9_000, scopes=1)
    assert (refused.code, type(applied)) == (ResultCode.SESSION_KEY_FIXED, RequestApplied)
    assert world.state.keys[owner(2)][KEY].scopes == 1 << 5


@pytest.mark.parametrize("kind", [Kind.CANCEL_ALL, Kind.LOCK])
def test_forced_requests_cancel_everything(kind: ChainRequestKind) -> None:
    """All orders go, and older nonces are refused from then on (a lock refuses all)."""
    world = World().open()
    world.place(2, BUY, 500_000, 1)
    old = world.now_ns
    events = world.request(kind, 2)
    assert isinstance(events[0], OrderClosed)
    expected = ResultCode.SCOPE_MISSING if kind is Kind.LOCK else ResultCode.NONCE_OUTSIDE_WINDOW
    assert refusal(world.place(2, BUY, 500_000, 1, nonce=old)) is expected
    assert refusal(world.place(2, BUY, 500_000, 1, nonce=old // 1_000)) is expected


def test_keys_of_an_owner_are_bounded() -> None:
    """Beyond the limit the request is consumed, nothing is registered, and an event says why."""
    world = World().open()
    world.checks = False
    for number in range(MAX_SESSION_KEYS_PER_OWNER + 1):
        events = world.request(
            Kind.SET_KEY, 2, owner=owner(2), key=number.to_bytes(20, "big"), valid_to_s=1 << 31, scopes=4
        )
    refused, applied = (event for event in events if not isinstance(event, BatchClosed))
    assert (refused.code, refused.key) == (ResultCode.TOO_MANY_SESSION_KEYS, number.to_bytes(20, "big"))
    assert isinstance(applied, RequestApplied)
    assert len(world.state.keys[owner(2)]) == MAX_SESSION_KEYS_PER_OWNER


def test_approvals_never_pass_the_collateral() -> None:
    """A bankrupt account owes more than it has: what others may still take out is bounded by what is there."""
    world = World().open()
    world.place(2, BUY, 600_000, 10_000)
    world.place(3, SELL, 600_000, 10_000)
    world.prices(80_000)
    world.place(4, BUY, 800_000, 10_000)
    world.place(2, SELL, 800_000, 10_000)
    world.run_cut()
    for account in (2, 4):
        before_e6 = world.state.collateral_e6
        (applied,) = [
            event
            for event in world.request(ChainRequestKind.WITHDRAW, account, amount_e6=1_000_000 * E6)
            if isinstance(event, RequestApplied)
        ]
        assert 0 < applied.approved_e6 <= before_e6
    assert world.state.collateral_e6 == 0
