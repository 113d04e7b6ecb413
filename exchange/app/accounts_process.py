"""Demo accounts: owners with demo dollars, an account each and a session key, written where users find them."""

import asyncio
import json
import os
import time
from pathlib import Path

from exchange.app.config import Settings
from exchange.app.failures import Failure
from exchange.app.keys import DEMO_ACCOUNTS, deployer_key, owner_key, session_key
from exchange.app.layout import DataDirectory
from exchange.bus.unix_socket import UnixPort
from exchange.domain.views import GetWallet, WalletView
from settlement.onchain.chain import Chain
from settlement.onchain.claims import SettlementUser, mint_and_deposit
from settlement.onchain.contract import SettlementReader
from settlement.onchain.deployment import Deployment, load_deployment
from settlement.onchain.errors import ChainError
from settlement.onchain.rpc import RpcChain
from settlement.protocol.signature import address_of, checksum_address

__all__ = ["DEMO_DEPOSIT_E6", "run"]

DEMO_DEPOSIT_E6 = 2_000_000 * 10**6
_SCOPE_TRADE_ALL = 1 << 2
_KEY_LIFE_S = 365 * 86_400
_CREDIT_TIMEOUT_S = 45.0


def run(settings: Settings, _name: str) -> None:
    """Fund what is not funded yet, wait until the engine knows it, write demo_accounts.json. Raises Failure."""
    directory = DataDirectory(settings.data.resolve())
    deployment = load_deployment(directory.deployment)
    if deployment is None:
        raise Failure(f"{directory.deployment}: not here; `offbook up` deploys the contracts first")
    try:
        asyncio.run(_main(settings, directory, deployment))
    except ChainError as error:
        raise Failure(f"demo accounts: {error}") from error


async def _main(settings: Settings, directory: DataDirectory, deployment: Deployment) -> None:
    port = await UnixPort.connect(directory.socket)
    try:
        chain = RpcChain(settings.chain_url)
        for index in range(DEMO_ACCOUNTS):
            if not _is_complete(await _wallet(port, settings, index)):
                await asyncio.to_thread(_fund, chain, deployment, settings, index)
        rows = [await _credited(port, settings, deployment, index) for index in range(DEMO_ACCOUNTS)]
    finally:
        port.close()
    _write_private(directory.demo_accounts, json.dumps(rows, indent=1))


async def _wallet(port: UnixPort, settings: Settings, index: int) -> WalletView | None:
    answer = await port.query(GetWallet(owner=address_of(owner_key(settings, index))))
    return answer if isinstance(answer, WalletView) else None


def _is_complete(wallet: WalletView | None) -> bool:
    return wallet is not None and bool(wallet.subaccounts) and bool(wallet.keys)


def _fund(chain: Chain, deployment: Deployment, settings: Settings, index: int) -> None:
    """What the chain has already is not done again: the exchange may not know it yet."""
    owner, reader = owner_key(settings, index), SettlementReader(chain, deployment.settlement)
    user = SettlementUser(chain, deployment, owner)
    if not reader.accounts_of(user.address):
        mint_and_deposit(chain, deployment, deployer_key(settings), owner, DEMO_DEPOSIT_E6)
    key = address_of(session_key(settings, index))
    if not reader.has_session_key(user.address, key):
        user.set_session_key(key, int(time.time()) + _KEY_LIFE_S, _SCOPE_TRADE_ALL)


async def _credited(port: UnixPort, settings: Settings, deployment: Deployment, index: int) -> dict[str, object]:
    deadline_s = time.monotonic() + _CREDIT_TIMEOUT_S
    while not _is_complete(wallet := await _wallet(port, settings, index)):
        if time.monotonic() > deadline_s:
            raise Failure("demo accounts: deposits were not credited in time; is the settler running? see its log")
        await asyncio.sleep(0.1)
    if wallet is None:
        raise Failure("demo accounts: the exchange forgot a wallet")
    return {
        "owner": checksum_address(wallet.owner),
        "session_key": "0x" + session_key(settings, index).hex(),
        "subaccount_id": deployment.subaccount_base + wallet.subaccounts[0],
    }


def _write_private(path: Path, text: str) -> None:
    temporary = path.with_suffix(".new")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text + "\n")
    temporary.replace(path)
