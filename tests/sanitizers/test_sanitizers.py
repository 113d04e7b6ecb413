"""The sanitizers are on: an ordinary core is refused, and each planted error ends its process with its name."""

import subprocess
import sys

import pytest

from tests.sanitizers.build import (
    EXTENSION,
    EXTENSION_SOURCE,
    PLAIN_FLAGS,
    ROOT,
    compile_c,
    compile_planted,
    compile_sanitized,
    sanitized_environment,
)

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


@pytest.mark.parametrize(("function", "argument", "words"), PLANTED, ids=[row[0] for row in PLANTED])
def test_a_planted_error_ends_the_process(function, argument, words):
    """The process dies and the report names the error."""
    source = (
        f"import ctypes\nplanted = ctypes.CDLL({str(compile_planted())!r})\n"
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


def test_the_sanitized_core_is_accepted():
    """With the substitution, under the runtime, the check passes."""
    compile_sanitized()
    ended = run_python(f"{REQUIRE}substitute()\nrequire_sanitized()\nprint('sanitized')", sanitized_environment())
    assert ended.stdout == "sanitized\n", ended.stderr


def test_the_sanitized_core_without_its_runtime_is_refused():
    """The extension alone, in a process that was not started under the runtime, does not even load."""
    compile_sanitized()
    bare = {name: value for name, value in sanitized_environment().items() if name != "LD_PRELOAD"}
    ended = run_python(f"{REQUIRE}substitute()\nrequire_sanitized()\nprint('sanitized')", bare)
    assert ended.returncode != 0
    assert "sanitized" not in ended.stdout


def test_a_core_without_instrumentation_is_refused(tmp_path):
    """The same source compiled without the flags, at the expected place, does not pass for the sanitized one."""
    compile_sanitized()
    plain = tmp_path / EXTENSION.name
    compile_c(EXTENSION_SOURCE, plain, PLAIN_FLAGS)
    source = f"{REQUIRE}from pathlib import Path\nplain = Path({str(plain)!r})\nsubstitute(plain)\n"
    ended = run_python(f"{source}require_sanitized(plain)", sanitized_environment())
    assert ended.returncode != 0
    assert "NotSanitized: the extension was compiled without __asan_report_store8" in ended.stderr


def test_the_ordinary_codec_is_refused():
    """A frame codec that was not substituted is named instead of tested."""
    ended = run_python(
        "from tests.sanitizers.substitute import require_codec\nrequire_codec()", sanitized_environment()
    )
    assert ended.returncode != 0
    assert "NotSanitized: exchange.gateway._frames came from" in ended.stderr


def test_the_ordinary_engine_is_refused():
    """Extensions of the engine that were not substituted are named instead of tested."""
    source = f"{REQUIRE}from tests.sanitizers.substitute import require_engine\nsubstitute()\nrequire_engine()"
    compile_sanitized()
    ended = run_python(source, sanitized_environment())
    assert ended.returncode != 0
    assert "NotSanitized: exchange.engine._account_views came from" in ended.stderr
