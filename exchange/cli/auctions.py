"""The verbs of an operator's call auctions: `offbook auction begin`, `offbook auction end`."""

import argparse
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from exchange.app.auction_control import MAX_SECONDS, begin_auction, end_auction
from exchange.app.config import load_settings
from exchange.app.layout import DataDirectory
from exchange.cli.run import add_data_option

__all__ = ["add_verbs"]


def add_verbs(verbs: Any) -> None:
    """Register this group's verbs."""
    auction = verbs.add_parser("auction", help="call auctions of a running exchange: begin NAME, end NAME")
    kinds = auction.add_subparsers(dest="kind", required=True, metavar="begin|end")
    begin = kinds.add_parser("begin", help="collect an instrument's orders until a time, then match them at one price")
    begin.add_argument("instrument", help="its name, such as BTC-PERP")
    begin.add_argument(
        "--seconds", type=int, default=300, help=f"how long, 1 to {MAX_SECONDS} (default 300); moves the end of one"
    )
    begin.set_defaults(run=_begin)
    end = kinds.add_parser("end", help="match what was collected now and trade continuously")
    end.add_argument("instrument", help="its name, such as BTC-PERP")
    end.set_defaults(run=_end)
    for parser in (begin, end):
        add_data_option(parser)


def _begin(parsed: argparse.Namespace) -> int:
    started = begin_auction(_socket(parsed), parsed.instrument, parsed.seconds, now_ns=time.time_ns())
    until = datetime.fromtimestamp(started.deadline_ns // 10**9, UTC)
    sys.stdout.write(f"{parsed.instrument}: collects orders until {until:%Y-%m-%d %H:%M:%S} UTC\n")
    return 0


def _end(parsed: argparse.Namespace) -> int:
    instrument, ended = end_auction(_socket(parsed), parsed.instrument)
    if ended.quantity_lots == 0:
        text = "nothing traded"
    else:
        lots, price = instrument.quantity_text(ended.quantity_lots), instrument.price_text(ended.price_ticks)
        text = f"{lots} traded, the first round at {price}"
    sys.stdout.write(f"{parsed.instrument}: {text}; trades continuously now\n")
    return 0


def _socket(parsed: argparse.Namespace) -> Path:
    return DataDirectory(load_settings({"data": parsed.data}).data.resolve()).socket
