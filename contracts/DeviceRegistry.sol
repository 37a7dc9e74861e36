// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {Checkpoints} from "@openzeppelin/contracts/utils/structs/Checkpoints.sol";

import {IDeviceRegistry} from "./interfaces/IDeviceRegistry.sol";
import {IOracleCommittee} from "./interfaces/IOracleCommittee.sol";
import {Assignments} from "./libraries/Assignments.sol";
import {DeviceKeys} from "./libraries/DeviceKeys.sol";
import {Roles} from "./libraries/Roles.sol";

/// @title The registry: keys, owners, gateways and statuses of devices over time.
/// @notice IDeviceRegistry documents it.
contract DeviceRegistry is IDeviceRegistry, EIP712 {
    using Assignments for Assignments.Assignment[];
    using Checkpoints for Checkpoints.Trace208;

    struct Key {
        bytes32 x;
        bytes32 y;
        Curve curve;
        uint40 since;
        uint40 expiresAt; // 0: never
    }

    /// One slot: what holds from the last change on.
    struct Latest {
        uint40 since; // of the newest key or change of status
        uint40 expiresAt;
        uint40 compromisedSince; // 0: never
        uint40 ruledAt; // when the committee last ruled on a compromise; 0: never
        Status status; // the last change's
        bool keyless; // its gateway signs for it
        uint32 assignments; // so far
        uint32 rulings; // so far
    }

    struct Device {
        Latest latest;
        address owner;
        Key[] keys; // oldest first
        Checkpoints.Trace208 statuses; // by the time from which on each holds
        Assignments.Assignment[] assignments; // oldest first, no two of one time
    }

    /// @dev What is claimed for the time before it, and paid, stands without a ruling.
    uint40 private constant REACH = 7 days;
    uint40 private constant ROTATION_PAUSE = 1 hours;
    uint256 private constant ROTATIONS_A_DAY = 4;

    /// @inheritdoc IDeviceRegistry
    address public immutable authority;
    /// @inheritdoc IDeviceRegistry
    address public immutable committee;
    /// @inheritdoc IDeviceRegistry
    bool public immutable hasPrecompile;
    mapping(bytes32 device => Device) private _devices;
    mapping(bytes32 keyHash => bool) private _keyTaken;

    constructor(address access, address committee_) EIP712("proofrail", "1") {
        authority = access;
        committee = committee_;
        hasPrecompile = DeviceKeys.precompileAnswers();
    }

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
        if (unknown) _requireNewMeter(owner, gateway);
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
    }

    /// @inheritdoc IDeviceRegistry
    function keyAt(bytes32 device, uint40 time)
        public
        view
        returns (Status status, Curve curve, bytes32 x, bytes32 y)
    {
        Device storage device_ = _devices[device];
        if (device_.latest.keyless) status = _statusBehindGateway(device_, time);
        else status = activeAt(device, time) ? Status.Active : _statusAt(device_, time);
        bytes32 signer = device_.latest.keyless ? device_.assignments.gatewayAt(time) : device;
        Key[] storage keys = _devices[signer].keys;
        uint256 count = _keysBy(keys, time);
        if (count == 0) return (status, Curve.P256, 0, 0);
        Key storage key = keys[count - 1];
        return (status, key.curve, key.x, key.y);
    }

    /// @inheritdoc IDeviceRegistry
    function activeAt(bytes32 device, uint40 time) public view returns (bool) {
        Device storage device_ = _devices[device];
        Latest storage latest = device_.latest;
        if (latest.keyless) return _statusBehindGateway(device_, time) == Status.Active;
        if (time < latest.since) return _statusAt(device_, time) == Status.Active;
        bool ended = latest.expiresAt != 0 && time >= latest.expiresAt;
        bool stolen = latest.compromisedSince != 0 && time >= latest.compromisedSince;
        return latest.status == Status.Active && !ended && !stolen;
    }

    /// @inheritdoc IDeviceRegistry
    function isActive(bytes32 device) external view returns (bool) {
        return activeAt(device, _now());
    }

    /// @inheritdoc IDeviceRegistry
    function compromisedSince(bytes32 device) external view returns (uint40 since) {
        Device storage device_ = _devices[device];
        since = device_.latest.compromisedSince;
        if (!device_.latest.keyless) return since;
        Assignments.Assignment[] storage list = device_.assignments;
        for (uint256 i = list.length; i > 0 && list.recent(i - 1, _now()); --i) {
            uint40 stolen = _devices[list[i - 1].gateway].latest.compromisedSince;
            if (stolen != 0) stolen = list.holdsFrom(i - 1, stolen);
            bool begun = stolen != 0 && stolen <= _now();
            if (begun && (since == 0 || stolen < since)) since = stolen;
        }
    }

    /// @inheritdoc IDeviceRegistry
    function declarableFrom(bytes32 device) public view returns (uint40 since) {
        uint40 ruledAt = _devices[device].latest.ruledAt;
        since = _now() - REACH;
        if (since < ruledAt) since = ruledAt;
    }

    /// @inheritdoc IDeviceRegistry
    function compromiseRulings(bytes32 device) external view returns (uint256 count) {
        return _devices[device].latest.rulings;
    }

    /// @inheritdoc IDeviceRegistry
    function nextRotation(bytes32 device) external view returns (uint40 time) {
        return _nextRotation(_devices[device].keys);
    }

    /// @inheritdoc IDeviceRegistry
    function gatewayAt(bytes32 device, uint40 time) external view returns (bytes32) {
        return _devices[device].assignments.gatewayAt(time);
    }

    /// @inheritdoc IDeviceRegistry
    function assignmentCount(bytes32 device) external view returns (uint256) {
        return _devices[device].latest.assignments;
    }

    /// @inheritdoc IDeviceRegistry
    function ownerOf(bytes32 device) external view returns (address) {
        return _devices[device].owner;
    }

    /// @inheritdoc IDeviceRegistry
    function keyCount(bytes32 device) external view returns (uint256) {
        return _devices[device].keys.length;
    }

    /// @inheritdoc IDeviceRegistry
    function verify(Curve curve, bytes32 x, bytes32 y, bytes32 digest, bytes32 r, bytes32 s)
        public
        view
        returns (bool)
    {
        if (curve == Curve.K1) return DeviceKeys.verifyK1(digest, r, s, x, y);
        return DeviceKeys.verifyP256(hasPrecompile, digest, r, s, x, y);
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
        bytes32 keyHash = keccak256(abi.encode(curve, x, y));
        if (_keyTaken[keyHash]) revert KeyTaken(x, y);
        _keyTaken[keyHash] = true;
        device_.keys.push(Key({x: x, y: y, curve: curve, since: _now(), expiresAt: expiresAt}));
        device_.latest.since = _now();
        device_.latest.expiresAt = expiresAt;
    }

    function _change(Device storage device_, Status status) private {
        device_.statuses.push(_now(), uint208(status));
        device_.latest.since = _now();
        device_.latest.status = status;
    }

    function _statusAt(Device storage device_, uint40 time) private view returns (Status) {
        Status status = Status(uint8(device_.statuses.upperLookupRecent(time)));
        if (status == Status.None) return status;
        uint40 compromised = device_.latest.compromisedSince;
        if (compromised != 0 && time >= compromised) return Status.Compromised;
        if (status != Status.Active) return status;
        uint256 count = _keysBy(device_.keys, time);
        uint40 end = count == 0 ? 0 : device_.keys[count - 1].expiresAt;
        return end != 0 && time >= end ? Status.Expired : Status.Active;
    }

    /// @dev Of a device without a key: the worse of its own status and its gateway's.
    function _statusBehindGateway(Device storage device_, uint40 time)
        private
        view
        returns (Status)
    {
        Status own = _statusAt(device_, time);
        Status other = _statusAt(_devices[device_.assignments.gatewayAt(time)], time);
        if (other == Status.Compromised) return other;
        return own == Status.Active ? other : own;
    }

    /// @dev How many keys there were at a time, found in O(log n): whoever holds a device decides how
    /// many there are in all. Steps back from the newest, since most questions are about lately.
    function _keysBy(Key[] storage keys, uint40 time) private view returns (uint256 count) {
        uint256 high = keys.length; // all from here on are newer
        uint256 step = 1;
        while (step <= high && keys[high - step].since > time) {
            high -= step;
            step *= 2;
        }
        if (step <= high) count = high - step + 1;
        while (count < high) {
            uint256 middle = (count + high) / 2;
            if (keys[middle].since <= time) count = middle + 1;
            else high = middle;
        }
    }

    /// @dev When a key may be followed by the next: an hour after the last rotation, and a day
    /// after the fourth last. The key of the enrolment may be replaced at once.
    function _nextRotation(Key[] storage keys) private view returns (uint40 time) {
        uint256 length = keys.length;
        if (length > 1) time = keys[length - 1].since + ROTATION_PAUSE;
        if (length <= ROTATIONS_A_DAY) return time;
        uint40 dayOver = keys[length - ROTATIONS_A_DAY].since + 1 days;
        if (time < dayOver) time = dayOver;
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
    function _requireNewMeter(address owner, bytes32 gateway) private view {
        _requireRegistrar();
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
        return Roles.holds(authority, role, msg.sender);
    }

    function _now() private view returns (uint40) {
        return uint40(block.timestamp);
    }
}
