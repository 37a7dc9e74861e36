// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Index} from "./index/Index.sol";

/// @title A service level: a fee for machines that serve, less for minutes down or without cash.
/// @notice The oracles derive both from signed states; index/Index.sol prices them.
contract ServiceLevel is Index {
    constructor(address rail_, address registry_) Index(rail_, registry_) {}

    /// @notice Names the product.
    /// @return its name in snake_case
    function name() external pure returns (string memory) {
        return "service_level";
    }
}
