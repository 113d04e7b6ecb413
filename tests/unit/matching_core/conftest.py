"""Fixtures of the core's tests: each test runs on the reference book and on the compiled one."""

import os

import pytest

import matching_core


@pytest.fixture(params=["reference", "compiled"])
def order_book_class(request):
    """Give a book class; the compiled one is skipped while it is not built, and fails when STRICT=1."""
    if request.param == "reference":
        return matching_core.ReferenceOrderBook
    if not matching_core.COMPILED:
        reason = "matching_core._order_book is not built: make build"
        if os.environ.get("STRICT") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return matching_core.OrderBook
