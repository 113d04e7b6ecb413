"""Funding demo accounts: once, also when the first attempt was cut short."""

from exchange.app import accounts_process
from exchange.app.config import Settings
from exchange.app.keys import owner_key, session_key
from settlement.onchain.contract import SettlementReader
from settlement.protocol.signature import address_of
from tests.unit.settlement.onchain.conftest import SEED, ServedChain, deploy


def test_what_the_chain_has_already_is_not_done_again(tmp_path) -> None:
    """A stop between deposit, key and their credit: the next start finds an exchange that knows neither yet."""
    served = ServedChain(tmp_path / "chain")
    try:
        deployment, settings = deploy(served.chain), Settings(seed=SEED)
        for _ in range(2):
            accounts_process._fund(served.chain, deployment, settings, 0)
        reader = SettlementReader(served.chain, deployment.settlement)
        owner = address_of(owner_key(settings, 0))
        assert reader.accounts_of(owner) == [2]
        assert reader.has_session_key(owner, address_of(session_key(settings, 0)))
        assert reader.request_counts()[0] == 2
    finally:
        served.stop()
