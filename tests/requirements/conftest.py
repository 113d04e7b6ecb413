"""One exchange in processes of its own for these tests, without bots: every price and fill is the test's."""

from collections.abc import Iterator

import pytest

from tests.e2e.running import Running, running


@pytest.fixture(scope="session")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """`offbook up --demo` with ten funded accounts and a quiet market."""
    with running(tmp_path_factory.mktemp("requirements"), rate=0) as started:
        yield started
