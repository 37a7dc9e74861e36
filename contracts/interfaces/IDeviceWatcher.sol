// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Who hears from the registry that a device is no longer active for good.
interface IDeviceWatcher {
    /// @notice Hears that a device was suspended, revoked or declared stolen, or that its key ends.
    /// Only the registry. It must not fail: the registry's change would fail with it.
    /// @param device keccak256 of the device's name
    function deviceChanged(bytes32 device) external;
}
