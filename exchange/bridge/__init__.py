"""Between exchange and chain: committed events become batches, confirmed chain requests become commands."""
