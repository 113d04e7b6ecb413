"""Limits of batch format v1 and of the state; the contract enforces the same numbers where it reads the bytes."""

__all__ = [
    "CLEARING_ACCOUNT",
    "CLOSE_FLOOR_PPM",
    "CLOSE_PENALTY_PPM",
    "FIRST_USER_ACCOUNT",
    "FUND_ACCOUNT",
    "MAX_CALLDATA_BYTES",
    "MAX_CLOSES",
    "MAX_DATA_BYTES",
    "MAX_INSTRUMENTS",
    "MAX_LEAVES",
    "MAX_LISTED",
    "MAX_ORACLE_ROWS",
    "MAX_POSITIONS",
    "MAX_REQUESTS",
    "MAX_TOUCHED",
    "PERP_BIT",
]

FUND_ACCOUNT = 0
CLEARING_ACCOUNT = 1
FIRST_USER_ACCOUNT = 2
CLOSE_PENALTY_PPM = 10_000  # of mark: what an account pays that closes by request
CLOSE_FLOOR_PPM = 20_000  # of the gross value at mark: less equity than that is left to liquidation
MAX_TOUCHED = 104
MAX_LISTED = MAX_TOUCHED - 2  # accounts 0 and 1 count as touched and are never listed
MAX_INSTRUMENTS = 255
MAX_DATA_BYTES = 28_672
MAX_CALLDATA_BYTES = 120_000
MAX_CLOSES = 1  # CLOSE_ALL requests per batch: the proof reads such an account three times
MAX_ORACLE_ROWS = 2_048
MAX_LEAVES = 4_480
MAX_POSITIONS = 128
MAX_REQUESTS = 64
PERP_BIT = 1 << 31
