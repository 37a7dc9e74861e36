// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Index} from "./index/Index.sol";

/// @title Insurance by use: a premium, or a reward, from a period's totals of a vehicle or a wearable.
/// @notice Only totals leave the device; index/Index.sol prices them.
contract UsagePremium is Index {
    constructor(address rail_, address registry_) Index(rail_, registry_) {}

    /// @notice Names the product.
    /// @return its name in snake_case
    function name() external pure returns (string memory) {
        return "usage_premium";
    }
}
