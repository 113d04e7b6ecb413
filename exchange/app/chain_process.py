"""The embedded chain's process."""

from exchange.app.config import Settings
from exchange.app.failures import Failure
from exchange.app.layout import DataDirectory
from settlement.onchain.errors import ChainError
from settlement.onchain.local_chain import LocalSettings
from settlement.onchain.local_rpc import serve

__all__ = ["run"]


def run(settings: Settings, _name: str) -> None:
    """Serve JSON-RPC until SIGTERM. Raises Failure when the blocks on disk or the port do not fit."""
    directory = DataDirectory(settings.data.resolve())
    port = settings.chain_port or settings.port + 1
    chain = LocalSettings(chain_id=settings.chain_id, seed=settings.seed, history_blocks=settings.history_blocks)
    try:
        serve(directory.chain, settings.host, port, chain)
    except ChainError as error:
        raise Failure(f"embedded chain: {error}") from error
    except OSError as error:
        raise Failure(f"embedded chain on port {port}: {error}; choose another --port") from error
