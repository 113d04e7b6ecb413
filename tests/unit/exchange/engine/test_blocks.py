"""Block trades: every leg of a signed quote at once or nothing, checked for both parties with all legs held."""

from typing import Any

import pytest
from msgspec.structs import replace

from exchange.domain.auctions import Phase, SetPhase
from exchange.domain.blocks import BlockLeg, BlockRefused, BlockSide, BlockTraded, ExecuteBlock
from exchange.domain.commands import BatchCut, ChainRequestKind, OrderFlag
from exchange.domain.events import BatchClosed, Event, OrderAccepted, OrderClosed
from exchange.domain.ids import FUND_ACCOUNT
from exchange.domain.limits import MAX_BLOCK_LEGS
from exchange.domain.market_limits import MarketLimits, SetMarketLimits
from exchange.domain.packing import CommandEvents, pack_command, pack_events, unpack_commands, unpack_events
from exchange.domain.result_codes import OrderStatus, ResultCode
from exchange.engine.config import EngineConfig
from exchange.engine.snapshot import dump, load
from exchange.engine.state_hash import state_hash
from matching_core import OrderBook
from tests.unit.exchange.engine.world import BUY, CALL, E6, PERP, PUT, SECOND_NS, SELL, World, owner, refusal, trades

MAKER, TAKER, KEY = 2, 3, 77
LEGS = (BlockLeg(CALL, 1_500, 10), BlockLeg(PERP, 600_000, -30), BlockLeg(PUT, 800, -10))
"""The maker buys 0.1 calls at 1,500, sells 0.03 BTC at 60,000 and 0.1 puts at 800: 150 - 1,800 - 80 USDC."""
FEES = (1_380_000, 4_140_000)
"""100 ppm of 6,000 for each option, of 1,800 for the perpetual; the taker's three times that."""


def half(world: World, account: int, **fields: Any) -> BlockSide:
    """What an account signs, with a fresh nonce and enough for fees."""
    values: dict[str, Any] = {
        "nonce": world.now_ns + account,
        "expiry_s": world.now_ns // SECOND_NS + 600,
        "signer": owner(account),
        "max_fee": (10**5 * 10**18).to_bytes(16, "little"),
        "digest": bytes([account]) * 32,
        "signature": b"\x05" * 65,
    }
    return BlockSide(subaccount=account, **{**values, **fields})


def block(world: World, legs: tuple[BlockLeg, ...] = LEGS, **fields: Any) -> ExecuteBlock:
    """Account 3 executes a quote of account 2; `maker` and `taker` change what they sign."""
    maker = half(world, **{"account": MAKER, **fields.pop("maker", {})})
    taker = half(world, **{"account": TAKER, **fields.pop("taker", {})})
    return ExecuteBlock(legs=legs, maker=maker, taker=taker, rfq=7, quote=8, **fields)


def trade(world: World, legs: tuple[BlockLeg, ...] = LEGS, **fields: Any) -> list[Event]:
    """Send such a block."""
    return world.run(block(world, legs, **fields))


def refused(events: list[Event]) -> tuple[ResultCode, bool, int] | None:
    """Code, whether the maker is at fault, and the leg; None when the block traded."""
    for event in events:
        if isinstance(event, BlockRefused):
            return event.code, event.is_of_maker, event.instrument
    return None


def lots(world: World, account: int) -> dict[int, int]:
    """What an account holds."""
    return {number: row.lots for number, row in world.state.accounts[account].positions.items()}


def money(world: World) -> dict[int, int]:
    """All cash."""
    return {index: account.ledger_cash_e6 for index, account in world.state.accounts.items()}


def leg(instrument: int = PERP, price_ticks: int = 600_000, maker_lots: int = 1) -> tuple[BlockLeg]:
    """A single leg."""
    return (BlockLeg(instrument, price_ticks, maker_lots),)


