"""Match a record file and hash the report of what happened.

    python -m bench.reports FILE [--book compiled|reference]

Prints counts, the SHA-256 of the report text (layout: `replay`), and commands/s: matching alone, through
`submit(bytes)` in batches of 256 with the handles of a first pass, and from records through a compiled id table. Both
are medians of three runs in the thread's own time, each checked against the state of the first pass. Exit code 0; 2
with one line when the file is not a record file.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from bench import record_file
from bench.native_build import Missing, core_replay
from bench.record_file import RecordError, Survey
from bench.replay import Replay, batches
from matching_core import OrderBook, ReferenceOrderBook
from matching_core.limits import ORDER_CAPACITY_MAX

__all__ = [
    "BOOKS",
    "Report",
    "events_digest",
    "listed_book",
    "main",
    "match",
    "report_digest",
    "submit_all",
    "time_matching",
]

ROUNDS: Final = 3
_SPARSE: Final = 16
BOOKS: Final = {"compiled": OrderBook, "reference": ReferenceOrderBook}


@dataclass(frozen=True, slots=True)
class Report:
    """What a file did: the hash of its report text, its counts, and the commands it became."""

    digest: str
    trades: int
    refused: int
    """Cancels and modifies of orders that did not rest."""
    resting: int
    levels: int
    commands: bytes
    state_hash: bytes
    events_digest: str


def listed_book(book_class, survey: Survey):
    """An empty book with the file's instruments and room for every order of the file."""
    book = book_class(order_capacity=min(max(survey.new, 1), ORDER_CAPACITY_MAX))
    for instrument in survey.core_ids.values():
        book.list_instrument(instrument, price_min_ticks=survey.price_min, price_max_ticks=survey.price_max)
    return book


def match(body: bytes, survey: Survey, book_class) -> Report:
    """Match all records through the id table and report them."""
    book = listed_book(book_class, survey)
    replay = Replay(book, survey)
    digest = report_digest(replay.lines(body), in_sequence=survey.in_sequence)
    depths = (book.depth(instrument, book.resting_count + 1) for instrument in survey.core_ids.values())
    levels = sum(len(bids) + len(asks) for bids, asks in depths)
    commands, events = b"".join(replay.commands), replay.events.hexdigest()
    return Report(
        digest, replay.trades, replay.refused, book.resting_count, levels, commands, book.state_hash(), events
    )


def report_digest(lines: Iterable[list[str]], *, in_sequence: bool) -> str:
    """SHA-256 of the report text: lines by (sequence, type), joined by newlines."""
    if not in_sequence:
        lines = [sorted((line for some in lines for line in some), key=_sequence_and_type)]
    digest, joint = sha256(), b""
    for some in lines:
        if some:
            digest.update(joint + "\n".join(some).encode())
            joint = b"\n"
    return digest.hexdigest()


def time_matching(report: Report, survey: Survey, book_class, rounds: int = ROUNDS) -> float:
    """Median seconds to submit a report's commands to an empty book; the same events and state must come back."""
    pieces = batches(report.commands)
    events = map(listed_book(book_class, survey).submit, pieces)
    if events_digest(events) != report.events_digest:
        raise RuntimeError("the same commands gave other events in full batches")
    fresh = (listed_book(book_class, survey) for _ in range(rounds))
    return statistics.median(submit_all(book, pieces, report.state_hash) for book in fresh)


def submit_all(book, pieces: list[bytes], state_hash: bytes) -> float:
    """Seconds to submit all pieces to an empty book, which must end in the state named."""
    submit = book.submit
    start = time.thread_time()
    for piece in pieces:
        submit(piece)
    seconds = time.thread_time() - start
    if book.state_hash() != state_hash:
        raise RuntimeError("the same commands left another book")
    return seconds


def time_with_ids(body: bytes, report: Report, survey: Survey, rounds: int = ROUNDS) -> float:
    """Median seconds to match records through a table of their ids, in compiled code; Missing where that cannot be."""
    if survey.order_id_max > _SPARSE * survey.count:
        raise Missing("the ids of this file are not dense")
    if any(instrument != core_id for instrument, core_id in survey.core_ids.items()):
        raise Missing("an instrument of this file does not fit 32 bits")
    replay_ns = core_replay().replay_records_ns
    return statistics.median(_round_with_ids(replay_ns, body, report, survey) for _ in range(rounds))


def _round_with_ids(replay_ns, body: bytes, report: Report, survey: Survey) -> float:
    book = listed_book(OrderBook, survey)
    duration_ns = replay_ns(book, body, survey.order_id_max)
    if book.state_hash() != report.state_hash:
        raise RuntimeError("records through the compiled id table left another book")
    return duration_ns / 1e9


def events_digest(pieces: Iterable[bytes]) -> str:
    """SHA-256 of all events, however they were cut into pieces."""
    digest = sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def main(arguments: list[str] | None = None) -> int:
    """Match a file and print what happened; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.reports", description="Match a record file.")
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("--book", choices=BOOKS, default="compiled")
    options = parser.parse_args(arguments)
    try:
        print("\n".join(_measured(options.file, options.book)))
    except RecordError as error:
        sys.stderr.write(f"bench.reports: {error}\n")
        return 2
    return 0


def _measured(path: Path, book: str) -> Iterator[str]:
    body = record_file.load(path)
    survey = record_file.survey(body)
    report = match(body, survey, BOOKS[book])
    seconds = time_matching(report, survey, BOOKS[book]) or 1e-9
    yield f"file       {path.name}: {survey.count:,} records, {len(survey.core_ids):,} instruments, {book} book"
    yield f"records    new {survey.new:,} / cancel {survey.cancel:,} / modify {survey.modify:,}"
    yield f"trades     {report.trades:,}, {report.refused:,} cancels and modifies refused"
    yield f"resting    {report.resting:,} orders on {report.levels:,} levels"
    yield f"sha256     {report.digest}"
    yield f"matching   {survey.count / seconds:,.0f} commands/s (batches of 256, handles known)"
    if book == "compiled":
        yield f"with ids   {_rate_with_ids(body, report, survey)}"


def _rate_with_ids(body: bytes, report: Report, survey: Survey) -> str:
    try:
        seconds = time_with_ids(body, report, survey) or 1e-9
    except Missing as reason:
        return f"not measured: {reason}"
    return f"{survey.count / seconds:,.0f} commands/s (records through the id table)"


def _sequence_and_type(line: str) -> tuple[int, int]:
    kind, sequence, _ = line.split(",", 2)
    return int(sequence), int(kind)


if __name__ == "__main__":
    raise SystemExit(main())
