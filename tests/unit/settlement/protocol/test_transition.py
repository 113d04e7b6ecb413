"""Tests of settlement.protocol.transition: what a batch may not do, then what it does."""

import pytest

from settlement.protocol.encoding import BadBatch, BatchData, Header
from settlement.protocol.ledger import LedgerState
from settlement.protocol.merkle import ReferenceTree
from settlement.protocol.netting import NetDeltas, Unbalanced
from settlement.protocol.state_tree import Account
from settlement.protocol.transition import ChainRequest, Effect, RequestKind, apply_batch, withdraw_count

ALICE, BOB = b"\x0a" * 20, b"\x0b" * 20
EMPTY = NetDeltas({}, {})
PERP = 0x80000001


def ledger() -> LedgerState:
    """Return a ledger of two traders with 100 each after request 2."""
    state = LedgerState(ReferenceTree())
    accounts = {2: Account(ALICE, 100, {7: (5, 0)}), 3: Account(BOB, 100, {7: (-5, 0)})}
    state.commit(Effect(accounts=accounts, collateral_e6=200, request_done=2, last_match_to_s=50))
    return state


def header(**changes: int) -> Header:
    """Return the header of a batch that consumes nothing."""
    return Header(**{"request_up_to": 2, "match_from_s": 50, "match_to_s": 60, "fee_e6": 0, **changes})


def request(index: int, kind: RequestKind, account: int, amount_e6: int = 0, owner: bytes = ALICE) -> ChainRequest:
    """Return a queue row by position."""
    return ChainRequest(index=index, kind=kind, account=account, amount_e6=amount_e6, owner=owner)


def consume(deltas: NetDeltas, *requests: ChainRequest, approved: tuple[int, ...] = (), fee_e6: int = 0) -> Effect:
    """Apply a batch that consumes `requests` to the ledger of two traders."""
    head = header(request_up_to=2 + len(requests), fee_e6=fee_e6)
    return apply_batch(ledger(), head, BatchData(deltas, approved), requests)


DEPOSIT, WITHDRAW = RequestKind.DEPOSIT, RequestKind.WITHDRAW


@pytest.mark.parametrize(
    "changes",
    [
        {"oracle_round": 1},
        {"match_from_s": 49},
        {"match_to_s": 49},
        {"request_up_to": 1},
        {"request_up_to": 3},
        {"request_up_to": -1},
    ],
    ids=str,
)
def test_bad_headers(changes: dict[str, int]) -> None:
    """Rounds are not in use, times ascend, the queue is consumed exactly as the header says."""
    with pytest.raises(BadBatch):
        apply_batch(ledger(), header(**changes), BatchData(EMPTY, ()), ())


@pytest.mark.parametrize(
    ("requests", "approved", "reason"),
    [
        ([request(4, DEPOSIT, 2, 1)], (), "not exactly"),
        ([request(3, DEPOSIT, 2, 1)], (), "not listed"),
        ([request(3, DEPOSIT, 1, 1)], (), "clearing account"),
        ([request(3, WITHDRAW, 0, 1)], (), "0 approved amounts for 1 withdrawals"),
        ([], (1,), "1 approved amounts for 0 withdrawals"),
        ([request(3 + number, RequestKind.LOCK, 0) for number in range(65)], (), "limit is 64"),
    ],
)
def test_bad_queues(requests: list[ChainRequest], approved: tuple[int, ...], reason: str) -> None:
    """Requests come in order, from listed accounts, with one approval per withdrawal."""
    with pytest.raises(BadBatch, match=reason):
        consume(EMPTY, *requests, approved=approved)


@pytest.mark.parametrize(
    ("row", "approved", "reason"),
    [
        (request(3, WITHDRAW, 2, 10), (11,), "approved 11 of 10"),
        (request(3, WITHDRAW, 2, 10), (-1,), "approved -1 of 10"),
        (request(3, WITHDRAW, 2, 500), (201,), "1 more approved than the collateral"),
        (request(3, DEPOSIT, 2, 1 << 64), (), "does not fit u64"),
        (request(3, DEPOSIT, 2, -1), (), "does not fit u64"),
        (request(3, DEPOSIT, 9, 1, owner=bytes(20)), (), "without an owner"),
        (request(3, DEPOSIT, 9, 1, owner=bytes(19)), (), "without an owner"),
        (request(3, RequestKind.CLOSE_ALL, 2), (), "oracle round"),
        (request(3, RequestKind.SET_KEY, 9), (), "has no owner"),
    ],
)
def test_bad_requests(row: ChainRequest, approved: tuple[int, ...], reason: str) -> None:
    """Nobody gets more than he asked for, and an account begins with an owner's deposit."""
    with pytest.raises(BadBatch, match=reason):
        consume(EMPTY.touching([row.account]), row, approved=approved)


