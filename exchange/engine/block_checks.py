"""What must hold before a block trades (D-058): both halves signed, alive and unused; every leg; margin after them all.

Nothing here changes anything; `blocks` applies what passed.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from exchange.domain.blocks import BlockLeg, BlockSide, ExecuteBlock
from exchange.domain.commands import OrderFlag, Place, Side, TimeInForce
from exchange.domain.instrument import Instrument
from exchange.domain.limits import MAX_BLOCK_LEGS, MAX_MONEY_E6
from exchange.domain.result_codes import ResultCode
from exchange.engine.authority import check_authority, check_expiry
from exchange.engine.entry_checks import check_frozen, check_look, check_terms, is_full
from exchange.engine.fees import fee_e6
from exchange.engine.funding import fund_index_e12
from exchange.engine.margin import worst_margin_of
from exchange.engine.market_limits import check_room
from exchange.engine.market_state import check_market
from exchange.engine.orders import check_nonce
from exchange.engine.portfolio_margin import has_cells
from exchange.engine.records import Account, Position
from exchange.engine.state import State
from exchange.risk.funding import funding_payment

__all__ = ["Party", "Refusal", "check_legs", "check_signatures", "check_terms_of", "half_of", "leg_worth_e6", "parties"]

_E12: Final = 10**12
_E6: Final = 10**6
_OPTIONS: Final = {True: OrderFlag.BLOCK | OrderFlag.POST_ONLY, False: OrderFlag.BLOCK}


class Refusal(NamedTuple):
    """Why a block does not trade; `instrument` 0: not for one leg."""

    code: ResultCode
    is_of_maker: bool = False
    instrument: int = 0


class Party(NamedTuple):
    """One side of a block: what it signed, its fee on each leg."""

    half: BlockSide
    is_maker: bool
    fees_e6: tuple[int, ...]


def half_of(half: BlockSide, leg: BlockLeg, *, is_maker: bool, flags: OrderFlag = OrderFlag.BLOCK) -> Place:
    """A party's side of a leg as an order."""
    buys = (leg.maker_lots > 0) == is_maker
    return Place(
        subaccount=half.subaccount,
        instrument=leg.instrument,
        side=Side.BUY if buys else Side.SELL,
        time_in_force=TimeInForce.FOK,
        flags=flags,
        price_ticks=leg.price_ticks,
        quantity_lots=abs(leg.maker_lots),
        nonce=half.nonce,
        expiry_s=half.expiry_s,
        signer=half.signer,
        max_fee_e18=half.max_fee_e18,
        domain=half.domain,
        digest=half.digest,
        signature=half.signature,
    )


def check_terms_of(command: ExecuteBlock) -> Refusal | None:
    """Some legs and not too many, each of another instrument, each of something; two parties."""
    named = {leg.instrument for leg in command.legs}
    if not 0 < len(command.legs) <= MAX_BLOCK_LEGS or len(named) != len(command.legs):
        return Refusal(ResultCode.PARAMETER_INVALID)
    empty = next((leg.instrument for leg in command.legs if not leg.maker_lots), None)
    return Refusal(ResultCode.BAD_AMOUNT, instrument=empty) if empty is not None else None


def check_signatures(state: State, command: ExecuteBlock) -> Refusal | None:
    """First failing of, the taker's half first: authority for every leg, life, another owner, nonce."""
    for half, is_maker in _halves(command):
        for leg in command.legs:
            place = half_of(half, leg, is_maker=is_maker)
            code = check_authority(state, place) or check_expiry(state, place)
            if code:
                return Refusal(code, is_maker, leg.instrument)
    maker, taker = command.maker, command.taker
    if state.accounts[maker.subaccount].owner == state.accounts[taker.subaccount].owner:
        return Refusal(ResultCode.SELF_CROSSING)
    for half, is_maker in _halves(command):
        code = check_nonce(state, half_of(half, command.legs[0], is_maker=is_maker))
        if code:
            return Refusal(code, is_maker)
    return None


def check_legs(state: State, command: ExecuteBlock) -> Refusal | None:
    """First failing of: a look that is due; terms of each leg; each party's state and limits; its fees and margin."""
    code = check_look(state)
    if code:
        return Refusal(code)
    found = _check_each(state, command)
    if found is not None:
        return found
    for half, is_maker in _halves(command):
        found = _check_party(state, command, half, is_maker=is_maker)
        if found is not None:
            return found
    for party in parties(state, command):
        code = _check_money(state, command, party)
        if code:
            return Refusal(code, party.is_maker)
    return None


def parties(state: State, command: ExecuteBlock) -> tuple[Party, Party]:
    """Taker and maker, with what each pays on each leg; the maker gets no rebate, which two friends could farm."""
    rows = []
    for half, is_maker in _halves(command):
        fees = (_fee_e6(state, state.instruments[leg.instrument], leg, is_maker=is_maker) for leg in command.legs)
        rows.append(Party(half, is_maker, tuple(fees)))
    return rows[0], rows[1]


