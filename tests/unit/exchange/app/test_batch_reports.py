"""A stored batch in the words of users."""

import pytest

from exchange.app.batch_reports import batch_numbers, list_batches, show_batch
from exchange.app.config import Settings
from exchange.app.failures import Failure
from settlement.onchain.outbox import BatchRow, BatchState, Outbox


def _row(**fields):
    values = {
        "seq": 3, "first_sequence": 10, "last_sequence": 20, "data_hash": bytes(32), "h": 0, "data": b"",
        "previous_root": bytes(32), "new_root": b"\x01" * 32, "orders_root": bytes(32), "collateral_e6": 0,
        "stats": {"fills": 40, "legs": 8, "requests": 0}, "state": BatchState.INCLUDED, "built_ms": 0, "sent_ms": None,
        "included_ms": None, "final_ms": None, "tx_hash": b"\x02" * 32, "block_hash": None, "block_number": 5,
        "block_time_s": 77, "gas_used": 100_000, "finalized": False,
    }  # fmt: skip
    return BatchRow(**values | fields)


def test_batches_of_a_directory_without_settler_are_refused(tmp_path):
    """The line names the file and what makes it."""
    with pytest.raises(Failure, match="offbook up"):
        list_batches(Settings(data=tmp_path), 5)


def test_unknown_batch_is_refused(tmp_path):
    """The line names the verb that lists."""
    (tmp_path / "settler").mkdir()
    Outbox(tmp_path / "settler" / "outbox.sqlite").close()
    assert list_batches(Settings(data=tmp_path), 5) == []
    with pytest.raises(Failure, match=r"no batch 4.*batch list"):
        show_batch(Settings(data=tmp_path), 4)


def test_numbers_of_a_posted_batch():
    """Ratio, gas per fill and what netting saved."""
    numbers = batch_numbers(_row())
    assert (numbers["ratio"], numbers["gas_per_fill"]) == ("5.00", "2500.0")
    assert numbers["gas_saved"] == 40 * 67_800 - 100_000
    assert (numbers["state"], numbers["tx_hash"]) == ("INCLUDED", "0x" + "02" * 32)


@pytest.mark.parametrize(
    ("fields", "name", "value"),
    [
        ({"finalized": True}, "state", "FINALIZED"),
        ({"gas_used": None}, "gas_per_fill", None),
        ({"gas_used": None}, "gas_saved", None),
        ({"tx_hash": None}, "tx_hash", None),
        ({"stats": {"fills": 0, "legs": 0}}, "ratio", None),
        ({"stats": {"fills": 0, "legs": 0}}, "gas_per_fill", None),
        ({"stats": {}}, "requests", 0),
    ],
)
def test_numbers_that_are_not_known_are_none(fields, name, value):
    """Nothing is made up before it is on chain."""
    assert batch_numbers(_row(**fields))[name] == value
