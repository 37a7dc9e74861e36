// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Index} from "./index/Index.sol";

/// @title Shared savings: energy that a site did not use, against a baseline of its own past and the weather.
/// @notice The baseline's coefficients are curves of the tariff; index/Index.sol prices it.
contract EnergySavings is Index {
    constructor(address rail_, address registry_) Index(rail_, registry_) {}

    /// @notice Names the product.
    /// @return its name in snake_case
    function name() external pure returns (string memory) {
        return "energy_savings";
    }
}
