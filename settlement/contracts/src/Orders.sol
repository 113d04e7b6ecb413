// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

import {ISettlement} from "./interfaces/ISettlement.sol";
import {ActionHash} from "./libraries/ActionHash.sol";
import {RequestRows} from "./RequestRows.sol";

/// @title Whether a signed order, one side of a signed mass quote, or one leg of a signed block authorizes what one batch
/// did with it
/// @dev The module of the signed action says which of them it is. Every other module is refused: nothing that the
/// exchange cannot produce is an answer.
abstract contract Orders is RequestRows {
    /// @dev the question of a challenge, and what its checks need of the batch
    struct Question {
        uint32 acct;
        address owner;
        uint256 subaccount;
        uint256 matchFrom;
        uint256 matchTo;
        uint256 canceledNs;
        bool isLocked;
    }

    /// @dev the data of a signed order; of a quote or a block, the order that its side or leg amounts to
    struct Terms {
        address asset;
        uint256 subId;
        int256 limitE18;
        int256 amountE18;
        uint256 maxFeeE18;
        uint256 recipient;
        bool isBid;
    }

    uint8 internal constant LOCKED = 1;
    uint8 internal constant WRONG_ACCOUNT = 2;
    uint8 internal constant WRONG_MODULE = 3;
    uint8 internal constant WRONG_SIGNER = 4;
    uint8 internal constant WRONG_SIGNATURE = 5;
    uint8 internal constant EXPIRED = 6;
    uint8 internal constant CANCELED = 7;
    uint8 internal constant WRONG_INSTRUMENT = 8;
    uint8 internal constant WRONG_SIDE = 9;
    uint8 internal constant OVER_AMOUNT = 10;
    uint8 internal constant BEYOND_LIMIT = 11;
    uint8 internal constant FEE_TOO_HIGH = 12;
    uint8 internal constant REBATE_TOO_HIGH = 13;

    /// @dev how far the chain's clock may run ahead of the exchange's, in seconds: what the exchange learned of a key or
    /// of a CANCEL_ALL may bear an earlier time there
    uint256 internal constant CLOCK_DIFFERENCE = 60;

    uint256 private constant SEPOLIA = 11_155_111;
    uint256 private constant ORDER_DATA = 224;
    uint256 private constant QUOTE_DATA = 160;
    uint256 private constant LINE = 36;
    /// @dev admin, trade:all, trade:orderbook:all; and :perp, :option
    uint32 private constant ALWAYS = (1 << 0) | (1 << 2) | (1 << 3);
    uint32 private constant PERPS = 1 << 5;
    uint32 private constant OPTIONS = 1 << 6;
    /// @dev admin, trade:all, trade:rfq:all; :perp and :option lie this many bits above those of the book
    uint32 private constant ALWAYS_RFQ = (1 << 0) | (1 << 2) | (1 << 7);
    uint256 private constant RFQ_SHIFT = 4;
    uint256 private constant EXECUTE_DATA = 64;
    uint256 private constant LEG = 128;
    uint256 private constant E12 = 1e12;
    /// @dev 1e-6 USDC against a product of two numbers in 1e-18
    uint256 private constant E30 = 1e30;

    /// @return reason 0 when the action authorizes the leaf
    function _judge(Question memory q, OrderEvidence calldata e, bytes32 digest) internal view returns (uint8 reason) {
        if (q.isLocked) return LOCKED;
        (Terms memory terms, bool isKnown) = _readTerms(e);
        if (!isKnown) return WRONG_MODULE;
        if (e.action.subaccountId != q.subaccount || terms.recipient != q.subaccount || e.action.owner != q.owner) {
            return WRONG_ACCOUNT;
        }
        if (!_maySign(q, e)) return WRONG_SIGNER;
        (address signer, ECDSA.RecoverError fault,) = ECDSA.tryRecoverCalldata(digest, e.sig);
        if (fault != ECDSA.RecoverError.NoError || signer != e.action.signer) return WRONG_SIGNATURE;
        if (e.action.expiry < q.matchFrom) return EXPIRED;
        if (e.action.nonce <= q.canceledNs) return CANCELED;
        if (!_isInstrument(e, terms)) return WRONG_INSTRUMENT;
        return _judgeTerms(e, terms);
    }

    function _digest(OrderEvidence calldata e) internal view returns (bytes32) {
        ISettlement vault = ISettlement(address(this));
        bytes32 domain = e.isSepolia ? ActionHash.separator(SEPOLIA) : vault.domainSeparator();
        return ActionHash.digest(domain, ActionHash.action(e.action, e.data));
    }

    /// @dev what counts once per batch: the order, one side of one line of a quote, or one leg of a block
    function _refOf(OrderEvidence calldata e, bytes32 digest) internal pure returns (bytes32) {
        if (_isLeg(e)) return keccak256(abi.encodePacked(digest, e.line));
        if (!_isQuote(e)) return digest;
        return keccak256(abi.encodePacked(digest, e.line >> 1, e.line & 1));
    }

    function _isQuote(OrderEvidence calldata e) internal pure returns (bool) {
        return e.action.module == ActionHash.MASS_QUOTE_MODULE;
    }

    function _isLeg(OrderEvidence calldata e) internal pure returns (bool) {
        return e.action.module == ActionHash.RFQ_MODULE;
    }

    /// @return terms of the order, or of the side or leg that `line` names
    /// @return isKnown false when the action is none of them
    function _readTerms(OrderEvidence calldata e) internal view returns (Terms memory terms, bool isKnown) {
        if (_isQuote(e)) return _readQuote(e);
        if (_isLeg(e)) return _readBlock(e);
        isKnown = e.action.module == ActionHash.TRADE_MODULE && e.data.length == ORDER_DATA;
        if (isKnown) terms = abi.decode(e.data, (Terms));
    }

    /// @dev data: contract, hash of the lines, number of lines, fee cap, subaccount; own domain only, as nothing else
    /// binds it to this chain
    function _readQuote(OrderEvidence calldata e) private view returns (Terms memory terms, bool isKnown) {
        if (e.data.length != QUOTE_DATA || e.isSepolia) return (terms, false);
        address vault;
        bytes32 linesHash;
        uint256 count;
        (vault, linesHash, count, terms.maxFeeE18, terms.recipient) =
            abi.decode(e.data, (address, bytes32, uint256, uint256, uint256));
        uint256 at = uint256(e.line >> 1) * LINE;
        if (vault != address(this) || keccak256(e.lines) != linesHash) return (terms, false);
        if (count * LINE != e.lines.length || at >= e.lines.length) return (terms, false);
        _readSide(e, e.lines[at:at + LINE], terms);
        isKnown = true;
    }

    /// @dev data of a maker: offset 32, fee cap, offset 64, legs; of a taker: hash of `lines`, fee cap, where `lines` are
    /// offset 32, the maker's legs. Own domain only. Each asset names this deployment
    function _readBlock(OrderEvidence calldata e) private pure returns (Terms memory terms, bool isKnown) {
        bool isTaker = e.data.length == EXECUTE_DATA;
        if (e.isSepolia || e.data.length < EXECUTE_DATA) return (terms, false);
        terms.maxFeeE18 = uint256(bytes32(e.data[32:64]));
        bytes calldata legs = e.lines;
        if (isTaker && keccak256(legs) != bytes32(e.data[:32])) return (terms, false);
        if (!isTaker) legs = e.data[64:];
        if (legs.length < 64 + LEG || uint256(bytes32(legs[:32])) != (isTaker ? 32 : 64)) return (terms, false);
        if (!isTaker && uint256(bytes32(e.data[:32])) != 32) return (terms, false);
        uint256 count = uint256(bytes32(legs[32:64]));
        legs = legs[64:];
        if (e.line >= count || count != legs.length / LEG || legs.length % LEG != 0) return (terms, false);
        _readLeg(legs[e.line * LEG:], isTaker, terms);
        terms.recipient = e.action.subaccountId;
        isKnown = true;
    }

    /// @param leg asset, sub id, price, amount: above zero when the maker buys
    function _readLeg(bytes calldata leg, bool isTaker, Terms memory terms) private pure {
        int256 amount;
        (terms.asset, terms.subId, terms.limitE18, amount) = abi.decode(leg, (address, uint256, int256, int256));
        terms.isBid = isTaker != (amount > 0);
        terms.amountE18 = amount > 0 ? amount : -amount;
    }

    /// @param row instr u32 | bid ticks i64, lots u64 | ask ticks i64, lots u64
    function _readSide(OrderEvidence calldata e, bytes calldata row, Terms memory terms) private pure {
        terms.isBid = e.line & 1 == 0;
        bytes calldata side = terms.isBid ? row[4:20] : row[20:36];
        // the line of another instrument than the leaf's has no asset, so no instrument either
        if (uint32(bytes4(row[:4])) == e.instr) (terms.asset, terms.subId) = (e.spec.asset, e.spec.subId);
        int256 ticks = int64(uint64(bytes8(side[:8])));
        terms.limitE18 = ticks * int256(uint256(e.spec.unit) * E30 / e.spec.lotE18); // exact: see `setAsset`
        terms.amountE18 = int256(uint256(uint64(bytes8(side[8:]))) * e.spec.lotE18);
    }

    /// @dev the owner always; a key while its row is valid, for the accounts and kinds that the row names
    function _maySign(Question memory q, OrderEvidence calldata e) private view returns (bool) {
        if (e.isSepolia && !ISettlement(address(this)).acceptsSepolia()) return false;
        if (e.action.signer == q.owner) return true;
        SessionKey memory row = _sessions[q.owner][e.action.signer];
        if (row.validFrom == 0 || row.validFrom > q.matchTo + CLOCK_DIFFERENCE || row.validTo < q.matchFrom) return false;
        uint32 scopes = e.instr >> 31 == 1 ? PERPS : OPTIONS;
        scopes = _isLeg(e) ? ALWAYS_RFQ | (scopes << RFQ_SHIFT) : ALWAYS | scopes;
        if (row.scopes & scopes == 0) return false;
        return row.listHash == 0 || _isInList(q.acct, row.listHash, e.keyAccts);
    }

    function _isInList(uint32 acct, uint144 listHash, uint32[] calldata accts) private pure returns (bool found) {
        if (uint144(uint256(keccak256(abi.encodePacked(accts)))) != listHash) return false;
        for (uint256 i = 0; i < accts.length; ++i) {
            if (accts[i] == acct) found = true;
        }
    }

    function _isInstrument(OrderEvidence calldata e, Terms memory terms) internal view returns (bool) {
        return e.instr != 0 && _instruments[e.instr] == keccak256(abi.encode(e.spec)) && e.spec.asset == terms.asset
            && e.spec.subId == terms.subId;
    }

    /// @dev cross-multiplied, so that nothing is rounded
    function _judgeTerms(OrderEvidence calldata e, Terms memory terms) private pure returns (uint8) {
        if (e.pos == 0 || terms.isBid != (e.pos > 0) || terms.amountE18 <= 0) return WRONG_SIDE;
        uint256 filledE18 = uint256(uint64(e.pos > 0 ? e.pos : -e.pos)) * e.spec.lotE18;
        if (filledE18 > uint256(terms.amountE18)) return OVER_AMOUNT;
        // beyond these bounds the products would leave 256 bits, and no order means them
        if (terms.limitE18 < 0 || terms.limitE18 > type(int128).max || terms.maxFeeE18 > type(uint128).max) {
            return BEYOND_LIMIT;
        }
        if (filledE18 > type(uint120).max) return OVER_AMOUNT;
        uint256 paid = uint256(e.notional) * E30;
        uint256 limit = uint256(terms.limitE18) * filledE18;
        if (_isLeg(e)) return _judgeLeg(e, terms, filledE18, paid == limit);
        if (terms.isBid ? paid > limit : paid < limit) return BEYOND_LIMIT;
        if (e.fee > 0 && uint256(uint64(e.fee)) * E30 > terms.maxFeeE18 * filledE18) return FEE_TOO_HIGH;
        if (int256(e.fee) * 1000 < -int256(uint256(e.notional))) return REBATE_TOO_HIGH;
        return 0;
    }

    /// @dev a block trades whole, at its price; the fee cap is for all legs, and no leaf knows the others
    function _judgeLeg(OrderEvidence calldata e, Terms memory terms, uint256 filledE18, bool isAtPrice)
        private
        pure
        returns (uint8)
    {
        if (filledE18 != uint256(terms.amountE18)) return OVER_AMOUNT;
        if (!isAtPrice) return BEYOND_LIMIT;
        if (e.fee < 0) return REBATE_TOO_HIGH;
        return uint256(uint64(e.fee)) * E12 > terms.maxFeeE18 ? FEE_TOO_HIGH : 0;
    }
}
