"""Oracle rounds: the commands that let funding be charged and expiries be paid, and what the engine says about it.

Values per lot are 1e-12 USDC (`_e12`): fine enough for the cheapest coin, within 64 bits for the dearest.
A round is where a settlement batch begins: funding indexes and payoffs change at no other time (settlement.md 3.5).
"""

import msgspec

__all__ = [
    "AccountTakenOver",
    "DelistInstrument",
    "ExpirySettled",
    "FundingIndexRow",
    "FundingPaid",
    "FundingRow",
    "InstrumentDelisted",
    "InstrumentSettled",
    "OracleRound",
    "OracleRoundSet",
    "PositionExpired",
    "PositionTaken",
    "RoundEvent",
    "SettlementRow",
]


class FundingRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Funding rate of a perpetual from now on, 1e-9 per 8 hours; a positive one is paid by longs."""

    instrument: int
    rate_e9: int


class SettlementRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Settlement price that governance decided, 1e-9 USDC: only where the engine's own average has too few samples."""

    underlying: str
    expiry_s: int
    price_e9: int


class OracleRound(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Publish what funding has accrued, set new rates, settle what expired. `round` rises.

    A perpetual without a row keeps its rate.
    """

    round: int
    funding: tuple[FundingRow, ...] = ()
    settlements: tuple[SettlementRow, ...] = ()


class DelistInstrument(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Take an expired instrument off the list; refused while anybody holds it."""

    instrument: int


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


class ExpirySettled(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag=52):
    """The settlement price of an expiry is known: the average of the index over the last half hour, or governance's.

    `covered_ns`: how much of the window the samples cover (0: governance decided). Disputed: the window reached back.
    """

    underlying: str
    expiry_s: int
    price_e9: int
    covered_ns: int
    is_disputed: bool


class InstrumentSettled(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag=53):
    """Every position of an expired instrument becomes cash now (PositionExpired follows for each, by account)."""

    instrument: int
    price_e9: int
    value_e12: int
    """Payoff of one lot, 1e-12 USDC, rounded down."""
    position_count: int


class PositionExpired(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag=54):
    """A position became cash; the amount is rounded against the account, the clearing account has the opposite."""

    subaccount: int
    account_seq: int
    instrument: int
    position_lots: int
    amount_e6: int
    realized_pnl_e6: int
    """Amount less what the position had cost."""
    ledger_cash_e6: int
    cash_e6: int


class InstrumentDelisted(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag=55):
    """An expired instrument that nobody holds is listed no more."""

    instrument: int


class PositionTaken(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """A position that the insurance fund took over at the mark less 1 %, rounded against the account."""

    instrument: int
    position_lots: int
    amount_e6: int
    realized_pnl_e6: int
    """Amount less what the position had cost."""


class AccountTakenOver(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag=56):
    """The contract's queue closed an account: the fund has what it had room for, at the marks of the batch's round.

    Nothing of it is posted, the contract derives it. An account with too little equity keeps all and is liquidated.
    """

    subaccount: int
    account_seq: int
    marks: tuple[tuple[int, int], ...]
    """Of everything that it held: (instrument, 1e-6 USDC per lot), ascending."""
    taken: tuple[PositionTaken, ...]
    amount_e6: int
    """What the account got for all of them."""
    fund_cash_e6: int
    ledger_cash_e6: int
    cash_e6: int


RoundEvent = (
    OracleRoundSet
    | FundingPaid
    | ExpirySettled
    | InstrumentSettled
    | PositionExpired
    | InstrumentDelisted
    | AccountTakenOver
)
