"""One demo for the tests of this folder, started as a newcomer starts it: default address and data directory."""

from collections.abc import Iterator

import pytest

from exchange.app.supervisor import port_is_free
from tests.e2e.running import Running, free_port, running

DEFAULT_PORT = 8700


@pytest.fixture(scope="package")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """`offbook up --demo` in an empty folder; another port only where the default one is taken."""
    free = all(port_is_free("127.0.0.1", port) for port in (DEFAULT_PORT, DEFAULT_PORT + 1))
    port = DEFAULT_PORT if free else free_port()
    with running(tmp_path_factory.mktemp("newcomer"), port=port, default_data=True) as started:
        yield started
