"""Bytecode read once per contract: most operations are carried out while the code is walked, the others by py-evm.

py-evm takes its operations from an iterator over the code. This one does those that only touch stack, memory or the
place in the code by itself, with the same costs and limits, and hands over what touches state, calls, logs or hashes.
Every failure here takes all the gas, so what was left of it when it came needs no bookkeeping.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Final, NamedTuple

from eth.exceptions import FullStack, InsufficientStack, InvalidJumpDestination, OutOfGas
from eth.vm.code_stream import CodeStream
from eth.vm.forks.prague.computation import PragueComputation
from eth.vm.stack import Stack

__all__ = ["QuickComputation"]

_WORD: Final = (1 << 256) - 1
_SIGN: Final = 1 << 255
_DEEPEST: Final = 1_024
_PUSH0, _PUSH32, _DUP1, _DUP16, _SWAP1, _SWAP16, _JUMPDEST, _STOP = 0x5F, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0x5B, 0
_LONGEST_PUSH: Final = 32
_FOREIGN, _PUSH, _DUP, _SWAP, _WORDS, _MEMORY, _MOVE = range(7)
"""Kinds of steps: py-evm's, a constant, a copy, an exchange, on the stack alone, on memory or call data, a jump."""

_Values = list[int]


class _Step(NamedTuple):
    """One operation at its place: `what` is a constant, a depth or a function; nothing for one of py-evm's."""

    kind: int
    gas: int
    what: Any
    following: int
    opcode: int


class _Program(NamedTuple):
    steps: tuple[_Step, ...]
    targets: frozenset[int]


class _Numbers(Stack):
    """py-evm's stack with numbers only, as the steps want them."""

    __slots__ = ()

    def push_bytes(self, value: bytes) -> None:
        """Push what py-evm gives as bytes."""
        self.push_int(int.from_bytes(value, "big"))


class QuickComputation(PragueComputation):
    """Prague's computation over `QuickCode`."""

    def __init__(self, *arguments: Any) -> None:
        """As py-evm makes it: state, message, context of the transaction."""
        super().__init__(*arguments)
        self._stack = _Numbers()
        self.code = _QuickCode(self)


class _QuickCode(CodeStream):
    """py-evm's stream of opcodes that keeps for itself what it can do."""

    __slots__ = ("_computation",)

    def __init__(self, computation: Any) -> None:
        super().__init__(computation.msg.code)
        self._computation = computation

    def __iter__(self) -> Iterator[int]:
        """Opcodes that are left for py-evm, each when it is its turn."""
        steps, targets = _program(bytes(self._raw_code_bytes))
        meter = self._computation._gas_meter  # noqa: SLF001 - the meter of the computation that walks here
        while True:
            try:
                at, gas = self._walk(steps, targets, self.program_counter, meter.gas_remaining)
            except IndexError as error:
                raise InsufficientStack("an operation wanted more than the stack has") from error
            meter.gas_remaining = gas
            self.program_counter = at + 1
            yield steps[at].opcode

    def _walk(self, steps: tuple[_Step, ...], targets: frozenset[int], at: int, gas: int) -> tuple[int, int]:
        """Go on to the next step of py-evm's; returns its place and the gas that is left."""
        values: _Values = self._computation._stack.values  # noqa: SLF001
        kind, cost, what, following, _ = steps[at]
        while kind:
            gas -= cost
            if gas < 0:
                raise OutOfGas("out of gas")
            if kind == _WORDS:
                what(values)
            elif kind <= _DUP:
                values.append(what if kind == _PUSH else values[what])
                if len(values) > _DEEPEST:
                    raise FullStack("stack limit reached")
            elif kind == _SWAP:
                values[-1], values[what] = values[what], values[-1]
            elif kind == _MOVE:
                following = what(values, following, targets)
            elif not what(values, self._computation):
                # Memory has to grow, which costs: py-evm does it, and its own price is taken there.
                return at, gas + cost
            at = following
            kind, cost, what, following, _ = steps[at]
        return at, gas


# Steps on the stack alone: the upper value is popped, the lower one replaced by the result.


def _signed(value: int) -> int:
    return value - (1 << 256) if value & _SIGN else value


def _of_two(result: Callable[[int, int], int]) -> Callable[[_Values], None]:
    def step(values: _Values) -> None:
        upper = values.pop()
        values[-1] = result(upper, values[-1])

    return step


def _add(values: _Values) -> None:
    upper = values.pop()
    values[-1] = (upper + values[-1]) & _WORD


def _and(values: _Values) -> None:
    upper = values.pop()
    values[-1] &= upper


def _equal(values: _Values) -> None:
    upper = values.pop()
    values[-1] = 1 if upper == values[-1] else 0


def _is_zero(values: _Values) -> None:
    values[-1] = 0 if values[-1] else 1


def _not(values: _Values) -> None:
    values[-1] ^= _WORD


def _nothing(values: _Values) -> None:
    del values


