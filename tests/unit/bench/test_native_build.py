"""What benchmarks build for themselves."""

import pytest

from bench import native_build
from bench.native_build import Missing, core_flags, program


@pytest.fixture(autouse=True)
def fresh(monkeypatch, tmp_path):
    """Nothing built before; results go to a folder of the test."""
    monkeypatch.setattr(native_build, "BUILD", tmp_path)
    program.cache_clear()
    yield
    program.cache_clear()


def test_a_missing_compiler_is_one_line(monkeypatch):
    """It names the tool."""
    monkeypatch.setenv("CXX", "absent-compiler")
    with pytest.raises(Missing, match=r"^absent-compiler is not installed: what is built with it is not measured$"):
        program("map_book.cpp")


def test_a_source_that_does_not_compile_is_one_line(monkeypatch, tmp_path):
    """The compiler's last line; nothing half-built stays under the name."""
    (tmp_path / "broken.c").write_text("int main( {")
    monkeypatch.setattr(native_build, "FOLDER", tmp_path)
    with pytest.raises(Missing, match=r"^broken-\w{12} does not build: ") as refused:
        program("broken.c")
    assert "\n" not in str(refused.value)
    assert [path.name for path in tmp_path.iterdir()] == ["broken.c"]


def test_the_flags_are_those_of_the_core():
    """The interpreter's, then the extension's from pyproject."""
    assert core_flags()[-3:] == ("-O3", "-ffp-contract=off", "-fno-tree-slp-vectorize")


def test_a_changed_source_is_another_program(monkeypatch, tmp_path):
    """The name holds the hash of what it was built from."""
    monkeypatch.setattr(native_build, "FOLDER", tmp_path)
    built = []
    for body in ("return 0;", "return 1;"):
        (tmp_path / "some.c").write_text(f"int main(void) {{ {body} }}")
        built.append(program("some.c"))
        program.cache_clear()
    assert built[0] != built[1]
    assert all(path.exists() for path in built)
