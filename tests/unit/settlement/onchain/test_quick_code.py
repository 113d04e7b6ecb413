"""Quick code is py-evm's word for word: answer, gas, failure, stack, memory and logs, operation by operation."""

from random import Random

import pytest
from eth.constants import BLANK_ROOT_HASH
from eth.db.atomic import AtomicDB
from eth.vm.execution_context import ExecutionContext
from eth.vm.forks.prague.computation import PragueComputation
from eth.vm.forks.prague.state import PragueState
from eth.vm.message import Message

from settlement.onchain.quick_code import QuickComputation

ADDRESS, SENDER = b"\x11" * 20, b"\x22" * 20
CONTEXT = ExecutionContext(
    coinbase=bytes(20),
    timestamp=1_800_000_000,
    block_number=7,
    difficulty=0,
    mix_hash=bytes(32),
    gas_limit=30_000_000,
    prev_hashes=(),
    chain_id=31337,
    base_fee_per_gas=7,
    excess_blob_gas=0,
)
VALUES = (0, 1, 2, 31, 32, 255, 256, 1 << 128, (1 << 255) - 1, 1 << 255, (1 << 255) + 1, (1 << 256) - 1)
TWO_OPERANDS = (*range(0x01, 0x08), 0x0B, *range(0x10, 0x15), *range(0x16, 0x19), *range(0x1A, 0x1E))
BLOCK_HASHES_CALLS_AND_ENDS = {0x40, 0xF0, 0xF1, 0xF2, 0xF4, 0xF5, 0xFA, 0xFF}
OPERATIONS = tuple(sorted(set(PragueComputation.opcodes) - BLOCK_HASHES_CALLS_AND_ENDS))
FREQUENT = (*range(0x60, 0x63), 0x52, 0x51, 0x35, 0x57, 0x56, 0x5B, *range(0x80, 0x84), *range(0x90, 0x94), 0x01, 0x50)


def push(value):
    """PUSH32 of a number."""
    return b"\x7f" + value.to_bytes(32, "big")


def outcome(kind, code, gas, data):
    """What a run of the code leaves."""
    state = PragueState(AtomicDB(), CONTEXT, BLANK_ROOT_HASH)
    message = Message(gas=gas, to=ADDRESS, sender=SENDER, value=0, data=data, code=code)
    context = state.get_transaction_context_class()(gas_price=1, origin=SENDER)
    done = kind.apply_computation(state, message, context)
    # py-evm has two names for a jump that goes wrong.
    error = type(done.error).__name__.replace("InvalidInstruction", "InvalidJumpDestination") if done.is_error else ""
    stack = [item if isinstance(item, int) else int.from_bytes(item, "big") for item in done._stack.values]
    left = "" if done.is_error else (stack, bytes(done._memory._bytes), state.make_state_root())
    return error, done.output, done.get_gas_used(), left, done.get_log_entries()


def same(code, gas=1_000_000, data=b""):
    """The outcome, when it is py-evm's."""
    wanted = outcome(PragueComputation, code, gas, data)
    assert outcome(QuickComputation, code, gas, data) == wanted, (code.hex(), gas)
    return wanted


@pytest.mark.parametrize(
    ("code", "gas", "error"),
    [
        ("5b600056", 1_000, "OutOfGas"),
        ("600160020100", 8, "OutOfGas"),
        ("01", 1_000, "InsufficientStack"),
        ("600101", 1_000, "InsufficientStack"),
        ("81", 1_000, "InsufficientStack"),
        ("600191", 1_000, "InsufficientStack"),
        ("600052", 1_000, "InsufficientStack"),
        ("5b5f600056", 100_000, "FullStack"),
        ("5f5b80600156", 100_000, "FullStack"),
        ("600456", 1_000, "InvalidJumpDestination"),
        ("600456615b5b", 1_000, "InvalidJumpDestination"),
        ("6001600857615b5b", 1_000, "InvalidJumpDestination"),
        ("7f" + "ff" * 32 + "56", 1_000, "InvalidJumpDestination"),
        ("7f" + "ff" * 32 + "51", 1_000_000, "OutOfGas"),
        ("0c", 1_000, "InvalidJumpDestination"),
        ("60006000fd", 1_000, "Revert"),
    ],
)
def test_what_fails_fails_the_same_way(code, gas, error):
    """Gas, stack and jumps; all gas is gone but for a revert."""
    assert same(bytes.fromhex(code), gas)[0] == error


@pytest.mark.parametrize("opcode", TWO_OPERANDS)
def test_two_operands(opcode):
    """Every pair of edges."""
    for upper in VALUES:
        for lower in VALUES:
            same(push(lower) + push(upper) + bytes([opcode]))


@pytest.mark.parametrize("opcode", [0x15, 0x19, 0x35, 0x50, 0x51])
def test_one_operand(opcode):
    """Every edge; memory of one word, call data of 40 bytes."""
    for value in VALUES:
        same(push(7) + push(0) + b"\x52" + push(value) + bytes([opcode]), data=bytes(range(40)))


@pytest.mark.parametrize("start", [0, 1, 31, 32, 64, 1_000])
def test_memory_grows_as_it_costs(start):
    """Words at, across and beyond the end, written, then read."""
    same(push(5) + push(start) + b"\x52" + push(6) + push(max(0, start - 1)) + b"\x52" + push(start + 1) + b"\x51")


@pytest.mark.parametrize("size", range(33))
def test_constants_that_the_code_cuts_off(size):
    """The missing bytes are zeros, whole and cut."""
    for held in range(size + 1):
        same(bytes([0x5F + size]) + b"\x5b" * held)


@pytest.mark.parametrize("seed", range(8))
def test_random_code(seed):
    """Any operations over small numbers, with little gas or much; most fail, all the same way."""
    rng = Random(seed)
    ends = set()
    for _ in range(150):
        parts = [push(rng.choice(VALUES)) for _ in range(rng.randrange(6))]
        for _ in range(rng.randrange(40)):
            opcode = rng.choice(FREQUENT if rng.random() < 0.8 else OPERATIONS)
            width = max(0, opcode - 0x5F) if opcode <= 0x7F else 0
            parts.append(bytes([opcode]) + bytes(width - 1 if width else 0) + rng.randbytes(width > 0))
        ends.add(same(b"".join(parts), rng.choice((30, 500, 50_000)), rng.randbytes(40))[0])
    assert len(ends) >= 4
