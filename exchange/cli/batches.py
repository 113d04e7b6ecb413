"""`offbook batch`: list, show, verify.

The reports load with the verb that needs them: the chain's libraries take longer to import than most verbs to run.
"""

import argparse
import json
import sys
from typing import Any

from exchange.app.config import Settings, load_settings
from exchange.app.failures import Failure
from exchange.cli.run import add_data_option

__all__ = ["add_verbs"]


def add_verbs(verbs: Any) -> None:
    """Register this group's verbs."""
    batch = verbs.add_parser("batch", help="settlement batches: list, show N, verify N")
    kinds = batch.add_subparsers(dest="kind", required=True, metavar="list|show|verify")
    listing = kinds.add_parser("list", help="newest batches with fills, legs, gas and state")
    listing.add_argument("--limit", type=int, default=20)
    listing.set_defaults(run=_list)
    show = kinds.add_parser("show", help="one batch: fills, legs, ratio, bytes, gas, gas per fill, gas saved, roots")
    show.add_argument("seq", type=int)
    show.set_defaults(run=_show)
    verify = kinds.add_parser("verify", help="recompute a batch from journal and calldata; exit 1 when it differs")
    verify.add_argument("seq", type=int, nargs="?", help="batch number")
    verify.add_argument("--all", action="store_true", help="those of the newest 1000 that the chain still keeps")
    verify.set_defaults(run=_verify)
    for parser in (listing, show, verify):
        add_data_option(parser)
        parser.add_argument("--rpc", dest="rpc_url", help="chain to read (default: the embedded one)")
        parser.add_argument("--port", type=int, help="port of the exchange, for the embedded chain's place")
        parser.add_argument("--json", action="store_true", help="machine-readable output")


def _settings(parsed: argparse.Namespace) -> Settings:
    return load_settings({"data": parsed.data, "rpc_url": parsed.rpc_url, "port": parsed.port})


def _list(parsed: argparse.Namespace) -> int:
    from exchange.app.batch_reports import list_batches  # noqa: PLC0415 - see above

    rows = list_batches(_settings(parsed), parsed.limit)
    if parsed.json:
        sys.stdout.write(json.dumps(rows) + "\n")
        return 0
    sys.stdout.write(f"{'batch':>6} {'fills':>7} {'legs':>6} {'ratio':>7} {'gas':>9} {'gas/fill':>9}  state\n")
    for row in rows:
        sys.stdout.write(
            f"{row['seq']:>6} {row['fills']:>7} {row['legs']:>6} {row['ratio'] or '-':>7} "
            f"{row['gas_used'] or '-':>9} {row['gas_per_fill'] or '-':>9}  {row['state']}\n"
        )
    return 0


def _show(parsed: argparse.Namespace) -> int:
    from exchange.app.batch_reports import show_batch  # noqa: PLC0415 - see above

    row = show_batch(_settings(parsed), parsed.seq)
    if parsed.json:
        sys.stdout.write(json.dumps(row) + "\n")
        return 0
    for name, value in row.items():
        sys.stdout.write(f"{name:<15} {'-' if value is None else value}\n")
    return 0


def _verify(parsed: argparse.Namespace) -> int:
    from exchange.app.batch_reports import list_batches  # noqa: PLC0415 - see above

    settings = _settings(parsed)
    if parsed.all:
        rows = list_batches(settings, 1_000)
        seqs = sorted(row["seq"] for row in rows if row["tx_hash"])
    elif parsed.seq is not None:
        seqs = [parsed.seq]
    else:
        raise Failure("name a batch, or give --all")
    return _verify_kept(settings, seqs) if parsed.all else _verify_one(settings, seqs[0])


def _verify_kept(settings: Settings, seqs: list[int]) -> int:
    """Verify what can be; pruned batches are counted, and nothing but them is a failure."""
    from exchange.app.batch_reports import BatchPruned  # noqa: PLC0415 - see above

    codes: list[int] = []
    for seq in seqs:
        try:
            codes.append(_verify_one(settings, seq))
        except BatchPruned:
            continue
    if len(codes) < len(seqs):
        sys.stdout.write(f"{len(seqs) - len(codes)} older batches were not checked: the chain dropped their blocks\n")
    return max(codes, default=int(bool(seqs)))


def _verify_one(settings: Settings, seq: int) -> int:
    from exchange.app.batch_reports import verify_batch  # noqa: PLC0415 - see above

    found = verify_batch(settings, seq)
    batch = found.computed.batch
    what = f"batch {seq}: {batch.fills} fills -> {batch.legs} legs, sequences {found.computed.first_sequence} to "
    sys.stdout.write(f"{what}{found.computed.last_sequence}, {found.posted.gas_used} gas\n")
    names = found.computed.instruments
    for line in found.differences:
        words = line.split()
        if "instrument" in words and (number := words[words.index("instrument") + 1]).isdigit():
            row = names.get(int(number))
            line = line if row is None else line.replace(f"instrument {number}", f"instrument {number} ({row.name})")  # noqa: PLW2901
        sys.stdout.write(f"  differs: {line}\n")
    verdict = "differs from the journal" if found.differences else "root recomputed = root on chain"
    sys.stdout.write(f"batch {seq}: {verdict} 0x{found.posted.new_root.hex()}\n")
    return 1 if found.differences else 0
