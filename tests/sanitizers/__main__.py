"""`python -m tests.sanitizers [--engine | --codec] [pytest arguments]`: build the sanitized core, run pytest on it.

With `--engine` the engine's extensions are sanitized too, with `--codec` the gateway's frame codec instead of the core.
"""

import os
import sys

from tests.sanitizers.build import (
    ROOT,
    SanitizerMissing,
    compile_codec,
    compile_engine,
    compile_sanitized,
    sanitized_environment,
)

__all__ = ["main"]


def main(arguments: list[str]) -> int:
    """Replace this process by pytest under the sanitizers; 1 where they are missing."""
    try:
        environment = sanitized_environment()
    except SanitizerMissing as missing:
        sys.stderr.write(f"sanitizers: {missing}\n")
        return 1
    plugin = "tests.sanitizers.plugin"
    if arguments[:1] == ["--codec"]:
        compile_codec()
        plugin, arguments = "tests.sanitizers.codec_plugin", arguments[1:]
    else:
        compile_sanitized()
    if arguments[:1] == ["--engine"]:
        compile_engine()
        plugin, arguments = "tests.sanitizers.engine_plugin", arguments[1:]
    os.chdir(ROOT)
    command = [sys.executable, "-m", "pytest", "-p", plugin, *arguments]
    return os.execve(sys.executable, command, environment)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
