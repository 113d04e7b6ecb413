"""What an auctioned portfolio costs now: how far its legs are from their marks, how much a bid may take (risk.md 10.3).

A bidder takes positions at prices better than their marks. All legs give way by the same part, which is what the
discount on the whole account comes to, and never more than the chain takes for a liquidation (settlement.md 6.2): of a
portfolio that is small beside what it is worth short, the curve's end is out of reach.
"""

from typing import Final, NamedTuple

from exchange.domain.auction_views import AuctionView
from exchange.domain.instrument import Instrument
from exchange.domain.limits import LIQUIDATION_PRICE_PPM
from exchange.domain.liquidations import LiquidationStage
from exchange.domain.money import ceil_div, floor_div
from exchange.engine import forced
from exchange.engine.deleveraging import fund_allowance_e6
from exchange.engine.records import Account, Liquidation
from exchange.engine.state import State
from exchange.engine.valuation import AccountValue, value_account
from exchange.risk.auction import auction_discount, auction_share, buffered_margin, insolvent_payout

__all__ = ["Leg", "Offer", "auction_views", "offer_of", "waits_for_bids"]

_PPM: Final = 1_000_000
_SECOND_NS: Final = 1_000_000_000


class Leg(NamedTuple):
    """A position for sale: signed lots of the auctioned account, and the price at which it gives them away."""

    instrument: int
    lots: int
    price_ticks: int
    mark_e6: int
    """Of one lot, rounded down."""
    unit_e6: int
    """Of one tick and lot."""

    @property
    def price_e6(self) -> int:
        """Of one lot."""
        return self.price_ticks * self.unit_e6


class Offer(NamedTuple):
    """The whole portfolio as it stands, in 1e-6 USDC."""

    worth_e6: int
    """Equity without what bidders paid already; below zero when it is insolvent."""
    advantage_e6: int
    """What all legs together are better than their marks for a bidder, before prices are rounded."""
    share_ppm: int
    """Most that one bid may take."""
    legs: tuple[Leg, ...]
    """Ascending; a position that has no price on its grid within the bound is not for sale."""

    @property
    def price_e6(self) -> int:
        """What the whole costs a bidder; below zero: what the fund pays for it."""
        return self.worth_e6 - self.advantage_e6


def offer_of(state: State, liquidation: Liquidation, account: Account, value: AccountValue) -> Offer:
    """Price an account in the stages AUCTION and INSOLVENT, by the seconds since the stage began, rounded down."""
    rules = state.config.liquidation.auction
    elapsed_s = (state.timestamp_ns - liquidation.stage_ns) // _SECOND_NS  # whole seconds
    margin_e6 = value.equity_e6 - value.requirement.maintenance_e6
    gross_e6 = sum(abs(account.lots(one)) * forced.mark_e6(state, state.instruments[one]) for one in account.positions)
    bound_e6 = floor_div(gross_e6 * LIQUIDATION_PRICE_PPM, _PPM)
    if liquidation.stage is LiquidationStage.INSOLVENT:
        price_e6 = insolvent_payout(maintenance=margin_e6, value=value.equity_e6, elapsed_s=elapsed_s, parameters=rules)
        worth_e6 = min(0, value.equity_e6)
        advantage_e6, share_ppm = min(bound_e6, worth_e6 - price_e6), _PPM
    else:
        worth_e6 = max(0, value.equity_e6 - liquidation.reserved_e6)
        given_e6 = worth_e6 - floor_div(worth_e6 * auction_discount(elapsed_s, rules), rules.one)
        advantage_e6 = min(bound_e6, given_e6)
        share_ppm = _share_ppm(state, value, worth_e6, advantage_e6, liquidation.reserved_e6)
    return Offer(worth_e6, advantage_e6, share_ppm, tuple(_legs(state, account, advantage_e6, gross_e6)))


def waits_for_bids(state: State, liquidation: Liquidation, value: AccountValue) -> bool:
    """Whether an insolvent portfolio with options is still offered: in time, and the fund can pay for it as it is."""
    rules = state.config.liquidation.auction
    elapsed_s = (state.timestamp_ns - liquidation.stage_ns) // _SECOND_NS  # whole seconds
    margin_e6 = value.equity_e6 - value.requirement.maintenance_e6
    price_e6 = insolvent_payout(maintenance=margin_e6, value=value.equity_e6, elapsed_s=elapsed_s, parameters=rules)
    return elapsed_s < rules.insolvent_s and 0 < -price_e6 <= fund_allowance_e6(state)


def _share_ppm(state: State, value: AccountValue, worth_e6: int, advantage_e6: int, reserved_e6: int) -> int:
    """The smallest share that restores the buffered margin at this discount, in 1e-6, rounded up by at most two."""
    rules = state.config.liquidation.auction
    buffered_e6 = buffered_margin(
        maintenance=value.equity_e6 - value.requirement.maintenance_e6, value=value.equity_e6, parameters=rules
    )
    discount = floor_div((worth_e6 - advantage_e6) * rules.one, worth_e6) if worth_e6 else 0
    share = auction_share(
        value=value.equity_e6, buffered=buffered_e6, reserved=reserved_e6, discount=discount, parameters=rules
    )
    return min(_PPM, ceil_div(share * _PPM, rules.one) + 1) if share else 0


def _legs(state: State, account: Account, advantage_e6: int, gross_e6: int) -> list[Leg]:
    """All positions that have a price: the mark moved against the account, rounded toward the mark, on the grid."""
    rows = []
    for number in sorted(account.positions):
        instrument, lots = state.instruments[number], account.lots(number)
        mark_e6 = forced.mark_e6(state, instrument)
        ticks = _price_ticks(instrument, mark_e6, advantage_e6, gross_e6, is_sale=lots > 0)
        if 0 < ticks <= instrument.maximum_price_ticks:
            rows.append(Leg(number, lots, ticks, mark_e6, instrument.unit_e6))
    return rows


def _price_ticks(instrument: Instrument, mark_e6: int, advantage_e6: int, gross_e6: int, *, is_sale: bool) -> int:
    if not gross_e6:
        return 0
    if is_sale:
        return ceil_div(mark_e6 * (gross_e6 - advantage_e6), gross_e6 * instrument.unit_e6)
    return floor_div(mark_e6 * (gross_e6 + advantage_e6), gross_e6 * instrument.unit_e6)


def auction_views(state: State) -> tuple[AuctionView, ...]:
    """Every portfolio that is offered, by its number."""
    rows = sorted(state.liquidations.values(), key=lambda row: row.auction)
    return tuple(_view(state, row) for row in rows if row.stage is not LiquidationStage.BOOK)


def _view(state: State, liquidation: Liquidation) -> AuctionView:
    account = state.accounts[liquidation.subaccount]
    value = value_account(state, account)
    offer = offer_of(state, liquidation, account, value)
    return AuctionView(
        auction=liquidation.auction,
        stage=liquidation.stage,
        started_ns=liquidation.stage_ns,
        last_seen_seq=account.account_seq,
        equity_e6=value.equity_e6,
        maintenance_requirement_e6=value.requirement.maintenance_e6,
        price_e6=offer.price_e6,
        share_ppm=offer.share_ppm,
        legs=tuple((leg.instrument, leg.lots, leg.price_ticks) for leg in offer.legs),
    )