def _shift_right_signed(length: int, value: int) -> int:
    return (_signed(value) >> min(length, 256)) & _WORD


_ON_WORDS: Final[dict[int, Callable[[_Values], object]]] = {
    0x01: _add,
    0x02: _of_two(lambda upper, lower: (upper * lower) & _WORD),
    0x03: _of_two(lambda upper, lower: (upper - lower) & _WORD),
    0x04: _of_two(lambda upper, lower: upper // lower if lower else 0),
    0x06: _of_two(lambda upper, lower: upper % lower if lower else 0),
    0x10: _of_two(lambda upper, lower: int(upper < lower)),
    0x11: _of_two(lambda upper, lower: int(upper > lower)),
    0x12: _of_two(lambda upper, lower: int(_signed(upper) < _signed(lower))),
    0x13: _of_two(lambda upper, lower: int(_signed(upper) > _signed(lower))),
    0x14: _equal,
    0x15: _is_zero,
    0x16: _and,
    0x17: _of_two(lambda upper, lower: upper | lower),
    0x18: _of_two(lambda upper, lower: upper ^ lower),
    0x19: _not,
    0x1B: _of_two(lambda upper, lower: (lower << upper) & _WORD if upper < 256 else 0),
    0x1C: _of_two(lambda upper, lower: lower >> upper if upper < 256 else 0),
    0x1D: _of_two(_shift_right_signed),
    0x50: list.pop,
    _JUMPDEST: _nothing,
}


# Steps on memory that is there already, and on call data; False: py-evm has to do it.


def _store(values: _Values, computation: Any) -> bool:
    memory, start = computation._memory._bytes, values[-1]  # noqa: SLF001
    if start + 32 > len(memory):
        return False
    memory[start : start + 32] = values[-2].to_bytes(32, "big")
    del values[-2:]
    return True


def _load(values: _Values, computation: Any) -> bool:
    memory, start = computation._memory._bytes, values[-1]  # noqa: SLF001
    if start + 32 > len(memory):
        return False
    values[-1] = int.from_bytes(memory[start : start + 32], "big")
    return True


def _load_call_data(values: _Values, computation: Any) -> bool:
    start = values[-1]
    values[-1] = int.from_bytes(computation.msg.data_as_bytes[start : start + 32].ljust(32, b"\x00"), "big")
    return True


_ON_MEMORY: Final[dict[int, Callable[[_Values, Any], bool]]] = {0x35: _load_call_data, 0x51: _load, 0x52: _store}


# Steps that go elsewhere.


def _jump(values: _Values, following: int, targets: frozenset[int]) -> int:
    del following
    target = values.pop()
    if target not in targets:
        raise InvalidJumpDestination("Invalid Jump Destination")
    return target


def _jump_if(values: _Values, following: int, targets: frozenset[int]) -> int:
    target = values.pop()
    if not values.pop():
        return following
    if target not in targets:
        raise InvalidJumpDestination("Invalid Jump Destination")
    return target


_MOVES: Final[dict[int, Callable[[_Values, int, frozenset[int]], int]]] = {0x56: _jump, 0x57: _jump_if}


# Reading the code


@lru_cache(maxsize=128)
def _program(code: bytes) -> _Program:
    """A step for each byte, also for those inside constants, where nothing ever goes; the code ends in stops."""
    padded = code + bytes(_LONGEST_PUSH + 1)
    steps = tuple(_step(padded, at) for at in range(len(code) + 1)) + (_stop(len(code)),) * _LONGEST_PUSH
    targets, at = set(), 0
    while at < len(code):
        if code[at] == _JUMPDEST:
            targets.add(at)
        at = steps[at].following
    return _Program(steps, frozenset(targets))


def _stop(at: int) -> _Step:
    return _Step(_FOREIGN, 0, None, at + 1, _STOP)


def _step(code: bytes, at: int) -> _Step:
    opcode = code[at]
    if _PUSH0 <= opcode <= _PUSH32:
        following = at + 1 + opcode - _PUSH0
        return _Step(_PUSH, _price(opcode), int.from_bytes(code[at + 1 : following], "big"), following, opcode)
    if _DUP1 <= opcode <= _DUP16:
        return _Step(_DUP, _price(opcode), _DUP1 - opcode - 1, at + 1, opcode)
    if _SWAP1 <= opcode <= _SWAP16:
        return _Step(_SWAP, _price(opcode), _SWAP1 - opcode - 2, at + 1, opcode)
    for kind, known in ((_WORDS, _ON_WORDS), (_MEMORY, _ON_MEMORY), (_MOVE, _MOVES)):
        if opcode in known:
            return _Step(kind, _price(opcode), known[opcode], at + 1, opcode)
    return _Step(_FOREIGN, 0, None, at + 1, opcode)


def _price(opcode: int) -> int:
    known: Any = PragueComputation.opcodes
    return int(known[opcode].gas_cost)