@pytest.mark.parametrize(
    ("legs", "fields", "expected"),
    [
        ((), {}, (ResultCode.PARAMETER_INVALID, False, 0)),
        ((*leg(), *leg()), {}, (ResultCode.PARAMETER_INVALID, False, 0)),
        (tuple(BlockLeg(n, 1, 1) for n in range(MAX_BLOCK_LEGS + 1)), {}, (ResultCode.PARAMETER_INVALID, False, 0)),
        (leg(maker_lots=0), {}, (ResultCode.BAD_AMOUNT, False, PERP)),
        (LEGS, {"taker": {"account": 99}}, (ResultCode.SUBACCOUNT_NOT_FOUND, False, CALL)),
        (LEGS, {"maker": {"account": FUND_ACCOUNT}}, (ResultCode.SUBACCOUNT_NOT_FOUND, True, CALL)),
        (LEGS, {"taker": {"signer": owner(KEY)}}, (ResultCode.SIGNER_UNKNOWN, False, CALL)),
        (LEGS, {"maker": {"signer": owner(TAKER)}}, (ResultCode.SIGNER_UNKNOWN, True, CALL)),
        (LEGS, {"maker": {"expiry_s": 1}}, (ResultCode.BAD_SIGNATURE_EXPIRY, True, CALL)),
        (LEGS, {"taker": {"expiry_s": 2**32 - 1}}, (ResultCode.BAD_SIGNATURE_EXPIRY, False, CALL)),
        (LEGS, {"maker": {"account": TAKER}}, (ResultCode.SELF_CROSSING, False, 0)),
        (LEGS, {"taker": {"nonce": 1}}, (ResultCode.NONCE_OUTSIDE_WINDOW, False, 0)),
        (LEGS, {"maker": {"nonce": 2**63}}, (ResultCode.NONCE_OUTSIDE_WINDOW, True, 0)),
        (leg(5), {}, (ResultCode.INSTRUMENT_NOT_FOUND, False, 5)),
        (leg(price_ticks=0), {}, (ResultCode.BAD_PRICE, False, PERP)),
        ((*leg(CALL, 1_500), *leg(price_ticks=10**8)), {}, (ResultCode.BAD_PRICE, False, PERP)),
        (leg(maker_lots=-(10**7)), {}, (ResultCode.BAD_AMOUNT, False, PERP)),
        (LEGS, {"taker": {"max_fee": ((FEES[1] * 10**12) - 1).to_bytes(16, "little")}},
         (ResultCode.MAX_FEE_TOO_LOW, False, 0)),
        (LEGS, {"maker": {"max_fee": bytes(16)}}, (ResultCode.MAX_FEE_TOO_LOW, True, 0)),
        (leg(maker_lots=10**5), {}, (ResultCode.INSUFFICIENT_MARGIN, False, 0)),
    ],
)  # fmt: skip
def test_a_block_that_is_not_in_order_trades_nothing(
    legs: tuple[BlockLeg, ...], fields: dict[str, Any], expected: tuple[ResultCode, bool, int]
) -> None:
    """Each with its code and whose half it is; nobody's money or position moves, and no order is left."""
    world = World().open()
    before = money(world)
    events = trade(world, legs, **fields)
    assert refused(events) == expected
    assert len(events) == 1
    assert money(world) == before
    assert not lots(world, MAKER)
    assert not lots(world, TAKER)


def test_all_legs_trade_at_once_with_exact_cash_and_fees() -> None:
    """Positions are the signed ones, the legs' worth goes over, each pays its fees, which are account 0's."""
    world = World().open()
    before = money(world)
    events = trade(world)
    assert refused(events) is None
    assert lots(world, MAKER) == {CALL: 10, PERP: -30, PUT: -10}
    assert lots(world, TAKER) == {CALL: -10, PERP: 30, PUT: 10}
    paid = (150 - 1_800 - 80) * E6
    after = money(world)
    moved = {index: after[index] - before[index] for index in (FUND_ACCOUNT, MAKER, TAKER)}
    assert moved == {FUND_ACCOUNT: sum(FEES), MAKER: -paid - FEES[0], TAKER: paid - FEES[1]}
    (summary,) = [event for event in events if isinstance(event, BlockTraded)]
    assert (summary.rfq, summary.quote, summary.maker, summary.taker, summary.leg_count) == (7, 8, MAKER, TAKER, 3)
    assert (summary.taker_pays_e6, summary.maker_fee_e6, summary.taker_fee_e6) == (-paid, *FEES)


