"""The header that follows another one under Prague's rules, made in one step.

py-evm makes it through the rules of each fork since Homestead, nine headers for one, which was a tenth of a block.
"""

from typing import Any

from eth._utils.headers import new_timestamp_from_parent
from eth.constants import BLANK_ROOT_HASH, POST_MERGE_DIFFICULTY, POST_MERGE_MIX_HASH, POST_MERGE_NONCE
from eth.vm.forks.london.headers import calculate_expected_base_fee_per_gas
from eth.vm.forks.prague.blocks import PragueBlockHeader
from eth.vm.forks.prague.headers import calc_excess_blob_gas_prague

__all__ = ["following_header"]


def following_header(parent: Any, *, timestamp: int | None = None, mix_hash: bytes = POST_MERGE_MIX_HASH) -> Any:
    """Header of an empty block after `parent`, with its state and gas limit; base fee in wei as EIP-1559 has it.

    `timestamp` in seconds since 1970; None takes the clock's or the one after the parent's.
    """
    return PragueBlockHeader(
        difficulty=POST_MERGE_DIFFICULTY,
        block_number=parent.block_number + 1,
        gas_limit=parent.gas_limit,
        timestamp=new_timestamp_from_parent(parent) if timestamp is None else timestamp,
        parent_hash=parent.hash,
        state_root=parent.state_root,
        mix_hash=mix_hash,  # type: ignore[arg-type]
        nonce=POST_MERGE_NONCE,
        base_fee_per_gas=calculate_expected_base_fee_per_gas(parent),
        parent_beacon_block_root=BLANK_ROOT_HASH,
        excess_blob_gas=calc_excess_blob_gas_prague(parent),
    )
