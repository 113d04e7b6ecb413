"""What a watcher remembers over a restart, and for how long."""

import msgspec
import pytest

from settlement.watch.accounts import WatchedAccount
from settlement.watch.chain_calls import ZERO_HEADER, PostedHeader
from settlement.watch.history import BadHistory, History


def header_with(round_: int) -> PostedHeader:
    """A header that names a round."""
    return ZERO_HEADER._replace(h=round_ << 144)


def taken(*rounds: int) -> History:
    """A history of one batch per round, each of which gives account 2 one unit more."""
    history = History()
    for number in {*rounds} - {0}:
        history.vectors[number] = b"values of %d" % number
    for seq, round_ in enumerate(rounds, 1):
        after = {2: WatchedAccount(b"\x02" * 20, seq, {1: (seq, 0)})}
        history.take(header_with(round_), b"data", after, seq)
    return history


@pytest.mark.parametrize("raw", [b"", b"\xc1", msgspec.msgpack.encode([1, 0, [], [], [], []])])
def test_files_of_other_formats_are_refused(tmp_path, raw):
    """One line that names the file."""
    path = tmp_path / "history.bin"
    path.write_bytes(raw)
    with pytest.raises(BadHistory, match=r"history\.bin .*delete it"):
        History.load(path)


def test_a_restart_goes_on_with_accounts_and_rounds(tmp_path):
    """Everything that a later batch or revert can need."""
    path = tmp_path / "history.bin"
    history = taken(0, 1, 1, 2)
    history.finalize(1)
    history.next_block = 77
    history.save(path)
    loaded = History.load(path)
    assert (loaded.seq, loaded.next_block, loaded.tree.root) == (4, 77, history.tree.root)
    assert loaded.vectors == {1: b"values of 1", 2: b"values of 2"}
    history.drop_from(3)
    loaded.drop_from(3)
    assert loaded.tree.root == history.tree.root


@pytest.mark.parametrize(("final", "kept"), [(1, {1, 3}), (2, {1, 3}), (3, {1, 3}), (4, {3}), (5, {3})])
def test_a_round_is_kept_while_a_batch_may_name_it(final, kept):
    """Rounds never go back, so what is older than the last final batch's is over, however old its own block is."""
    history = taken(0, 1, 1, 3, 3)
    history.finalize(final)
    assert set(history.vectors) == kept
