"""The sanitizers are on: an ordinary core is refused, and each planted error ends its process with its name."""

import subprocess
import sys

import pytest

from tests.sanitizers.build import BUILD, EXTENSION, ROOT, compile_c, sanitized_environment

PLANTED = [
    # function                   argument  what the sanitizer calls it
    ("read_past_the_end", 5, "heap-buffer-overflow"),
    ("write_before_the_start", 5, "heap-buffer-overflow"),
    ("read_after_free", 5, "heap-use-after-free"),
    ("overflow_a_product", 2, "signed integer overflow"),
    ("overflow_a_sum", 1, "signed integer overflow"),
    ("shift_out_of_the_word", 0, "shift exponent 64 is too large"),
    ("read_a_crooked_pointer", 3, "misaligned address"),
]
REQUIRE = "from tests.sanitizers.substitute import require_sanitized, substitute\n"


def run_python(source, environment=None):
    """Run a program from the root of the repository and return how it ended."""
    command = [sys.executable, "-c", source]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def planted_library(tmp_path_factory):
    """Compile the planted errors with the flags of the sanitized core."""
    target = tmp_path_factory.mktemp("planted") / "planted.so"
    compile_c(ROOT / "tests" / "sanitizers" / "planted.c", target)
    return target


@pytest.mark.parametrize(("function", "argument", "words"), PLANTED, ids=[row[0] for row in PLANTED])
def test_a_planted_error_ends_the_process(planted_library, function, argument, words):
    """The process dies and the report names the error."""
    source = (
        f"import ctypes\nplanted = ctypes.CDLL({str(planted_library)!r})\n"
        f"planted.{function}(ctypes.c_int64({argument}))\nprint('survived')"
    )
    ended = run_python(source, sanitized_environment())
    assert ended.returncode != 0
    assert words in ended.stderr
    assert "survived" not in ended.stdout


def test_the_ordinary_core_is_refused():
    """Without the substitution the check names the file it found instead of passing."""
    ended = run_python(f"{REQUIRE}require_sanitized()", sanitized_environment())
    assert ended.returncode != 0
    assert "NotSanitized: matching_core._order_book came from" in ended.stderr


def test_a_late_substitution_is_refused():
    """A core that was imported already cannot be swapped behind its users."""
    ended = run_python(f"import matching_core\n{REQUIRE}substitute()", sanitized_environment())
    assert ended.returncode != 0
    assert "NotSanitized: matching_core._order_book was imported before" in ended.stderr


@pytest.mark.skipif(not EXTENSION.exists(), reason="the sanitized core is not built: make sanitize")
def test_the_sanitized_core_is_accepted():
    """With the substitution, under the runtime, the check passes."""
    ended = run_python(f"{REQUIRE}substitute()\nrequire_sanitized()\nprint('sanitized')", sanitized_environment())
    assert ended.stdout == "sanitized\n", ended.stderr


@pytest.mark.skipif(not EXTENSION.exists(), reason="the sanitized core is not built: make sanitize")
def test_a_core_without_instrumentation_is_refused(tmp_path):
    """An extension at the right place that was compiled without the flags does not pass for one with them."""
    plain = (EXTENSION.read_bytes()).replace(b"__ubsan_handle_add_overflow_abort", b"__ubsan_handle_nothing_overflow__")
    assert plain != EXTENSION.read_bytes()
    (tmp_path / EXTENSION.name).write_bytes(plain)
    source = (
        f"from pathlib import Path\nimport tests.sanitizers.substitute as at\n"
        f"at.substitute()\nat.EXTENSION.read_bytes\n"
        f"import importlib; importlib.import_module(at.MODULE)\n"
        f"import sys; sys.modules[at.MODULE].__file__ = {str(tmp_path / EXTENSION.name)!r}\n"
        f"at.EXTENSION = Path({str(tmp_path / EXTENSION.name)!r})\nat.require_sanitized()"
    )
    ended = run_python(source, sanitized_environment())
    assert "NotSanitized: the extension was compiled without __ubsan_handle_add_overflow_abort" in ended.stderr
    assert BUILD.is_dir()
