// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

/// Pays many in one call: what a payer without evidence, caps or disputes would use.
contract Disperse {
    function disperse(IERC20 token, address[] calldata payees, uint256[] calldata amounts) external {
        for (uint256 i; i < payees.length; ++i) {
            token.transferFrom(msg.sender, payees[i], amounts[i]);
        }
    }
}
