// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {ISettlementTypes} from "../interfaces/ISettlementTypes.sol";

/// @title Two requirements that enclose the margin of the exchange, linear in each position
/// @dev `low` is at most its maintenance requirement, `high` at least its initial one and every rule of withdrawals.
/// `settlement/protocol/linear_bounds.py` is the same; `tests/property/test_linear_bounds.py` holds both to the engine.
/// Marks are in 1e-6 USDC per lot and prices in 1e-6 USDC per unit, both rounded down: what was cut off counts against
/// the account, so its equity here is never above the exchange's. All results are in 1e-6 USDC.
library LinearBounds {
    /// @dev factor classes of `AssetRow`, which has no other
    uint8 internal constant LARGE_CAP = 1;
    uint8 internal constant MAJOR = 2;
    /// @dev half of the lowest maintenance bracket; the highest initial bracket and a quarter more
    uint256 internal constant LARGE_CAP_LOW_PPM = 10_000;
    uint256 internal constant MAJOR_LOW_PPM = 25_000;
    uint256 internal constant LARGE_CAP_HIGH_PPM = 250_000;
    uint256 internal constant MAJOR_HIGH_PPM = 420_000;
    /// @dev of the index and of the mark of a short option
    uint256 internal constant SHORT_HIGH_PPM = 200_000;

    uint256 private constant LONG_OPTION = 1;
    uint256 private constant PPM = 1_000_000;
    uint256 private constant E18 = 1e18;

    /// @notice Requirement of `lots` that no rule of the exchange exceeds, rounded up. A long option needs one unit:
    /// the exchange rounds its equity down and its requirement up.
    /// @param index price of the underlying; read for short options alone
    function high(ISettlementTypes.InstrumentSpec memory spec, int256 lots, uint256 mark, uint256 index)
        internal
        pure
        returns (uint256)
    {
        uint256 size = uint256(lots < 0 ? -lots : lots);
        if (spec.isPerp) return _ceil(size * (mark + 1) * _highPpm(spec.class), PPM);
        if (lots > 0) return LONG_OPTION;
        uint256 underlying = _ceil(size * spec.lotE18 * (index + 1), E18);
        return _ceil((underlying + size * (mark + 1)) * SHORT_HIGH_PPM, PPM);
    }

    /// @notice Requirement of `lots` that every rule of the exchange reaches, rounded down. An option needs nothing:
    /// others of its expiry may cover it.
    function low(ISettlementTypes.InstrumentSpec memory spec, int256 lots, uint256 mark) internal pure returns (uint256) {
        return spec.isPerp ? uint256(lots < 0 ? -lots : lots) * mark * _lowPpm(spec.class) / PPM : 0;
    }

    /// @notice What `lots` are worth at least: a long option nothing, since its value cannot be withdrawn.
    function worth(bool isPerp, int256 lots, uint256 mark) internal pure returns (int256) {
        if (lots > 0) return isPerp ? lots * int256(mark) : int256(0);
        return lots * int256(mark + 1);
    }

    function _highPpm(uint8 class) private pure returns (uint256) {
        if (class == LARGE_CAP) return LARGE_CAP_HIGH_PPM;
        return class == MAJOR ? MAJOR_HIGH_PPM : PPM;
    }

    function _lowPpm(uint8 class) private pure returns (uint256) {
        if (class == LARGE_CAP) return LARGE_CAP_LOW_PPM;
        return class == MAJOR ? MAJOR_LOW_PPM : 0;
    }

    function _ceil(uint256 value, uint256 by) private pure returns (uint256) {
        return (value + by - 1) / by;
    }
}
