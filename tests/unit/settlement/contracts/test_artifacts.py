"""The committed artifacts belong to the committed sources."""

import hashlib
from pathlib import Path

import pytest

from settlement.contracts import CONTRACT_NAMES, load_artifact

CONTRACTS = Path(__file__).parents[4] / "settlement" / "contracts"
EIP170_CODE_LIMIT = 24_576


def test_unknown_contract_is_refused() -> None:
    """A name outside the list gives the list."""
    with pytest.raises(ValueError, match="Settlement, Disputes, Authority"):
        load_artifact("Escrow")


@pytest.mark.parametrize("name", CONTRACT_NAMES)
def test_own_sources_have_the_listed_hashes(name: str) -> None:
    """Every source of ours has the sha256 that the artifact lists; a stale artifact fails here."""
    listed = {key: digest for key, digest in load_artifact(name)["sources"].items() if key.startswith("src/")}
    actual = {key: hashlib.sha256((CONTRACTS / key).read_bytes()).hexdigest() for key in listed}
    assert actual == listed
    assert f"src/{name}.sol" in listed


def test_every_source_is_in_an_artifact() -> None:
    """No source file stands outside the artifacts, where no hash would guard it."""
    listed = {key for name in CONTRACT_NAMES for key in load_artifact(name)["sources"]}
    ours = {path.relative_to(CONTRACTS).as_posix() for path in (CONTRACTS / "src").rglob("*.sol")}
    assert ours <= listed


@pytest.mark.parametrize("name", CONTRACT_NAMES)
def test_library_sources_are_hashed_when_installed(name: str) -> None:
    """Installed library files have the hashes that the artifact lists."""
    libraries = {key: digest for key, digest in load_artifact(name)["sources"].items() if not key.startswith("src/")}
    if not (CONTRACTS / "node_modules").is_dir():
        pytest.skip("settlement/contracts/node_modules is not installed (settlement/contracts/tools/setup)")
    assert {key: hashlib.sha256((CONTRACTS / key).read_bytes()).hexdigest() for key in libraries} == libraries


@pytest.mark.parametrize("name", CONTRACT_NAMES)
def test_runtime_code_has_its_hash_and_fits(name: str) -> None:
    """The runtime code has the hash beside it and stays below the size limit of a contract."""
    artifact = load_artifact(name)
    code = bytes.fromhex(artifact["deployedBytecode"].removeprefix("0x"))
    assert hashlib.sha256(code).hexdigest() == artifact["deployedBytecodeSha256"]
    assert 0 < len(code) <= EIP170_CODE_LIMIT


def test_storage_starts_with_the_designed_slots() -> None:
    """The first five slots are operator and heads, root, progress, collateral, finality; later versions keep them."""
    rows = load_artifact("Settlement")["storageLayout"]["storage"]
    assert [(row["label"], row["slot"]) for row in rows[:6]] == [
        ("_head", "0"),
        ("_root", "1"),
        ("_progress", "2"),
        ("_collateral", "3"),
        ("_final", "4"),
        ("_batchHash", "5"),
    ]


LAYOUT_SHA256 = "c41cedcb910028bfefe8d8f5c2e6902361e6d05973e9b0c4741024145286fb74"
"""Of label, slot and offset of every variable; a change of it moves storage under parts and readers of raw slots."""


@pytest.mark.parametrize("name", [name for name in CONTRACT_NAMES if name != "DemoUSDC"])
def test_every_part_has_the_one_storage_layout(name: str) -> None:
    """Parts run on the first one's storage by delegatecall: one variable elsewhere would be another's money."""
    rows = load_artifact(name)["storageLayout"]["storage"]
    places = "\n".join(f"{row['label']} {row['slot']} {row['offset']}" for row in rows)
    assert hashlib.sha256(places.encode()).hexdigest() == LAYOUT_SHA256
