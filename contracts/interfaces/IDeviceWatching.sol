// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Which contracts hear from a registry when a device is no longer active for good.
interface IDeviceWatching {
    /// @notice A contract hears from now on when a device is no longer active for good.
    /// @param watcher its address
    event WatcherAdded(address watcher);

    /// @notice It has no code, watches already, or there are as many as there may be.
    /// @param watcher what was to watch
    error WatcherInvalid(address watcher);

    /// @notice Names a contract that hears at once when a device is no longer active for good, and
    /// that therefore need not ask about it. Only through the access manager, after its delay.
    /// Nobody is ever taken off: what such a contract believes would no longer hold.
    /// @param watcher an IDeviceWatcher
    function watch(address watcher) external;

    /// @notice Names one of the watchers.
    /// @param index from 0
    /// @return watcher its address
    function watchers(uint256 index) external view returns (address watcher);

    /// @notice Says since when a device is active for all that is known: a key of its own that does not
    /// end, no suspension since, no theft. The caller, if a watcher, hears when that changes.
    /// @param device keccak256 of the device's name
    /// @return since Unix seconds; the highest number: it is not, or the caller is no watcher
    function steadySince(bytes32 device) external view returns (uint40 since);
}
