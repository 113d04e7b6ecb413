"""Deterministic generator of batch_vectors.json: three consecutive batches with their bytes, roots and requests.

Run `UPDATE_GOLDEN=1 python -m tests.golden.batch_vectors` to rewrite the file; review the difference as code.
"""

import json
import os
from pathlib import Path
from typing import Any

from settlement.protocol.batch import Batch, BatchInput, Fill, build_batch, order_fills_of
from settlement.protocol.keccak import reference_keccak256
from settlement.protocol.ledger import LedgerState
from settlement.protocol.merkle import ReferenceTree
from settlement.protocol.transition import ChainRequest, RequestKind

PATH = Path(__file__).with_name("batch_vectors.json")
PERP = 0x80000001


def request(index: int, kind: RequestKind, account: int, amount_e6: int = 0) -> ChainRequest:
    """Return a queue row of an account whose owner is its index repeated."""
    return ChainRequest(index=index, kind=kind, account=account, amount_e6=amount_e6, owner=bytes([account]) * 20)


def fill(number: int, buyer: int, seller: int, instrument: int, lots: int, notional_e6: int) -> Fill:
    """Return a fill with a taker fee, a maker rebate and refs of its own."""
    return Fill(
        buyer=buyer,
        seller=seller,
        instrument=instrument,
        quantity_lots=lots,
        notional_e6=notional_e6,
        buyer_fee_e6=notional_e6 // 2_000,
        seller_fee_e6=-(notional_e6 // 10_000),
        buyer_ref=reference_keccak256(b"buyer %d" % number),
        seller_ref=reference_keccak256(b"seller %d" % number),
    )


def batches() -> list[tuple[Batch, tuple[ChainRequest, ...]]]:
    """Return deposits alone; trades with a wide delta and a withdrawal; a batch that closes positions."""
    state = LedgerState(ReferenceTree())
    plan = (
        (
            tuple(request(account - 1, RequestKind.DEPOSIT, account, 10**10 * account) for account in range(2, 6)),
            (),
            (),
        ),
        (
            (request(5, RequestKind.WITHDRAW, 2, 10**9), request(6, RequestKind.SET_KEY, 3)),
            (7 * 10**8,),
            (
                fill(1, 2, 3, PERP, 25, 2_100_000_000),
                fill(2, 4, 3, PERP, 5, 420_500_000),
                fill(3, 5, 2, 7, 2_097_152, 9_000_000),
                fill(4, 4, 5, 9, 2_097_151, 1_234_567),
            ),
        ),
        ((), (), (fill(5, 3, 2, PERP, 25, 2_200_000_000), fill(6, 2, 5, 7, 2_097_152, 8_000_000))),
    )
    return [(step(state, *part), part[0]) for part in plan]


def step(
    state: LedgerState, requests: tuple[ChainRequest, ...], approvals_e6: tuple[int, ...], fills: tuple[Fill, ...]
) -> Batch:
    """Build the next batch, 4 seconds after the one before."""
    return build_batch(
        state,
        BatchInput(
            seq=state.seq + 1,
            match_from_s=1_800_000_000 + 4 * state.seq,
            match_to_s=1_800_000_004 + 4 * state.seq,
            fills=fills,
            order_fills=order_fills_of(fills),
            requests=requests,
            approvals_e6=approvals_e6,
            request_up_to=state.request_done + len(requests),
            fee_e6=sum(row.buyer_fee_e6 + row.seller_fee_e6 for row in fills),
        ),
    )


def row(batch: Batch, requests: tuple[ChainRequest, ...]) -> dict[str, Any]:
    """Return one batch in hex and decimals; the header word as 64 digits."""
    return {
        "seq": batch.seq,
        "requests": [
            {
                "index": item.index,
                "kind": item.kind.name,
                "account": item.account,
                "amount_e6": item.amount_e6,
                "owner": item.owner.hex(),
            }
            for item in requests
        ],
        "h": f"{batch.h:064x}",
        "data": batch.data.hex(),
        "data_hash": batch.data_hash.hex(),
        "previous_root": batch.previous_root.hex(),
        "new_root": batch.new_root.hex(),
        "orders_root": batch.orders_root.hex(),
        "collateral_e6": batch.collateral_e6,
        "legs": batch.legs,
    }


def text() -> str:
    """Return the file's exact text."""
    document = {"version": 1, "batches": [row(batch, requests) for batch, requests in batches()]}
    return json.dumps(document, indent=1) + "\n"


if __name__ == "__main__":
    if os.environ.get("UPDATE_GOLDEN") != "1":
        raise SystemExit("set UPDATE_GOLDEN=1 to rewrite batch_vectors.json")
    PATH.write_text(text())
