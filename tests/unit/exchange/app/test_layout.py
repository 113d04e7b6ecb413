"""The data directory: one holder at a time, a lock that survives crashes, and a reset that spares foreign files."""

import os

import pytest

from exchange.app.failures import Failure
from exchange.app.layout import DataDirectory, DirectoryBusy, DirectoryLock, lock_holder


def test_second_lock_names_the_holder(tmp_path):
    """Process id and both ways out."""
    directory = DataDirectory(tmp_path)
    with DirectoryLock(directory):
        with pytest.raises(DirectoryBusy, match=f"process {os.getpid()} .*offbook down.*--data"):
            DirectoryLock(directory).__enter__()
        assert lock_holder(directory) == os.getpid()


def test_lock_file_of_a_killed_process_holds_nothing(tmp_path):
    """The kernel's lock counts, not the file."""
    directory = DataDirectory(tmp_path)
    (tmp_path / "lock").write_text("1\n")
    assert lock_holder(directory) is None
    with DirectoryLock(directory):
        assert lock_holder(directory) == os.getpid()


def test_lock_on_a_file_that_was_taken_away_is_no_lock(tmp_path, monkeypatch):
    """Between opening and locking, the last holder removed the file: the new one counts."""
    directory = DataDirectory(tmp_path)
    path = tmp_path / "lock"
    path.write_text("")
    opened, first = os.open, []

    def open_and_lose(*arguments):
        file = opened(*arguments)
        if not first:
            first.append(file)
            path.unlink()
        return file

    monkeypatch.setattr("exchange.app.layout.os.open", open_and_lose)
    with DirectoryLock(directory):
        assert path.read_text() == f"{os.getpid()}\n"
        assert lock_holder(directory) == os.getpid()


def test_lock_leaves_no_file(tmp_path):
    """Nothing after the end, and nobody holds it."""
    directory = DataDirectory(tmp_path)
    with DirectoryLock(directory):
        pass
    assert list(tmp_path.iterdir()) == []
    assert lock_holder(directory) is None


@pytest.mark.parametrize(("mark", "found"), [(None, "1"), ("2\n", "2"), ("5\n", "5"), ("7\n", "7"), ("", "")])
def test_data_of_another_version_is_refused(tmp_path, mark, found):
    """One line that names the directory and the way out; nothing is changed."""
    directory = DataDirectory(tmp_path)
    directory.deployment.write_text("{}")
    if mark is not None:
        directory.format_mark.write_text(mark)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(Failure, match=f"has data of format {found}, .*`offbook reset --data {tmp_path}`") as refused:
        directory.prepare()
    assert "\n" not in str(refused.value)
    assert sorted(tmp_path.iterdir()) == before


def test_a_directory_is_prepared_again(tmp_path):
    """What this version made it takes up again."""
    directory = DataDirectory(tmp_path)
    directory.prepare()
    directory.deployment.write_text("{}")
    directory.prepare()
    directory.check_format()


def test_clear_spares_foreign_files(tmp_path):
    """Only what the layout owns goes."""
    directory = DataDirectory(tmp_path)
    directory.prepare()
    for name in ("deployment.json", "demo_accounts.json", "status.json", "mine.txt"):
        (tmp_path / name).write_text("x")
    assert directory.clear() == 11
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    assert directory.clear() == 0


def test_clear_removes_an_empty_root(tmp_path):
    """A reset leaves no trace."""
    directory = DataDirectory(tmp_path / "data")
    directory.prepare()
    directory.clear()
    assert not (tmp_path / "data").exists()


def test_folders_are_private(tmp_path):
    """Keys and the socket are nobody else's."""
    directory = DataDirectory(tmp_path / "data")
    directory.prepare()
    assert directory.root.stat().st_mode & 0o777 == 0o700
    assert directory.socket.parent.stat().st_mode & 0o777 == 0o700


def test_long_path_moves_the_socket(tmp_path):
    """The kernel takes about a hundred bytes; each directory has a socket of its own."""
    short, long, other = (DataDirectory(tmp_path / name) for name in ("d", "d" * 120, "e" * 120))
    assert short.socket == tmp_path / "d" / "run" / "exchange.sock"
    assert len(os.fsencode(long.socket)) < 100
    assert long.socket != other.socket
