// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

/// @dev the cheat codes of forge that these tests use
interface Vm {
    function warp(uint256 timestamp) external;
    function getBlockTimestamp() external view returns (uint256);
    function getBlockNumber() external view returns (uint256);
    function roll(uint256 blockNumber) external;
    function etch(address target, bytes calldata code) external;
    function store(address target, bytes32 slot, bytes32 value) external;
    function prank(address sender) external;
    function prank(address sender, address origin) external;
    function startPrank(address sender) external;
    function stopPrank() external;
    function expectRevert() external;
    function expectRevert(bytes4 selector) external;
    function expectRevert(bytes calldata data) external;
    function assume(bool condition) external pure;
    function addr(uint256 privateKey) external pure returns (address);
    function sign(uint256 privateKey, bytes32 digest) external pure returns (uint8 v, bytes32 r, bytes32 s);
}

/// @dev checks that fail the running test
abstract contract Checks {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    error NotEqual(uint256 got, uint256 expected);
    error NotTrue();

    function eq(uint256 got, uint256 expected) internal pure {
        if (got != expected) revert NotEqual(got, expected);
    }

    function eq(address got, address expected) internal pure {
        eq(uint160(got), uint160(expected));
    }

    function eq(bytes32 got, bytes32 expected) internal pure {
        eq(uint256(got), uint256(expected));
    }

    function yes(bool condition) internal pure {
        if (!condition) revert NotTrue();
    }

    /// @dev the next call is the transaction of a plain key
    function byKey(address who) internal {
        vm.prank(who, who);
    }

    function within(uint256 x, uint256 low, uint256 high) internal pure returns (uint256) {
        return low + x % (high - low + 1);
    }
}
