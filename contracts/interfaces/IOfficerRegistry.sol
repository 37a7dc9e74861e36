// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Who may approve payouts that need two people.
/// @notice The steward seats and unseats officers, with the access manager's delay. The guardian
/// silences at once. An officer that left, or was silenced, joins again by a new seat.
/// Warning: the bank and not this contract pays. It only says whose approvals the service counts.
interface IOfficerRegistry {
    /// @notice An officer got a seat.
    /// @param officer address of the officer's key
    /// @param seated how many officers there are now
    event OfficerSeated(address indexed officer, uint256 seated);

    /// @notice The steward took an officer's seat away.
    /// @param officer address of the officer's key
    /// @param seated how many officers there are now
    event OfficerUnseated(address indexed officer, uint256 seated);

    /// @notice The guardian took an officer's seat away at once.
    /// @param officer address of the officer's key
    /// @param seated how many officers there are now
    event OfficerSilenced(address indexed officer, uint256 seated);

    /// @notice Only a holder of this role may call; libraries/Roles.sol numbers them.
    /// @param caller who called
    /// @param role the role
    error NotInRole(address caller, uint64 role);

    /// @notice The address has no seat.
    /// @param officer the address
    error NotAnOfficer(address officer);

    /// @notice The address is zero or has a seat.
    /// @param officer the address
    error OfficerInvalid(address officer);

    /// @notice Seats an officer. Only the steward, with the delay.
    /// @param officer address of the officer's key
    function seat(address officer) external;

    /// @notice Takes a seat away. Only the steward, with the delay.
    /// @param officer address of the officer's key
    function unseat(address officer) external;

    /// @notice Takes a seat away at once. Only the guardian.
    /// @param officer address of the officer's key
    function silence(address officer) external;

    /// @notice Says whether an address is an officer now.
    /// @param officer the address
    /// @return seated whether it has a seat
    function isOfficer(address officer) external view returns (bool seated);

    /// @notice Lists the officers of now, in no order.
    /// @return seated their addresses
    function officers() external view returns (address[] memory seated);
}
