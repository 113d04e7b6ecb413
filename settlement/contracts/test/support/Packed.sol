// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

/// @dev writer of batch data for tests
library Packed {
    function zz(int256 v) internal pure returns (uint256) {
        return v >= 0 ? uint256(v) * 2 : uint256(-v) * 2 - 1;
    }

    function h(uint256 upTo, uint256 round, uint256 from, uint256 to, int256 fee) internal pure returns (uint256) {
        return upTo << 192 | round << 144 | from << 104 | to << 64 | zz(fee);
    }

    function head(uint256 instruments, uint256 accounts) internal pure returns (bytes memory) {
        return abi.encodePacked(uint8(instruments), uint16(accounts));
    }

    function account(uint256 index, int256 cash) internal pure returns (bytes memory) {
        return abi.encodePacked(uint32(index), uint64(zz(cash)));
    }

    /// @dev one delta per local index 0 .. n - 1, all narrow or all wide, padded
    function instrument(uint256 id, int256[] memory deltas, bool wide) internal pure returns (bytes memory out) {
        uint256 per = wide ? 4 : 8;
        uint256 count = (deltas.length + per - 1) / per * per;
        out = abi.encodePacked(uint32(id), uint16(wide ? 0 : count), uint16(wide ? count : 0));
        for (uint256 i = 0; i < count; ++i) {
            uint256 z = i < deltas.length ? zz(deltas[i]) : 0;
            uint256 index = i < deltas.length ? i : 0;
            out = wide
                ? bytes.concat(out, abi.encodePacked(uint16(index), uint48(z)))
                : bytes.concat(out, abi.encodePacked(uint32(index << 22 | z)));
        }
    }

    function pair(uint256 id, int256 delta, bool wide) internal pure returns (bytes memory) {
        int256[] memory deltas = new int256[](2);
        (deltas[0], deltas[1]) = (delta, -delta);
        return instrument(id, deltas, wide);
    }
}
