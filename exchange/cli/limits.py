"""The verbs of an operator's market limits: `offbook limits set`, `offbook limits show`."""

import argparse
import sys
from pathlib import Path
from typing import Any, Final

from exchange.app.config import load_settings
from exchange.app.failures import Failure
from exchange.app.layout import DataDirectory
from exchange.app.limit_control import set_limits, show_limits
from exchange.cli.run import add_data_option
from exchange.domain.market_limits import MarketLimits

__all__ = ["add_verbs"]

_E6: Final = 10**6
_OPTIONS: Final = {
    "cap": ("governance_e6", "most open interest"),
    "market-cap": ("market_cap_e6", "circulating value of the underlying: 5 %% of it may be open"),
    "outside-depth": ("outside_depth_e6", "depth of other venues within 1 %%: three times it may be open"),
    "subaccount": ("subaccount_e6", "most on one side of a subaccount"),
    "owner": ("owner_e6", "most on one side of all subaccounts of an owner"),
    "margin-from": ("scaling_from_e6", "open interest above which a perpetual's initial margin grows"),
    "margin-to": ("scaling_to_e6", "open interest at which all of the notional is asked for"),
}


def add_verbs(verbs: Any) -> None:
    """Register this group's verbs."""
    group = verbs.add_parser("limits", help="limits of markets of a running exchange: set NAME, show NAME")
    kinds = group.add_subparsers(dest="kind", required=True, metavar="set|show")
    change = kinds.add_parser("set", help="change what is named, in whole USDC at the index; 0 takes a limit off")
    for option, (_, text) in _OPTIONS.items():
        change.add_argument(f"--{option}", type=int, metavar="USDC", help=text)
    change.set_defaults(run=_set)
    show = kinds.add_parser("show", help="open interest and limits")
    show.set_defaults(run=_show)
    for parser in (change, show):
        parser.add_argument("instrument", help="its name, such as BTC-PERP")
        add_data_option(parser)


def _set(parsed: argparse.Namespace) -> int:
    values = {name: getattr(parsed, option.replace("-", "_")) for option, (name, _) in _OPTIONS.items()}
    named = {name: value * _E6 for name, value in values.items() if value is not None}
    if not named:
        raise Failure("name what to change, such as --cap 100000000; `offbook limits set --help` has all of it")
    _print(parsed.instrument, set_limits(_socket(parsed), parsed.instrument, named))
    return 0


def _show(parsed: argparse.Namespace) -> int:
    instrument, found = show_limits(_socket(parsed), parsed.instrument)
    margin = f", initial margin from {found.initial_ppm / 10_000:g} %" if found.initial_ppm else ""
    sys.stdout.write(f"{instrument.name}: {instrument.quantity_text(found.open_lots)} open{margin}\n")
    _print(instrument.name, found.limits)
    return 0


def _print(name: str, limits: MarketLimits | None) -> None:
    rows = [(option, getattr(limits, field) // _E6) for option, (field, _) in _OPTIONS.items() if limits is not None]
    named = [f"{option} {amount}" for option, amount in rows if amount]
    sys.stdout.write(f"{name}: {', '.join(named) if named else 'no limits'}\n")


def _socket(parsed: argparse.Namespace) -> Path:
    return DataDirectory(load_settings({"data": parsed.data}).data.resolve()).socket
