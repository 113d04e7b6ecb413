"""One demo for all tests of this folder, as a newcomer starts it."""

from collections.abc import Iterator

import pytest

from tests.e2e.running import Running, running


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """`offbook up --demo` with bots at half their usual rate."""
    with running(tmp_path_factory.mktemp("demo")) as started:
        yield started
