// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IDeviceRegistry} from "../../contracts/interfaces/IDeviceRegistry.sol";
import {HandlerWaterfall} from "./HandlerWaterfall.sol";

/// @title Devices: enrolled, rotated, put behind gateways, silenced, stolen, and ruled on.
abstract contract HandlerRegistry is HandlerWaterfall {
    bytes32 private constant ASSIGNMENT_TYPE = keccak256(
        "Assignment(bytes32 device,bytes32 gateway,uint40 since,uint40 until,uint256 number)"
    );
    bytes32 private constant COMPROMISE_TYPE =
        keccak256("Compromise(address registry,bytes32 device,uint40 since,uint256 number)");
    uint256 private constant MOST_DEVICES = 25;
    uint256 private constant REACH = 7 days;

    /// A new key with its proofs.
    struct Proofs {
        uint256 key;
        bytes32 x;
        bytes32 y;
        bytes32 rOld;
        bytes32 sOld;
        bytes32 rNew;
        bytes32 sNew;
    }

    /// A gateway's assignment to a meter, as it was accepted.
    struct Duty {
        bytes32 gateway;
        uint256 since;
        uint256 until; // 0: no end
    }

    mapping(uint256 device => Duty[]) internal dutiesOf;

    function enrol(uint256 seed) external step(seed) {
        if (devices.length == MOST_DEVICES) return;
        bool fault = _once(4);
        _enrol(Kind(_random(KINDS)), fault);
    }

    function rotate(uint256 seed) external step(seed) {
        Device storage device = devices[_random(devices.length)];
        if (_once(3)) _jump(_nextRotation(device), 1 days);
        _rotate(device);
    }

    /// @dev Key after key, each an hour after the last one: the fifth of a day must wait.
    function rotateOften(uint256 seed) external step(seed) {
        if (!_once(3)) return;
        Device storage device = devices[_random(devices.length)];
        for (uint256 i; i < 8 && _isActive(device, clock); ++i) {
            _jump(device.keys[device.keys.length - 1].since + 1 hours, 1 days);
            _rotate(device);
        }
    }

    function _rotate(Device storage device) private {
        Proofs memory proofs;
        bool forged = _once(8);
        proofs.key = _newKey();
        (proofs.x, proofs.y) = _point(proofs.key);
        bytes32 digest = sha256(
            abi.encode(
                "proofrail/rotate/v1",
                block.chainid,
                registry,
                device.id,
                0,
                proofs.x,
                proofs.y,
                0,
                device.keys.length
            )
        );
        uint256 old = _keyAt(device, clock);
        (proofs.rOld, proofs.sOld) = vm.signP256(forged ? proofs.key : old, digest);
        (proofs.rNew, proofs.sNew) = vm.signP256(proofs.key, digest);
        bool soon = clock < _nextRotation(device);
        if (soon) _hit("state:rotation too soon");
        if (soon && clock >= device.keys[device.keys.length - 1].since + 1 hours) {
            _hit("state:fifth rotation of a day");
        }
        bool allowed = !forged && !soon && _isActive(device, clock);
        if (!_call(
                "DeviceRegistry.rotate",
                stranger,
                address(registry),
                _rotation(device.id, proofs),
                allowed
            )) {
            return;
        }
        device.keys.push(DeviceKey(clock, proofs.key));
        _hit("state:key rotated");
    }

    function assign(uint256 seed) external step(seed) {
        uint256 index = _random(devices.length);
        Device storage device = devices[index];
        Duty memory duty;
        duty.gateway = devices[_random(devices.length)].id;
        uint256 since = _once(2) ? 0 : clock + _random(3 days);
        duty.since = since == 0 ? clock : since;
        duty.until = _once(2) ? 0 : duty.since + 1 + _random(9 days);
        bool forged = _once(8);
        IDeviceRegistry.Status status = _statusAt(device, clock);
        bool living =
            status == IDeviceRegistry.Status.Active || status == IDeviceRegistry.Status.Suspended;
        bool allowed =
            !forged && living && duty.gateway != device.id && _fewDuties(index, duty.since);
        bytes memory data = _assignment(index, duty, since, forged);
        if (!_call("DeviceRegistry.assign", stranger, address(registry), data, allowed)) return;
        ++assignments[index];
        Duty[] storage duties = dutiesOf[index];
        while (duties.length != 0 && duties[duties.length - 1].since >= duty.since) duties.pop();
        duties.push(duty);
    }

    function suspend(uint256 seed) external step(seed) {
        Device storage device = devices[_random(devices.length)];
        uint256 who = _random(12); // mostly strangers: devices should work
        _suspend(device, who == 0 ? owners[device.owner].account : who == 1 ? warden : stranger);
    }

    function _suspend(Device storage device, address caller) internal {
        bool allowed = caller != stranger && _isActive(device, clock);
        bytes memory data = abi.encodeCall(IDeviceRegistry.suspend, (device.id));
        if (!_call("DeviceRegistry.suspend", caller, address(registry), data, allowed)) return;
        device.statuses.push(Change(clock, IDeviceRegistry.Status.Suspended));
        _disturbed(device);
        _hit("state:device suspended");
    }

    function resume(uint256 seed) external step(seed) {
        uint256 index = _random(devices.length);
        for (uint256 i; i < devices.length && _isActive(devices[index], clock); ++i) {
            index = (index + 1) % devices.length;
        }
        _resume(devices[index]);
    }

    function _resume(Device storage device) internal {
        bool allowed = _statusAt(device, clock) == IDeviceRegistry.Status.Suspended;
        bytes memory data = abi.encodeCall(IDeviceRegistry.resume, (device.id));
        if (!_call("DeviceRegistry.resume", registrar, address(registry), data, allowed)) return;
        device.statuses.push(Change(clock, IDeviceRegistry.Status.Active));
    }

    function revoke(uint256 seed) external step(seed) {
        Device storage device = devices[_random(devices.length)];
        address caller = _once(25) ? owners[device.owner].account : stranger;
        IDeviceRegistry.Status status = _statusAt(device, clock);
        bool over = status == IDeviceRegistry.Status.Revoked
            || status == IDeviceRegistry.Status.Compromised;
        bytes memory data = abi.encodeCall(IDeviceRegistry.revoke, (device.id));
        bool allowed = caller != stranger && !over;
        if (!_call("DeviceRegistry.revoke", caller, address(registry), data, allowed)) return;
        device.statuses.push(Change(clock, IDeviceRegistry.Status.Revoked));
        _disturbed(device);
        _hit("state:device revoked");
    }

    function declareCompromised(uint256 seed) external step(seed) {
        Device storage device = devices[_random(devices.length)];
        uint256 who = _random(20);
        address caller = who == 0 ? registrar : who == 1 ? owners[device.owner].account : stranger;
        uint256 since = clock - (_once(3) ? REACH + _random(2) : _random(9 days));
        _declare(device, caller, since);
    }

    function _declare(Device storage device, address caller, uint256 since) internal {
        bool far = since + REACH < clock || since < device.ruledAt;
        if (far && caller != stranger) _hit("state:compromise dated too far back");
        bool earlier = device.compromisedSince == 0 || since < device.compromisedSince;
        bool allowed = caller != stranger && !far && earlier;
        bytes memory data =
            abi.encodeCall(IDeviceRegistry.declareCompromised, (device.id, uint40(since)));
        if (!_call("DeviceRegistry.declareCompromised", caller, address(registry), data, allowed)) {
            return;
        }
        _rule("an owner reaches seven days back", !far);
        device.compromisedSince = since;
        _disturbed(device);
        _hit("state:device declared stolen");
    }

    function ruleCompromise(uint256 seed) external step(seed) {
        uint256 index = _random(devices.length);
        for (uint256 i; i < devices.length && devices[index].compromisedSince == 0; ++i) {
            index = (index + 1) % devices.length;
        }
        Device storage device = devices[index];
        uint256 since = _once(4) ? clock - _random(30 days) : 0;
        if (since != 0 && device.compromisedSince == 0) since = 0;
        bool old = device.rulings != 0 && _once(4);
        bytes32 structHash = keccak256(
            abi.encode(
                COMPROMISE_TYPE,
                registry,
                device.id,
                since,
                old ? device.rulings - 1 : device.rulings
            )
        );
        Signers memory signers = _signers(0, structHash, 0);
        bytes memory data = abi.encodeCall(
            IDeviceRegistry.ruleCompromise, (device.id, uint40(since), signers.signatures)
        );
        bool allowed = signers.enough && !old;
        if (!_call("DeviceRegistry.ruleCompromise", stranger, address(registry), data, allowed)) {
            return;
        }
        _rule("a ruling on a device counts once", !old);
        if (device.compromisedSince != 0 && since == 0) {
            _hit("state:compromise undone by a ruling");
        }
        (device.compromisedSince, device.ruledAt) = (since, clock);
        _disturbed(device);
        ++device.rulings;
    }

    function _enrol(Kind kind, bool fault) internal {
        uint8 owner = uint8(_random(owners.length));
        uint256 key = _newKey();
        string memory name = string.concat("device-", vm.toString(key));
        bytes32 id = keccak256(bytes(name));
        bytes memory data =
            _enrolment(address(registry), id, key, owners[owner].account, fault ? key + 1 : key);
        if (!_call("DeviceRegistry.enrol", registrar, address(registry), data, !fault)) return;
        Device storage device = devices.push();
        (device.id, device.name, device.kind, device.owner) = (id, name, kind, owner);
        device.keys.push(DeviceKey(clock, key));
        device.statuses.push(Change(clock, IDeviceRegistry.Status.Active));
    }

    function _enrolment(address list, bytes32 id, uint256 key, address owner, uint256 signer)
        internal
        view
        returns (bytes memory)
    {
        (bytes32 x, bytes32 y) = _point(key);
        bytes32 digest = sha256(abi.encode("proofrail/enrol/v1", block.chainid, list, id, owner));
        (bytes32 r, bytes32 s) = vm.signP256(signer, digest);
        return abi.encodeWithSelector(
            IDeviceRegistry.enrol.selector, id, 0, x, y, owner, bytes32(0), 0, r, s
        );
    }

    function _assignment(uint256 index, Duty memory duty, uint256 since, bool forged)
        private
        view
        returns (bytes memory)
    {
        Device storage device = devices[index];
        Person memory owner = owners[device.owner];
        bytes32 structHash = keccak256(
            abi.encode(
                ASSIGNMENT_TYPE, device.id, duty.gateway, since, duty.until, assignments[index]
            )
        );
        bytes32 domain = _separator("proofrail", "1", address(registry));
        bytes memory signature = _signed(forged ? payers[0].key : owner.key, domain, structHash);
        return abi.encodeCall(
            IDeviceRegistry.assign,
            (device.id, owner.account, duty.gateway, uint40(since), uint40(duty.until), signature)
        );
    }

    /// @dev An hour after the last rotation; and four within a day are the most.
    function _nextRotation(Device storage device) private view returns (uint256 time) {
        uint256 count = device.keys.length;
        if (count > 1) time = device.keys[count - 1].since + 1 hours;
        if (count > 4 && device.keys[count - 4].since + 1 days > time) {
            time = device.keys[count - 4].since + 1 days;
        }
    }

    /// @dev No more than 32 assignments begin within 90 days.
    function _fewDuties(uint256 device, uint256 start) private view returns (bool) {
        Duty[] storage duties = dutiesOf[device];
        uint256 count = duties.length;
        while (count != 0 && duties[count - 1].since >= start) --count;
        return count < 32 || start >= duties[count - 32].since + 90 days;
    }

    function _rotation(bytes32 device, Proofs memory proofs) private pure returns (bytes memory) {
        return abi.encodeCall(
            IDeviceRegistry.rotate,
            (
                device,
                IDeviceRegistry.Curve.P256,
                proofs.x,
                proofs.y,
                0,
                proofs.rOld,
                proofs.sOld,
                proofs.rNew,
                proofs.sNew
            )
        );
    }

    function _point(uint256 key) private view returns (bytes32, bytes32) {
        (uint256 x, uint256 y) = vm.publicKeyP256(key);
        return (bytes32(x), bytes32(y));
    }
}
