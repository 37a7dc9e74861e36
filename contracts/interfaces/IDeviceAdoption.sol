// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title How a registry takes over the devices of the registry before it.
/// @notice Devices in the field cannot sign an enrolment again. So what the predecessor knows of a
/// device is taken over, and what was true of it before, the predecessor is asked.
/// Warning: what happens at the predecessor after the adoption counts no more, but for a compromise
/// that is declared there later: it counts for the time before the adoption.
interface IDeviceAdoption {
    /// @notice A device was taken over. The events before it in the same transaction say with what:
    /// they are those of an enrolment, with the time of the adoption and no endorsement.
    /// @param device keccak256 of the device's name
    /// @param predecessor the registry that enrolled it
    /// @param at time of the adoption
    event DeviceAdopted(bytes32 indexed device, address predecessor, uint40 at);

    /// @notice Takes a device over: its newest key with its end, owner, status, compromise and
    /// present gateway. Anyone may call: everything comes from the predecessor.
    /// A device that is known here is not taken over, and a suspended one neither: when its key
    /// ends cannot be read while it is.
    /// Warning: of the gateways that the owner named for later, only the end of the present one is
    /// taken over; the owner names the others here.
    /// Warning: a compromised device is suspended as well, and its key has ended: where a ruling
    /// undoes the compromise, a registrar resumes it and its next key signs.
    /// @param device keccak256 of the device's name
    function adopt(bytes32 device) external;

    /// @notice Takes devices over; passes over those that are known here.
    /// @param devices keccak256 of the devices' names
    function adoptMany(bytes32[] calldata devices) external;

    /// @notice Says which registry this one took the place of.
    /// @return registry its address; zero: none
    function predecessor() external view returns (address registry);

    /// @notice Says when a device was taken over from the predecessor.
    /// @param device keccak256 of the device's name
    /// @return time Unix seconds; 0: it was not
    function adoptedAt(bytes32 device) external view returns (uint40 time);
}
