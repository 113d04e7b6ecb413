"""Seeded mass quotes, limits and resets of a few makers, valid and not."""

from random import Random

from exchange.domain.commands import OrderFlag
from exchange.domain.quotes import MassQuote, QuoteLine, ResetMmp, SetMmpConfig
from tests.unit.exchange.engine.world import CALL, PERP, PUT, SECOND_NS, instruments, owner

__all__ = ["GROUPS", "MAKERS", "group_order", "limits", "mass_quote", "reset"]

MAKERS, GROUPS = (2, 3, 4, 6), (1, 2)
LOTS_E9 = {row.instrument_id: row.lot_e9 for row in instruments()}
INSTRUMENTS = {1: (PERP,), 2: (CALL, PUT)}


def limits(pick: Random, account: int | None = None, group: int | None = None) -> SetMmpConfig:
    """Limits of a group: 1 quotes the perpetual, 2 the options; account and group as given, or any."""
    group = pick.choice(GROUPS) if group is None else group
    return SetMmpConfig(
        subaccount=pick.choice(MAKERS) if account is None else account,
        mmp_group=group,
        underlying="BTC",
        lot_e9=LOTS_E9[INSTRUMENTS[group][0]] if pick.random() < 0.99 else 10_000_000,
        interval_ns=pick.choice((0, SECOND_NS // 1_000, SECOND_NS)),
        frozen_ns=pick.choice((0, SECOND_NS // 1_000, SECOND_NS // 100)),
        quantity_lots=pick.choice((40, 60, 100, 100, 200) if pick.random() < 0.95 else (0, 10**9)) // (10 * group - 9),
        delta_e9=pick.choice((0, 0, 3 * 10**8)),
        vega_e9=pick.choice((0, 0, 10**9)),
        count=pick.choice((0, 3, 12)),
    )


def reset(pick: Random) -> ResetMmp:
    """A reset, rarely of a group that is not there."""
    return ResetMmp(subaccount=pick.choice(MAKERS), mmp_group=pick.choice((*GROUPS, *GROUPS, 3)))


def mass_quote(pick: Random, now_ns: int, index: int) -> MassQuote:
    """A call near the marks, with session 1 where the maker's belongs."""
    account, group = pick.choice(MAKERS), pick.choice(GROUPS)
    instruments_of = list(INSTRUMENTS[group if pick.random() < 0.98 else 3 - group])
    pick.shuffle(instruments_of)
    lines = [_line(pick, number, index) for number in instruments_of[: pick.choice((1, 2, 2))]]
    if pick.random() < 0.02:
        lines.append(lines[0] if pick.random() < 0.3 else QuoteLine(99, 1, 1, 2, 1))
    is_signed = pick.random() < 0.9
    return MassQuote(
        subaccount=account,
        mmp_group=group,
        lines=tuple(lines),
        nonce=now_ns + pick.randrange(1_000),
        expiry_s=now_ns // SECOND_NS + pick.choice((15, 60, 600)),
        signer=owner(account if pick.random() < 0.99 else 5) if is_signed else b"",
        max_fee_e18=pick.choice((0, 10**21)) if is_signed else 0,
        session=int(pick.random() < 0.98),
        digest=bytes(31) + b"\x01" if is_signed else b"",
        signature=bytes(65) if is_signed else b"",
    )


def group_order(pick: Random, flags: OrderFlag) -> tuple[OrderFlag, int]:
    """(Flags, group) of an order that asks for protection, mostly as it should."""
    more = OrderFlag.MMP if pick.random() < 0.97 else OrderFlag.QUOTE
    return flags | more, pick.choice((1, 2, 2, 0, 7))


def _line(pick: Random, instrument: int, index: int) -> QuoteLine:
    mark = {PERP: index * 10, CALL: 1_500, PUT: 800}[instrument]
    step = max(1, mark // 4_000)
    bid, ask = mark - pick.randrange(0, 30, 3) * step, mark + pick.randrange(0, 30, 3) * step
    sizes = (0, 3, 3, 10, 10, 10, 40, 200, 400)
    return QuoteLine(
        instrument, bid, pick.choice(sizes[:-1]), ask, pick.choice(sizes if pick.random() < 0.02 else sizes[:-1])
    )
