// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title What a metered fleet says of its agreements.
interface IFleetRows {
    function rowsOf(bytes32 agreement) external view returns (bytes32 hash);
}
