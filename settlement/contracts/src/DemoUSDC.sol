// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";

/// @title Worthless dollars for the embedded chain and tests; their deployer mints them
contract DemoUSDC is ERC20, ERC20Permit {
    error NotMinter();

    address public immutable minter = msg.sender;

    constructor() ERC20("Demo USDC", "USDC") ERC20Permit("Demo USDC") {}

    function mint(address to, uint256 amount) external {
        require(msg.sender == minter, NotMinter());
        _mint(to, amount);
    }

    function decimals() public pure override returns (uint8) {
        return 6;
    }
}