def test_each_leg_is_told_as_orders_of_both_that_fill_and_end() -> None:
    """Numbers say leg and party, digests are those of the signed halves, and the trades name them."""
    world = World().open()
    events = trade(world)
    accepted = [event for event in events if isinstance(event, OrderAccepted)]
    assert [event.order & 0xFF for event in accepted] == [0, 1, 2, 3, 4, 5]
    assert [event.subaccount for event in accepted] == [MAKER, TAKER] * 3
    assert {(event.subaccount, event.digest) for event in accepted} == {(MAKER, b"\x02" * 32), (TAKER, b"\x03" * 32)}
    assert all(event.flags == OrderFlag.BLOCK for event in accepted)
    found = trades(events)
    assert [(row.instrument, row.price_ticks, row.quantity_lots, row.taker_side) for row in found] == [
        (CALL, 1_500, 10, SELL), (PERP, 600_000, 30, BUY), (PUT, 800, 10, BUY),
    ]  # fmt: skip
    assert [(row.maker.order, row.taker.order) for row in found] == [
        (accepted[at].order, accepted[at + 1].order) for at in (0, 2, 4)
    ]
    ended = [(event.order, event.status) for event in events if isinstance(event, OrderClosed)]
    assert sorted(ended) == [(event.order, OrderStatus.FILLED) for event in accepted]


def test_a_refused_taker_has_spent_his_nonce_and_the_maker_has_not() -> None:
    """The same quote trades with another execution; afterwards it is used up."""
    world = World().open()
    first = block(world, taker={"max_fee": bytes(16)})
    assert refused(world.run(first)) == (ResultCode.MAX_FEE_TOO_LOW, False, 0)
    assert refused(world.run(replace(block(world), taker=first.taker))) == (ResultCode.NONCE_USED, False, 0)
    again = replace(block(world), maker=first.maker)
    assert refused(world.run(again)) is None
    assert refused(world.run(replace(block(world), maker=first.maker))) == (ResultCode.NONCE_USED, True, 0)
    assert refused(world.run(again)) == (ResultCode.NONCE_USED, False, 0)


def test_a_used_quote_is_no_order_and_a_used_order_no_quote() -> None:
    """Blocks and orders share the nonces of a signer."""
    world = World().open()
    done = block(world)
    world.run(done)
    assert refusal(world.place(MAKER, BUY, 1, 1, nonce=done.maker.nonce)) is ResultCode.NONCE_USED
    world.place(MAKER, BUY, 1, 1, nonce=(used := world.now_ns + 5))
    assert refused(trade(world, maker={"nonce": used})) == (ResultCode.NONCE_USED, True, 0)


def test_margin_counts_all_legs_together() -> None:
    """Who is short calls sells perpetuals with the margin that buying the calls back sets free in the same block."""
    world = World().open(deposit=10_000 * E6)
    trade(world, leg(CALL, 1_500, 100))
    perpetual, calls = leg(PERP, 600_000, 150)[0], BlockLeg(CALL, 1_500, -100)
    more = BlockLeg(CALL, 1_500, 60)
    assert refused(trade(world, (more, perpetual))) == (ResultCode.INSUFFICIENT_MARGIN, False, 0)
    assert refused(trade(world, (calls, perpetual))) is None
    assert lots(world, TAKER) == {PERP: -150}


def test_open_orders_count_with_the_legs() -> None:
    """An order that rests keeps its margin: the block that fits without it does not fit beside it."""
    world = World().open(deposit=10_000 * E6)
    order = world.place(TAKER, BUY, 590_000, 1_200)
    assert refusal(order) is ResultCode.OK
    assert refused(trade(world, leg(maker_lots=-3_800))) == (ResultCode.INSUFFICIENT_MARGIN, False, 0)
    world.cancel(TAKER, next(event.order for event in order if isinstance(event, OrderAccepted)))
    assert refused(trade(world, leg(maker_lots=-3_800))) is None


def test_keys_need_the_scopes_of_requests_for_quotes() -> None:
    """Codes 7, 9 and 10 (api.md 4.6) for all, perpetuals and options; those of the book alone do not count."""
    for scopes, expected in (
        (1 << 3 | 1 << 5 | 1 << 6, (ResultCode.SCOPE_MISSING, True, CALL)),
        (1 << 9, (ResultCode.SCOPE_MISSING, True, CALL)),
        (1 << 10, (ResultCode.SCOPE_MISSING, True, PERP)),
        (1 << 9 | 1 << 10, None),
        (1 << 7, None),
        (1 << 2, None),
        (1 << 0, None),
    ):
        world = World().open()
        world.run_cut()
        world.request(
            ChainRequestKind.SET_KEY, MAKER, owner=owner(MAKER), key=owner(KEY), scopes=scopes,
            valid_to_s=world.now_ns // SECOND_NS + 86_400,
        )  # fmt: skip
        assert refused(trade(world, maker={"signer": owner(KEY)})) == expected


