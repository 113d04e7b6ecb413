"""The operator's own fast payments: with a key and a budget of their own, in batches that the settler itself posted.

The bond is never touched: a payment is the payer's money, and the claim becomes his (`settlement.onchain.fast_payer`).
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from settlement.onchain.chain import Chain
from settlement.onchain.contract import SettlementReader
from settlement.onchain.deployment import Deployment
from settlement.onchain.fast_book import FastBook
from settlement.onchain.fast_payer import FastPayer, FastTerms
from settlement.onchain.outbox import BatchState, Outbox
from settlement.onchain.poster import Poster, PosterSettings, PosterStatus
from settlement.protocol.signature import address_of

__all__ = ["BOOK_FILE", "FastPayments"]

BOOK_FILE: Final = "payments.sqlite"
_FLIGHTS_FILE: Final = "payment_flights.sqlite"
_FLIGHTS_KEPT: Final = 1_000


class FastPayments:
    """Book, transactions and poster of the payer's key. All methods run on the thread of `ChainSide`."""

    def __init__(
        self,
        chain: Chain,
        deployment: Deployment,
        folder: Path,
        batches: Outbox,
        *,
        key: bytes,
        terms: FastTerms,
        confirmations: int,
        clock: Callable[[], float],
    ) -> None:
        """`batches` is the settler's outbox: what is right is what it holds. The chain is not asked yet."""
        self._batches = batches
        self._reader = SettlementReader(chain, deployment.settlement)
        self._book = FastBook(folder / BOOK_FILE)
        self._flights = Outbox(folder / _FLIGHTS_FILE)
        payer = FastPayer(
            chain,
            deployment,
            self._book,
            address_of(key),
            terms,
            is_right=self._is_ours,
            confirmations=confirmations,
        )
        settings = PosterSettings(safe_confirmations=1, final_confirmations=confirmations)
        self._poster = Poster(chain, deployment, self._flights, key, settings, clock=clock, errands=payer)

    def step(self) -> PosterStatus:
        """Do the next thing; trouble is in the status and concerns no batch."""
        return self._poster.step()

    def prune(self) -> None:
        """Bound the file of transactions; the book keeps one short row per payment."""
        self._flights.prune_flights(_FLIGHTS_KEPT)

    def close(self) -> None:
        """Release both files."""
        self._book.close()
        self._flights.close()

    def _is_ours(self, seq: int, batch_hash: bytes) -> bool:
        """Whether the settler posted this very batch, in a block that counts."""
        row = self._batches.batch(seq)
        if row is None or row.state is not BatchState.FINAL:
            return False
        return row.header(self._reader.batch_hash(seq - 1)).digest() == batch_hash
