"""Deploying the demo token and the settlement contract, and the check of a deployment against a chain."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from settlement.onchain.answers import AssetRow
from settlement.onchain.artifacts import load_artifact
from settlement.onchain.chain import Chain
from settlement.onchain.contract import SettlementReader, encode_call
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
    "fund_bonds",
    "fund_demo_dollars",
    "load_deployment",
    "save_deployment",
    "set_assets",
]

DEFAULT_SUBACCOUNT_BASE: Final = 1_000_000_000


_TEN_DAYS_S: Final = 864_000
_LIMIT_REST_S: Final = 259_200
PARTS: Final = ("Disputes", "Authority", "Forced", "Bonds", "Markets", "Floors", "FastPayments", "Escape", "Notices")
"""Contracts whose code answers at the settlement contract's address, in the order in which they are asked."""


@dataclass(frozen=True, slots=True)
class DeploymentSettings:
    """Constructor parameters; windows in seconds, amounts in 1e-6 USDC. Feeds sign rounds, addresses ascending."""

    subaccount_base: int = DEFAULT_SUBACCOUNT_BASE
    finality_window_s: int = 10
    finality_blocks: int = 1
    answer_window_s: int = 60
    force_delay_s: int = 86_400
    escape_delay_s: int = 259_200
    minimum_deposit_e6: int = 10_000_000
    minimum_bond_e6: int = 10_000_000_000
    challenge_bond_e6: int = 100_000_000
    accepts_sepolia: bool = True
    feed_signers: tuple[bytes, ...] = ()
    feed_threshold: int = 0
    freeze_gap_s: int = 21_600
    claim_period_s: int = 604_800
    timelock_delay_s: int | None = None
    """None: ten days, or as long as the longest exit takes where that is more."""

    @property
    def notice_s(self) -> int:
        """What the timelock's delay comes to; the contract refuses one below the longest exit."""
        windows_s = self.escape_delay_s + self.freeze_gap_s + self.finality_window_s + self.answer_window_s
        return self.timelock_delay_s or max(_TEN_DAYS_S, windows_s + _LIMIT_REST_S)


def deploy_demo(
    chain: Chain, deployer_key: bytes, operator: bytes, settings: DeploymentSettings | None = None
) -> Deployment:
    """Create DemoUSDC, the parts and Settlement, and pay the operator's bond; returns the checked deployment.

    The deployer mints, and is timelock and guardian: right for a demonstration, wrong for money.
    """
    chosen = settings or DeploymentSettings()
    wallet = Wallet(chain, deployer_key)
    token, _ = _create(wallet, "DemoUSDC", [])
    setup = _setup(chosen, token, operator, wallet.address, _create_parts(wallet))
    settlement, deploy_block = _create(wallet, "Settlement", [setup])
    _pay_bond(wallet, token, settlement, chosen.minimum_bond_e6)
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
        feed_threshold=chosen.feed_threshold,
    )
    check_deployment(chain, deployment)
    return deployment


def set_assets(chain: Chain, timelock_key: bytes, deployment: Deployment, rows: Mapping[bytes, AssetRow]) -> None:
    """Set the row of every asset that has none yet. Raises `CallReverted` unless the key is the timelock's.

    Raises `DeploymentMismatch` for an asset with another row: our batches would be judged by terms that are not ours.
    """
    wallet, reader = Wallet(chain, timelock_key), SettlementReader(chain, deployment.settlement)
    for asset, row in rows.items():
        known, *found = reader.view("asset(address)", ["bool", "bool", "uint32", "uint128", "uint64", "uint8"], asset)
        if known and AssetRow(*found) != row:
            raise _mismatch(f"the contract has other terms of asset 0x{asset.hex()} than this release")
        if not known:
            members = (True, row.is_perpetual, row.underlying, row.lot_e18, row.unit_e6, row.factor_class)
            call = encode_call("setAsset(address,(bool,bool,uint32,uint128,uint64,uint8))", asset, members)
            wallet.send(deployment.settlement, call)


