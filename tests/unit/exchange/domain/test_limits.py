"""Names for every bound."""

from exchange.domain import limits


def test_every_limit_is_exported_and_positive() -> None:
    """All of `__all__`, nothing else, and the signed window is not empty."""
    public = {name for name in vars(limits) if name.isupper()}
    assert public == set(limits.__all__)
    assert all(getattr(limits, name) > 0 for name in public)
