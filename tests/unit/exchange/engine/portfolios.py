"""A market with scenario prices, for tests of accounts with Portfolio Margin."""

from exchange.domain.events import CommandRefused, Event
from exchange.domain.instrument import Instrument, InstrumentKind
from exchange.domain.portfolio import MarginKind, SetMarginKind, SetScenarios
from exchange.domain.result_codes import ResultCode
from exchange.pricing.portfolios import ExpiryTerms
from exchange.pricing.scenario_rounds import ExpiryRound, PricedOption, scenario_round
from exchange.pricing.scenarios import ForwardParts
from tests.unit.exchange.engine.world import CALL, E6, PUT, SELL, World

__all__ = ["PM", "SM", "PortfolioWorld", "command_refusal", "scenarios_of"]

PM, SM = MarginKind.PORTFOLIO, MarginKind.STANDARD
YEAR_S = 365 * 86_400


class PortfolioWorld(World):
    """A world whose options have scenario prices; `choose` gives an account its kind."""

    def open(self, *, accounts: int = 3, deposit: int = 100_000 * E6) -> "PortfolioWorld":
        """As a World, with one round of scenarios."""
        super().open(accounts=accounts, deposit=deposit)
        self.scenario_round = 0
        self.scenarios()
        return self

    def scenario_command(self, index: float = 60_000.0, volatility: float = 0.55) -> SetScenarios:
        """The next round of all listed options, flat volatility."""
        self.scenario_round += 1
        return scenarios_of(self, self.scenario_round, index, volatility)

    def scenarios(self, index: float = 60_000.0, volatility: float = 0.55) -> list[Event]:
        """Take it."""
        return self.run(self.scenario_command(index, volatility))

    def choose(self, account: int, kind: MarginKind = PM) -> ResultCode:
        """Set an account's kind; the refusal, OK without one."""
        return command_refusal(self.run(SetMarginKind(subaccount=account, kind=kind)))

    def hold(self, account: int, instrument: int, lots: int, price_ticks: int, *, against: int = 3) -> None:
        """Give an account a position against another, at a price."""
        side = SELL if lots < 0 else type(SELL)(0)
        self.place(against, type(SELL)(1 - side), price_ticks, abs(lots), instrument)
        self.place(account, side, price_ticks, abs(lots), instrument)

    def strangle(self, account: int, lots: int = 100) -> None:
        """Sell calls and puts at their marks."""
        self.hold(account, CALL, -lots, 1_500)
        self.hold(account, PUT, -lots, 800)


def scenarios_of(world: World, number: int, index: float, volatility: float = 0.55) -> SetScenarios:
    """Round `number` of all options that have not expired, at a flat volatility."""
    now_s = world.now_ns / 1e9
    by_expiry: dict[int, list[Instrument]] = {}
    for row in world.state.instruments.values():
        if row.is_option and row.expiry_s > now_s:
            by_expiry.setdefault(row.expiry_s, []).append(row)
    rounds = [
        ExpiryRound(
            expiry_s=expiry_s,
            terms=ExpiryTerms(forward=ForwardParts.free(index), years=(expiry_s - now_s) / YEAR_S),
            options=tuple(_priced(row, volatility) for row in rows),
        )
        for expiry_s, rows in sorted(by_expiry.items())
    ]
    return scenario_round("BTC", number, rounds)


def _priced(row: Instrument, volatility: float) -> PricedOption:
    is_call = row.kind is InstrumentKind.CALL
    return PricedOption(
        instrument=row.instrument_id, is_call=is_call, strike=row.strike_e9 / 1e9, volatility=volatility
    )


def command_refusal(events: list[Event]) -> ResultCode:
    """Code of the refused command in `events`; OK without one."""
    return next((event.code for event in events if isinstance(event, CommandRefused)), ResultCode.OK)
