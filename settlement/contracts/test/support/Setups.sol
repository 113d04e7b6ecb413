// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {ISettlementTypes} from "../../src/interfaces/ISettlementTypes.sol";

/// @dev the parameters of the deployments of these tests
library Setups {
    uint64 internal constant BASE = 5_000_000;
    uint40 internal constant WINDOW = 60;
    uint40 internal constant BLOCKS = 5;
    uint40 internal constant DELAY = 600;
    uint40 internal constant ESCAPE = 1800;
    uint40 internal constant GAP = 300;
    uint40 internal constant CLAIMS = 3600;
    /// @dev the shortest allowed: escape, gap, window, answers, three days
    uint40 internal constant TIMELOCK_DELAY = ESCAPE + GAP + WINDOW + 30 + 72 hours;
    uint64 internal constant MINIMUM = 10e6;
    uint64 internal constant BOND = 500e6;
    address internal constant TIMELOCK = address(0x71);
    /// @dev a plain key, as `post` wants it
    address internal constant OPERATOR = address(0x0BE7);

    function standard(address token, address operator, address part)
        internal
        pure
        returns (ISettlementTypes.Setup memory s)
    {
        (s.token, s.operator, s.nextPart) = (token, operator, part);
        (s.timelock, s.guardian) = (TIMELOCK, address(0x6A));
        (s.finalityWindow, s.finalityBlocks, s.answerWindow) = (WINDOW, BLOCKS, 30);
        (s.forceDelay, s.escapeDelay) = (DELAY, ESCAPE);
        (s.freezeGap, s.claimPeriod, s.timelockDelay) = (GAP, CLAIMS, TIMELOCK_DELAY);
        (s.subaccountBase, s.minimumDeposit, s.minimumBond, s.challengeBond) = (BASE, MINIMUM, BOND, 20e6);
    }
}
