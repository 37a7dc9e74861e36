// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IDeviceAdoption} from "../../contracts/interfaces/IDeviceAdoption.sol";
import {IDeviceRegistry} from "../../contracts/interfaces/IDeviceRegistry.sol";
import {HandlerRegistry} from "./HandlerRegistry.sol";

/// @title Devices of the registry before: taken over once, with their keys and their past.
abstract contract HandlerAdoption is HandlerRegistry {
    /// A device that is enrolled in the registry before.
    struct Former {
        bytes32 id;
        string name;
        uint256 key;
        Kind kind;
        uint8 owner;
        uint256 since;
        bool adopted;
    }

    Former[] internal formers;

    function adopt(uint256 seed) external step(seed) {
        Former storage former = formers[_random(formers.length)];
        bytes32 id = _once(8) ? _word() : former.id;
        bytes memory data = abi.encodeCall(IDeviceAdoption.adopt, (id));
        bool allowed = id == former.id && !former.adopted;
        if (former.adopted && id == former.id) _hit("state:device adopted before");
        if (!_call("DeviceRegistry.adopt", stranger, address(registry), data, allowed)) return;
        _adopted(former);
    }

    function adoptMany(uint256 seed) external step(seed) {
        bytes32[] memory ids = new bytes32[](2);
        Former storage one = formers[_random(formers.length)];
        Former storage other = formers[_random(formers.length)];
        (ids[0], ids[1]) = (one.id, other.id);
        bytes memory data = abi.encodeCall(IDeviceAdoption.adoptMany, (ids));
        if (!_call("DeviceRegistry.adoptMany", stranger, address(registry), data, true)) return;
        if (!one.adopted) _adopted(one);
        if (!other.adopted) _adopted(other);
    }

    function _enrolBefore(Kind kind) internal {
        Former storage former = formers.push();
        (former.key, former.kind) = (_newKey(), kind);
        former.name = string.concat("device-", vm.toString(former.key));
        former.id = keccak256(bytes(former.name));
        (former.owner, former.since) = (uint8(_random(owners.length)), clock);
        address owner = owners[former.owner].account;
        bytes memory data =
            _enrolment(address(registryBefore), former.id, former.key, owner, former.key);
        _call("DeviceRegistry.enrol", registrar, address(registryBefore), data, true);
    }

    /// @dev Its past goes on to be what the registry before says.
    function _adopted(Former storage former) private {
        former.adopted = true;
        Device storage device = devices.push();
        (device.id, device.name) = (former.id, former.name);
        (device.kind, device.owner) = (former.kind, former.owner);
        device.adoptedAt = clock;
        device.keys.push(DeviceKey(former.since, former.key));
        device.statuses.push(Change(former.since, IDeviceRegistry.Status.Active));
    }
}
