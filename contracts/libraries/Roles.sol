// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessManager} from "@openzeppelin/contracts/access/manager/IAccessManager.sol";

/// @title The roles of the access manager. What widens power waits for the manager's delay.
library Roles {
    /// Lists products, seats oracles and officers, ends a pause, gives roles; always with the delay.
    uint64 internal constant STEWARD = 1;
    /// Reduces power at once: pauses, takes products off the list, silences, cancels what waits.
    uint64 internal constant GUARDIAN = 2;
    /// Mints against bank credits.
    uint64 internal constant MINTER = 3;
    /// Enrols, suspends, resumes and revokes devices.
    uint64 internal constant REGISTRAR = 4;
    /// Suspends devices and disputes payments of devices that are declared compromised.
    uint64 internal constant WARDEN = 5;

    /// @dev Whether an account has a role now.
    function holds(address manager, uint64 role, address account) internal view returns (bool) {
        (bool member,) = IAccessManager(manager).hasRole(role, account);
        return member;
    }
}
