"""`offbook up --gateways 2 --redis URL` as a user meets it: refusals, two gateways, one killed, nothing left behind."""

import contextlib
import json
import os
import signal
import socket

import pytest

from exchange.app.chaos_host import ExchangeUnderTest, free_port
from exchange.app.layout import DataDirectory
from exchange.app.supervisor import fetch_json, fetch_metrics
from tests.fakes.redis_server import redis_server
from tests.faults.running_exchange import await_true, offbook, processes_of, trade

GATEWAYS = 2


def free_ports(count):
    """First of `count` ports in a row that are free."""
    while True:
        with contextlib.ExitStack() as stack:
            first = free_port()
            try:
                for port in range(first, first + count):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except (OSError, OverflowError):
                continue
            return first


def get(port, path):
    """Parsed body of a GET."""
    return fetch_json(f"http://127.0.0.1:{port}{path}")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param(("--gateways", "2"), ("gateways need a Redis", "--redis"), id="no redis"),
        pytest.param(("--gateways", "65", "--redis", "redis://127.0.0.1:1"), ("0 to 64",), id="too many"),
        pytest.param(("--gateways", "1", "--redis", "redis://127.0.0.1:1"), ("redis-server", "127.0.0.1:1"), id="dead"),
        pytest.param(("--gateways", "1", "--redis", "nonsense"), ("no Redis URL",), id="no url"),
    ],
)
def test_what_cannot_work_is_said_in_one_line(tmp_path, options, words):
    """Before anything is started or written."""
    code, _, errors = offbook("up", "--data", tmp_path / "data", "--port", free_ports(4), *options)
    assert code == 1
    lines = errors.strip().splitlines()
    assert len(lines) == 1, errors
    assert all(word in lines[0] for word in words), lines[0]
    assert not (tmp_path / "data" / "exchange").exists()


@pytest.mark.slow
@pytest.mark.needs_redis
@pytest.mark.timeout(240)
def test_gateways_beside_the_exchange(tmp_path, monkeypatch):
    """Both show its books; a killed one comes back to them; Ctrl-C leaves no process."""
    port = free_ports(2 + GATEWAYS)
    with redis_server(tmp_path) as redis:
        monkeypatch.setenv("OFFBOOK_GATEWAYS", str(GATEWAYS))
        monkeypatch.setenv("OFFBOOK_REDIS", redis.url)
        exchange = ExchangeUnderTest(tmp_path / "offbook", port, 3)
        exchange.directory.root.mkdir(parents=True)
        exchange.start()
        try:
            gateways = [port + 2, port + 3]
            trade(exchange, 2)
            history = "/v3/public/get_trade_history?instrument_name=BTC-PERP"

            def shows(place, count):
                ours, theirs = get(port, history), get(place, history)
                rows = (theirs or {}).get("result", {}).get("trades", ())
                return len(rows) == count and theirs["result"] == ours["result"]

            for place in gateways:
                await_true(lambda place=place: shows(place, 4), 10, f"history at {place}")
                assert get(place, "/ready")["ready"]
                assert get(place, "/v3/private/get_account")["error"]["code"] == 20019
            os.kill(exchange.pid("gateway2"), signal.SIGKILL)
            await_true(lambda: exchange.pid("gateway2") is not None and shows(port + 3, 4), 30, "its return")
            assert fetch_metrics(f"http://127.0.0.1:{port}/metrics")["offbook_redis_up"] == 1
            exchange.kill("exchange")
            await_true(lambda: (exchange.ready() or {}).get("ready"), 30, "the exchange's return")
            trade(exchange, 1)
            await_true(lambda: shows(port + 2, 2), 15, "the new epoch")
            status = json.loads(DataDirectory(exchange.settings.data).status.read_text())
            assert {"gateway1", "gateway2"} <= status["processes"].keys()
        finally:
            exchange.stop()
    assert processes_of(exchange.settings.data) == []
