# Types of the compiled scan; what it means stands in scanning.py.

from array import array

__all__ = ["Scan"]

class Scan:
    def __init__(
        self,
        cells: memoryview[int],
        columns: tuple[int, int, int, int],
        one: int,
        moved: array[int],
        dampening: array[int],
        is_skew: bytes,
        multipliers: memoryview[int],
    ) -> None: ...
    def run(
        self,
        starts: array[int],
        rows: array[int],
        expiries: array[int],
        counts: array[int],
        units: array[int],
        linear: array[int],
        left_over: bytearray,
        out: array[int],
    ) -> None: ...
