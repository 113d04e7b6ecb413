"""Freeze and escape: everybody's money out of the contract, from chain data alone; see README.md."""
