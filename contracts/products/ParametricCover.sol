// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Index} from "./index/Index.sol";

/// @title Cover by index: what weather stations measured in a season comes to a payment, without a loss adjuster.
/// @notice The oracles derive the median of the listed stations; index/Index.sol prices it.
contract ParametricCover is Index {
    constructor(address rail_, address registry_) Index(rail_, registry_) {}

    /// @notice Names the product.
    /// @return its name in snake_case
    function name() external pure returns (string memory) {
        return "parametric_cover";
    }
}