def _halves(command: ExecuteBlock) -> tuple[tuple[BlockSide, bool], tuple[BlockSide, bool]]:
    return (command.taker, False), (command.maker, True)


def _check_each(state: State, command: ExecuteBlock) -> Refusal | None:
    """Each leg is live, on the scale and in no call auction; all together can be booked in one batch."""
    total_e6 = 0
    for leg in command.legs:
        code = check_terms(state, half_of(command.taker, leg, is_maker=False, flags=OrderFlag.NONE))
        if not code and leg.instrument in state.auctions:
            code = ResultCode.IN_AUCTION
        if code:
            return Refusal(code, instrument=leg.instrument)
        total_e6 += leg_worth_e6(state, leg)
    # Half of what a cash delta may hold, so that fees and what the batch's cap compares stay inside it.
    return Refusal(ResultCode.BAD_AMOUNT) if total_e6 > MAX_MONEY_E6 // 2 else None


def _check_party(state: State, command: ExecuteBlock, half: BlockSide, *, is_maker: bool) -> Refusal | None:
    """Not in liquidation; every market open to it, its limits kept, its kind of margin able to price; room to hold."""
    more = 0
    for leg, place in _places(command, half, is_maker=is_maker):
        number, account = leg.instrument, state.accounts[half.subaccount]
        exposure = state.exposure(account.index, number)  # the margin check needs one of every leg
        code = check_frozen(state, place) or check_market(state, place)
        if not code and account.lots(number) == 0:
            if is_full(state, account.index, number, more=more):
                code = ResultCode.TOO_MANY_POSITIONS
            more += not exposure.is_open
        code = code or check_room(state, place)
        if not code and not has_cells(state, account.index, number):
            code = ResultCode.INSTRUMENT_NOT_LIVE
        if code:
            return Refusal(code, is_maker, number)
    return None


def _places(command: ExecuteBlock, half: BlockSide, *, is_maker: bool) -> Iterator[tuple[BlockLeg, Place]]:
    # A trade opens no more than its taker does (D-054), so the maker is asked as one who cannot take.
    for leg in command.legs:
        yield leg, half_of(half, leg, is_maker=is_maker, flags=_OPTIONS[is_maker])


def _check_money(state: State, command: ExecuteBlock, party: Party) -> ResultCode:
    """The signed cap pays the fees of all legs, and initial margin is there with all of them held and paid."""
    if sum(party.fees_e6) * _E12 > party.half.max_fee_e18:
        return ResultCode.MAX_FEE_TOO_LOW
    after = _account_after(state, command, party)
    return ResultCode.OK if worst_margin_of(state, after) >= 0 else ResultCode.INSUFFICIENT_MARGIN


def _account_after(state: State, command: ExecuteBlock, party: Party) -> Account:
    """A copy of the account with its funding settled, all legs held and paid, and the fees taken off."""
    account = state.accounts[party.half.subaccount]
    cash_e6, positions = account.ledger_cash_e6, {}
    for number, row in account.positions.items():
        index_e12 = fund_index_e12(state, number)
        cash_e6 += funding_payment(amount=row.lots, index_change=index_e12 - row.fund_index_e12, one=_E6)
        positions[number] = Position(lots=row.lots, fund_index_e12=index_e12)
    for leg in command.legs:
        lots = leg.maker_lots if party.is_maker else -leg.maker_lots
        empty = Position(fund_index_e12=fund_index_e12(state, leg.instrument))
        position = positions.setdefault(leg.instrument, empty)
        position.lots += lots
        cash_e6 -= leg_worth_e6(state, leg) if lots > 0 else -leg_worth_e6(state, leg)
        if not position.lots:
            del positions[leg.instrument]
    return Account(
        index=account.index,
        owner=account.owner,
        opened_ns=account.opened_ns,
        ledger_cash_e6=cash_e6 - sum(party.fees_e6),
        positions=positions,
    )


def leg_worth_e6(state: State, leg: BlockLeg) -> int:
    """Worth of a leg at its price, unsigned."""
    instrument = state.instruments[leg.instrument]
    return instrument.notional_e6(price_ticks=leg.price_ticks, quantity_lots=abs(leg.maker_lots))


def _fee_e6(state: State, instrument: Instrument, leg: BlockLeg, *, is_maker: bool) -> int:
    due = fee_e6(
        instrument,
        index_e9=state.prices.index_e9[instrument.underlying],
        price_ticks=leg.price_ticks,
        quantity_lots=abs(leg.maker_lots),
        is_taker=not is_maker,
        option_cap_ppm=state.config.option_fee_cap_ppm,
    )
    return max(due, 0)
