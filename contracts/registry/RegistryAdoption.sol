// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IDeviceAdoption} from "../interfaces/IDeviceAdoption.sol";
import {Assignments} from "../libraries/Assignments.sol";
import {RegistryState} from "./RegistryState.sol";

/// @title How devices are taken over from the predecessor. It is the only source of what they are,
/// so it does not matter who calls.
/// @notice IDeviceAdoption documents it.
abstract contract RegistryAdoption is RegistryState {
    using Assignments for Assignments.Assignment[];

    /// @inheritdoc IDeviceAdoption
    function adopt(bytes32 device) external {
        // check
        if (_devices[device].owner != address(0)) revert DeviceExists(device);
        // effect, event
        _adopt(device);
    }

    /// @inheritdoc IDeviceAdoption
    function adoptMany(bytes32[] calldata devices) external {
        for (uint256 i; i < devices.length; ++i) {
            if (_devices[devices[i]].owner == address(0)) _adopt(devices[i]);
        }
    }

    /// @dev What was ended or stolen at the predecessor does not begin again here.
    function _requireNotEndedBefore(bytes32 device) internal view {
        if (predecessor == address(0)) return;
        (Status status,,,) = _before().keyAt(device, _now());
        if (status == Status.Revoked || status == Status.Compromised) {
            revert DeviceInStatus(device, status);
        }
    }

    function _adopt(bytes32 device) private {
        // resolve
        if (predecessor == address(0)) revert DeviceUnknown(device);
        address owner = _before().ownerOf(device);
        // check
        if (owner == address(0)) revert DeviceUnknown(device);
        // effect, event
        Device storage device_ = _devices[device];
        (device_.owner, device_.adoptedAt) = (owner, _now());
        if (_before().keyCount(device) == 0) _adoptKeyless(device, device_);
        else _adoptKey(device, device_);
        _adoptGateway(device, device_);
        emit DeviceAdopted(device, predecessor, _now());
    }

    function _adoptKey(bytes32 device, Device storage device_) private {
        (Status status, Curve curve, bytes32 x, bytes32 y) = _before().keyAt(device, _now());
        if (status == Status.Suspended) revert DeviceInStatus(device, status);
        // when the key of an ended or stolen device would have ended, nobody can say: it has
        uint40 end = status == Status.Active ? _lasts(device, 0) : _now();
        _keepKey(device_, Key({x: x, y: y, curve: curve, since: _now(), expiresAt: end}));
        emit DeviceEnrolled(device, uint8(curve), x, y, device_.owner, 0, end, _now());
        _adoptStatus(device, device_, status);
    }

    /// @dev The predecessor says the worse status of the device and its gateway: where the
    /// gateway's alone explains it, the device's own cannot be known.
    function _adoptKeyless(bytes32 device, Device storage device_) private {
        (Status status,,,) = _before().keyAt(device, _now());
        if (status == Status.Suspended) revert DeviceInStatus(device, status);
        bool ended = status == Status.Revoked || status == Status.Compromised;
        bytes32 gateway = _before().gatewayAt(device, _now());
        (Status other,,,) = _before().keyAt(gateway, _now());
        if (ended && other == status) revert GatewayInvalid(gateway);
        device_.latest.keyless = true;
        _adoptStatus(device, device_, ended ? status : Status.Active);
    }

    function _adoptStatus(bytes32 device, Device storage device_, Status status) private {
        if (status == Status.Revoked) {
            _change(device_, status);
            emit DeviceRevoked(device, _now());
        } else if (status == Status.Compromised) {
            uint40 since = _before().compromisedSince(device);
            _change(device_, Status.Suspended); // whether it was ended before, nobody can say
            device_.latest.compromisedSince = since;
            emit DeviceSuspended(device, _now());
            emit CompromiseDeclared(device, since, _now());
        } else {
            _change(device_, Status.Active);
        }
    }

    /// @dev The assignment comes last: readers know an unknown device without a key by it.
    function _adoptGateway(bytes32 device, Device storage device_) private {
        bytes32 gateway = _before().gatewayAt(device, _now());
        if (gateway == 0 && !device_.latest.keyless) return;
        uint40 until = gateway == 0 ? 0 : _lasts(device, gateway);
        device_.latest.assignments = 1;
        device_.assignments.put(Assignments.Assignment(gateway, _now(), until));
        emit GatewayAssigned(device, gateway, device_.owner, _now(), until, _now());
    }

    /// @dev The first second in which the predecessor's answer about a device is another one than
    /// now; 0: none. The answer: which gateway it has, and for no gateway whether it is active.
    function _lasts(bytes32 device, bytes32 gateway) private view returns (uint40) {
        (uint40 low, uint40 high) = (_now(), type(uint40).max);
        if (_holds(device, gateway, high)) return 0;
        while (high - low > 1) {
            uint40 middle = low + (high - low) / 2;
            if (_holds(device, gateway, middle)) low = middle;
            else high = middle;
        }
        return high;
    }

    function _holds(bytes32 device, bytes32 gateway, uint40 time) private view returns (bool) {
        if (gateway == 0) return _before().activeAt(device, time);
        return _before().gatewayAt(device, time) == gateway;
    }
}
