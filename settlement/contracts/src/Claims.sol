// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";

import {ActionHash} from "./libraries/ActionHash.sol";
import {Queue} from "./Queue.sol";

/// @title Payment of withdrawals whose batch is final
abstract contract Claims is Queue {
    using SafeERC20 for IERC20;

    uint256 internal constant DAY_FLOOR = 10_000_000e6;
    uint256 internal constant HOUR_FLOOR = 1_000_000e6;

    function claimDigest(uint64[] calldata reqIds, address to) public view returns (bytes32) {
        return ActionHash.digest(domainSeparator, ActionHash.claim(address(this), reqIds, to));
    }

    function claim(uint64[] calldata reqIds, address to, bytes calldata ownerSig) external nonReentrant {
        address signer = to == address(0) ? address(0) : _signerOf(reqIds, to, ownerSig);
        for (uint256 i = 0; i < reqIds.length; ++i) {
            _pay(reqIds[i], to, signer);
        }
    }

    /// @dev the owner of the first request must have signed; `_pay` holds the others to the same owner
    function _signerOf(uint64[] calldata reqIds, address to, bytes calldata sig) private view returns (address owner) {
        require(reqIds.length > 0, NoAccount());
        owner = _accounts[_requests[reqIds[0]].acct].owner;
        require(owner != address(0), NoAccount());
        require(SignatureChecker.isValidSignatureNowCalldata(owner, claimDigest(reqIds, to), sig), BadSignature());
    }

    /// @dev finality counts by id: the seq in the row could name a batch that was replaced
    function _pay(uint64 id, address to, address signer) private {
        Request storage row = _requests[id];
        require(row.kind == uint8(Kind.WITHDRAW) && id <= _final.reqFinal, NotClaimable(id));
        uint64 amount = uint64(row.aux >> 40);
        require(amount > 0, NothingToClaim(id));
        row.aux = uint40(row.aux);
        if (!_isUnlimited(row.time)) _countOut(amount);
        address recipient = _recipient(id, row.acct, to, signer);
        emit Claimed(id, row.acct, recipient, amount);
        IERC20(token).safeTransfer(recipient, amount);
    }

    /// @dev behind a freeze, and for a request that is old enough: a large account could wait for ever
    function _isUnlimited(uint40 asked) private view returns (bool) {
        uint256 path = uint256(forceDelay) + finalityWindow + answerWindow + LIMIT_REST;
        return _progress.halted == FROZEN || block.timestamp >= asked + path;
    }

    function _countOut(uint64 amount) private {
        OutflowSlot memory out = _outflowNow();
        out.dayOut += amount;
        out.hourOut += amount;
        (uint256 dayLimit, uint256 hourLimit) = _limits();
        require(out.dayOut <= dayLimit && out.hourOut <= hourLimit, OutflowLimit());
        _outflow = out;
    }

    function outflowLeft() external view returns (uint256 today, uint256 thisHour) {
        OutflowSlot memory out = _outflowNow();
        (uint256 dayLimit, uint256 hourLimit) = _limits();
        today = dayLimit > out.dayOut ? dayLimit - out.dayOut : 0;
        thisHour = hourLimit > out.hourOut ? hourLimit - out.hourOut : 0;
    }

    function _outflowNow() private view returns (OutflowSlot memory out) {
        out = _outflow;
        (uint32 day, uint32 hour) = (uint32(block.timestamp / 1 days), uint32(block.timestamp / 1 hours));
        if (out.day != day) (out.day, out.dayOut) = (day, 0);
        if (out.hour != hour) (out.hour, out.hourOut) = (hour, 0);
    }

    /// @dev a tenth and a hundredth of the final cash, or the floors
    function _limits() private view returns (uint256 dayLimit, uint256 hourLimit) {
        uint256 assets = _final.collateral;
        dayLimit = assets / 10 > DAY_FLOOR ? assets / 10 : DAY_FLOOR;
        hourLimit = assets / 100 > HOUR_FLOOR ? assets / 100 : HOUR_FLOOR;
    }

    function _recipient(uint64 id, uint32 acct, address to, address signer) private view returns (address) {
        address fixedPayee = _payee[id];
        if (fixedPayee != address(0)) return fixedPayee;
        address owner = _accounts[acct].owner;
        if (signer == address(0)) return owner;
        require(signer == owner, NotOwner());
        return to;
    }
}
