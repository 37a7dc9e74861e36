// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Index} from "./index/Index.sol";

/// @title Maintenance: an escrow that a repair earns, by what the asset itself measures under load afterwards.
/// @notice The oracles pair order, reading before and reading after; index/Index.sol prices them.
contract MaintenanceEscrow is Index {
    constructor(address rail_, address registry_) Index(rail_, registry_) {}

    /// @notice Names the product.
    /// @return its name in snake_case
    function name() external pure returns (string memory) {
        return "maintenance_escrow";
    }
}
