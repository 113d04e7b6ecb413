// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {Vector} from "./Vector.sol";

/// @title Index and settlement prices of an oracle vector
library PriceRows {
    /// @param vector memory offset of a canonical vector, 0 for the round before the first
    /// @return found whether the vector has a row of `underlying`
    /// @return price in 1e-6 USDC per unit
    function find(uint256 vector, uint32 underlying) internal pure returns (bool found, uint256 price) {
        if (vector == 0) return (false, 0);
        (uint256 at, uint256 end,) = _groups(vector);
        for (; at < end; at += Vector.PRICE_ROW) {
            uint256 row = _load(at) >> 160;
            if (row >> 64 == underlying) return (true, uint64(row));
        }
    }

    /// @return found whether the vector has the settlement price of an expiry
    /// @return price in 1e-6 USDC per unit
    function findExpiry(uint256 vector, uint32 underlying, uint40 expiry)
        internal
        pure
        returns (bool found, uint256 price)
    {
        if (vector == 0) return (false, 0);
        (, uint256 at, uint256 end) = _groups(vector);
        for (; at < end; at += Vector.EXPIRY_ROW) {
            uint256 row = _load(at) >> 120;
            if (row >> 64 == (uint256(underlying) << 40 | expiry)) return (true, uint64(row));
        }
    }

    /// @return prices memory offset of the prices of underlyings
    /// @return expiries behind them those of expiries
    /// @return end of the vector
    function _groups(uint256 vector) private pure returns (uint256 prices, uint256 expiries, uint256 end) {
        uint256 head = _load(vector) >> 192;
        prices = vector + Vector.HEAD + (head >> 48) * Vector.OPTION_ROW + ((head >> 32) & 0xffff) * Vector.PERP_ROW;
        expiries = prices + ((head >> 16) & 0xffff) * Vector.PRICE_ROW;
        end = expiries + (head & 0xffff) * Vector.EXPIRY_ROW;
    }

    function _load(uint256 at) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := mload(at)
        }
    }
}
