// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {HandlerWearables} from "./HandlerWearables.sol";

/// @title Meters that worked all the time, until something is done to them.
abstract contract HandlerMeters is HandlerWearables {
    /// @dev A meter is silenced for a while, or declared stolen, and its claims go on.
    function disturbMeter(uint256 seed) external step(seed) {
        uint256 pact = _anySteady();
        if (pact == pacts.length || !_once(4)) return;
        Device storage device = devices[pacts[pact].device];
        address owner = owners[device.owner].account;
        if (_once(6)) {
            _declare(device, owner, clock - _random(2 days));
        } else {
            _suspend(device, _once(2) ? warden : owner);
            if (_once(2)) _settleAlone(pact);
            _resume(device);
            clock += _random(4 hours);
            vm.warp(clock);
        }
        _settleAlone(pact);
    }

    /// @dev A steady agreement that is not over; how many agreements there are where none is.
    function _anySteady() private returns (uint256 index) {
        uint256 from = _random(pacts.length);
        for (uint256 i; i < pacts.length; ++i) {
            index = (from + i) % pacts.length;
            if (pacts[index].steady && clock <= pacts[index].expiry) return index;
        }
        return pacts.length;
    }
}
