"""Terms of assets on chain: set once, and never other than this release's."""

from dataclasses import replace

import pytest

from settlement.onchain.answers import AssetRow, read_asset
from settlement.onchain.contract import SettlementReader
from settlement.onchain.deploy import deploy_demo, set_assets
from settlement.onchain.errors import DeploymentMismatch
from settlement.onchain.funded_accounts import DEPLOYER_INDEX, OPERATOR_INDEX, account_address, account_key
from tests.fakes.chain_in_process import ChainInProcess
from tests.fakes.signed_market import SEED

ASSET = b"\x07" * 20
ROW = AssetRow(is_perpetual=True, underlying=5, lot_e18=10**15, unit_e6=100, factor_class=1)


def test_other_terms_on_chain_are_refused(tmp_path):
    """A restart finds its own rows and sets nothing; another number of the underlying is a mismatch with its fix."""
    chain = ChainInProcess(tmp_path, seed=SEED, now_s=1_790_000_000)
    deployer = account_key(SEED, DEPLOYER_INDEX)
    deployment = deploy_demo(chain, deployer, account_address(account_key(SEED, OPERATOR_INDEX)))
    set_assets(chain, deployer, deployment, {ASSET: ROW})
    height = chain.block("latest").number
    set_assets(chain, deployer, deployment, {ASSET: ROW})
    assert chain.block("latest").number == height
    assert read_asset(SettlementReader(chain, deployment.settlement), ASSET) == ROW
    with pytest.raises(DeploymentMismatch, match=r"other terms of asset 0x0707"):
        set_assets(chain, deployer, deployment, {ASSET: replace(ROW, underlying=6)})
    chain.close()
