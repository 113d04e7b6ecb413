"""A quote for several legs, executed: every leg trades between maker and taker in one command, or none does (D-058).

What is refused before the nonces count spends nothing. From there on the taker's nonce is spent, whatever happens; the
maker's is spent by the trade alone, because his quote stands until he takes it back or it expires.
"""

from typing import Final

from exchange.domain.blocks import BlockLeg, BlockRefused, BlockSide, BlockTraded, ExecuteBlock
from exchange.domain.ids import order_number
from exchange.domain.result_codes import CloseReason, OrderStatus
from exchange.engine import batches
from exchange.engine.block_checks import (
    Party,
    Refusal,
    check_legs,
    check_signatures,
    check_terms_of,
    half_of,
    leg_worth_e6,
    parties,
)
from exchange.engine.booking import book_leg
from exchange.engine.funding import pay_funding
from exchange.engine.matching import accept_order, close_order
from exchange.engine.records import Order
from exchange.engine.state import State
from exchange.engine.turn import Turn

__all__ = ["execute_block"]

_LINES_PER_LEG: Final = 2


def execute_block(state: State, turn: Turn, command: ExecuteBlock) -> None:
    """Trade all legs of a quote, or refuse it with a BlockRefused.

    Refusals in order, the taker's half before the maker's: number of legs; authority and life of both halves; one
    owner on both sides; nonces; a look that is due; every leg's terms and calls; each party's liquidation, markets,
    positions, limits and cells; each party's fee cap and margin with all legs held.
    """
    refusal = check_terms_of(command) or check_signatures(state, command)
    if refusal is None:
        _spend(state, command.taker, 0)
        refusal = check_legs(state, command)
    if refusal is not None:
        _refuse(turn, command, refusal)
        return
    for half in (command.taker, command.maker):
        _spend(state, half, order_number(sequence=state.sequence))
    _trade(state, turn, command)


def _spend(state: State, half: BlockSide, order: int) -> None:
    state.nonces.spend(state.accounts[half.subaccount].owner, half.signer, half.nonce, order)


def _refuse(turn: Turn, command: ExecuteBlock, refusal: Refusal) -> None:
    turn.events.append(
        BlockRefused(
            subaccount=command.taker.subaccount,
            rfq=command.rfq,
            quote=command.quote,
            code=refusal.code,
            is_of_maker=refusal.is_of_maker,
            instrument=refusal.instrument,
        )
    )


def _trade(state: State, turn: Turn, command: ExecuteBlock) -> None:
    """Book every leg. The funding that is due was counted by the margin check, so it is paid first."""
    taker, maker = parties(state, command)
    _make_room(state, turn, command, sum((*taker.fees_e6, *maker.fees_e6)))
    for half in (command.maker, command.taker):
        pay_funding(state, turn, state.accounts[half.subaccount])
    _report(state, turn, command, maker=maker, taker=taker)
    for place, leg in enumerate(command.legs):
        orders = [
            _accept(state, turn, party, leg, _LINES_PER_LEG * place + (not party.is_maker)) for party in (maker, taker)
        ]
        book_leg(
            state,
            turn,
            maker=orders[0],
            taker=orders[1],
            price_ticks=leg.price_ticks,
            lots=abs(leg.maker_lots),
            fees_e6=(maker.fees_e6[place], taker.fees_e6[place]),
        )
        for order in orders:
            close_order(state, turn, order, OrderStatus.FILLED, CloseReason.NONE)


def _make_room(state: State, turn: Turn, command: ExecuteBlock, fees_e6: int) -> None:
    """Let no cap of a batch come between two legs: the accounts were checked with all of them held."""
    batches.make_room_for_block(
        state,
        turn,
        instruments=tuple(leg.instrument for leg in command.legs),
        accounts=(command.maker.subaccount, command.taker.subaccount),
        lots=max(abs(leg.maker_lots) for leg in command.legs),
        notional_e6=sum(leg_worth_e6(state, leg) for leg in command.legs) + fees_e6,
    )


def _report(state: State, turn: Turn, command: ExecuteBlock, *, maker: Party, taker: Party) -> None:
    pays_e6 = sum(-leg_worth_e6(state, leg) if leg.maker_lots > 0 else leg_worth_e6(state, leg) for leg in command.legs)
    turn.events.append(
        BlockTraded(
            rfq=command.rfq,
            quote=command.quote,
            maker=maker.half.subaccount,
            taker=taker.half.subaccount,
            leg_count=len(command.legs),
            taker_pays_e6=pays_e6,
            maker_fee_e6=sum(maker.fees_e6),
            taker_fee_e6=sum(taker.fees_e6),
        )
    )


def _accept(state: State, turn: Turn, party: Party, leg: BlockLeg, line: int) -> Order:
    place = half_of(party.half, leg, is_maker=party.is_maker)
    order = accept_order(state, turn, place, leg.price_ticks, 0, line)
    state.open_orders[order.number] = order
    return order
