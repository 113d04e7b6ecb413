"""Blocks over both engine states: the same events, snapshots and state hash among orders of every kind."""

from collections import Counter

import pytest
from msgspec.structs import replace

from exchange.domain.blocks import BlockRefused, BlockTraded
from exchange.domain.packing import pack_command, unpack_commands
from exchange.engine.apply import apply
from exchange.engine.invariants import check_invariants
from exchange.engine.snapshot import dump, load
from exchange.engine.state import State
from exchange.engine.state_hash import state_hash
from tests.differential.block_commands import BlockCommands
from tests.differential.engine_commands import FastStream

compiled_state = pytest.importorskip("exchange.engine.compiled_state")
run = pytest.importorskip("tests.differential.compiled_engine_run")
CONFIG = replace(run.CONFIG, positions_max=6, short_move_ppm=40_000, long_move_ppm=50_000)
"""Room for blocks of five legs, and fewer calls, which refuse them."""


@pytest.mark.parametrize(("seed", "draws_limits"), [(31, False), (32, True)])
def test_blocks_among_orders_give_no_difference(seed: int, draws_limits: bool) -> None:
    """12,000 commands, one in eight a block; every 2,000 the state is what its snapshot says, and adds up."""
    twin, rows = State(run.small_book, CONFIG), compiled_state.CompiledState(run.small_book, CONFIG)
    stream = FastStream(seed, draws_limits=draws_limits)
    blocks, counts = BlockCommands(seed, stream), Counter[str]()
    todo = list(stream.opening())
    for number in range(12_000):
        if number > len(todo) and blocks.pick.random() < 0.125:
            stream.sequence += 1
            command, now_ns = blocks.draw(), stream.now_ns
            assert next(unpack_commands(*pack_command(command))) == command
        else:
            command, now_ns = todo[number] if number < len(todo) else stream.next()
        expected = apply(twin, command, now_ns)
        assert apply(rows, command, now_ns) == expected, f"command {number}: {command}"
        for event in expected:
            if isinstance(event, BlockTraded):
                counts[f"traded {event.leg_count}"] += 1
            elif isinstance(event, BlockRefused):
                counts[f"refused {event.code.name}"] += 1
        if number % 2_000 == 0:
            check_invariants(twin)
            assert dump(rows) == dump(twin)
            twin = load(dump(twin), run.small_book, CONFIG)
    assert state_hash(rows) == state_hash(twin)
    assert all(counts[f"traded {legs}"] > least for legs, least in ((1, 100), (2, 40), (3, 10))), counts
    assert counts["refused INSUFFICIENT_MARGIN"] > 20, counts
    assert counts["refused NONCE_USED"] > 1, counts
    assert counts["refused MAX_FEE_TOO_LOW"] > 3, counts
    assert not draws_limits or counts["refused POSITION_LIMIT"] + counts["refused OPEN_INTEREST_CAP"] > 5, counts
