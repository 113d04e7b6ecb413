"""The disputes that need no answer, asked of our own batch before it is built: what anyone could prove is not posted.

A batch is a function of the journal, so there is nothing to repair here: the settler stops, and a person looks.
"""

from collections.abc import Iterator
from itertools import chain

from exchange.bridge.assembler import AssembledBatch, BadEvents
from settlement.protocol.batch import foresee
from settlement.protocol.floors import broken_floors
from settlement.protocol.ledger import LedgerState
from settlement.protocol.oracle_bounds import broken_bounds
from settlement.protocol.refusal import over_approvals, wrong_refusals

__all__ = ["check_disputes"]


def check_disputes(ledger: LedgerState, assembled: AssembledBatch) -> None:
    """Raise BadEvents when the batch, next on `ledger`, could be proven wrong by F3, F4 or F5."""
    checks = _rounds(ledger, assembled), _refusals(ledger, assembled), _approvals(ledger, assembled)
    found = next(chain(*checks, _floors(ledger, assembled)), None)
    if found is not None:
        raise BadEvents(f"batch {assembled.input.seq} would be slashed: {found}")


def _rounds(ledger: LedgerState, assembled: AssembledBatch) -> Iterator[str]:
    before, after = assembled.before, assembled.input.opening
    if before.round_number in {0, after.round_number}:
        return iter(())
    ended = before.ending - after.rows.keys()
    held = {instrument for account in ledger.accounts.values() for instrument in ended & account.positions.keys()}
    return broken_bounds(before, after, assembled.round_s - assembled.before_s + 1, assembled.terms, held)


def _refusals(ledger: LedgerState, assembled: AssembledBatch) -> Iterator[str]:
    batch = assembled.input
    found = wrong_refusals(
        ledger.accounts, batch.requests, batch.approvals_e6, ledger.collateral_e6, batch.opening, assembled.terms
    )
    return (
        f"request {row.request.index} of account {row.request.account} was approved for {row.approved_e6}, "
        f"{row.owed_e6} more were there"
        for row in found
    )


def _approvals(ledger: LedgerState, assembled: AssembledBatch) -> Iterator[str]:
    batch = assembled.input
    found = over_approvals(ledger.accounts, batch.requests, batch.approvals_e6, batch.opening)
    return (f"request {row.index} of account {row.account} was approved without cover" for row in found)


def _floors(ledger: LedgerState, assembled: AssembledBatch) -> Iterator[str]:
    batch = assembled.input
    if not batch.fills:
        return
    deltas, effect = foresee(ledger, batch)
    for account, cause in broken_floors(deltas, effect.accounts, assembled.before, batch.opening, assembled.terms):
        yield f"account {account} {cause}"
