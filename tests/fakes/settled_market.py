"""A market settled on a chain in this process: signed orders and quotes through the engine, batches by the settler."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from exchange.app.expected_deltas import JournalDeltas
from exchange.bridge.assembler import BatchAssembler
from exchange.bridge.batcher import Batcher
from exchange.bridge.chain_side import ChainSide, ChainStep
from exchange.bridge.evidence import EvidenceBook
from exchange.bridge.settler import command_of
from exchange.domain.commands import BatchCut, ListInstrument
from exchange.domain.packing import pack_events
from exchange.domain.underlyings import underlying_number
from exchange.wire.venue import VenueInfo
from settlement.onchain.answers import AssetRow
from settlement.onchain.claims import SettlementUser, mint_and_deposit
from settlement.onchain.contract import SettlementReader
from settlement.onchain.deploy import DeploymentSettings, deploy_demo, set_assets
from settlement.onchain.feed_panel import Feed, FeedPanel
from settlement.onchain.funded_accounts import DEPLOYER_INDEX, OPERATOR_INDEX, account_address, account_key
from settlement.onchain.outbox import BuiltBatch
from settlement.onchain.requests import RequestReader
from settlement.protocol.keccak import keccak256
from settlement.protocol.ledger import LedgerState
from settlement.protocol.linear_bounds import LARGE_CAP
from settlement.protocol.signature import address_of
from tests.fakes.anvil_chain import AnvilChain
from tests.fakes.chain_in_process import ChainInProcess
from tests.fakes.signed_market import SEED, SignedMarket, key_of
from tests.unit.exchange.engine.world import E6, SECOND_NS, START_S, instruments

__all__ = ["SEED", "SettledMarket"]

_E9 = 10**9
_TRADE_ALL = 1 << 2


class SettledMarket(SignedMarket):
    """Everything between a signed order and the contract, step by step."""

    def __init__(
        self, folder: Path, settings: DeploymentSettings, chain: AnvilChain | None = None, *, feeds: Sequence[Feed] = ()
    ) -> None:
        """Deploy, list, price; nobody has money yet. Without a `chain`: an embedded one in this process.

        `feeds` answer at once where the settings have a threshold.
        """
        self.chain = chain or ChainInProcess(folder / "chain", seed=SEED, now_s=START_S)
        deployer = account_key(SEED, DEPLOYER_INDEX)
        self.deployment = deploy_demo(
            self.chain, deployer, account_address(account_key(SEED, OPERATOR_INDEX)), settings
        )
        venue = VenueInfo.for_chain(
            chain_id=self.deployment.chain_id,
            settlement_contract=self.deployment.settlement,
            subaccount_base=self.deployment.subaccount_base,
            accept_derive_sepolia_orders=True,
        )
        super().__init__(venue)
        rows = {
            venue.asset(row): AssetRow(
                row.is_perpetual, underlying_number(row.underlying), row.lot_e9 * _E9, row.unit_e6, LARGE_CAP
            )
            for row in instruments()
        }
        set_assets(self.chain, deployer, self.deployment, rows)
        self.contract = SettlementReader(self.chain, self.deployment.settlement)
        self.key = b""
        """Address of a session key that tests may use."""
        self.deltas = JournalDeltas()
        self.ledger = LedgerState()
        assembler = BatchAssembler()
        if settings.feed_threshold:
            assembler.expect_feeds()
        self.batcher = Batcher(assembler, self.ledger, None, EvidenceBook(self.venue, self))
        self._folder, self._feeds = folder, feeds
        self.side = self.open_side()
        self._requests = RequestReader(self.chain, self.deployment)
        self._taken = 0
        for instrument in instruments():
            self.run(ListInstrument(instrument=instrument))
        self.prices()

    def open_side(self) -> ChainSide:
        """The blocking half of a settler over the market's outbox; a restart opens another."""
        panel = FeedPanel(
            self.contract,
            chain_id=self.deployment.chain_id,
            threshold=self.deployment.feed_threshold,
            feeds=self._feeds,
            clock_s=lambda: float(self.chain.now_s),
            start=lambda call: call(),
        )
        return ChainSide(
            self.chain,
            self.deployment,
            self._folder / "outbox.sqlite",
            operator_key=account_key(SEED, OPERATOR_INDEX),
            confirmations=1,
            signers=panel if self.deployment.feed_threshold else None,
            clock=lambda: self.chain.now_s,
        )

    def restart_side(self) -> None:
        """Settle in a new process over the same outbox."""
        self.side.close()
        self.side = self.open_side()

    def run(self, command: Any, *, after_ns: int = 1_000_000) -> Any:
        """The chain's clock never falls behind."""
        events = super().run(command, after_ns=after_ns)
        self.chain.now_s = max(self.chain.now_s, self.now_ns // SECOND_NS + 1)
        return events

    def catch_up(self) -> None:
        """Engine time as late as the chain's."""
        self.now_ns = max(self.now_ns, self.chain.now_s * SECOND_NS)

    # Money and keys

    def fund(self, account: int, amount_e6: int = 100_000 * E6) -> None:
        """Open an account on chain."""
        queued = mint_and_deposit(
            self.chain, self.deployment, account_key(SEED, DEPLOYER_INDEX), key_of(account), amount_e6
        )
        assert queued.account == account

    def register_key(self, account: int, accounts: tuple[int, ...] = ()) -> bytes:
        """Register a session key of an account's owner; returns its address."""
        key = keccak256(b"session key" + bytes([account]))
        address = address_of(key)
        self.session_keys[address] = key
        self.user(account).set_session_key(address, self.chain.now_s + 10**7, _TRADE_ALL, accounts)
        return address

    def user(self, account: int) -> SettlementUser:
        """The owner's calls of the contract."""
        return SettlementUser(self.chain, self.deployment, key_of(account))

    def take_requests(self) -> None:
        """Bring what waits in the contract's queue into the engine, as the settler does."""
        self.catch_up()
        confirmed = self._requests.poll(self.state.request_index).confirmed
        for command in (BatchCut(), *map(command_of, confirmed), BatchCut()):
            self.run(command)

    # Settlement

    def build(self) -> list[BuiltBatch]:
        """Batches of everything that happened since, for the settler and for the watcher's journal."""
        blobs = [pack_events([item]) for item in self.history[self._taken :]]
        self._taken = len(self.history)
        self.deltas.take(blobs)
        return self.batcher.take(blobs)

    def settle(self) -> ChainStep:
        """Close the batch, store and post until nothing moves."""
        self.run_cut()
        self.side.store(self.build(), 0)
        return self.work()

    def work(self, steps: int = 6) -> ChainStep:
        """Let the settler look at the chain."""
        for _ in range(steps):
            step = self.side.step(self.state.request_index)
        return step

    def close(self) -> None:
        """Release the files."""
        self.side.close()
        self.chain.close()
