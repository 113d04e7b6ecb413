"""Channel names: what exists, what does not."""

import pytest

from exchange.wire.channels import BadChannel, parse_channel


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "orderbook",
        "orderbook.BTC-PERP",
        "orderbook.BTC-PERP.0.10",
        "orderbook.BTC-PERP.10.101",
        "orderbook.BTC-PERP.-1.10",
        "orderbook.BTC-PERP.x.10",
        "orderbook.BTC-PERP.²2.10",
        "orderbook.BTC-PERP.10.10.10",
        "ticker_slim.BTC-PERP",
        "ticker_slim.BTC-PERP.soon",
        "trades.spot.BTC",
        "trades.perp.BTC.Settled",
        "7.secrets",
        "7",
        "7.orders.open",
        "99999999999999999999.orders",
        "spot_feed",
        "spot_feed.BTC.1000",
        "option_chain.BTC",
        "liquidations",
        "liquidations.BTC.all",
        "option_chain.BTC.all",
        "option_chain.BTC.all.500",
        "option_chain.BTC.2026122.100",
        "option_chain.BTC.202612²5.100",
        "o" * 200,
    ],
)
def test_bad_channels(name: str) -> None:
    """A bad name raises with a reason that begins with its code."""
    with pytest.raises(BadChannel, match=r"^13000"):
        parse_channel(name)


@pytest.mark.parametrize(
    ("name", "kind", "detail"),
    [
        ("orderbook.BTC-PERP.10.10", "orderbook", ("BTC-PERP", 10, 10, 0)),
        ("orderbook.BTC-20261225-100000-C.1.100", "orderbook", ("BTC-20261225-100000-C", 1, 100, 0)),
        ("ticker_slim.BTC-PERP.100", "ticker_slim", ("BTC-PERP", 0, 0, 100)),
        ("ticker_slim.BTC-PERP.7", "ticker_slim", ("BTC-PERP", 0, 0, 100)),
        ("ticker_slim.BTC-PERP.500", "ticker_slim", ("BTC-PERP", 0, 0, 1_000)),
        ("trades.BTC-PERP", "trades", ("BTC-PERP", 0, 0, 0)),
        ("spot_feed.BTC", "spot_feed", ("", 0, 0, 1_000)),
        ("batches", "batches", ("", 0, 0, 0)),
        ("liquidations.BTC", "liquidations", ("", 0, 0, 0)),
    ],
)
def test_public_channels(name: str, kind: str, detail: tuple[str, int, int, int]) -> None:
    """The parts of a name are read; the name itself is kept as sent."""
    channel = parse_channel(name)
    assert (channel.name, channel.kind, channel.is_private) == (name, kind, False)
    assert (channel.instrument, channel.group, channel.depth, channel.interval_ms) == detail


@pytest.mark.parametrize("kind", ["orders", "trades", "balances"])
def test_private_channels(kind: str) -> None:
    """A leading number is a subaccount."""
    channel = parse_channel(f"1000002.{kind}")
    assert (channel.kind, channel.subaccount_id, channel.is_private) == (kind, 1_000_002, True)


def test_trades_by_type() -> None:
    """Trades may be asked for by type and currency."""
    channel = parse_channel("trades.option.ETH")
    assert (channel.instrument_type, channel.currency) == ("option", "ETH")


@pytest.mark.parametrize(
    ("name", "expiry_date", "interval_ms"),
    [("option_chain.BTC.all.1000", "", 1_000), ("option_chain.ETH.20261225.100", "20261225", 100)],
)
def test_option_chains(name: str, expiry_date: str, interval_ms: int) -> None:
    """A currency, a day or all, one of two intervals; public."""
    channel = parse_channel(name)
    assert (channel.kind, channel.currency) == ("option_chain", name.split(".")[1])
    assert (channel.expiry_date, channel.interval_ms, channel.is_private) == (expiry_date, interval_ms, False)
