"""The worst-fill margins of K7's accounts in numpy: floats over columns, the rules of risk.md 7 and 9.2."""

import numpy as np

from bench.bench_engine import PERPETUAL
from bench.margin_world import FIRST_ACCOUNT
from exchange.domain.instrument import InstrumentKind

__all__ = ["Columns"]

PPM = 1e6
FEE_PPM = 300
"""Highest rate of the listings."""


class Columns:
    """Positions and orders of all accounts as arrays; `margins(prices)` in USDC."""

    def __init__(self, state, shape, legs) -> None:
        count = shape.accounts
        self._rules = state.config.margin
        self.accounts = np.arange(FIRST_ACCOUNT, FIRST_ACCOUNT + count)
        self._cash, self._perpetual = np.zeros(count), np.zeros(count)
        self._option, self._amount = np.zeros((legs, count), dtype=np.int64), np.zeros((legs, count))
        options = [shape.option(number) for number in range(1, shape.options + 1)]
        self._strikes = np.array([0.0] + [option.strike_e9 / 1e9 for option in options])
        self._is_call = np.array([False] + [option.kind is InstrumentKind.CALL for option in options])
        orders = []
        for at, account in enumerate(self.accounts):
            self._take_positions(state.accounts[int(account)], at)
            orders += self._orders(state, at, int(account))
        columns = np.array(orders).T
        self._order_account, self._order_price, self._order_amount = columns[0].astype(np.int64), columns[1], columns[2]

    def _take_positions(self, account, at):
        self._cash[at] = account.ledger_cash_e6 / 1e6
        leg = 0
        for number, position in account.positions.items():
            if number == PERPETUAL:
                self._perpetual[at] = position.lots / 1_000
            else:
                self._option[leg, at], self._amount[leg, at] = number, position.lots / 100
                leg += 1

    @staticmethod
    def _orders(state, at, account):
        """(account, price in USDC, signed units) of its open orders, all of them in the perpetual."""
        for order in state.live_orders(account):
            assert order.place.instrument == PERPETUAL
            lots = order.remaining_lots / 1_000
            yield at, order.price_ticks / 10, -lots if order.place.side else lots

    def margins(self, prices):
        """Worst-fill initial margin of every account in USDC."""
        index = prices.underlyings[0].index_e9 / 1e9
        marks = np.zeros(len(self._strikes))
        for row in prices.marks[1:]:
            marks[row.instrument] = row.mark_e9 / 1e9
        perpetual = self._perpetual_margin(index, prices.marks[0].mark_e9 / 1e9)
        return self._cash + perpetual + self._option_margin(index, prices.expiries[0].forward_e9 / 1e9, marks)

    def _perpetual_margin(self, index, mark):
        amount, at, count = self._order_amount, self._order_account, len(self.accounts)
        buys = np.bincount(at, np.maximum(amount, 0.0), count)
        sells = np.bincount(at, np.maximum(-amount, 0.0), count)
        loss = np.bincount(at, np.maximum((self._order_price - mark) * amount, 0.0), count)
        reach = np.maximum(0.0, np.maximum(buys + self._perpetual, sells - self._perpetual)) * mark
        initial, lower = np.zeros(count), 0.0
        for tier in self._rules.tiers("BTC"):
            upper = tier.upper_e6 / 1e6 if tier.upper_e6 else np.inf
            initial += np.clip(reach - lower, 0.0, upper - lower) * (tier.initial_ppm / PPM)
            lower = upper
        fees = (buys + sells) * (index * FEE_PPM * 2 / PPM)
        return self._perpetual * mark - initial - loss - fees

    def _option_margin(self, index, forward, marks):
        amount, strike = self._amount, self._strikes[self._option]
        is_call = self._is_call[self._option]
        short = np.minimum(amount, 0.0)
        isolated = self._isolated(index, strike, is_call, marks[self._option], short).sum(axis=0)
        loss = np.zeros(len(self.accounts))
        for price in (np.zeros(len(self.accounts)), *strike):
            inner = np.maximum(np.where(is_call, price - strike, strike - price), 0.0)
            loss = np.minimum(loss, (inner * amount).sum(axis=0))
        calls = np.minimum(0.0, np.where(is_call, amount, 0.0).sum(axis=0))
        loss += forward * calls * (self._rules.unpaired_initial_ppm / PPM)
        return np.where((short < 0).any(axis=0), np.maximum(isolated, loss), 0.0)

    def _isolated(self, index, strike, is_call, mark, short):
        rules = self._rules
        out_of_money = np.maximum(0.0, np.where(is_call, strike - index, index - strike))
        per_unit = np.maximum(index * rules.maximum_spot_ppm / PPM - out_of_money, index * rules.minimum_spot_ppm / PPM)
        value = mark * short
        initial = per_unit * short + value
        spot_part = index * short * (rules.put_maintenance_ppm / PPM)
        maintenance = np.minimum(spot_part, value * (rules.put_maintenance_mark_ppm / PPM)) + value
        puts = np.minimum(initial, maintenance * (rules.put_offset_ppm / PPM))
        return np.where(is_call, initial, puts)
