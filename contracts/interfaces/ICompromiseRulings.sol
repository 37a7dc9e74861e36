// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title What the device registry asks of the committee.
interface ICompromiseRulings {
    /// @notice Checks a ruling on a device's compromise for the calling registry. Reverts by name
    /// where the signatures are not enough.
    /// @param device keccak256 of the device's name
    /// @param since Unix seconds; 0: the key is not stolen
    /// @param number how many rulings on this device came before
    /// @param signatures in ascending signer order
    function compromiseQuorum(
        bytes32 device,
        uint40 since,
        uint256 number,
        bytes[] calldata signatures
    ) external view;
}