def test_a_user_cannot_send_a_leg_as_an_order() -> None:
    """The flag is the engine's own."""
    world = World().open()
    assert refusal(world.place(MAKER, BUY, 600_000, 1, flags=OrderFlag.BLOCK)) is ResultCode.PARAMETER_INVALID


def test_markets_in_a_call_or_without_fresh_prices_refuse_the_whole_block() -> None:
    """One closed market of three is enough; on stale prices what reduces for both would pass."""
    world = World().open()
    world.run(SetPhase(instrument=PUT, phase=Phase.AUCTION, deadline_ns=world.now_ns + 60 * SECOND_NS))
    assert refused(trade(world)) == (ResultCode.IN_AUCTION, False, PUT)
    world = World().open()
    trade(world, leg())
    world.clock(30)
    assert refused(trade(world, leg())) == (ResultCode.MARKET_REDUCE_ONLY, False, PERP)
    assert refused(trade(world, leg(maker_lots=-1))) is None


def test_caps_of_open_interest_and_positions_bind_blocks() -> None:
    """The taker may not open beyond the cap, and neither party beyond its own limit."""

    def limited(**fields: int) -> World:
        world = World().open()
        world.run(SetMarketLimits(limits=MarketLimits(instrument=PERP, **fields)))
        return world

    assert refused(trade(limited(governance_e6=600 * E6), leg(maker_lots=20))) == (
        ResultCode.OPEN_INTEREST_CAP, False, PERP,
    )  # fmt: skip
    assert refused(trade(limited(governance_e6=600 * E6), leg(maker_lots=10))) is None
    assert refused(trade(limited(subaccount_e6=600 * E6), leg(maker_lots=20))) == (
        ResultCode.POSITION_LIMIT, False, PERP,
    )  # fmt: skip


def test_positions_are_bounded_by_all_legs_of_a_block() -> None:
    """Two positions at most: three legs are one too many, two are not."""
    world = World(config=EngineConfig(positions_max=2)).open()
    assert refused(trade(world)) == (ResultCode.TOO_MANY_POSITIONS, False, PUT)
    assert refused(trade(world, LEGS[:2])) is None


def test_a_block_is_nobodys_last_price() -> None:
    """Stops that watch the last trade, and moves that begin a call, do not see what was negotiated."""
    world = World().open()
    world.place(MAKER, BUY, 600_000, 1)
    world.place(4, SELL, 600_000, 1)
    before = dict(world.state.prices.last_ticks)
    trade(world, leg(price_ticks=500_000))
    assert dict(world.state.prices.last_ticks) == before


def test_no_batch_ends_between_two_legs() -> None:
    """A batch that has no room for all of a block ends before its first leg."""
    world = World(config=EngineConfig(batch_instruments_max=3)).open()
    world.place(MAKER, BUY, 600_000, 1)
    world.place(4, SELL, 600_000, 1)
    events = trade(world, LEGS)
    kinds = [type(event) for event in events if isinstance(event, BatchClosed | BlockTraded)]
    assert kinds == [BatchClosed, BlockTraded]
    (closed,) = [event for event in world.run(BatchCut()) if isinstance(event, BatchClosed)]
    assert closed.fill_count == len(LEGS)


def test_commands_and_events_are_bytes_and_back() -> None:
    """With a fee cap beyond 64 bits."""
    world = World().open()
    command = block(world)
    record, attachments = pack_command(command)
    assert next(unpack_commands(record, attachments)) == command
    packed = CommandEvents(1, 2, world.run(command))
    assert unpack_events(pack_events([packed])) == [packed]


def test_a_snapshot_behind_a_block_goes_on_as_the_state_does() -> None:
    """Remembered legs have no names, in the state and in what was loaded."""
    world = World(OrderBook).open()
    done = block(world)
    world.run(done)
    restored = load(dump(world.state), OrderBook, world.state.config)
    assert state_hash(restored) == state_hash(world.state)
    for state in (restored, world.state):
        assert state.number_of(MAKER, "", done.maker.nonce) == 0