@pytest.mark.parametrize(
    ("deltas", "reason"),
    [
        (NetDeltas({9: 0}, {}), "has no owner"),
        (NetDeltas({0: 0}, {}), "cannot be listed"),
        (NetDeltas({1: 0}, {}), "cannot be listed"),
        (NetDeltas({1 << 20: 0}, {}), "cannot be listed"),
        (NetDeltas({2: 0}, {(2, 1): 1, (3, 1): -1}), "not listed"),
        (NetDeltas({2: 0, 3: 0}, {(2, 7): (1 << 63) - 1, (3, 7): 1 - (1 << 63)}), "int64"),
        (NetDeltas({2: 1 << 127, 3: -(1 << 127)}, {}), "int128"),
        (
            NetDeltas({2: 0, 3: 0}, {(a, n): lots for a, lots in ((2, 1), (3, -1)) for n in range(8, 136)}),
            "129 positions",
        ),
    ],
)
def test_bad_deltas(deltas: NetDeltas, reason: str) -> None:
    """Deltas reach listed accounts with an owner and stay inside the leaf's ranges."""
    with pytest.raises(BadBatch, match=reason):
        consume(deltas)


@pytest.mark.parametrize(
    ("deltas", "fee_e6"),
    [
        (NetDeltas({2: 1, 3: 0}, {}), 0),
        (NetDeltas({2: 0, 3: 0}, {}), 1),
        (NetDeltas({2: 0, 3: 0}, {(2, 1): 5, (3, 1): -4}), 0),
    ],
)
def test_unbalanced_batches(deltas: NetDeltas, fee_e6: int) -> None:
    """Neither cash nor lots are printed, and a fee comes from somebody."""
    with pytest.raises(Unbalanced):
        consume(deltas, fee_e6=fee_e6)


@pytest.mark.parametrize(("rebate_e6", "accepted"), [(30, True), (31, False)])
def test_fund_cannot_pay_more_than_it_has(rebate_e6: int, accepted: bool) -> None:
    """A net rebate is paid by the fund alone, never by the float."""
    state = ledger()
    state.commit(Effect(accounts={0: Account(cash_e6=30)}, collateral_e6=230, request_done=2, last_match_to_s=50))
    data = BatchData(NetDeltas({2: rebate_e6}, {}), ())
    if not accepted:
        with pytest.raises(BadBatch, match="fund"):
            apply_batch(state, header(fee_e6=-rebate_e6), data, ())
        return
    assert apply_batch(state, header(fee_e6=-rebate_e6), data, ()).accounts[0] == Account()


@pytest.mark.parametrize(("approved_e6", "accepted"), [(0, True), (1, False)])
def test_fund_cannot_withdraw_more_than_it_has(approved_e6: int, accepted: bool) -> None:
    """A withdrawal of account 0 is covered by its cash."""
    row = request(3, WITHDRAW, 0, 5)
    if accepted:
        assert consume(EMPTY, row, approved=(approved_e6,)).collateral_e6 == 200
        return
    with pytest.raises(BadBatch, match="fund"):
        consume(EMPTY, row, approved=(approved_e6,))


def test_refused_batch_leaves_the_ledger_alone() -> None:
    """The ledger is not touched before the effect is committed."""
    state = ledger()
    before = state.to_bytes()
    with pytest.raises(BadBatch):
        apply_batch(state, header(), BatchData(NetDeltas({2: 1 << 127, 3: -(1 << 127)}, {}), ()), ())
    apply_batch(state, header(), BatchData(NetDeltas({2: 1, 3: -1}, {}), ()), ())
    assert before == state.to_bytes()


def test_deposit_opens_an_account() -> None:
    """The first deposit brings the owner, a later one only money."""
    effect = consume(EMPTY.touching([9]), request(3, DEPOSIT, 9, 40, owner=BOB), request(4, DEPOSIT, 9, 2, owner=ALICE))
    assert effect.accounts[9] == Account(BOB, 42)
    assert (effect.collateral_e6, effect.request_done) == (242, 4)


def test_deposit_to_the_fund_needs_no_listing() -> None:
    """Account 0 is always touched and has no owner."""
    effect = consume(EMPTY, request(3, DEPOSIT, 0, 40, owner=ALICE))
    assert effect.accounts[0] == Account(cash_e6=40)


def test_withdrawal_is_debited_as_approved() -> None:
    """The approved part leaves the account and the collateral."""
    effect = consume(
        EMPTY.touching([2, 3]), request(3, WITHDRAW, 2, 100), request(4, WITHDRAW, 3, 100), approved=(60, 0)
    )
    assert (effect.accounts[2].cash_e6, effect.accounts[3].cash_e6) == (40, 100)
    assert effect.collateral_e6 == 140


