"""Defences that no forge test shows: in Python, or in contracts that a test in Python deploys as they are shipped."""

from dataclasses import dataclass
from typing import Final

__all__ = ["TREE_MUTATIONS", "TreeMutation"]


@dataclass(frozen=True, slots=True)
class TreeMutation:
    """In `file` of the repository `old`, which stands there once, becomes `new`: then `test` (`path::name`) must fail.

    `part` is the contract to build anew, "" for none.
    """

    threat: str
    file: str
    old: str
    new: str
    test: str
    part: str = ""

    @property
    def name(self) -> str:
        """Unique in the table; what the log knows it by."""
        return f"{self.test} {self.file} {' '.join(self.old.split())!r}"


_ROOTS: Final = "tests/differential/test_wrong_root.py"
_POSTS: Final = "tests/unit/settlement/watch/test_posts.py"
_WRONG_ROOT: Final = "settlement/contracts/src/WrongRoot.sol"

TREE_MUTATIONS: Final[tuple[TreeMutation, ...]] = (
    TreeMutation(
        "wrong or garbage root",
        _WRONG_ROOT,
        "return root != header.newRoot;",
        "return root == header.newRoot;",
        f"{_ROOTS}::test_wrong_or_garbage_root",
        "Disputes",
    ),
    TreeMutation(
        "rebate or fund payment mints from the float",
        _WRONG_ROOT,
        "if (equity + fund.cash < 0) work.wrong = true;",
        "if (equity + fund.cash < type(int256).min) work.wrong = true;",
        f"{_ROOTS}::test_a_payment_of_the_fund_is_wrong_under_the_very_root_that_follows",
        "Disputes",
    ),
    TreeMutation(
        "rebate or fund payment mints from the float",
        "settlement/protocol/transition.py",
        "if left_e6 < 0 and (header.fee_e6 < 0 or paid):",
        "if left_e6 < 0 and paid:",
        "tests/unit/settlement/protocol/test_transition.py::test_fund_cannot_pay_more_than_it_has",
    ),
    TreeMutation(
        "foreign chunks in a staged proof",
        "settlement/contracts/src/Disputes.sol",
        "return keccak256(abi.encode(who, nonce));",
        "return keccak256(abi.encode(who == address(0), nonce));",
        f"{_ROOTS}::test_staged_proof_belongs_to_its_sender",
        "Disputes",
    ),
    TreeMutation(
        "data withheld",
        "settlement/watch/posts.py",
        "if said != event:",
        "if said == b'':",
        f"{_POSTS}::test_a_call_that_differs_from_its_event_is_hidden",
    ),
    TreeMutation(
        "oracle vector not published, row dropped",
        "settlement/watch/posts.py",
        "if keccak256(vector) != event[32:64]:",
        "if keccak256(vector) == b'':",
        f"{_POSTS}::test_a_round_that_is_not_in_the_calldata_is_hidden",
    ),
    TreeMutation(
        "L2 reorg",
        "settlement/onchain/poster.py",
        "if receipt.block_hash != flight.block_hash:",
        "if receipt.block_hash == b'':",
        "tests/unit/settlement/onchain/test_poster.py::test_reorganization",
    ),
    TreeMutation(
        "huge batch makes proof impossible",
        "settlement/protocol/caps.py",
        "MAX_TOUCHED = 104",
        "MAX_TOUCHED = 128",
        "tests/differential/test_wrong_root_size.py::test_huge_batch_stays_provable",
    ),
    TreeMutation(
        "bound mismatch with the engine",
        "settlement/protocol/linear_bounds.py",
        "{LARGE_CAP: 10_000, MAJOR: 25_000}",
        "{LARGE_CAP: 40_000, MAJOR: 100_000}",
        "tests/property/test_linear_bounds.py::test_low_never_passes_the_maintenance_requirement",
    ),
    TreeMutation(
        "privileged upgrade",
        "settlement/onchain/artifacts.py",
        "hashlib.sha256(masked).hexdigest() == self.deployed_sha256",
        "hashlib.sha256(masked).hexdigest() != ''",
        "tests/unit/settlement/onchain/test_requests.py::test_a_single_other_byte_of_code_is_refused",
    ),
    TreeMutation(
        "bridge token risk, L1 dispute bug",
        "settlement/onchain/deploy.py",
        '"token": deployment.token,',
        '"token": found["token"],',
        "tests/unit/settlement/onchain/test_requests.py::test_another_token_is_refused",
    ),
)
