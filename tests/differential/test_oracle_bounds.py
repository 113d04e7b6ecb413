"""F4 three times over: contract, Python twin and watcher come to one verdict on each row of random rounds."""

import random
from collections.abc import Iterator
from typing import Any

import pytest
from web3 import Web3

from settlement.protocol.linear_bounds import LARGE_CAP, MAJOR, BoundTerms, ListedTerms
from settlement.protocol.netting import NetDeltas
from settlement.protocol.oracle import MarkRow, OracleVector
from settlement.protocol.oracle_bounds import bounded_price_e6, broken_bounds
from settlement.protocol.state_tree import leaf_preimage
from settlement.protocol.transition import RequestKind
from settlement.watch import rounds as watched
from settlement.watch.accounts import AccountTree, WatchedAccount
from settlement.watch.refusals import terms_of
from tests.differential.dispute_world import NO_FRAUD, DisputeWorld, Posted, encoded

CALL, PUT = 1, 2
PERPS = (0x80000001, 0x80000007)
INSTRUMENTS = (CALL, PUT, *PERPS)
UNDERLYING, EXPIRY_S, STRIKE_E8 = 5, 1_900_000_000, 50_000 * 10**8
LOT_E18 = 10**15
ROUNDS = 26
ACCOUNTS = (2, 3)


def asset_of(place: int) -> str:
    """Address of an asset of its own."""
    return str(Web3.to_checksum_address(bytes([place + 1]) * 20))


def spec_of(number: int) -> tuple[Any, ...]:
    """The contract's spec of an instrument."""
    place = INSTRUMENTS.index(number)
    factor_class = MAJOR if number == PERPS[1] else LARGE_CAP
    if number in PERPS:
        return asset_of(place), 0, True, False, UNDERLYING, 0, 0, LOT_E18, 10, factor_class
    sub_id = int(number == CALL) << 95 | STRIKE_E8 << 32 | EXPIRY_S
    return asset_of(place), sub_id, False, number == CALL, UNDERLYING, EXPIRY_S, STRIKE_E8, LOT_E18, 10, factor_class


def terms(number: int) -> ListedTerms:
    """The twin's terms of the same instrument."""
    spec = spec_of(number)
    bounds = BoundTerms(is_perpetual=spec[2], lot_e18=spec[7], factor_class=spec[9])
    return ListedTerms(bounds=bounds, underlying=spec[4], is_call=spec[3], strike_e8=spec[6], expiry_s=spec[5])


@pytest.fixture(scope="module")
def world() -> Iterator[DisputeWorld]:
    """Two accounts with positions in everything, and everything listed."""
    world = DisputeWorld()
    for number in INSTRUMENTS:
        asset, sub_id, is_perpetual, _, _, _, _, lot_e18, unit, factor_class = spec_of(number)
        row = (True, is_perpetual, UNDERLYING, lot_e18, unit, factor_class)
        world.send(world.vault.functions.setAsset(asset, row))
        world.send(world.vault.functions.listInstruments([number], [asset], [sub_id]))
    for owner in world.owners[:2]:
        world.ask(RequestKind.DEPOSIT, 0, owner, 5_000_000_000)
    world.publish(OracleVector(round_number=1, index_e6={UNDERLYING: 50_000 * 10**6}))
    cells = {(2, number): 7 for number in INSTRUMENTS} | {(3, number): -7 for number in INSTRUMENTS}
    post(world, NetDeltas(dict.fromkeys(ACCOUNTS, 0), cells))
    return world


def post(world: DisputeWorld, deltas: NetDeltas) -> Posted:
    """Post the next batch and take it over."""
    effect = world.effect(deltas)
    posted = world.post(world.header(deltas), encoded(deltas), world.root_of(effect))
    world.advance(posted, effect)
    return posted


