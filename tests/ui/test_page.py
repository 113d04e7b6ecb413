"""The page of a running demo in headless chromium: live numbers, a silent console, everything in sight."""

import asyncio
import json
import os
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.running import Running
from tests.unit.exchange.web.browser import CHROMIUM, Page, opened

pytestmark = [
    pytest.mark.needs_browser,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]

STARTED_WITHIN_S = 90
CHAIN_NOTICED_WITHIN_S = 45
PNG = b"\x89PNG\r\n\x1a\n"
LOADED = "document.querySelectorAll('#market-rows tr').length === 134"
BOOK = "[...document.querySelectorAll('#bid-rows tr, #ask-rows tr')].map(row => row.textContent).join('|')"


def browse(demo: Running, profile: Path, steps: Callable[[Page], Coroutine[Any, Any, None]]) -> None:
    """Open the page of `demo` in a new browser and run `steps`; the console must stay silent."""

    async def visit() -> None:
        async with opened(f"{demo.http}/", profile) as page:
            await becomes(page, LOADED, STARTED_WITHIN_S)
            await steps(page)
            assert page.console == []

    asyncio.run(visit())


async def becomes(page: Page, script: str, within_s: float) -> None:
    """Wait for an expression in the page to be true."""
    async with asyncio.timeout(within_s):
        while not await page.run(script):  # noqa: ASYNC110 - the page has no event for it
            await asyncio.sleep(0.1)


async def count(page: Page, rows: str) -> int:
    """How many elements match."""
    return int(await page.run(f"document.querySelectorAll({rows!r}).length"))


def test_panels_fill_and_change(demo: Running, tmp_path: Path) -> None:
    """Book levels on both sides, trades, an option chain and batches; the book and the figures move."""

    async def steps(page: Page) -> None:
        for rows, least in (("#bid-rows tr", 3), ("#ask-rows tr", 3), ("#trade-rows tr", 5), ("#batch-rows tr", 3)):
            await becomes(page, f"document.querySelectorAll('{rows}').length >= {least}", STARTED_WITHIN_S)
        assert await count(page, "#chain-rows tr") == 11
        await becomes(page, "document.getElementById('spread').textContent.startsWith('spread')", STARTED_WITHIN_S)
        first = await page.run(BOOK)
        await becomes(page, f"{BOOK} !== {json.dumps(first)}", 20)
        batch = await page.run("document.getElementById('last-batch').textContent")
        await becomes(page, f"document.getElementById('last-batch').textContent !== {json.dumps(batch)}", 40)
        await becomes(page, "document.querySelector('#batch-rows .status[data-tone=good]') !== null", STARTED_WITHIN_S)
        await becomes(page, "Number(document.getElementById('fills-rate').textContent) > 0", 30)
        assert await page.run("document.getElementById('connection-state').textContent") == "live"
        assert await page.run("document.getElementById('banner').hidden")

    browse(demo, tmp_path / "profile", steps)


def test_everything_is_in_sight_at_1280_x_800(demo: Running, tmp_path: Path) -> None:
    """No scroll bar of the page, no panel cut at its side, and a picture of it."""

    async def steps(page: Page) -> None:
        await becomes(page, "document.querySelectorAll('#batch-rows tr').length >= 3", STARTED_WITHIN_S)
        whole = "(box => [box.scrollWidth, box.scrollHeight])(document.scrollingElement)"
        assert await page.run(whole) == [1280, 800]
        cut = "[...document.querySelectorAll('.panel, .scroll, .bar')].filter(box => box.scrollWidth > box.clientWidth)"
        assert await page.run(f"{cut}.map(box => box.className)") == []
        await page.screenshot(tmp_path / "page.png")
        assert (tmp_path / "page.png").read_bytes().startswith(PNG)

    browse(demo, tmp_path / "profile", steps)


def test_an_option_shows_its_own_book(demo: Running, tmp_path: Path) -> None:
    """A click on a market changes book and trades to it."""

    async def steps(page: Page) -> None:
        row = "[...document.querySelectorAll('#market-rows button')].find(node => /-C$/.test(node.textContent))"
        name = await page.run(f"{row}.textContent")
        await page.run(f"{row}.click()")
        await becomes(page, f"document.getElementById('book-title').textContent === {json.dumps(name)}", 5)
        await becomes(page, "/^(spread|one-sided)/.test(document.getElementById('spread').textContent)", 30)

    browse(demo, tmp_path / "profile", steps)


@contextmanager
def silent_chain(demo: Running) -> Iterator[None]:
    """The chain's process stands still: connections are taken, nothing answers."""
    pid = json.loads((demo.data / "status.json").read_text())["processes"]["chain"]["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_silent_chain_is_said_and_trading_goes_on(demo: Running, tmp_path: Path) -> None:
    """The banner says that batches wait while the book goes on; it goes when the chain answers again."""
    down = "document.getElementById('banner').textContent.startsWith('Chain down, batches wait')"

    async def steps(page: Page) -> None:
        with silent_chain(demo):
            await becomes(page, down, CHAIN_NOTICED_WITHIN_S)
            assert await page.run("document.getElementById('chain-state').textContent") == "chain down"
            book = await page.run(BOOK)
            await becomes(page, f"{BOOK} !== {json.dumps(book)}", 20)
            await page.screenshot(tmp_path / "down.png")
        await becomes(page, "document.getElementById('banner').hidden", CHAIN_NOTICED_WITHIN_S)
        assert await page.run("document.getElementById('chain-state').textContent") == "chain up"

    browse(demo, tmp_path / "profile", steps)
