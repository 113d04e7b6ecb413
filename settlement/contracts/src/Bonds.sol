// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {Announced} from "./Announced.sol";
import {IBonds} from "./interfaces/IBonds.sol";
import {ISettlement} from "./interfaces/ISettlement.sol";
import {Operators} from "./Operators.sol";
import {Parts} from "./Parts.sol";
import {Pauses} from "./Pauses.sol";
import {RequestRows} from "./RequestRows.sol";

/// @title Bonds of the operator and of those who may follow him
/// @dev Money that leaves goes through `_credits`: whom the token blocks can then block nobody else.
contract Bonds is Operators, Announced, Pauses, RequestRows, ReentrancyGuardTransient, IBonds, Parts {
    using SafeERC20 for IERC20;

    uint256 private constant MAX_SUCCESSORS = 4;

    constructor(address nextPart_) Parts(nextPart_) {}

    /// @dev a bond that comes to a frozen contract would be lost
    modifier whilePosting() {
        require(_progress.halted != FROZEN, IsFrozen());
        _;
    }

    function topUpBond(uint64 amount) external nonReentrant whilePosting {
        require(_head.operator != address(0), NotOperator());
        _collateral.bond += _receive(IERC20(_vault().token()), amount);
        emit BondChanged(_head.operator, _collateral.bond);
    }

    function depositBond(uint64 amount) external nonReentrant whilePosting {
        uint256 place = _placeOf(msg.sender);
        require(place < _successors.length, NotSuccessor());
        Successor storage row = _successors[place];
        row.bond += _receive(IERC20(_vault().token()), amount);
        emit BondChanged(msg.sender, row.bond);
    }

    function registerSuccessor(address successor) external whilePosting announced {
        require(successor != address(0) && successor != _head.operator, BadSuccessor());
        require(_successors.length < MAX_SUCCESSORS && _placeOf(successor) == _successors.length, BadSuccessor());
        _successors.push(Successor(successor, 0));
        emit SuccessorChanged(successor, true);
    }

    /// @dev whoever follows nobody gets his bond back, also when the timelock is gone
    function removeSuccessor(address successor) external {
        if (_progress.halted != FROZEN) _useNotice();
        uint256 place = _placeOf(successor);
        require(place < _successors.length, NotSuccessor());
        _credit(successor, _successors[place].bond);
        _dropSuccessor(place);
    }

    function rotateOperator() external whilePosting announced {
        BackingSlot memory row = _backing;
        require(row.retiredBond == 0, BondBacksBatches());
        uint48 head_ = _head.head;
        (row.retiredFrom, row.retiredTo, row.retiredBond) = (row.from, head_, _collateral.bond);
        _backing = row;
        _retiredOperator = _head.operator;
        require(_installSuccessor(_vault().minimumBond()), NotSuccessor());
    }

    function releaseBond() external {
        BackingSlot memory row = _backing;
        require(row.retiredBond > 0, NothingThere());
        require(_head.finalized >= row.retiredTo, BondBacksBatches());
        _backing.retiredBond = 0;
        _credit(_retiredOperator, row.retiredBond);
    }

    function sweepPot() external returns (uint64 id) {
        uint64 amount = _final.pot;
        require(amount > 0, NothingThere());
        require(_head.finalized >= _backing.from, BondBacksBatches());
        _final.pot = 0;
        id = _enqueue(0, Kind.DEPOSIT, amount, 0);
    }

    function takeCredit(address to) external nonReentrant {
        uint256 amount = _credits[msg.sender];
        require(amount > 0, NothingThere());
        _credits[msg.sender] = 0;
        IERC20(_vault().token()).safeTransfer(to, amount);
    }

    function pausePosting(uint40 duration) external {
        _pausePosting(duration);
    }

    function resumePosting() external {
        _resumePosting();
    }

    /// @dev what a deployment fixes is read by a call to itself: these lines run on its storage, not in its code
    function _vault() private view returns (ISettlement) {
        return ISettlement(address(this));
    }

    function _placeOf(address successor) private view returns (uint256 place) {
        uint256 count = _successors.length;
        while (place < count && _successors[place].operator != successor) ++place;
    }
}
