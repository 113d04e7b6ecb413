"""The chain side of settlement: the only home of web3."""
