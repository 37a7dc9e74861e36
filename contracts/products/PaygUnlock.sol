// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Index} from "./index/Index.sol";

/// @title Pay as you go: days that a device sells, at one price.
/// @notice index/Index.sol prices an order; the rail makes the token when the payment is final.
contract PaygUnlock is Index {
    constructor(address rail_, address registry_) Index(rail_, registry_) {}

    /// @notice Names the product.
    /// @return its name in snake_case
    function name() external pure returns (string memory) {
        return "payg_unlock";
    }
}
