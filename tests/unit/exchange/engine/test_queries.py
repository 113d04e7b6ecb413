"""Questions and answers."""

import pytest

from exchange.domain.commands import ChainRequestKind, Side
from exchange.domain.events import OrderAccepted
from exchange.domain.views import (
    AccountView,
    BookView,
    GetAccount,
    GetBook,
    GetInstruments,
    GetOpenOrders,
    GetOrder,
    GetPrices,
    GetSummary,
    GetWallet,
    OrderView,
    PricesView,
    Query,
    SummaryView,
    WalletView,
)
from exchange.engine.queries import answer, order_view
from exchange.engine.state_hash import state_hash
from tests.unit.exchange.engine.world import BUY, CALL, E6, PERP, SECOND_NS, SELL, World, instruments, owner


@pytest.mark.parametrize(
    "query",
    [
        GetOrder(subaccount=2, order=5),
        GetOrder(subaccount=50, order=5),
        GetOrder(subaccount=2, client_order_id="none"),
        GetAccount(subaccount=50),
        GetWallet(owner=b"\x0f" * 20),
        GetWallet(owner=b""),
        GetBook(instrument=77),
    ],
)
def test_unknown_things_are_none(query: Query) -> None:
    """No error, no default."""
    assert answer(World().open().state, query) is None


def test_orders_by_every_name() -> None:
    """Open or closed, by number, client order id and nonce; another subaccount does not see it."""
    world = World().open()
    placed = world.place(2, BUY, 590_000, 7, client_order_id="x")[0]
    assert isinstance(placed, OrderAccepted)
    for _ in range(2):
        view = order_view(world.state, placed.order)
        assert isinstance(view, OrderView)
        for query in (
            GetOrder(subaccount=2, order=placed.order),
            GetOrder(subaccount=2, client_order_id="x"),
            GetOrder(subaccount=2, nonce=placed.nonce),
        ):
            assert answer(world.state, query) == view
        assert answer(world.state, GetOrder(subaccount=3, order=placed.order)) is None
        world.cancel(2, placed.order)
    assert answer(world.state, GetOpenOrders(subaccount=2)) == ()
    assert answer(world.state, GetOpenOrders(subaccount=99)) == ()


def test_account_in_printed_numbers() -> None:
    """Long 0.1 BTC and short 0.1 call: cash, equity and requirements (worked by hand)."""
    world = World().open()
    world.place(2, BUY, 600_000, 100, max_fee_e18=0)
    world.place(3, SELL, 600_000, 100)
    world.place(2, SELL, 1_500, 10, CALL, max_fee_e18=0)
    world.place(3, BUY, 1_500, 10, CALL)
    world.place(2, BUY, 600_000, 100)
    world.prices(61_000, call=1_700)
    view = answer(world.state, GetAccount(subaccount=2))
    assert isinstance(view, AccountView)
    assert view.cash_e6 == 100_150 * E6  # deposit and premium; the open perpetual is no cash
    assert view.ledger_cash_e6 == 94_150 * E6
    assert view.positions_value_e6 == 6_100 * E6 - 170 * E6
    assert view.equity_e6 == 100_080 * E6
    # 4 % of 6,100; a tenth of max(15 % x 61,000 - 9,000, 12 % x 61,000).
    assert view.initial_requirement_e6 == 244 * E6 + 732 * E6
    assert view.maintenance_requirement_e6 == 122 * E6 + 488 * E6
    # 4 % of another 6,100 and 2 x 0.03 % of it.
    assert view.open_orders_requirement_e6 == 244 * E6 + 3_660_000
    assert [(p.instrument, p.position_lots, p.cost_e6) for p in view.positions] == [
        (CALL, -10, -150 * E6),
        (PERP, 100, 6_000 * E6),
    ]
    assert sum(p.initial_requirement_e6 for p in view.positions) == view.initial_requirement_e6


def test_wallet_lists_accounts_and_keys() -> None:
    """All subaccounts of one owner, keys in order."""
    world = World().open()
    world.request(ChainRequestKind.DEPOSIT, 9, amount_e6=1, owner=owner(2))
    life_s = world.now_ns // SECOND_NS + 7_200
    world.request(ChainRequestKind.SET_KEY, 2, owner=owner(2), key=b"\x05" * 20, valid_to_s=life_s, scopes=4)
    view = answer(world.state, GetWallet(owner=owner(2)))
    assert isinstance(view, WalletView)
    assert view.subaccounts == (2, 9)
    assert [(key.key, key.scopes, key.valid_to_s) for key in view.keys] == [(b"\x05" * 20, 4, life_s)]


def test_market_answers() -> None:
    """Book with counts, instruments by id, prices, summary with its hash."""
    world = World().open()
    world.place(2, BUY, 590_000, 7)
    world.place(3, BUY, 590_000, 7)
    book = answer(world.state, GetBook(instrument=PERP))
    assert book == BookView(instrument=PERP, bids=((590_000, 14, 2),), asks=())
    assert answer(world.state, GetInstruments()) == tuple(sorted(instruments(), key=lambda row: row.instrument_id))
    prices = answer(world.state, GetPrices())
    assert isinstance(prices, PricesView)
    assert (prices.round, prices.index_e9) == (1, {"BTC": 60_000 * 10**9})
    summary = answer(world.state, GetSummary(with_hash=True))
    assert isinstance(summary, SummaryView)
    assert (summary.state_hash, summary.open_order_count) == (state_hash(world.state), 2)


@pytest.mark.parametrize(("side", "safer"), [(BUY, 1), (SELL, -1)])
def test_the_liquidation_price_is_where_maintenance_ends(side: Side, safer: int) -> None:
    """With the mark a dollar beyond it equity is below the requirement, a dollar before it is not."""
    world = World().open(deposit=3_000 * E6)
    world.deposit(4, 10**12)
    world.run_cut()
    world.place(4, Side(1 - side), 600_000, 1_000)
    world.place(2, side, 600_000, 1_000)
    ticks = held(world, 2).positions[0].liquidation_ticks
    assert 0 < safer * (600_000 - ticks) < 40_000
    dollars = ticks // 10
    for perp, is_healthy in ((dollars + safer, True), (dollars - safer, False)):
        world.prices(perp=perp)
        view = held(world, 2)
        assert (view.equity_e6 >= view.maintenance_requirement_e6) is is_healthy
        assert abs(view.positions[0].liquidation_ticks - ticks) <= 1


def test_an_option_and_a_position_in_no_danger_have_no_liquidation_price() -> None:
    """Zero: options depend on more than one price, and rich accounts on none."""
    world = World().open(deposit=10**13)
    world.place(3, SELL, 1_500, 10, CALL)
    world.place(2, BUY, 1_500, 10, CALL)
    world.place(3, SELL, 600_000, 10)
    world.place(2, BUY, 600_000, 10)
    assert [row.liquidation_ticks for row in held(world, 2).positions] == [0, 0]


def held(world: World, account: int) -> AccountView:
    """The account as it is."""
    view = answer(world.state, GetAccount(subaccount=account))
    assert isinstance(view, AccountView)
    return view
