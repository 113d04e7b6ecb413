"""Deploying the demo token and the settlement contract, and the check of a deployment against a chain."""

from dataclasses import dataclass
from typing import Any, Final

from settlement.onchain.artifacts import load_artifact
from settlement.onchain.chain import Chain
from settlement.onchain.contract import SettlementReader
from settlement.onchain.deployment import RESET_HINT, Deployment, load_deployment, save_deployment
from settlement.onchain.errors import CallReverted, DeploymentMismatch, HistoryPruned, RpcRefused
from settlement.onchain.wallet import Wallet
from settlement.protocol.eip712 import domain_separator

__all__ = [
    "DEFAULT_SUBACCOUNT_BASE",
    "Deployment",
    "DeploymentSettings",
    "check_deployment",
    "check_same_chain",
    "deploy_demo",
    "load_deployment",
    "save_deployment",
]

DEFAULT_SUBACCOUNT_BASE: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class DeploymentSettings:
    """Constructor parameters; windows in seconds, deposit in 1e-6 USDC."""

    subaccount_base: int = DEFAULT_SUBACCOUNT_BASE
    finality_window_s: int = 10
    force_delay_s: int = 86_400
    minimum_deposit_e6: int = 10_000_000


def deploy_demo(
    chain: Chain, deployer_key: bytes, operator: bytes, settings: DeploymentSettings | None = None
) -> Deployment:
    """Create DemoUSDC (the deployer mints) and Settlement; returns the checked deployment."""
    chosen = settings or DeploymentSettings()
    wallet = Wallet(chain, deployer_key)
    token, _ = _create(wallet, "DemoUSDC", [])
    arguments = [
        "0x" + token.hex(),
        "0x" + operator.hex(),
        chosen.subaccount_base,
        chosen.finality_window_s,
        chosen.force_delay_s,
        chosen.minimum_deposit_e6,
    ]
    settlement, deploy_block = _create(wallet, "Settlement", arguments)
    genesis, deployed = chain.block(0), chain.block(deploy_block)
    deployment = Deployment(
        chain_id=chain.chain_id(),
        settlement=settlement,
        token=token,
        operator=operator,
        subaccount_base=chosen.subaccount_base,
        finality_window_s=chosen.finality_window_s,
        domain_separator=bytes(SettlementReader(chain, settlement).view("domainSeparator()", ["bytes32"])),
        deploy_block=deploy_block,
        genesis_hash=b"" if genesis is None else genesis.block_hash,
        deploy_block_hash=b"" if deployed is None else deployed.block_hash,
    )
    check_deployment(chain, deployment)
    return deployment


def _create(wallet: Wallet, name: str, arguments: list[Any]) -> tuple[bytes, int]:
    receipt = wallet.send(None, load_artifact(name).creation_code(arguments))
    if receipt.contract_address is None:
        raise RpcRefused(f"the node's receipt for {name} has no contract address")
    return receipt.contract_address, receipt.block_number


def check_deployment(chain: Chain, deployment: Deployment) -> None:
    """Compare a chain with the file. Raises `DeploymentMismatch` with one line that names the fix."""
    chain_id = chain.chain_id()
    if chain_id != deployment.chain_id:
        raise _mismatch(f"chain id is {chain_id}, deployment.json says {deployment.chain_id}")
    check_same_chain(chain, deployment)
    for name, address in (("Settlement", deployment.settlement), ("DemoUSDC", deployment.token)):
        _check_code(chain, name, address)
    _check_views(SettlementReader(chain, deployment.settlement), deployment)


def check_same_chain(chain: Chain, deployment: Deployment) -> None:
    """Whether this is the very chain that was deployed to. Raises `DeploymentMismatch`.

    A node that no longer keeps the deployment's block must at least have code at the contract's address.
    """
    genesis = chain.block(0)
    if genesis is None or genesis.block_hash != deployment.genesis_hash:
        raise _mismatch("the chain at the URL has another genesis than the one in deployment.json")
    if deployment.deploy_block_hash and not _has_deploy_block(chain, deployment):
        raise _mismatch("the chain at the URL has other blocks than the one in deployment.json")


def _has_deploy_block(chain: Chain, deployment: Deployment) -> bool:
    try:
        deployed = chain.block(deployment.deploy_block)
    except HistoryPruned:
        return bool(chain.code(deployment.settlement))
    return deployed is not None and deployed.block_hash == deployment.deploy_block_hash


def _check_code(chain: Chain, name: str, address: bytes) -> None:
    code = chain.code(address)
    if not code:
        raise _mismatch(f"no contract at 0x{address.hex()} ({name}): the chain is not the one in deployment.json")
    if not load_artifact(name).matches(code):
        raise _mismatch(f"the code of {name} at 0x{address.hex()} is not that of this release")


def _check_views(reader: SettlementReader, deployment: Deployment) -> None:
    try:
        found = {
            "domain separator": bytes(reader.view("domainSeparator()", ["bytes32"])),
            "token": bytes.fromhex(reader.view("token()", ["address"])[2:]),
            "operator": bytes.fromhex(reader.view("operator()", ["address"])[2:]),
            "subaccount base": int(reader.view("subaccountBase()", ["uint64"])),
            "finality window": int(reader.view("finalityWindow()", ["uint40"])),
        }
    except CallReverted as error:
        raise _mismatch(f"the contract at 0x{deployment.settlement.hex()} does not answer") from error
    wanted = {
        "domain separator": domain_separator(deployment.chain_id),
        "token": deployment.token,
        "operator": deployment.operator,
        "subaccount base": deployment.subaccount_base,
        "finality window": deployment.finality_window_s,
    }
    for name, value in wanted.items():
        if found[name] != value or (name == "domain separator" and deployment.domain_separator != value):
            raise _mismatch(f"{name} of the contract differs from deployment.json")


def _mismatch(cause: str) -> DeploymentMismatch:
    return DeploymentMismatch(f"{cause}: {RESET_HINT} or point --rpc at the right chain")
