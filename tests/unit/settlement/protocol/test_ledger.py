"""Tests of settlement.protocol.ledger."""

import pytest

from settlement.protocol.keccak import keccak256
from settlement.protocol.ledger import BadSnapshot, Effect, InvariantViolation, LedgerState
from settlement.protocol.merkle import ReferenceTree
from settlement.protocol.state_tree import Account

OWNER = b"\x11" * 20
PERP = 0x80000001


def ledger(**accounts: Account) -> LedgerState:
    """Return a ledger with accounts named a<index>; the collateral is their cash."""
    state = LedgerState(ReferenceTree())
    state.commit(
        Effect(
            accounts={int(name[1:]): account for name, account in accounts.items()},
            collateral_e6=sum(account.cash_e6 for account in accounts.values()),
            request_done=5,
            last_match_to_s=9,
        )
    )
    return state


def closed(body: bytes) -> bytes:
    """Return a snapshot whose hash fits its body."""
    return body + keccak256(body)


SNAPSHOT = ledger(
    a2=Account(OWNER, -7, {1: (3, 0), PERP: (-4, 5)}), a3=Account(OWNER, 20, {1: (-3, 0), PERP: (4, 0)})
).to_bytes()
BODY = SNAPSHOT[:-32]
REFUSED = {
    "nothing": b"",
    "another version": closed(b"OFFBOOK-LEDGER-2" + BODY[16:]),
    "torn": SNAPSHOT[:-1],
    "flipped bit": bytes([*SNAPSHOT[:60], SNAPSHOT[60] ^ 1, *SNAPSHOT[61:]]),
    "cut off inside an account": closed(BODY[:-3]),
    "bytes left over": closed(BODY + b"\x00"),
    "too many positions": closed(BODY[:64] + b"\xff\xff" + BODY[66:]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_snapshots(name: str) -> None:
    """A snapshot is taken whole and unchanged or not at all."""
    with pytest.raises(BadSnapshot):
        LedgerState.from_bytes(REFUSED[name], ReferenceTree())


@pytest.mark.parametrize(
    ("account", "reason"),
    [
        (Account(), "canonical"),
        (Account(OWNER, 0, {1: (0, 0)}), "zero position"),
    ],
    ids=["empty account", "zero position"],
)
def test_snapshot_holds_no_empty_things(account: Account, reason: str) -> None:
    """What the ledger would not keep is refused, so equal states have equal bytes."""
    state = LedgerState(ReferenceTree())
    state.accounts[2] = account
    with pytest.raises(BadSnapshot, match=reason):
        LedgerState.from_bytes(state.to_bytes(), ReferenceTree())


def test_check_finds_lots_from_nowhere() -> None:
    """Positions of an instrument sum to zero."""
    with pytest.raises(InvariantViolation, match="instrument 1"):
        ledger(a2=Account(OWNER, 0, {1: (1, 0)})).check()


def test_check_finds_cash_from_nowhere() -> None:
    """Cash sums to the collateral, to the unit."""
    state = ledger(a2=Account(OWNER, 10))
    state.check()
    state.collateral_e6 += 1
    with pytest.raises(InvariantViolation, match="collateral"):
        state.check()


def test_new_ledger_is_empty_and_sound() -> None:
    """Nothing anywhere, and the invariants hold."""
    state = LedgerState(ReferenceTree())
    state.check()
    assert state.root == ReferenceTree().root
    assert state.account(7) == Account()


def test_commit_installs_accounts_and_forgets_empty_ones() -> None:
    """An account without owner, cash and positions leaves map and tree."""
    state = ledger(a0=Account(cash_e6=3))
    assert (state.seq, state.request_done, state.last_match_to_s, state.collateral_e6) == (1, 5, 9, 3)
    state.commit(Effect(accounts={0: Account()}, collateral_e6=0, request_done=5, last_match_to_s=9))
    assert state.accounts == {}
    assert state.root == ReferenceTree().root


def test_snapshot_round_trip() -> None:
    """A rebuilt ledger has the same accounts, root and bytes."""
    state = LedgerState.from_bytes(SNAPSHOT, ReferenceTree())
    assert state.to_bytes() == SNAPSHOT
    assert state.account(2) == Account(OWNER, -7, {1: (3, 0), PERP: (-4, 5)})
    assert state.root == LedgerState.from_bytes(SNAPSHOT, ReferenceTree()).root


def test_copy_is_independent() -> None:
    """A change of the copy leaves the original alone."""
    state = ledger(a2=Account(OWNER, 10))
    twin = state.copy()
    assert twin.root == state.root
    twin.commit(Effect(accounts={2: Account(OWNER, 11)}, collateral_e6=11, request_done=5, last_match_to_s=9))
    assert twin.root != state.root
    assert state.account(2).cash_e6 == 10
