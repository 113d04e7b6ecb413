"""`python -m tests.sanitizers [--engine] [pytest arguments]`: build the sanitized core, then run pytest on it.

With `--engine` the engine's extensions are sanitized too.
"""

import os
import sys

from tests.sanitizers.build import ROOT, SanitizerMissing, compile_engine, compile_sanitized, sanitized_environment

__all__ = ["main"]


def main(arguments: list[str]) -> int:
    """Replace this process by pytest under the sanitizers; 1 where they are missing."""
    try:
        environment = sanitized_environment()
    except SanitizerMissing as missing:
        sys.stderr.write(f"sanitizers: {missing}\n")
        return 1
    compile_sanitized()
    plugin = "tests.sanitizers.plugin"
    if arguments[:1] == ["--engine"]:
        compile_engine()
        plugin, arguments = "tests.sanitizers.engine_plugin", arguments[1:]
    os.chdir(ROOT)
    command = [sys.executable, "-m", "pytest", "-p", plugin, *arguments]
    return os.execve(sys.executable, command, environment)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
