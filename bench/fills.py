"""Drawn fills that the benchmarks of batches, gas and posting share."""

import random

from settlement.protocol.netting import Fill

__all__ = ["ACCOUNTS", "INSTRUMENTS", "drawn_fill"]

ACCOUNTS = range(2, 102)
INSTRUMENTS = (1, 2, 3, 4, 5, 6, 7, 8, 0x80000001, 0x80000002)


def drawn_fill(rng: random.Random, buyer: int, seller: int, *, refs: bool = True) -> Fill:
    """Return a trade of 1-100 lots at a price of 1,000-90,000 units; without `refs` both orders are zeros."""
    lots = rng.randint(1, 100)
    notional_e6 = lots * rng.randint(1_000, 90_000)
    return Fill(
        buyer=buyer,
        seller=seller,
        instrument=rng.choice(INSTRUMENTS),
        quantity_lots=lots,
        notional_e6=notional_e6,
        buyer_fee_e6=notional_e6 // 2_000,
        seller_fee_e6=notional_e6 // 5_000,
        buyer_ref=rng.randbytes(32) if refs else bytes(32),
        seller_ref=rng.randbytes(32) if refs else bytes(32),
    )
