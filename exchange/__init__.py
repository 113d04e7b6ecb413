"""Offbook: an exchange for perpetuals and options that matches off chain and settles netted batches on an L2."""

__all__ = ["__version__"]

__version__ = "0.1.0"
