"""What may be released: nothing before everybody has passed it."""

import pytest

from exchange.app.housekeeping import folder_bytes, releasable


@pytest.mark.parametrize(
    ("snapshot", "settled", "below"), [(None, 900, 0), (500, 0, 1), (500, 900, 501), (900, 500, 501)]
)
def test_releasable(snapshot, settled, below):
    """The older of snapshot and settlement decides; without a snapshot everything stays."""
    assert releasable(oldest_snapshot=snapshot, settled_sequence=settled) == below


def test_folder_bytes(tmp_path):
    """Files directly inside; an absent folder is empty."""
    assert folder_bytes(tmp_path / "none") == 0
    (tmp_path / "a").write_bytes(b"123")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b").write_bytes(b"1")
    assert folder_bytes(tmp_path) == 3
