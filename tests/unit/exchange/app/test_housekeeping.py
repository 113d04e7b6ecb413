"""What may be released: nothing before everybody has passed it."""

import pytest

from exchange.app.housekeeping import folder_bytes, releasable, sequence_in


@pytest.mark.parametrize(
    ("snapshot", "settled", "remembered", "below"),
    [
        (None, 900, 900, 0), (500, 0, 900, 1), (500, 900, 0, 1), (500, 900, 900, 501), (900, 500, 900, 501),
        (900, 900, 500, 501),
    ],
)  # fmt: skip
def test_releasable(snapshot, settled, remembered, below):
    """The oldest of snapshot, settlement and history decides; without a snapshot everything stays."""
    found = releasable(oldest_snapshot=snapshot, settled_sequence=settled, remembered_sequence=remembered)
    assert found == below


def test_what_another_process_has_not_written_counts_as_nothing(tmp_path):
    """An absent file and half a number hold everything back."""
    assert sequence_in(tmp_path / "none") == 0
    (tmp_path / "reached").write_text("12\n")
    assert sequence_in(tmp_path / "reached") == 12
    (tmp_path / "reached").write_text("")
    assert sequence_in(tmp_path / "reached") == 0


def test_folder_bytes(tmp_path):
    """Files directly inside; an absent folder is empty."""
    assert folder_bytes(tmp_path / "none") == 0
    (tmp_path / "a").write_bytes(b"123")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b").write_bytes(b"1")
    assert folder_bytes(tmp_path) == 3
