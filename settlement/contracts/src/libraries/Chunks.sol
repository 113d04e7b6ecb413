// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

/// @title Bytes kept as the code of contracts that do nothing: cheap to read whole
library Chunks {
    /// @dev a code of 24,576 bytes, the first one an invalid instruction
    uint256 internal constant MOST = 24_575;

    error ChunkNotStored();

    function write(bytes memory chunk) internal returns (address at) {
        // eleven bytes that return all code behind them
        bytes memory creation = abi.encodePacked(hex"600B5981380380925939F3", hex"00", chunk);
        assembly ("memory-safe") {
            at := create(0, add(creation, 32), mload(creation))
        }
        require(at != address(0), ChunkNotStored());
    }

    /// @dev the chunks one after another
    function readAll(address[] memory pointers) internal view returns (bytes memory all) {
        uint256 total;
        for (uint256 i = 0; i < pointers.length; ++i) {
            total += pointers[i].code.length - 1;
        }
        all = new bytes(total);
        uint256 to;
        assembly ("memory-safe") {
            to := add(all, 32)
        }
        for (uint256 i = 0; i < pointers.length; ++i) {
            address from = pointers[i];
            uint256 size = from.code.length - 1;
            assembly ("memory-safe") {
                extcodecopy(from, to, 1, size)
            }
            to += size;
        }
    }
}
