"""A headless chromium behind its debugging protocol: open a page, run script in it, collect what the console said."""

import asyncio
import base64
import itertools
import json
import shutil
import urllib.request
from contextlib import asynccontextmanager

from websockets.asyncio.client import connect

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Page:
    """One tab."""

    def __init__(self, socket):
        self.socket = socket
        self.console = []
        self.numbers = itertools.count(1)
        self.waiting = {}

    async def read(self):
        """Collect answers and console messages until the browser ends."""
        async for frame in self.socket:
            message = json.loads(frame)
            if "id" in message:
                self.waiting.pop(message["id"]).set_result(message.get("result", message.get("error")))
            elif message["method"] == "Runtime.consoleAPICalled" and message["params"]["type"] in ("error", "warning"):
                self.console.append(message["params"]["args"])
            elif message["method"] in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.console.append(message["params"])

    async def send(self, method, **params):
        """Run one command of the debugging protocol."""
        number = next(self.numbers)
        self.waiting[number] = asyncio.get_running_loop().create_future()
        await self.socket.send(json.dumps({"id": number, "method": method, "params": params}))
        return await self.waiting[number]

    async def run(self, script):
        """Value of an expression in the page."""
        result = await self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    async def until(self, script):
        """Wait for an expression to be true."""
        async with asyncio.timeout(15):
            while not await self.run(script):  # noqa: ASYNC110 - the page has no event for it
                await asyncio.sleep(0.05)

    async def screenshot(self, path):
        """Save what is visible."""
        result = await self.send("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(result["data"]))

    async def press(self, key):
        """Press and release one key."""
        code = {"ArrowDown": 40, "Tab": 9, "Enter": 13}[key]
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            await self.send("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **text)


@asynccontextmanager
async def opened(url, profile, *, width=1280, height=800):
    """Open `url` in a new headless browser with its own profile folder."""
    process = await asyncio.create_subprocess_exec(
        CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--disable-quic", "--disable-background-networking", "--disable-component-update", "--disable-sync",
        f"--user-data-dir={profile}", f"--window-size={width},{height}", "--remote-debugging-port=0", "about:blank",
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    drain = None
    try:
        port = await asyncio.wait_for(_debugging_port(process.stderr), 20)
        drain = asyncio.create_task(process.stderr.read())
        targets = await asyncio.to_thread(_targets, port)
        async with connect(targets[0]["webSocketDebuggerUrl"], max_size=32 << 20, proxy=None) as socket:
            page = Page(socket)
            reading = asyncio.create_task(page.read())
            for domain in ("Page", "Runtime", "Log"):
                await page.send(f"{domain}.enable")
            await page.send(
                "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
            )
            await page.send("Page.navigate", url=url)
            try:
                yield page
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
    finally:
        process.terminate()
        await process.wait()
        if drain is not None:
            await drain


async def _debugging_port(stream):
    while line := await stream.readline():
        if b"DevTools listening on" in line:
            return int(line.split(b":")[-1].split(b"/")[0])
    raise RuntimeError("the browser did not start")


def _targets(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=5) as reply:
        return [target for target in json.load(reply) if target["type"] == "page"]
