// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IDeviceRegistry} from "./interfaces/IDeviceRegistry.sol";
import {DeviceKeys} from "./libraries/DeviceKeys.sol";

/// @title The registry of IDeviceRegistry, where the prose is.
contract DeviceRegistry is IDeviceRegistry {
    struct Key {
        bytes32 x;
        bytes32 y;
        Curve curve;
        uint40 since;
        uint40 expiresAt; // 0: never
    }

    struct Change {
        uint40 since;
        Status status;
    }

    /// One slot: what holds from the last change on.
    struct Latest {
        uint40 since; // of the newest key or change of status
        uint40 expiresAt;
        uint40 compromisedSince; // 0: never
        Status status; // the last change's
    }

    struct Device {
        Latest latest;
        address owner;
        Key[] keys; // oldest first
        Change[] changes; // oldest first; None while empty
    }

    address public immutable registrar;
    address public immutable warden;
    bool public immutable hasPrecompile;
    mapping(bytes32 device => Device) private _devices;
    mapping(bytes32 keyHash => bool) private _keyTaken;

    constructor(address registrar_, address warden_) {
        registrar = registrar_;
        warden = warden_;
        hasPrecompile = DeviceKeys.precompileAnswers();
    }

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
        Device storage one = _devices[device];
        bytes32 digest = sha256(
            abi.encode("proofrail/enrol/v1", block.chainid, address(this), device, owner)
        );
        // check
        if (msg.sender != registrar) revert NotRegistrar(msg.sender);
        if (one.changes.length != 0) revert DeviceExists(device);
        if (owner == address(0)) revert OwnerMissing();
        if (!verify(curve, x, y, digest, r, s)) revert PossessionUnproven(device);
        // effect
        one.owner = owner;
        _addKey(one, curve, x, y, expiresAt);
        _change(one, Status.Active);
        // event
        emit DeviceEnrolled(device, uint8(curve), x, y, owner, endorsement, expiresAt, _now());
    }

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
        Device storage one = _devices[device];
        bytes32 digest = _rotation(device, curve, x, y, expiresAt, one.keys.length);
        // check
        _requireAlive(device);
        Key memory old = one.keys[one.keys.length - 1];
        if (!verify(old.curve, old.x, old.y, digest, rOld, sOld)) revert RotationUnsigned(device);
        if (!verify(curve, x, y, digest, rNew, sNew)) revert PossessionUnproven(device);
        // effect
        _addKey(one, curve, x, y, expiresAt);
        // event
        emit KeyRotated(device, uint8(curve), x, y, expiresAt, _now());
    }

    function suspend(bytes32 device) external {
        // resolve, check
        if (msg.sender != warden) _requireInCharge(device);
        _requireAlive(device);
        // effect
        _change(_devices[device], Status.Suspended);
        // event
        emit DeviceSuspended(device, _now());
    }

    function resume(bytes32 device) external {
        // resolve, check
        if (msg.sender != registrar) revert NotRegistrar(msg.sender);
        Status status = _statusAt(_devices[device], _now());
        if (status == Status.None) revert DeviceUnknown(device);
        if (status != Status.Suspended) revert DeviceInStatus(device, status);
        // effect
        _change(_devices[device], Status.Active);
        // event
        emit DeviceResumed(device, _now());
    }

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

    function declareCompromised(bytes32 device, uint40 since) external {
        // resolve
        Latest storage one = _devices[device].latest;
        uint40 known = one.compromisedSince;
        // check
        _requireInCharge(device);
        if (since == 0 || since > _now() || (known != 0 && since >= known)) {
            revert CompromiseDateInvalid(since);
        }
        // effect
        one.compromisedSince = since;
        // event
        emit CompromiseDeclared(device, since, _now());
    }

    function keyAt(bytes32 device, uint40 time)
        public
        view
        returns (Status status, Curve curve, bytes32 x, bytes32 y)
    {
        Device storage one = _devices[device];
        status = activeAt(device, time) ? Status.Active : _statusAt(one, time);
        (bool found, Key memory key) = _keyOf(one, time);
        if (found) return (status, key.curve, key.x, key.y);
    }

    function activeAt(bytes32 device, uint40 time) public view returns (bool) {
        Device storage one = _devices[device];
        Latest memory latest = one.latest;
        if (time < latest.since) return _statusAt(one, time) == Status.Active;
        bool ended = latest.expiresAt != 0 && time >= latest.expiresAt;
        bool stolen = latest.compromisedSince != 0 && time >= latest.compromisedSince;
        return latest.status == Status.Active && !ended && !stolen;
    }

    function isActive(bytes32 device) external view returns (bool) {
        return activeAt(device, _now());
    }

    function compromisedSince(bytes32 device) external view returns (uint40) {
        return _devices[device].latest.compromisedSince;
    }

    function ownerOf(bytes32 device) external view returns (address) {
        return _devices[device].owner;
    }

    function keyCount(bytes32 device) external view returns (uint256) {
        return _devices[device].keys.length;
    }

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

    function _addKey(Device storage one, Curve curve, bytes32 x, bytes32 y, uint40 expiresAt)
        private
    {
        if (expiresAt != 0 && expiresAt <= _now()) revert KeyExpiryInvalid(expiresAt);
        bytes32 keyHash = keccak256(abi.encode(curve, x, y));
        if (_keyTaken[keyHash]) revert KeyTaken(x, y);
        _keyTaken[keyHash] = true;
        one.keys.push(Key({x: x, y: y, curve: curve, since: _now(), expiresAt: expiresAt}));
        one.latest.since = _now();
        one.latest.expiresAt = expiresAt;
    }

    function _change(Device storage one, Status status) private {
        one.changes.push(Change({since: _now(), status: status}));
        one.latest.since = _now();
        one.latest.status = status;
    }

    function _statusAt(Device storage one, uint40 time) private view returns (Status) {
        uint256 length = one.changes.length;
        if (length == 0 || time < one.changes[0].since) return Status.None;
        uint40 compromised = one.latest.compromisedSince;
        if (compromised != 0 && time >= compromised) return Status.Compromised;
        uint256 i = length - 1;
        while (one.changes[i].since > time) --i;
        Status status = one.changes[i].status;
        if (status != Status.Active) return status;
        (, Key memory key) = _keyOf(one, time);
        return key.expiresAt != 0 && time >= key.expiresAt ? Status.Expired : Status.Active;
    }

    /// The newest key that was there at a time.
    function _keyOf(Device storage one, uint40 time) private view returns (bool, Key memory key) {
        for (uint256 i = one.keys.length; i > 0; --i) {
            key = one.keys[i - 1];
            if (key.since <= time) return (true, key);
        }
        return (false, Key(0, 0, Curve.P256, 0, 0));
    }

    /// Active, or out of date: whoever holds its key may still say so.
    function _requireAlive(bytes32 device) private view {
        Status status = _statusAt(_devices[device], _now());
        if (status == Status.None) revert DeviceUnknown(device);
        if (status != Status.Active && status != Status.Expired) {
            revert DeviceInStatus(device, status);
        }
    }

    function _requireInCharge(bytes32 device) private view {
        address owner = _devices[device].owner;
        if (owner == address(0)) revert DeviceUnknown(device);
        if (msg.sender != registrar && msg.sender != owner) revert NotInCharge(msg.sender, device);
    }

    function _now() private view returns (uint40) {
        return uint40(block.timestamp);
    }
}
