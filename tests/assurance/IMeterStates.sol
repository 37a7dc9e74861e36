// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {State} from "../../contracts/products/energy/EnergyRules.sol";

/// @title What metered energy says of its agreements.
interface IMeterStates {
    function beginOf(bytes32 agreement)
        external
        view
        returns (uint32 start, uint32 startedAt, uint176 terms);

    function stateOf(bytes32 agreement, uint8 band) external view returns (State memory state);
}
