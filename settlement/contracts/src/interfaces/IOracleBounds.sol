// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {ISettlementTypes} from "./ISettlementTypes.sol";

/// @title F4, answered at the settlement contract's address: what a round may say after the round before it
/// @notice A batch names the round that it begins with. Compared are the rounds of two batches in a row, if they differ
/// and the first is not round 0. `elapsed` is the difference of their times and one second more.
interface IOracleBounds is ISettlementTypes {
    /// @param before,after_ vectors of the round of the batch before, and of the batch
    /// @param instr instrument whose row is wrong, 0 for the price of an underlying
    /// @param spec of the instrument; for a price `underlying` alone is read
    /// @param holder,leaf,path for a settled row that is gone: an account that holds it still, in the root before the batch
    struct BoundProof {
        bytes before;
        bytes after_;
        uint32 instr;
        InstrumentSpec spec;
        uint32 holder;
        bytes leaf;
        bytes path;
    }

    /// @notice F4: reverts batch `seq`, which uses its round, when against the round of the batch before
    ///   an index price is gone, or moved by more than 10 % and 0.2 % per second of `elapsed`,
    ///   a funding index moved by more than 10 ppm (class 1; else 25 ppm) of the higher price per second of `elapsed`,
    ///   or moved without any price, or the row of a perpetual that was ever charged is gone,
    ///   a settled option's payoff is not the one of its expiry's settlement price in the vector, to a unit of the price,
    ///   a settled row has another value, or lives again, or is gone while an account holds it.
    function proveOracleBound(uint64 seq, Header calldata previous, Header calldata header, BoundProof calldata proof)
        external;
}
