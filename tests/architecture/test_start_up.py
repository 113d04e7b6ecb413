"""What a verb does not need is not loaded: `offbook status` must not wait for an Ethereum library."""

import json
import subprocess
import sys

import pytest

LOADED = "import json, sys, exchange.cli.main; print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"


@pytest.fixture(scope="module")
def loaded():
    """Top-level packages that the command line has imported before it knows its verb."""
    run = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    return set(json.loads(run.stdout))


@pytest.mark.parametrize("package", ["web3", "eth_account", "eth", "starlette", "scipy", "numpy"])
def test_the_command_line_starts_without(package, loaded):
    """These take longer to import than most verbs to run; the verb that needs one imports it."""
    assert package not in loaded


def test_the_command_line_has_loaded_its_verbs(loaded):
    """The list above would prove nothing about a module that failed to load."""
    assert {"exchange", "argparse"} <= loaded
