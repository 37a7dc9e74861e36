// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import {IDeviceRegistry} from "./interfaces/IDeviceRegistry.sol";
import {IOracleCommittee} from "./interfaces/IOracleCommittee.sol";
import {Assignments} from "./libraries/Assignments.sol";
import {Roles} from "./libraries/Roles.sol";
import {RegistryAdoption} from "./registry/RegistryAdoption.sol";
import {RegistryState} from "./registry/RegistryState.sol";

/// @title The registry: keys, owners, gateways and statuses of devices over time.
/// @notice IDeviceRegistry documents it.
contract DeviceRegistry is RegistryAdoption, EIP712 {
    using Assignments for Assignments.Assignment[];

    constructor(address access, address committee_, address predecessor_)
        RegistryState(access, committee_, predecessor_)
        EIP712("proofrail", "1")
    {}

    /// @inheritdoc IDeviceRegistry
    function enrol(
        bytes32 device,
        Curve curve,
        bytes32 x,
        bytes32 y,
        address owner,
        bytes32 endorsement,
        uint40 expiresAt,
        bytes32 r,
        bytes32 s
    ) external {
        // resolve
        Device storage device_ = _devices[device];
        bytes32 digest = sha256(
            abi.encode("proofrail/enrol/v1", block.chainid, address(this), device, owner)
        );
        // check
        _requireRegistrar();
        if (device_.owner != address(0)) revert DeviceExists(device);
        _requireNotEndedBefore(device);
        if (owner == address(0)) revert OwnerMissing();
        if (!verify(curve, x, y, digest, r, s)) revert PossessionUnproven(device);
        // effect
        device_.owner = owner;
        _addKey(device_, curve, x, y, expiresAt);
        _change(device_, Status.Active);
        // event
        emit DeviceEnrolled(device, uint8(curve), x, y, owner, endorsement, expiresAt, _now());
    }

    /// @inheritdoc IDeviceRegistry
    function rotate(
        bytes32 device,
        Curve curve,
        bytes32 x,
        bytes32 y,
        uint40 expiresAt,
        bytes32 rOld,
        bytes32 sOld,
        bytes32 rNew,
        bytes32 sNew
    ) external {
        // resolve
        Device storage device_ = _devices[device];
        bytes32 digest = _rotation(device, curve, x, y, expiresAt, device_.keys.length);
        // check
        _requireAlive(device);
        if (device_.keys.length == 0) revert DeviceWithoutKey(device);
        uint40 next = _nextRotation(device_.keys);
        if (_now() < next) revert RotationTooSoon(device, next);
        Key memory old = device_.keys[device_.keys.length - 1];
        if (!verify(old.curve, old.x, old.y, digest, rOld, sOld)) revert RotationUnsigned(device);
        if (!verify(curve, x, y, digest, rNew, sNew)) revert PossessionUnproven(device);
        // effect
        _addKey(device_, curve, x, y, expiresAt);
        // event
        emit KeyRotated(device, uint8(curve), x, y, expiresAt, _now());
        // interaction
        _report(device);
    }

    /// @inheritdoc IDeviceRegistry
    function assign(
        bytes32 device,
        address owner,
        bytes32 gateway,
        uint40 since,
        uint40 until,
        bytes calldata signature
    ) external {
        // resolve
        Device storage device_ = _devices[device];
        bool unknown = device_.owner == address(0);
        uint40 start = since == 0 ? _now() : since;
        bytes32 digest = _hashTypedDataV4(
            Assignments.hash(device, gateway, since, until, device_.latest.assignments)
        );
        // check
        if (unknown) _requireNewMeter(device, owner, gateway);
        else _requireLiving(device, owner);
        bool timely = start >= _now() && start <= _now() + Assignments.SPAN;
        if (!timely || (until != 0 && until <= start)) {
            revert AssignmentTimesInvalid(since, until);
        }
        if (gateway != 0 && (gateway == device || _devices[gateway].keys.length == 0)) {
            revert GatewayInvalid(gateway);
        }
        if (!Assignments.consented(owner, digest, signature)) {
            revert AssignmentUnsigned(device, owner);
        }
        // effect
        if (unknown) {
            device_.owner = owner;
            device_.latest.keyless = true;
            _change(device_, Status.Active);
        }
        device_.latest.assignments += 1;
        uint40 next = device_.assignments.put(Assignments.Assignment(gateway, start, until));
        if (start < next) revert AssignmentTooSoon(device, next);
        // event
        emit GatewayAssigned(device, gateway, owner, start, until, _now());
    }

    /// @inheritdoc IDeviceRegistry
    function suspend(bytes32 device) external {
        // resolve, check
        if (!_holds(Roles.WARDEN)) _requireInCharge(device);
        _requireAlive(device);
        // effect
        _change(_devices[device], Status.Suspended);
        // event
        emit DeviceSuspended(device, _now());
        // interaction
        _report(device);
    }

    /// @inheritdoc IDeviceRegistry
    function resume(bytes32 device) external {
        // resolve, check
        _requireRegistrar();
        Status status = _statusAt(_devices[device], _now());
        if (status == Status.None) revert DeviceUnknown(device);
        if (status != Status.Suspended) revert DeviceInStatus(device, status);
        // effect
        _change(_devices[device], Status.Active);
        // event
        emit DeviceResumed(device, _now());
    }

    /// @inheritdoc IDeviceRegistry
    function revoke(bytes32 device) external {
        // resolve
        Status status = _statusAt(_devices[device], _now());
        // check
        _requireInCharge(device);
        if (status == Status.Revoked || status == Status.Compromised) {
            revert DeviceInStatus(device, status);
        }
        // effect
        _change(_devices[device], Status.Revoked);
        // event
        emit DeviceRevoked(device, _now());
        // interaction
        _report(device);
    }

    /// @inheritdoc IDeviceRegistry
    function declareCompromised(bytes32 device, uint40 since) external {
        // resolve
        Latest storage latest = _devices[device].latest;
        uint40 earlier = latest.compromisedSince;
        // check
        _requireInCharge(device);
        if (since == 0 || since > _now() || (earlier != 0 && since >= earlier)) {
            revert CompromiseDateInvalid(since);
        }
        uint40 first = declarableFrom(device);
        if (since < first) revert CompromiseNeedsRuling(since, first);
        // effect
        latest.compromisedSince = since;
        // event
        emit CompromiseDeclared(device, since, _now());
        // interaction
        _report(device);
    }

    /// @inheritdoc IDeviceRegistry
    function ruleCompromise(bytes32 device, uint40 since, bytes[] calldata signatures) external {
        // resolve
        Latest storage latest = _devices[device].latest;
        uint32 number = latest.rulings;
        // check
        if (latest.status == Status.None) revert DeviceUnknown(device);
        if (since > _now()) revert CompromiseDateInvalid(since);
        IOracleCommittee(committee).compromiseQuorum(device, since, number, signatures);
        // effect
        latest.compromisedSince = since;
        latest.ruledAt = _now();
        latest.rulings = number + 1;
        // event
        emit CompromiseRuled(device, since, number, _now());
        // interaction
        _report(device);
    }

    function _rotation(
        bytes32 device,
        Curve curve,
        bytes32 x,
        bytes32 y,
        uint40 expiresAt,
        uint256 keys
    ) private view returns (bytes32) {
        return sha256(
            abi.encode(
                "proofrail/rotate/v1",
                block.chainid,
                address(this),
                device,
                curve,
                x,
                y,
                expiresAt,
                keys
            )
        );
    }

    function _addKey(Device storage device_, Curve curve, bytes32 x, bytes32 y, uint40 expiresAt)
        private
    {
        if (expiresAt != 0 && expiresAt <= _now()) revert KeyExpiryInvalid(expiresAt);
        _keepKey(device_, Key({x: x, y: y, curve: curve, since: _now(), expiresAt: expiresAt}));
        device_.latest.since = _now();
    }

    /// @dev Active or expired: an expired key may still sign its successor.
    function _requireAlive(bytes32 device) private view {
        Status status = _statusAt(_devices[device], _now());
        if (status == Status.None) revert DeviceUnknown(device);
        if (status != Status.Active && status != Status.Expired) {
            revert DeviceInStatus(device, status);
        }
    }

    /// @dev An unknown device is enrolled under its first gateway, by the registrar alone.
    function _requireNewMeter(bytes32 device, address owner, bytes32 gateway) private view {
        _requireRegistrar();
        _requireNotEndedBefore(device);
        if (owner == address(0)) revert OwnerMissing();
        if (gateway == 0) revert GatewayInvalid(gateway);
    }

    /// @dev A suspended device may change its gateway, an ended one may not.
    function _requireLiving(bytes32 device, address owner) private view {
        Device storage device_ = _devices[device];
        if (owner != device_.owner) revert NotInCharge(owner, device);
        Status status = _statusAt(device_, _now());
        if (status == Status.Revoked || status == Status.Compromised) {
            revert DeviceInStatus(device, status);
        }
    }

    function _requireInCharge(bytes32 device) private view {
        address owner = _devices[device].owner;
        if (owner == address(0)) revert DeviceUnknown(device);
        if (msg.sender == owner || _holds(Roles.REGISTRAR)) return;
        revert NotInCharge(msg.sender, device);
    }

    function _requireRegistrar() private view {
        if (!_holds(Roles.REGISTRAR)) revert NotInRole(msg.sender, Roles.REGISTRAR);
    }

    function _holds(uint64 role) private view returns (bool) {
        return Roles.holds(authority(), role, msg.sender);
    }
}
