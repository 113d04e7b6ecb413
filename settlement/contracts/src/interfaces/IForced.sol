// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {ISettlementTypes} from "./ISettlementTypes.sol";

/// @title F2 for what nobody signed: accounts that the venue closed, what its fund paid them, and who had to give way
/// @notice Leaves of the orders tree (see `IAuthority`) of three more types:
///   2 LIQUIDATION  ref = type u8 | number u248: the type is 2 for an order on the book, 4 when a counterparty gave way
///   4 ADL          the counterparty's side: same ref, instrument and notional, opposite lots, no fee
///   5 FUND         ref = 5 | number; instrument, lots and notional 0; the fee is minus what the fund pays
/// A batch holds of an account either leaves that it signed, or types 2 and 5, or type 4. What these leaves move is
/// judged by the account's leaf before the batch and the marks of the round that the batch names.
///
/// A refusal is `NotAuthorized(leafIndex, reason)`:
///   12 the fee is negative or above 2.5 % of the notional; deleveraging has none
///   14 type and ref do not belong together
///   15 the position would grow or change its sign, or the account holds none
///   16 the round has no mark of the instrument
///   17 the price is worse for the account than the mark: by more than 5 % on the book, by anything when deleveraged
///   18 others paid, and the account is left with more than nothing
///   19 a payment of the fund that pays nothing or moves more than cash
///   20 the account had equity of 25 % of its perpetuals and the value of its long options, and no short option
///   21 the account deposits in this batch
///   22 the liquidated account's side is not the counterpart, or that account was not shown yet
interface IForced is ISettlementTypes {
    /// @param previous header of the batch before: where the requests of this one begin
    /// @param vector of the batch's round
    /// @param leaf,path the account's leaf before the batch, with the 20 siblings above it
    /// @param firstLeaf index of the account's first leaf in the orders tree; the others follow it
    /// @param rows the leaves, 61 bytes each: type u8 | instr u32 | ref bytes32 | pos i64 | notional u64 | fee i64
    /// @param siblings that the leaves lack, level by level, left to right
    /// @param data of the batch
    struct ForcedProof {
        Header previous;
        bytes vector;
        bytes leaf;
        bytes path;
        uint32 firstLeaf;
        bytes rows;
        bytes siblings;
        bytes data;
    }

    /// @notice The other side of one row: leaf `leafIndex`, of account `acct`.
    /// @param row the row that it belongs to
    struct Counterpart {
        uint32 acct;
        uint32 leafIndex;
        uint32 row;
    }

    /// @param leaf,path,firstLeaf,rows,siblings,data as in `ForcedProof`
    /// @param others one per row, leaf indices ascending
    /// @param otherSiblings that the leaves of `others` lack
    struct DeleveragedProof {
        bytes leaf;
        bytes path;
        uint32 firstLeaf;
        bytes rows;
        bytes siblings;
        Counterpart[] others;
        bytes otherSiblings;
        bytes data;
    }

    /// @notice Puts on record that everything batch `seq` did to `acct` without its signature was allowed. Anyone.
    function showForced(uint64 seq, Header calldata header, uint32 acct, ForcedProof calldata proof) external;

    /// @notice Answers the challenge of an account that was liquidated, in one call; puts it on record too.
    function answerForced(bytes32 id, Header calldata header, ForcedProof calldata proof) external;

    /// @notice Answers the challenge of an account that had to give way, once every liquidated account is on record.
    function answerDeleveraged(bytes32 id, Header calldata header, DeleveragedProof calldata proof) external;

    /// @notice Whether the account is on record for the batch with this hash.
    function forcedShown(bytes32 batchHash, uint32 acct) external view returns (bool);
}
