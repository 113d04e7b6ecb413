"""Slither's findings against the reasons that were written for them."""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

__all__ = ["Finding", "accepted", "findings", "judged"]

ACCEPTED: Final = Path(__file__).with_name("accepted.toml")
_SHOWN: Final = ("High", "Medium")

Finding = tuple[str, str]
"""Check, and place as `Contract.function` or `Contract.variable`, or the contract alone."""


def findings(report: Mapping[str, Any]) -> set[Finding]:
    """Findings of high and medium impact. Raises ValueError when slither itself failed."""
    if not report["success"]:
        raise ValueError(f"slither failed: {report['error']}")
    rows = report["results"].get("detectors", [])
    return {(row["check"], _place(row["elements"])) for row in rows if row["impact"] in _SHOWN}


def _place(elements: Sequence[Mapping[str, Any]]) -> str:
    """What the first element is, or is in, directly below its contract."""
    first = elements[0]
    while first["type"] != "contract":
        parent = first["type_specific_fields"]["parent"]
        if parent["type"] == "contract":
            return f"{parent['name']}.{first['name']}"
        first = parent
    return str(first["name"])


def accepted() -> dict[Finding, str]:
    """Reasons by finding, from the committed file."""
    tables = tomllib.loads(ACCEPTED.read_text())
    return {(check, place): reason for check, places in tables.items() for place, reason in places.items()}


def judged(found: set[Finding], reasons: Mapping[Finding, str]) -> list[str]:
    """One line per finding without a reason, and per reason without its finding."""
    new = [f"{check} at {place}: no reason in accepted.toml" for check, place in sorted(found - reasons.keys())]
    stale = [f"{check} at {place}: accepted, but not found" for check, place in sorted(reasons.keys() - found)]
    empty = sorted(place for place, why in reasons.items() if not why.strip())
    return new + stale + [f"{check} at {place}: an empty reason" for check, place in empty]
