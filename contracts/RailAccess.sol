// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessManager} from "@openzeppelin/contracts/access/manager/AccessManager.sol";
import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";

import {Roles} from "./libraries/Roles.sol";

/// @title The access manager: the steward waits, the guardian cancels at once, the rest is fixed.
/// @notice The steward alone may call what is `restricted`, on each contract, after `delay`. It
/// schedules a call here; then waits; then makes it. Grants and revocations of roles wait as well.
/// The guardian cancels what is scheduled, and takes the roles minter, registrar and warden away
/// at once.
/// What could shorten the delay cannot be called by anyone, with or without delay: which role a
/// function needs, who grants a role, who cancels, and which access manager a contract obeys.
/// A deployer acts as steward without delay until it renounces (`setUpOpen`). It can give no roles.
/// Warning: the guardian can also cancel its own removal. A stolen guardian key stops all changes,
/// and no payment: then agreements move to new contracts. A stolen steward key can do nothing as
/// long as the guardian watches.
contract RailAccess is AccessManager {
    /// Who gets which role.
    struct Holders {
        address steward;
        address guardian;
        address minter;
        address registrar;
        address warden;
    }

    uint32 private constant LEAST_DELAY = 24 hours;
    uint256 private constant LOCAL_CHAIN = 31337;

    /// @notice Seconds that each of the steward's actions waits at least, for ever.
    uint32 public immutable delay;
    /// @notice Who set up the contracts.
    address public immutable deployer;

    /// @notice The delay is shorter than this chain allows.
    /// @param delay seconds that were asked for
    /// @param least seconds
    error DelayTooShort(uint32 delay, uint32 least);

    /// @notice A holder is missing, or steward, guardian and deployer are not three.
    error HoldersInvalid();

    /// @notice This was fixed for ever when the contract was made.
    error FixedForEver();

    /// @notice Gives every role.
    /// @param deployer_ who acts as steward without delay until it renounces
    /// @param delay_ seconds that the steward waits; 24 hours at least, but for the local chain
    /// @param holders who gets which role
    constructor(address deployer_, uint32 delay_, Holders memory holders)
        AccessManager(holders.steward)
    {
        if (delay_ < LEAST_DELAY && block.chainid != LOCAL_CHAIN) {
            revert DelayTooShort(delay_, LEAST_DELAY);
        }
        bool missing = deployer_ == address(0) || holders.guardian == address(0)
            || holders.minter == address(0) || holders.registrar == address(0)
            || holders.warden == address(0);
        bool shared = holders.steward == holders.guardian || holders.steward == deployer_
            || holders.guardian == deployer_;
        if (missing || shared) revert HoldersInvalid();
        delay = delay_;
        deployer = deployer_;
        super._setRoleGuardian(Roles.STEWARD, Roles.GUARDIAN);
        super._grantRole(ADMIN_ROLE, holders.steward, 0, delay_);
        super._grantRole(Roles.STEWARD, holders.steward, 0, delay_);
        super._grantRole(Roles.GUARDIAN, holders.guardian, 0, 0);
        super._grantRole(Roles.MINTER, holders.minter, 0, 0);
        super._grantRole(Roles.REGISTRAR, holders.registrar, 0, 0);
        super._grantRole(Roles.WARDEN, holders.warden, 0, 0);
        super._grantRole(Roles.STEWARD, deployer_, 0, 0);
    }

    /// @notice Takes a role away: the steward after the delay, the guardian at once where the role
    /// is minter, registrar or warden.
    /// @param roleId the role
    /// @param account who loses it
    function revokeRole(uint64 roleId, address account) public override {
        bool atOnce =
            roleId == Roles.MINTER || roleId == Roles.REGISTRAR || roleId == Roles.WARDEN;
        if (atOnce && Roles.holds(address(this), Roles.GUARDIAN, msg.sender)) {
            _revokeRole(roleId, account);
        } else {
            super.revokeRole(roleId, account);
        }
    }

    /// @notice Cannot be called: contracts obey this access manager for ever.
    /// @param target the contract that would obey another
    /// @param newAuthority the access manager that it would obey
    function updateAuthority(address target, address newAuthority) public pure override {
        revert FixedForEver();
    }

    /// @notice Says whether the deployer still holds the steward's role.
    /// @return open whether it does
    function setUpOpen() external view returns (bool open) {
        return Roles.holds(address(this), Roles.STEWARD, deployer);
    }

    /// @notice Says who may call a function of a contract, and after which delay.
    /// @dev `setAuthority` has rules of its own in AccessManager, and would be reached by `execute`.
    /// @param caller who would call
    /// @param target the contract
    /// @param selector of the function
    /// @return immediate whether it may call now
    /// @return wait seconds that it has to wait after `schedule`; 0 where it may not call
    function canCall(address caller, address target, bytes4 selector)
        public
        view
        override
        returns (bool immediate, uint32 wait)
    {
        if (selector == IAccessManaged.setAuthority.selector) return (false, 0);
        return super.canCall(caller, target, selector);
    }

    /// @notice Says which role a restricted function needs: the steward's, so the guardian can
    /// cancel each call, changes of roles included.
    /// @param target the contract
    /// @param selector of the function
    /// @return role Roles.STEWARD
    function getTargetFunctionRole(address target, bytes4 selector)
        public
        pure
        override
        returns (uint64 role)
    {
        return Roles.STEWARD;
    }

    /// @dev Nobody ever gets the steward's power with less delay.
    function _grantRole(uint64 roleId, address account, uint32 grantDelay, uint32 executionDelay)
        internal
        override
        returns (bool newMember)
    {
        bool waits = roleId == ADMIN_ROLE || roleId == Roles.STEWARD;
        if (waits && executionDelay < delay) revert DelayTooShort(executionDelay, delay);
        return super._grantRole(roleId, account, grantDelay, executionDelay);
    }

    function _setRoleAdmin(uint64, uint64) internal pure override {
        revert FixedForEver();
    }

    function _setRoleGuardian(uint64, uint64) internal pure override {
        revert FixedForEver();
    }

    function _setTargetFunctionRole(address, bytes4, uint64) internal pure override {
        revert FixedForEver();
    }

    function _setTargetClosed(address, bool) internal pure override {
        revert FixedForEver();
    }

    function _setTargetAdminDelay(address, uint32) internal pure override {
        revert FixedForEver();
    }

    function _setGrantDelay(uint64, uint32) internal pure override {
        revert FixedForEver();
    }
}
