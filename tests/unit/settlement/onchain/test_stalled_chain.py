"""Threat "L2 sequencer censors the challenger or stalls": a chain without blocks shortens no window."""

import pytest

from settlement.onchain.contract import SettlementReader, encode_finalize
from settlement.onchain.deploy import DeploymentSettings, deploy_demo
from settlement.onchain.errors import CallReverted
from settlement.onchain.funded_accounts import DEPLOYER_INDEX, OPERATOR_INDEX, account_address, account_key
from settlement.onchain.outbox import Outbox
from settlement.onchain.poster import Poster
from settlement.onchain.requests import RequestReader
from settlement.onchain.wallet import Wallet
from settlement.protocol.keccak import keccak256
from settlement.protocol.ledger import LedgerState
from tests.unit.settlement.onchain.conftest import SEED, serve_anvil, wait_until
from tests.unit.settlement.onchain.queueing import minted, request_batch

HOURS_48 = 172_800
BLOCKS = 200
"""Fewer than the 86,400 of a real deployment: they must be mined in a moment."""
WINDOW_OPEN = keccak256(b"WindowOpen()")[:4]


@pytest.mark.needs_node
def test_no_blocks_for_48_hours_finalize_nothing(tmp_path):
    """The first block after the stall is late enough in time; the batch waits for the blocks all the same."""
    with serve_anvil() as chain:
        settings = DeploymentSettings(finality_window_s=HOURS_48, finality_blocks=BLOCKS)
        operator = account_address(account_key(SEED, OPERATOR_INDEX))
        deployment = deploy_demo(chain, account_key(SEED, DEPLOYER_INDEX), operator, settings)
        minted(chain, deployment, 0, 100)
        records = RequestReader(chain, deployment).poll(0).confirmed
        outbox = Outbox(tmp_path / "outbox.sqlite")
        outbox.add(request_batch(LedgerState(), records, [], chain), 0)
        poster = Poster(chain, deployment, outbox, account_key(SEED, OPERATOR_INDEX))
        wait_until(lambda: poster.step() and outbox.batch(1).block_number is not None)
        finalize = encode_finalize(1, outbox.batch(1).header(bytes(32)))
        chain._request("evm_increaseTime", [HOURS_48 + 1])
        chain._request("anvil_mine", ["0x1"])
        stranger = Wallet(chain, account_key(SEED, 5))
        with pytest.raises(CallReverted) as refused:
            stranger.send(deployment.settlement, finalize)
        assert refused.value.data[:4] == WINDOW_OPEN
        for _ in range(BLOCKS // 20):
            chain._request("anvil_mine", [hex(20)])
        stranger.send(deployment.settlement, finalize)
        assert SettlementReader(chain, deployment.settlement).finalized() == 1
