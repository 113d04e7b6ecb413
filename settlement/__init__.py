"""Settlement: the pure protocol of netted batches and the code that talks to the chain.

`settlement.protocol` is deterministic and does no I/O; `settlement.onchain` is the only home of web3;
`settlement/contracts` holds the Solidity sources and the built artifacts.
"""

__all__: list[str] = []
