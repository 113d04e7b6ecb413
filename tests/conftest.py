"""Which tests share a worker: those of one exchange in processes stay together, every other file is its own group."""

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

_SHARED = ("conformance", "e2e", "requirements", "ui")
"""Folders whose files share one exchange of a session fixture."""
_FIRST = ("faults", "conformance", "e2e", "requirements")
"""Folders whose tests start whole exchanges and mostly wait: begun first, so that the short ones fill the gaps."""


def _folder(nodeid: str) -> str:
    return nodeid.split("/")[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the folders that take longest; the order inside a folder stays."""
    items.sort(key=lambda item: (*_FIRST, _folder(item.nodeid)).index(_folder(item.nodeid)))


class _ByExchange(LoadScopeScheduling):
    def _split_scope(self, nodeid: str) -> str:
        return _folder(nodeid) if _folder(nodeid) in _SHARED else nodeid.split("::", maxsplit=1)[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Hand out the groups; the marks for groups that xdist has itself are lost with pytest 9.2."""
    return _ByExchange(config, log)
