"""Contracts on the chain in use: deploys once, later checks that chain and deployment.json belong together."""

from exchange.app.config import Settings
from exchange.app.failures import Failure
from exchange.app.keys import deployer_key, operator_key
from exchange.app.layout import DataDirectory
from settlement.onchain.deploy import (
    DeploymentSettings,
    check_deployment,
    deploy_demo,
    load_deployment,
    save_deployment,
)
from settlement.onchain.errors import ChainError
from settlement.onchain.funded_accounts import account_address
from settlement.onchain.rpc import RpcChain

__all__ = ["run"]


def run(settings: Settings, _name: str) -> None:
    """Leave a deployment.json that fits the chain. Raises Failure when they do not belong together."""
    path = DataDirectory(settings.data.resolve()).deployment
    chain = RpcChain(settings.chain_url)
    try:
        deployment = load_deployment(path)
        if deployment is not None:
            check_deployment(chain, deployment)
            return
        wanted = DeploymentSettings(
            subaccount_base=settings.subaccount_base, finality_window_s=settings.finality_window_s
        )
        operator = account_address(operator_key(settings))
        save_deployment(deploy_demo(chain, deployer_key(settings), operator, wanted), path)
    except ChainError as error:
        raise Failure(str(error)) from error
