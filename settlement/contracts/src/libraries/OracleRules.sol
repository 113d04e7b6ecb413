// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {ISettlementTypes} from "../interfaces/ISettlementTypes.sol";

/// @title Arithmetic of the bounds between two rounds; `settlement/protocol/oracle_bounds.py` is the same
library OracleRules {
    uint256 internal constant JUMP_PPM = 100_000;
    uint256 internal constant DRIFT_PPM = 2_000;
    /// @dev more than twice the highest rate of the exchange: 12 % in 8 hours for large caps, 32 % for others
    uint256 internal constant LARGE_CAP_FUNDING_PPM = 10;
    uint256 internal constant FUNDING_PPM = 25;

    uint256 private constant PPM = 1_000_000;
    uint256 private constant E14 = 1e14;
    uint256 private constant E18 = 1e18;

    /// @param before,after_ prices of an underlying, 1e-6 USDC per unit
    function isJump(uint256 before, uint256 after_, uint256 elapsed) internal pure returns (bool) {
        uint256 moved = before > after_ ? before - after_ : after_ - before;
        return moved * PPM > before * (JUMP_PPM + DRIFT_PPM * elapsed);
    }

    /// @param before,after_ funding indexes, 1e-12 USDC per lot
    /// @param price higher one of both rounds, rounded down, 1e-6 USDC per unit
    function isOvercharge(
        ISettlementTypes.InstrumentSpec memory spec,
        int256 before,
        int256 after_,
        uint256 price,
        uint256 elapsed
    ) internal pure returns (bool) {
        uint256 moved = uint256(before > after_ ? before - after_ : after_ - before);
        uint256 rate = spec.class == 1 ? LARGE_CAP_FUNDING_PPM : FUNDING_PPM;
        return moved * E18 > (price + 1) * spec.lotE18 * rate * elapsed;
    }

    /// @param payoff 1e-12 USDC per lot, as of a price in [price, price + 1)
    function isPayoff(ISettlementTypes.InstrumentSpec memory spec, uint256 price, uint256 payoff)
        internal
        pure
        returns (bool)
    {
        uint256 low = _payoff(spec, price);
        uint256 high = _payoff(spec, price + 1);
        return spec.isCall ? low <= payoff && payoff <= high : high <= payoff && payoff <= low;
    }

    /// @dev rounded down; price in 1e-6 USDC, strike in 1e-8
    function _payoff(ISettlementTypes.InstrumentSpec memory spec, uint256 price) private pure returns (uint256) {
        uint256 priceE8 = price * 100;
        uint256 strikeE8 = spec.strikeE8;
        if (spec.isCall ? priceE8 <= strikeE8 : priceE8 >= strikeE8) return 0;
        return (spec.isCall ? priceE8 - strikeE8 : strikeE8 - priceE8) * spec.lotE18 / E14;
    }
}
