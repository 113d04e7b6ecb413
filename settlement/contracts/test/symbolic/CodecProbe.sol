// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {BatchCells} from "../../src/libraries/BatchCells.sol";
import {BatchData} from "../../src/libraries/BatchData.sol";
import {TreeFold} from "../../src/libraries/TreeFold.sol";

/// @dev what the contract makes of a batch and of a multiproof, for `python -m tests.differential.codec_run`
contract CodecProbe {
    using BatchCells for BatchCells.Cells;

    /// @param withdrawals number of the approved amounts behind the instruments
    /// @return isBatch the rules of `post` for data, and the one encoding that F1 asks for
    /// @return cash sum of the cash deltas
    /// @return cells per account: index u32 | cash i64 | number of cells u16, and its cells
    function read(bytes calldata data, uint256 withdrawals)
        external
        pure
        returns (bool isBatch, int256 cash, bytes memory cells)
    {
        uint256 accounts;
        uint256 next;
        uint256 faults;
        uint256 more;
        if (data.length > 28_672) return (false, 0, "");
        (accounts, cash, next, faults) = BatchData.readAccounts(data);
        if (accounts > 102) return (false, 0, "");
        (next, more) = BatchData.checkInstruments(data, next);
        uint256 end;
        assembly {
            end := add(data.offset, data.length)
        }
        if (faults | more != 0 || next + 8 * withdrawals != end) return (false, 0, "");
        (isBatch, cells) = _cells(data);
    }

    function fold(uint256[] memory indices, bytes32[] memory hashes, bytes memory siblings)
        external
        pure
        returns (bytes32 root, uint256 used)
    {
        uint256 from;
        assembly {
            from := add(siblings, 32)
        }
        (root, used) = TreeFold.fold(indices, hashes, from);
        used -= from;
    }

    function _cells(bytes memory data) private pure returns (bool isCanonical, bytes memory out) {
        uint256 from;
        assembly {
            from := add(data, 32)
        }
        BatchCells.Cells memory cells;
        (cells, isCanonical) = BatchCells.read(from);
        for (uint256 i = 0; isCanonical && i < cells.accounts; ++i) {
            (uint256 index, int256 cash) = cells.account(i);
            (uint256 first, uint256 last) = cells.cellsOf(i);
            out = bytes.concat(out, abi.encodePacked(uint32(index), int64(cash), uint16((last - first) / 16)));
            for (; first < last; first += 16) {
                (uint32 instr, int256 delta) = BatchCells.cellAt(first);
                out = bytes.concat(out, abi.encodePacked(instr, int96(delta)));
            }
        }
    }
}