def next_round(rng: random.Random, before: OracleVector, elapsed_s: int) -> OracleVector:
    """A round that breaks none of the bounds, or one by a unit, or by much."""
    old_e6 = before.index_e6.get(UNDERLYING, 50_000 * 10**6)
    edge_e6 = bounded_price_e6(old_e6, rng.choice((0, old_e6, 1 << 60)), elapsed_s)
    price_e6 = max(1, edge_e6 + rng.choice((-1, 0, 0, 1)))
    rows: dict[int, MarkRow] = {}
    for number, rate in zip(PERPS, (10, 25), strict=True):
        most = (max(price_e6, old_e6) + 1) * LOT_E18 * rate * elapsed_s // 10**18
        start = before.rows[number].fund_index if number in before.rows else 0
        step = rng.choice((0, 1, most, most, most + 1, 3 * most)) * rng.choice((-1, 1))
        if rng.random() < 0.85:
            rows[number] = MarkRow(mark_e6=rng.randrange(10**6), fund_index=start + step)
    settlements = {(UNDERLYING, EXPIRY_S): rng.choice((STRIKE_E8 // 100 + 3_333_333, STRIKE_E8 // 100 - 7))}
    price = settlements[UNDERLYING, EXPIRY_S]
    for number in (CALL, PUT):
        was = before.rows.get(number)
        if was is not None and was.is_settled and rng.random() < 0.6:
            rows[number] = was
        elif rng.random() < 0.5:
            above = (100 * price - STRIKE_E8) * (1 if number == CALL else -1)
            due = max(0, above) * LOT_E18 // 10**14
            rows[number] = MarkRow(payoff_e12=max(0, due + rng.choice((-1, 0, 0, 0, 1, LOT_E18 // 10**12))))
    return OracleVector(
        round_number=before.round_number + 1,
        rows=rows,
        index_e6={UNDERLYING: price_e6} if rng.random() < 0.9 else {},
        settlement_e6=settlements if rng.random() < 0.8 else {},
    )


def verdict(world: DisputeWorld, posted: Posted, before: OracleVector, number: int) -> bool:
    """Whether the contract takes a proof about an instrument, or about the price (0)."""
    account = world.ledger.account(2)
    held = leaf_preimage(account), b"".join(world.ledger.tree.multiproof([2]))
    spec = spec_of(number) if number else (asset_of(0), 0, False, False, UNDERLYING, 0, 0, 0, 0, 0)
    proof = (before.encode(), world.opening.encode(), number, spec, 2, *held)
    previous = world.headers[posted.seq - 1]
    answer = world.refusal(world.vault.functions.proveOracleBound(posted.seq, previous, posted.header, proof))
    assert answer in {b"", NO_FRAUD}
    return answer == b""


def seen_by_the_watcher(world: DisputeWorld, before: OracleVector, times: tuple[int, int]) -> set[int]:
    """Instruments (0: price) that the watcher would name."""
    tree = AccountTree()
    tree.change(
        {index: WatchedAccount(row.owner, row.cash_e6, row.positions) for index, row in world.ledger.accounts.items()}
    )
    rounds = (
        watched.WatchedRound(vector.round_number, time_s, vector.encode())
        for vector, time_s in zip((before, world.opening), times, strict=True)
    )
    found = watched.broken_bounds(*rounds, {number: terms_of(spec_of(number)) for number in INSTRUMENTS}, tree)
    return {row.instrument for row in found}


def seen_by_the_twin(world: DisputeWorld, before: OracleVector, elapsed_s: int) -> set[int]:
    """The same from the protocol's own predicate, read off its lines."""
    held = world.ledger.account(2).positions.keys()
    known = {number: terms(number) for number in INSTRUMENTS}
    lines = list(broken_bounds(before, world.opening, elapsed_s, known, held))
    return {0 if "price" in line else int(line.split()[1]) for line in lines}


def test_three_readings_of_a_round_agree(world: DisputeWorld) -> None:
    """Prices, funding, payoffs and missing rows at the bound, a unit beyond and far beyond; each row on its own."""
    rng = random.Random(23)
    wrong = dict.fromkeys((0, *INSTRUMENTS), 0)
    honest = 0
    for _ in range(ROUNDS):
        before, before_s = world.opening, time_of(world)
        tester = world.web3.provider.ethereum_tester  # type: ignore[attr-defined]
        tester.time_travel(world.now_s() + rng.choice((1, 7, 60)))
        elapsed_s = world.now_s() - before_s + 1
        world.publish(next_round(rng, before, elapsed_s))
        assert time_of(world) - before_s + 1 == elapsed_s
        effect = world.effect(NetDeltas({}, {}))
        posted = world.post(world.header(NetDeltas({}, {})), encoded(NetDeltas({}, {})), world.root_of(effect))
        found = seen_by_the_twin(world, before, elapsed_s)
        assert seen_by_the_watcher(world, before, (before_s, time_of(world))) == found
        assert {number for number in wrong if verdict(world, posted, before, number)} == found
        world.advance(posted, effect)
        honest += not found
        for number in found:
            wrong[number] += 1
    assert min(wrong.values()) >= 2
    assert honest >= 1


def time_of(world: DisputeWorld) -> int:
    """Time of the last round."""
    return int(world.vault.functions.oracle(world.opening.round_number).call()[1])
