"""Oracle rounds: the commands that let funding be charged, and what the engine says about it.

Values per lot are 1e-12 USDC (`_e12`): fine enough for the cheapest coin, within 64 bits for the dearest.
A round is where a settlement batch begins: funding indexes move at no other time (settlement.md 3.5).
"""

import msgspec

__all__ = ["FundingIndexRow", "FundingPaid", "FundingRow", "OracleRound", "OracleRoundSet", "RoundEvent"]


class FundingRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Funding rate of a perpetual from now on, 1e-9 per 8 hours; a positive one is paid by longs."""

    instrument: int
    rate_e9: int


class OracleRound(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Publish what funding has accrued, and set new rates. `round` rises; who has no row keeps its rate."""

    round: int
    funding: tuple[FundingRow, ...] = ()


class FundingIndexRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one lot of a perpetual, held long since the beginning, has paid by now (1e-12 USDC), and the rate ahead."""

    instrument: int
    index_e12: int
    rate_e9: int


class OracleRoundSet(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag=51):
    """A round took effect. `funding` has every perpetual that ever had a rate, ascending."""

    round: int
    funding: tuple[FundingIndexRow, ...]


class FundingPaid(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag=50):
    """An account was touched and paid (amount < 0) or got funding on a position; the clearing account has the opposite.

    `position_lots` is the position that it was charged on, `index_e12` the index up to which it is paid now.
    """

    subaccount: int
    account_seq: int
    instrument: int
    amount_e6: int
    position_lots: int
    index_e12: int
    ledger_cash_e6: int
    cash_e6: int


RoundEvent = OracleRoundSet | FundingPaid
