"""Scenario prices and choices of a margin kind, drawn for a stream of engine commands."""

from random import Random

from exchange.domain.commands import Command
from exchange.domain.instrument import Instrument, InstrumentKind
from exchange.domain.portfolio import ExpiryTrust, MarginKind, ScenarioRow, SetMarginKind, SetScenarios
from exchange.pricing.portfolios import ExpiryTerms
from exchange.pricing.scenario_rounds import ExpiryRound, PricedOption, scenario_round
from exchange.pricing.scenarios import ForwardParts
from tests.differential.engine_rarities import SHORT_OPTIONS, short_option
from tests.unit.exchange.engine.world import PERP, SECOND_NS, instruments

__all__ = ["PortfolioCommands"]

YEAR_S = 365 * 86_400


class PortfolioCommands:
    """`next` gives a command now and then; everything is a function of the seed and of the calls."""

    def __init__(self, seed: int, accounts: int) -> None:
        """Of the accounts from 2 on."""
        self.pick = Random(seed)
        self.accounts = accounts
        self.round = 0
        self.options = [row for row in instruments() if row.is_option] + [short_option(one) for one in SHORT_OPTIONS]

    def next(self, now_ns: int, index: int) -> Command | None:
        """Scenarios, or an account's choice, in about one of a hundred calls."""
        roll = self.pick.random()
        if roll < 0.006:
            return self.scenarios(now_ns, index)
        return self.choice() if roll < 0.012 else None

    def choice(self) -> SetMarginKind:
        """Mostly Portfolio Margin, of some account, at times one that is not there."""
        account = self.pick.randrange(1, 4 + self.accounts)
        kind = MarginKind.PORTFOLIO if self.pick.random() < 0.7 else MarginKind.STANDARD
        return SetMarginKind(subaccount=account, kind=kind)

    def scenarios(self, now_ns: int, index: int) -> SetScenarios:
        """A round of the options that live, or of some of them; now and then an old or an impossible one."""
        pick = self.pick
        self.round += pick.random() < 0.95
        by_expiry: dict[int, list[Instrument]] = {}
        for row in self.options:
            if row.expiry_s * SECOND_NS > now_ns and pick.random() < 0.95:
                by_expiry.setdefault(row.expiry_s, []).append(row)
        volatility = pick.choice((0.3, 0.55, 1.2))
        rounds = [_round(expiry_s, rows, now_ns, index, volatility) for expiry_s, rows in sorted(by_expiry.items())]
        command = scenario_round("BTC", max(1, self.round), rounds)
        return self._damaged(command) if pick.random() < 0.1 else command

    def _damaged(self, command: SetScenarios) -> SetScenarios:
        fields = self.pick.choice(
            (
                {"underlying": "NONE"},
                {"rows": (*command.rows, ScenarioRow(PERP, bytes(36 * 8)))},
                {"expiries": (ExpiryTrust(1, 2, 1, 0),)},
            )
        )
        return SetScenarios(
            **{"underlying": command.underlying, "round": command.round, "expiries": command.expiries} | fields
        )


def _round(expiry_s: int, rows: list[Instrument], now_ns: int, index: int, volatility: float) -> ExpiryRound:
    years = (expiry_s - now_ns / SECOND_NS) / YEAR_S
    return ExpiryRound(
        expiry_s=expiry_s,
        terms=ExpiryTerms(forward=ForwardParts.free(float(index)), years=years),
        options=tuple(
            PricedOption(
                instrument=row.instrument_id,
                is_call=row.kind is InstrumentKind.CALL,
                strike=row.strike_e9 / 10**9,
                volatility=volatility,
            )
            for row in rows
        ),
    )
