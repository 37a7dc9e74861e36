// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {EnumerableSet} from "@openzeppelin/contracts/utils/structs/EnumerableSet.sol";

import {IOfficerRegistry} from "./interfaces/IOfficerRegistry.sol";
import {Roles} from "./libraries/Roles.sol";

/// @title The officers: who may approve payouts that need two people.
/// @notice IOfficerRegistry documents it.
contract OfficerRegistry is IOfficerRegistry, AccessManaged {
    using EnumerableSet for EnumerableSet.AddressSet;

    EnumerableSet.AddressSet private _officers;

    constructor(address access, address[] memory officers_) AccessManaged(access) {
        for (uint256 i; i < officers_.length; ++i) {
            _seat(officers_[i]);
        }
    }

    /// @inheritdoc IOfficerRegistry
    function seat(address officer) external restricted {
        _seat(officer);
    }

    /// @inheritdoc IOfficerRegistry
    function unseat(address officer) external restricted {
        // check, effect
        _remove(officer);
        // event
        emit OfficerUnseated(officer, _officers.length());
    }

    /// @inheritdoc IOfficerRegistry
    function silence(address officer) external {
        // check
        if (!Roles.holds(authority(), Roles.GUARDIAN, msg.sender)) {
            revert NotInRole(msg.sender, Roles.GUARDIAN);
        }
        // effect
        _remove(officer);
        // event
        emit OfficerSilenced(officer, _officers.length());
    }

    /// @inheritdoc IOfficerRegistry
    function isOfficer(address officer) external view returns (bool) {
        return _officers.contains(officer);
    }

    /// @inheritdoc IOfficerRegistry
    function officers() external view returns (address[] memory) {
        return _officers.values();
    }

    function _seat(address officer) private {
        // check, effect
        if (officer == address(0) || !_officers.add(officer)) revert OfficerInvalid(officer);
        // event
        emit OfficerSeated(officer, _officers.length());
    }

    function _remove(address officer) private {
        if (!_officers.remove(officer)) revert NotAnOfficer(officer);
    }
}
