"""Settings: later sources win, unknown names and impossible values are named."""

from pathlib import Path

import pytest

from exchange.app.config import ConfigError, Settings, load_settings, shared_folder


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"prot": 1}, "prot"),
        ({"port": "x"}, "port"),
        ({"port": True}, "port"),
        ({"port": 0}, "port 0"),
        ({"port": 65_535}, "port 65535"),
        ({"demo": "maybe"}, "demo"),
        ({"batch_interval_s": 0.0}, "intervals"),
        ({"segment_bytes": 5_000}, "segment_bytes"),
        ({"confirmations": 0}, "confirmations"),
        ({"history_blocks": 255}, "history_blocks"),
        ({"history_blocks": -1}, "history_blocks"),
        ({"finality_window_s": -1}, "finality_window_s"),
        ({"gateways": -1, "redis": "redis://h"}, "gateways -1"),
        ({"gateways": 65, "redis": "redis://h"}, "gateways 65"),
        ({"gateways": 1}, "--redis"),
        ({"feeds": -1}, "feeds -1"),
        ({"feeds": 17}, "feeds 17"),
        ({"feed_threshold": 1}, "feed_threshold 1"),
        ({"feeds": 3, "feed_threshold": 4}, "feed_threshold 4"),
        ({"feeds": 3, "feed_bound_ppm": 0}, "feed_bound_ppm 0"),
        ({"feeds": 3, "feed_urls": ",".join(["http://h"] * 17)}, "feed_urls"),
        ({"feeds": 3, "port": 65_533}, "no ports are left behind 65534"),
        ({"gateways": 3, "redis": "redis://h", "port": 65_532}, "no ports are left behind 65533"),
        ({"gateways": 1, "redis": "redis://h", "chain_port": 65_535}, "no ports are left behind 65535"),
    ],
)
def test_bad_value_is_named(given, named):
    """One line with the setting."""
    with pytest.raises(ConfigError, match=named):
        load_settings(given)


@pytest.mark.parametrize("text", ["port = ", "prot = 3"])
def test_bad_file_is_named(tmp_path, text):
    """Syntax and unknown names."""
    path = tmp_path / "offbook.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"offbook\.toml"):
        load_settings({}, path)


def test_missing_file_is_named(tmp_path):
    """It was asked for."""
    with pytest.raises(ConfigError, match=r"none\.toml"):
        load_settings({}, tmp_path / "none.toml")


def test_arguments_win_over_environment_over_file(tmp_path, monkeypatch):
    """Each source changes only what it names."""
    path = tmp_path / "offbook.toml"
    path.write_text("port = 1001\nseed = 1001\nfinality_window_s = 1001\n")
    monkeypatch.setenv("OFFBOOK_SEED", "1002")
    monkeypatch.setenv("OFFBOOK_PORT", "1002")
    monkeypatch.setenv("OFFBOOK_SOMETHING_ELSE", "x")
    settings = load_settings({"port": 1003, "demo": None}, path)
    assert (settings.port, settings.seed, settings.finality_window_s) == (1003, 1002, 1001)


@pytest.mark.parametrize(
    ("given", "ports"),
    [
        ({}, ()),
        ({"gateways": 2}, (8702, 8703)),
        ({"gateways": 2, "port": 9000}, (9002, 9003)),
        ({"gateways": 1, "chain_port": 8800}, (8801,)),
        ({"gateways": 1, "chain_port": 8600}, (8701,)),
    ],
)
def test_gateways_take_the_ports_behind(given, ports):
    """Behind the exchange's and the chain's, whichever is higher."""
    assert load_settings({"redis": "redis://h", **given}).gateway_ports == ports


@pytest.mark.parametrize(
    ("settings", "url", "confirmations"),
    [
        (Settings(port=9000), "http://127.0.0.1:9001", 1),
        (Settings(port=9000, chain_port=7), "http://127.0.0.1:7", 1),
        (Settings(rpc_url="http://node:1", confirmations=3), "http://node:1", 3),
    ],
)
def test_chain_in_use(settings, url, confirmations):
    """The embedded chain has no forks; an external one is waited for."""
    assert (settings.chain_url, settings.confirmations_needed) == (url, confirmations)


def test_shared_folder_follows_the_environment(monkeypatch):
    """Recorded data may stand anywhere."""
    monkeypatch.setenv("OFFBOOK_SHARED", "/elsewhere")
    assert shared_folder() == Path("/elsewhere")


@pytest.mark.parametrize(
    ("given", "ports", "needed"),
    [
        ({}, (), 0),
        ({"feeds": 3}, (8_702, 8_703, 8_704), 2),
        ({"feeds": 4, "feed_threshold": 4, "gateways": 1, "redis": "redis://h"}, (8_703, 8_704, 8_705, 8_706), 4),
        ({"feeds": 1, "chain_port": 9_000}, (9_001,), 1),
        ({"feeds": 2, "feed_urls": "http://a, http://b/"}, (), 2),
    ],
)
def test_signers_listen_behind_everything_else(given, ports, needed):
    """More than half of them sign, unless it is said otherwise; signers elsewhere have no ports here."""
    settings = load_settings(given)
    assert (settings.feed_ports, settings.feeds_needed) == (ports, needed)
    assert len(settings.feed_addresses) == settings.feeds
