"""`offbook api`: the API documents, as the gateway serves them."""

import argparse
import sys
from typing import Any

__all__ = ["add_verbs"]


def add_verbs(verbs: Any) -> None:
    """Register this group's verb."""
    api = verbs.add_parser("api", help="print the API document: openapi (REST) or asyncapi (socket)")
    api.add_argument("document", choices=("openapi", "asyncapi"))
    api.set_defaults(run=_print)


def _print(parsed: argparse.Namespace) -> int:
    from exchange.wire.api_documents import document_bytes  # noqa: PLC0415 - no other verb needs the schemas

    sys.stdout.write(document_bytes(parsed.document).decode())
    return 0
