"""The demo as a newcomer meets it: a quoted market, fills, and batches that land on the chain and verify."""

import asyncio
import json
from typing import Any

from exchange.client import OffbookClient
from tests.e2e.running import Running, until

QUOTED_WITHIN_S = 120
SETTLED_WITHIN_S = 120


def two_sided(demo: Running) -> dict[str, bool]:
    """Whether each instrument has a bid and an ask."""
    tickers = dict(demo.public("get_tickers", {"instrument_type": "perp", "currency": "BTC"})["tickers"])
    tickers |= demo.public("get_tickers", {"instrument_type": "perp", "currency": "ETH"})["tickers"]
    for currency, expiry in option_series(demo):
        params = {"instrument_type": "option", "currency": currency, "expiry_date": expiry}
        tickers |= demo.public("get_tickers", params)["tickers"]
    return {name: row["b"] != "0" and row["a"] != "0" for name, row in tickers.items()}


def option_series(demo: Running) -> list[tuple[str, str]]:
    """Underlying and expiry of every option that is listed."""
    params = {"instrument_type": "option", "expired": False, "page_size": 1_000}
    names = [row["instrument_name"] for row in demo.public("get_all_instruments", params)["instruments"]]
    return sorted({(name.split("-")[0], name.split("-")[1]) for name in names})


def settled_batch(demo: Running) -> dict[str, Any] | None:
    """Newest batch with fills that is final."""
    rows = demo.public("get_batches")["batches"]
    found = [row for row in rows if row["fills"] > 0 and row["status"] == "Settled"]
    return max(found, key=lambda row: row["seq"], default=None)


def test_makers_quote_perpetuals_and_options(demo: Running) -> None:
    """Both perpetuals and nearly all options of each of the six series become two-sided."""

    def quoted() -> bool:
        book = two_sided(demo)
        return book["BTC-PERP"] and book["ETH-PERP"] and sum(book.values()) > 0.9 * len(book)

    assert len(option_series(demo)) == 6
    assert len(two_sided(demo)) == 2 + 2 * 3 * 11 * 2
    until(quoted, lambda: f"one-sided: {[name for name, both in two_sided(demo).items() if not both]}",
          timeout_s=QUOTED_WITHIN_S)  # fmt: skip


def test_perpetuals_are_marked_beside_their_index(demo: Running) -> None:
    """Their own books have a say: at some time both marks differ from the index, inside best bid and ask."""

    def tickers() -> list[dict[str, Any]]:
        asked = ({"instrument_type": "perp", "currency": currency} for currency in ("BTC", "ETH"))
        return [row for params in asked for row in demo.public("get_tickers", params)["tickers"].values()]

    def is_beside() -> bool:
        rows = tickers()
        inside = [float(row["b"]) <= float(row["M"]) <= float(row["a"]) and row["M"] != row["I"] for row in rows]
        return inside == [True, True]

    until(is_beside, lambda: f"{[(row['b'], row['M'], row['a'], row['I']) for row in tickers()]}",
          timeout_s=QUOTED_WITHIN_S)  # fmt: skip


def test_options_are_marked_from_their_books(demo: Running) -> None:
    """Nine of ten quoted options are marked inside their quotes, and nothing that is published has arbitrage."""

    def inside() -> list[bool]:
        rows = [row for ccy in ("BTC", "ETH") for row in demo.public("get_option_chain", {"currency": ccy})["rows"]]
        quoted = [row for row in rows if row["bid_price"] and row["ask_price"]]
        return [float(row["bid_price"]) <= float(row["mark_price"]) <= float(row["ask_price"]) for row in quoted]

    def is_marked() -> bool:
        found = inside()
        return len(found) > 100 and sum(found) > 0.9 * len(found)

    until(is_marked, lambda: f"inside their quotes: {sum(inside())} of {len(inside())}", timeout_s=QUOTED_WITHIN_S)
    for currency in ("BTC", "ETH"):
        checked = demo.command("vol", "check", currency, names_port=False)
        assert (checked.returncode, checked.stdout.count("no arbitrage"), checked.stderr) == (0, 3, "")
        index = demo.command("vol", "index", currency, "--explain", names_port=False)
        assert (index.returncode, index.stderr) == (0, "")
        assert 30.0 < float(index.stdout.splitlines()[-1].split()[3]) < 200.0


def test_books_and_trades_stream(demo: Running) -> None:
    """A listener gets a changing two-sided book of BTC-PERP and the trades of the bots."""

    async def listen() -> tuple[list[Any], list[Any]]:
        path = demo.data / "demo_accounts.json"
        async with OffbookClient.from_demo(path, url=demo.socket, index=7) as client:
            books = await client.subscribe("orderbook.BTC-PERP.1.10")
            trades = await client.subscribe("trades.BTC-PERP", flatten=True)
            return [await books.next(30) for _ in range(5)], [await trades.next(60) for _ in range(2)]

    books, trades = asyncio.run(listen())
    assert all(float(book["bids"][0][0]) < float(book["asks"][0][0]) for book in books)
    assert len({json.dumps([book["bids"], book["asks"]]) for book in books}) > 1
    assert all(trade["instrument_name"] == "BTC-PERP" and float(trade["trade_amount"]) > 0 for trade in trades)


def test_a_batch_settles_and_verifies(demo: Running) -> None:
    """A batch with fills becomes Settled, netted into fewer legs than sides; `offbook batch` recomputes its root."""
    batch = until(lambda: settled_batch(demo), "no batch with fills became final", timeout_s=SETTLED_WITHIN_S)
    assert 0 < batch["legs"] <= 2 * batch["fills"]
    assert batch["gas_used"] > 21_000
    assert len(batch["tx_hash"]) == len(batch["root"]) == 66
    done = demo.command("batch", "verify", str(batch["seq"]))
    assert (done.returncode, done.stderr) == (0, "")
    assert f"batch {batch['seq']}: root recomputed = root on chain {batch['root']}" in done.stdout
    shown = json.loads(demo.command("batch", "show", str(batch["seq"]), "--json").stdout)
    assert {name: shown[name] for name in ("fills", "legs", "gas_used")} == {
        name: batch[name] for name in ("fills", "legs", "gas_used")
    }
    assert batch["seq"] in {
        row["seq"] for row in json.loads(demo.command("batch", "list", "--limit", "1000", "--json").stdout)
    }


def test_a_batch_that_never_was_is_refused_in_one_line(demo: Running) -> None:
    """`offbook batch verify` of an unknown number fails and says why."""
    done = demo.command("batch", "verify", "999999")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("offbook: ")