@pytest.mark.parametrize("kind", [RequestKind.SET_KEY, RequestKind.CANCEL_ALL, RequestKind.LOCK])
def test_requests_without_money_only_touch(kind: RequestKind) -> None:
    """They are consumed in order and change no leaf."""
    effect = consume(EMPTY.touching([2]), request(3, kind, 2))
    assert effect.accounts[2] == ledger().account(2)


def test_deltas_move_positions_and_fee_goes_to_the_fund() -> None:
    """A closed position leaves the leaf, a new one enters it, the fund gets the fee."""
    effect = consume(NetDeltas({2: -7, 3: 4}, {(2, 7): -5, (3, 7): 5, (2, PERP): 1, (3, PERP): -1}), fee_e6=3)
    assert effect.accounts[2] == Account(ALICE, 93, {PERP: (1, 0)})
    assert effect.accounts[3] == Account(BOB, 104, {PERP: (-1, 0)})
    assert effect.accounts[0] == Account(cash_e6=3)
    assert effect.accounts[1] == Account()


def test_requests_come_before_trades() -> None:
    """A deposit of this batch pays for a trade of this batch."""
    effect = consume(NetDeltas({9: -5, 2: 5}, {}), request(3, DEPOSIT, 9, 5, owner=BOB))
    assert effect.accounts[9] == Account(BOB, 0)


def test_withdraw_count() -> None:
    """One approved amount per withdrawal."""
    assert withdraw_count([request(3, WITHDRAW, 2, 1), request(4, DEPOSIT, 2, 1)]) == 1


def test_request_kinds_are_those_of_the_contract() -> None:
    """The numbers of the queue are final."""
    assert [kind.name for kind in sorted(RequestKind)] == [
        "DEPOSIT",
        "WITHDRAW",
        "CLOSE_ALL",
        "CANCEL_ALL",
        "SET_KEY",
        "LOCK",
    ]
    assert [int(kind) for kind in sorted(RequestKind)] == list(range(1, 7))


def held(positions_2: dict[int, tuple[int, int]], positions_3: dict[int, tuple[int, int]]) -> LedgerState:
    """Return a ledger of two traders with 100 each and these positions."""
    state = LedgerState(ReferenceTree())
    accounts = {2: Account(ALICE, 100, positions_2), 3: Account(BOB, 100, positions_3)}
    state.commit(Effect(accounts=accounts, collateral_e6=200, request_done=2, last_match_to_s=50))
    return state


@pytest.mark.parametrize(
    ("listed", "cash"),
    [((), {1: 0}), ((2,), {1: 11, 2: 89}), ((3,), {1: -10, 3: 110}), ((2, 3), {1: 1, 2: 89, 3: 110})],
)
def test_listed_accounts_pay_funding_to_the_opening_round(listed: tuple[int, ...], cash: dict[int, int]) -> None:
    """Floored against each account, the clearing account takes the opposite; who is not listed pays later."""
    state = held({PERP: (3, 2_000_000)}, {PERP: (-3, 2_000_000)})
    data = BatchData(NetDeltas(dict.fromkeys(listed, 0), {}), ())
    effect = apply_batch(state, header(), data, (), {PERP: 5_500_000})
    assert {index: effect.accounts[index].cash_e6 for index in cash} == cash
    assert all(effect.accounts[index].positions[PERP][1] == 5_500_000 for index in listed)
    state.commit(effect)
    state.check()


def test_a_payoff_replaces_a_listed_position() -> None:
    """7 lots at 2.5 units each; a long gets the floor, a short pays the ceiling."""
    state = held({7: (7, 0), 9: (1, 0)}, {7: (-7, 0), 9: (-1, 0)})
    effect = apply_batch(state, header(), BatchData(NetDeltas({2: 0, 3: 0}, {}), ()), (), {7: 2_500_000})
    assert [effect.accounts[index].cash_e6 for index in (1, 2, 3)] == [1, 117, 82]
    assert [effect.accounts[index].positions for index in (2, 3)] == [{9: (1, 0)}, {9: (-1, 0)}]
    state.commit(effect)
    state.check()


def test_a_position_begins_at_the_opening_index() -> None:
    """What a batch opens owes nothing for the time before it."""
    deltas = NetDeltas({2: -30, 3: 30}, {(2, PERP): 1, (3, PERP): -1})
    effect = apply_batch(ledger(), header(), BatchData(deltas, ()), (), {PERP: 77})
    assert effect.accounts[2].positions[PERP] == (1, 77)
    assert effect.accounts[1].cash_e6 == 0
