// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IWearableVoucher} from "../../contracts/products/voucher/IWearableVoucher.sol";
import {Vouchers} from "../../contracts/products/voucher/Vouchers.sol";
import {HandlerPowers} from "./HandlerPowers.sol";

/// @title Wearables that tap where there is no network, and are lost before their vouchers come in.
abstract contract HandlerWearables is HandlerPowers {
    /// @dev Vouchers that wait in terminals.
    function tap(uint256 seed) external step(seed) {
        uint256 index = _anyWearable();
        if (index != devices.length) _tapOffline(index, 1 + _random(2));
    }

    /// @dev A wearable taps at several terminals; then it is silenced, shown to have spent twice, or
    /// declared stolen.
    function loseWearable(uint256 seed) external step(seed) {
        uint256 index = _anyWearable();
        if (index == devices.length || !_once(2)) return;
        Device storage device = devices[index];
        _fundLive(aloneOf[device.id] - 1);
        cardOf[index].waiting = 0; // what waited before is never claimed
        _tapOffline(index, 2 + _random(2));
        uint256 how = _random(8);
        if (how == 0) _declare(device, owners[device.owner].account, clock);
        else if (how == 1) _showTwo(index, true);
        else _suspend(device, _once(2) ? warden : owners[device.owner].account);
        if (!_once(4)) _comeIn(aloneOf[device.id] - 1);
    }

    /// @dev Terminals find a network, one after the other.
    function _comeIn(uint256 pact) private {
        for (uint256 i; i < 4; ++i) {
            clock += _random(4 hours);
            vm.warp(clock);
            _settleAlone(pact);
        }
    }

    /// @dev Shows two vouchers with one counter; now and then they are one and the same.
    function reportDoubleSpend(uint256 seed) external step(seed) {
        uint256 index = _random(devices.length);
        if (devices[index].kind != Kind.Wearable || !_once(3)) return;
        _showTwo(index, _once(3));
    }

    /// @dev Two vouchers with the next counter; the same twice where the wearable is not guilty.
    function _showTwo(uint256 index, bool guilty) private {
        Device storage device = devices[index];
        Vouchers.Voucher memory a = Vouchers.Voucher(
            device.id,
            payees[0].account,
            1,
            uint40(++cardOf[index].counter),
            1,
            0,
            1,
            uint40(clock),
            0
        );
        Vouchers.Voucher memory b = Vouchers.Voucher(
            device.id, payees[0].account, guilty ? 2 : 1, a.counter, 1, 0, 1, uint40(clock), 0
        );
        bytes memory data = abi.encodeCall(
            IWearableVoucher.reportDoubleSpend,
            (address(voucher), a, _voucherSignature(device, a), b, _voucherSignature(device, b))
        );
        if (!_call("WearableVoucher.reportDoubleSpend", stranger, address(voucher), data, guilty)) {
            return;
        }
        if (doubledFrom[index] == 0) doubledFrom[index] = a.counter;
        _hit("state:wearable spent twice");
    }

    function _tapOffline(uint256 index, uint256 count) private {
        Card storage card = cardOf[index];
        for (uint256 i; i < count; ++i) {
            card.vouchers.push(_tap(index, payees[i].account, ++card.counter, false));
            ++card.waiting;
        }
        _hit("state:voucher waits in a terminal");
    }

    /// @dev One that works and has a live agreement; how many devices there are where none does.
    function _anyWearable() private returns (uint256 index) {
        uint256 from = _random(devices.length);
        for (uint256 i; i < devices.length; ++i) {
            index = (from + i) % devices.length;
            Device storage device = devices[index];
            if (device.kind != Kind.Wearable || aloneOf[device.id] == 0) continue;
            bool live = clock <= pacts[aloneOf[device.id] - 1].expiry;
            if (live && _isActive(device, clock)) return index;
        }
        return devices.length;
    }

    function _voucherSignature(Device storage device, Vouchers.Voucher memory voucher_)
        private
        view
        returns (bytes memory)
    {
        bytes32 digest = IWearableVoucher(address(voucher)).digestOf(address(voucher), voucher_);
        (bytes32 r, bytes32 s) = vm.signP256(_keyAt(device, clock), digest);
        return abi.encodePacked(r, s);
    }
}
