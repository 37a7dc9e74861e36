// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {HandlerMeters} from "./HandlerMeters.sol";

/// @title Fleets: settled period after period, and passed over.
abstract contract HandlerFleets is HandlerMeters {
    /// @dev About a head that serves no fleet.
    function openFleet(uint256 seed) external step(seed) {
        uint256 from = _random(devices.length);
        for (uint256 i; i < devices.length; ++i) {
            uint256 index = (from + i) % devices.length;
            if (devices[index].kind != Kind.Fleet || !_serves(devices[index])) continue;
            uint256 count = pacts.length;
            _open(index);
            if (pacts.length != count) _fundLive(count);
            return;
        }
    }

    function settleFleets(uint256 seed) external step(seed) {
        _settle(Kind.Fleet);
    }

    function settleFleetsAgain(uint256 seed) external step(seed) {
        _settle(Kind.Fleet);
    }

    /// @dev A claim of a fleet is passed over, mostly with its counters, and the next one settled.
    function skipFleet(uint256 seed) external step(seed) {
        uint256 from = _random(pacts.length);
        for (uint256 i; i < pacts.length; ++i) {
            uint256 index = (from + i) % pacts.length;
            if (pacts[index].kind != Kind.Fleet || pacts[index].ended) continue;
            if (_once(2)) _skipBy(index, _random(4));
            return _settleAlone(index);
        }
    }
}
