"""Slither's findings against the reasons that were written for them."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

__all__ = ["Finding", "accepted", "findings", "judged"]

ACCEPTED: Final = Path(__file__).with_name("accepted.toml")
_SHOWN: Final = ("High", "Medium")

# Slither walks through sets of objects: what depends on their order is found in one run and not in the next.
_SELDOM: Final = "not always found: "

Finding = tuple[str, str]
"""Check, and place: `Contract.member`, or `Contract.member | line` for what is pointed at inside of a function."""

_REQUIRED: Final = re.compile(r"require\(bool,error\)\((.*),revert \w+\(.*")


def findings(report: Mapping[str, Any]) -> set[Finding]:
    """Findings of high and medium impact. Raises ValueError when slither itself failed."""
    if not report["success"]:
        raise ValueError(f"slither failed: {report['error']}")
    rows = report["results"].get("detectors", [])
    return {(row["check"], _place(row["elements"])) for row in rows if row["impact"] in _SHOWN}


def _place(elements: Sequence[Mapping[str, Any]]) -> str:
    """What the first element is, or is in, directly below its contract; behind a bar the lines that are meant."""
    member = elements[0]
    if member["type"] == "contract":
        return str(member["name"])
    while _parent(member)["type"] != "contract":
        member = _parent(member)
    place = f"{_parent(member)['name']}.{member['name']}"
    lines = [_REQUIRED.sub(r"\1", row["name"]) for row in elements if _is_line(row)]
    return " | ".join((place, *lines))


def _is_line(element: Mapping[str, Any]) -> bool:
    """A statement, or a variable that a function declares."""
    return element["type"] in ("node", "variable") and _parent(element)["type"] == "function"


def _parent(element: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = element["type_specific_fields"]["parent"]
    return found


def accepted() -> dict[Finding, str]:
    """Reasons by finding, from the committed file."""
    tables = tomllib.loads(ACCEPTED.read_text())
    return {(check, place): reason for check, places in tables.items() for place, reason in places.items()}


def judged(found: set[Finding], reasons: Mapping[Finding, str]) -> list[str]:
    """One line per finding without a reason, and per reason without its finding, unless that is not always found."""
    new = [f"{check} at {place}: no reason in accepted.toml" for check, place in sorted(found - reasons.keys())]
    gone = sorted(row for row in reasons.keys() - found if not reasons[row].startswith(_SELDOM))
    stale = [f"{check} at {place}: accepted, but not found" for check, place in gone]
    empty = sorted(place for place, why in reasons.items() if not why.strip())
    return new + stale + [f"{check} at {place}: an empty reason" for check, place in empty]
