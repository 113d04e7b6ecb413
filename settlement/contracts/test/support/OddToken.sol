// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

import {ISettlement} from "../../src/interfaces/ISettlement.sol";

/// @dev a token with one bad habit
contract OddToken is ERC20 {
    enum Mode {
        FEE,
        FALSE,
        REENTER,
        BLOCK
    }

    Mode private immutable mode;
    address public blocked;

    error Blocked();

    constructor(Mode mode_) ERC20("Odd", "ODD") {
        mode = mode_;
    }

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function block_(address who) external {
        blocked = who;
    }

    function transferFrom(address from, address to, uint256 amount) public override returns (bool) {
        if (mode == Mode.FALSE) return false;
        if (mode == Mode.REENTER) ISettlement(to).deposit(0, uint64(amount));
        super.transferFrom(from, to, amount);
        if (mode == Mode.FEE) _burn(to, amount / 100);
        return true;
    }

    function transfer(address to, uint256 amount) public override returns (bool) {
        if (to == blocked) revert Blocked();
        return super.transfer(to, amount);
    }
}
