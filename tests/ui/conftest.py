"""One demo for the tests of the page, with processes of its own: the last test stops its chain for a while."""

from collections.abc import Iterator

import pytest

from tests.e2e.running import Running, running


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """`offbook up --demo` on a free port."""
    with running(tmp_path_factory.mktemp("page")) as started:
        yield started
