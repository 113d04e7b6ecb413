"""Finds a nonce below a waiting flight that nobody's transaction holds, so that the flight can never be mined.

It opens when another program used the posting key while nothing of ours waited, our next flight was signed behind
it, and a reorganization dropped the other transaction for good. Only a transaction to ourselves closes it.
"""

from settlement.onchain.chain import Chain
from settlement.onchain.outbox import Flight, Outbox

__all__ = ["hole_before"]


def hole_before(flight: Flight, chain: Chain, outbox: Outbox, address: bytes) -> int | None:
    """Nonce of `address` that the chain waits for and no open flight has; None where there is no such below `flight`.

    A node that is behind may show one that is used: its filler is refused then and costs nothing.
    """
    on_chain = chain.nonce(address)
    if on_chain >= flight.nonce or any(one.nonce == on_chain for one in outbox.open_flights()):
        return None
    return None if outbox.raws(on_chain) else on_chain
