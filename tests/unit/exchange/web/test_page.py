"""The page in a real browser, against a stand-in that serves the page and speaks the protocol."""

import asyncio
import functools
import re

import pytest

from tests.unit.exchange.web.browser import CHROMIUM, opened
from tests.unit.exchange.web.page_server import WEB_ROOT, PageServer

in_browser = [
    pytest.mark.needs_browser,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]
LOADED = "document.querySelectorAll('#market-rows tr').length === 134"


def browsing(steps):
    """Mark a test as needing the browser and run its coroutine with an open page."""

    @functools.wraps(steps)
    def run(tmp_path):
        async def scenario():
            async with PageServer().running() as server, opened(server.url, tmp_path / "profile") as page:
                await page.until(LOADED)
                await steps(page, server)

        asyncio.run(scenario())

    del run.__wrapped__
    return functools.reduce(lambda test, mark: mark(test), in_browser, run)


def test_no_external_assets():
    """Nothing is loaded from elsewhere: the page works offline."""
    for file in [path for path in WEB_ROOT.rglob("*") if path.suffix in (".html", ".js", ".css")]:
        addresses = re.findall(r"(?:https?:)?//[\w.]+\.\w+", file.read_text())
        assert set(addresses) <= {"http://www.w3.org"}, file.name


def test_data_reaches_the_page_as_text_only():
    """No part of the page writes markup: a hostile label cannot become script."""
    for file in (WEB_ROOT / "js").glob("*.js"):
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", file.read_text())


@browsing
async def test_console_stays_silent_and_nothing_overflows(page, server):
    """At 1280 x 800 everything fits and no panel is cut at its side."""
    await page.until("document.querySelectorAll('#trade-rows tr').length > 20")
    whole = "(box => [box.scrollWidth, box.scrollHeight])(document.scrollingElement)"
    assert await page.run(whole) == [1280, 800]
    widths = "[...document.querySelectorAll('.scroll')].map(box => box.scrollWidth - box.clientWidth)"
    assert await page.run(widths) == [0, 0, 0, 0, 0]
    assert page.console == []


@browsing
async def test_every_panel_shows_live_data(page, server):
    """Markets, book, chain, trades, batches, index prices and rates."""
    await page.until("document.querySelectorAll('#chain-rows tr').length === 11")
    await page.until("document.querySelectorAll('#batch-rows tr').length === 21")
    await page.until("document.querySelector('#market-rows tr').children[2].textContent === '84,008.5'")
    assert await page.run("document.querySelectorAll('#ask-rows tr').length") >= 3
    assert "spread 1.6" in await page.run("document.getElementById('spread').textContent")
    assert await page.run("document.getElementById('last-batch').textContent") == "#21"
    await page.until("document.getElementById('index-BTC').textContent === '84,012.35'")
    await page.until("Number(document.getElementById('orders-rate').textContent) > 0")


@browsing
async def test_a_chain_that_is_down_is_said(page, server):
    """The status bar and the banner follow /ready, both ways."""
    assert await page.run("document.getElementById('banner').hidden")
    server.degraded = True
    await page.until("document.getElementById('banner').textContent.startsWith('Chain down, batches wait')")
    assert await page.run("document.getElementById('chain-state').textContent") == "chain down"
    server.degraded = False
    await page.until("document.getElementById('banner').hidden")


@browsing
async def test_keyboard_selects_an_instrument(page, server):
    """Arrow keys move through the markets, Enter shows the book."""
    await page.run("document.querySelector('#market-rows button').focus()")
    await page.press("ArrowDown")
    await page.press("Enter")
    await page.until("document.getElementById('book-title').textContent === 'ETH-PERP'")
    await page.until("document.getElementById('spread').textContent.startsWith('spread')")


@browsing
async def test_the_page_comes_back_after_a_lost_connection(page, server):
    """It says so, reconnects and subscribes again."""
    await page.run("document.getElementById('spread').textContent = ''")
    for socket in list(server.sockets):
        socket.transport.abort()
    await page.until("document.getElementById('connection-state').textContent === 'reconnecting'")
    await page.until("document.getElementById('connection-state').textContent === 'live'")
    await page.until("document.querySelectorAll('#ask-rows tr').length >= 3")
    await page.until("document.getElementById('banner').hidden")
