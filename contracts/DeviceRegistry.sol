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
    }

    struct Change {
        uint40 since;
        Status status;
    }

    struct Device {
        address owner;
        uint40 compromisedSince; // 0: never
        Key[] keys; // oldest first
        Change[] changes; // oldest first; None while empty
    }

    address public immutable registrar;
    bool public immutable hasPrecompile;
    mapping(bytes32 device => Device) private _devices;
    mapping(bytes32 keyHash => bool) private _keyTaken;

    constructor(address registrar_) {
        registrar = registrar_;
        hasPrecompile = DeviceKeys.precompileAnswers();
    }

    function enrol(
        bytes32 device,
        Curve curve,
        bytes32 x,
        bytes32 y,
        address owner,
        bytes32 endorsement,
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
        _addKey(one, curve, x, y);
        _change(one, Status.Active);
        // event
        emit DeviceEnrolled(device, uint8(curve), x, y, owner, endorsement, _now());
    }

    function rotate(
        bytes32 device,
        Curve curve,
        bytes32 x,
        bytes32 y,
        bytes32 rOld,
        bytes32 sOld,
        bytes32 rNew,
        bytes32 sNew
    ) external {
        // resolve
        Device storage one = _devices[device];
        bytes32 digest = _rotation(device, curve, x, y, one.keys.length);
        // check
        _requireStatus(device, Status.Active);
        Key memory old = one.keys[one.keys.length - 1];
        if (!verify(old.curve, old.x, old.y, digest, rOld, sOld)) revert RotationUnsigned(device);
        if (!verify(curve, x, y, digest, rNew, sNew)) revert PossessionUnproven(device);
        // effect
        _addKey(one, curve, x, y);
        // event
        emit KeyRotated(device, uint8(curve), x, y, _now());
    }

    function suspend(bytes32 device) external {
        // resolve, check
        _requireInCharge(device);
        _requireStatus(device, Status.Active);
        // effect
        _change(_devices[device], Status.Suspended);
        // event
        emit DeviceSuspended(device, _now());
    }

    function resume(bytes32 device) external {
        // resolve, check
        if (msg.sender != registrar) revert NotRegistrar(msg.sender);
        _requireStatus(device, Status.Suspended);
        // effect
        _change(_devices[device], Status.Active);
        // event
        emit DeviceResumed(device, _now());
    }

    function revoke(bytes32 device) external {
        // resolve
        (Status status,,,) = keyAt(device, _now());
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
        Device storage one = _devices[device];
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
        status = _statusAt(one, time);
        for (uint256 i = one.keys.length; i > 0; --i) {
            Key storage key = one.keys[i - 1];
            if (key.since <= time) return (status, key.curve, key.x, key.y);
        }
    }

    function isActive(bytes32 device) external view returns (bool) {
        return _statusAt(_devices[device], _now()) == Status.Active;
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

    function _rotation(bytes32 device, Curve curve, bytes32 x, bytes32 y, uint256 keys)
        private
        view
        returns (bytes32)
    {
        return sha256(
            abi.encode(
                "proofrail/rotate/v1", block.chainid, address(this), device, curve, x, y, keys
            )
        );
    }

    function _addKey(Device storage one, Curve curve, bytes32 x, bytes32 y) private {
        bytes32 keyHash = keccak256(abi.encode(curve, x, y));
        if (_keyTaken[keyHash]) revert KeyTaken(x, y);
        _keyTaken[keyHash] = true;
        one.keys.push(Key({x: x, y: y, curve: curve, since: _now()}));
    }

    function _change(Device storage one, Status status) private {
        one.changes.push(Change({since: _now(), status: status}));
    }

    function _statusAt(Device storage one, uint40 time) private view returns (Status) {
        uint256 length = one.changes.length;
        if (length == 0 || time < one.changes[0].since) return Status.None;
        uint40 compromised = one.compromisedSince;
        if (compromised != 0 && time >= compromised) return Status.Compromised;
        uint256 i = length - 1;
        while (one.changes[i].since > time) --i;
        return one.changes[i].status;
    }

    function _requireStatus(bytes32 device, Status wanted) private view {
        Status status = _statusAt(_devices[device], _now());
        if (status == Status.None) revert DeviceUnknown(device);
        if (status != wanted) revert DeviceInStatus(device, status);
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