def fund_bonds(chain: Chain, minter_key: bytes, deployment: Deployment, holder: bytes, count: int) -> None:
    """Mint demo dollars to `holder` until the bonds of `count` challenges are his."""
    bond_e6 = int(SettlementReader(chain, deployment.settlement).view("challengeBond()", ["uint64"]))
    fund_demo_dollars(chain, minter_key, deployment, holder, count * bond_e6)


def fund_demo_dollars(chain: Chain, minter_key: bytes, deployment: Deployment, holder: bytes, wanted_e6: int) -> None:
    """Mint demo dollars to `holder` until he has so many."""
    held_e6 = SettlementReader(chain, deployment.token).view("balanceOf(address)", ["uint256"], holder)
    if held_e6 < wanted_e6:
        mint = encode_call("mint(address,uint256)", holder, wanted_e6 - held_e6)
        Wallet(chain, minter_key).send(deployment.token, mint)


def _create_parts(wallet: Wallet) -> bytes:
    """Create the parts, the last one first, and return the address of the first."""
    part = bytes(20)
    for name in reversed(PARTS):
        part, _ = _create(wallet, name, [part])
    return part


def _setup(
    settings: DeploymentSettings, token: bytes, operator: bytes, deployer: bytes, part: bytes
) -> tuple[Any, ...]:
    """Return the contract's `Setup`, member by member."""
    return (
        token,
        operator,
        deployer,
        deployer,
        part,
        settings.subaccount_base,
        settings.finality_window_s,
        settings.finality_blocks,
        settings.answer_window_s,
        settings.force_delay_s,
        settings.escape_delay_s,
        settings.minimum_deposit_e6,
        settings.minimum_bond_e6,
        settings.challenge_bond_e6,
        settings.accepts_sepolia,
        settings.feed_signers,
        settings.feed_threshold,
        settings.freeze_gap_s,
        settings.claim_period_s,
        settings.notice_s,
    )


def _pay_bond(wallet: Wallet, token: bytes, settlement: bytes, amount_e6: int) -> None:
    wallet.send(token, encode_call("mint(address,uint256)", wallet.address, amount_e6))
    wallet.send(token, encode_call("approve(address,uint256)", settlement, amount_e6))
    wallet.send(settlement, encode_call("topUpBond(uint64)", amount_e6))


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
    _check_parts(chain, deployment)
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


def _check_parts(chain: Chain, deployment: Deployment) -> None:
    """Follow the chain of parts: the code that runs on the vault's storage is all that of this release."""
    at = deployment.settlement
    for name in PARTS:
        at = bytes.fromhex(SettlementReader(chain, at).view("nextPart()", ["address"])[2:])
        _check_code(chain, name, at)
    if any(bytes.fromhex(SettlementReader(chain, at).view("nextPart()", ["address"])[2:])):
        raise _mismatch(f"an unknown part follows {PARTS[-1]} of the contract")


def _check_views(reader: SettlementReader, deployment: Deployment) -> None:
    try:
        found = {
            "domain separator": bytes(reader.view("domainSeparator()", ["bytes32"])),
            "token": bytes.fromhex(reader.view("token()", ["address"])[2:]),
            "operator": bytes.fromhex(reader.view("operator()", ["address"])[2:]),
            "subaccount base": int(reader.view("subaccountBase()", ["uint64"])),
            "finality window": int(reader.view("finalityWindow()", ["uint40"])),
            "feed threshold": int(reader.view("feedThreshold()", ["uint8"])),
        }
    except CallReverted as error:
        raise _mismatch(f"the contract at 0x{deployment.settlement.hex()} does not answer") from error
    wanted = {
        "domain separator": domain_separator(deployment.chain_id),
        "token": deployment.token,
        "operator": deployment.operator,
        "subaccount base": deployment.subaccount_base,
        "finality window": deployment.finality_window_s,
        "feed threshold": deployment.feed_threshold,
    }
    for name, value in wanted.items():
        if found[name] != value or (name == "domain separator" and deployment.domain_separator != value):
            raise _mismatch(f"{name} of the contract differs from deployment.json")


def _mismatch(cause: str) -> DeploymentMismatch:
    return DeploymentMismatch(f"{cause}: {RESET_HINT} or point --rpc at the right chain")
