// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Assignments} from "../../../contracts/libraries/Assignments.sol";
import {CounterGaps} from "../../../contracts/libraries/CounterGaps.sol";
import {Schedules} from "../../../contracts/libraries/Schedules.sol";

/// The libraries about lists in a word or in storage, by themselves.
contract ListKeeper {
    using Assignments for Assignments.Assignment[];

    Assignments.Assignment[] private _list;

    function put(bytes32 gateway, uint40 since, uint40 until) external returns (uint40 earliest) {
        return _list.put(Assignments.Assignment(gateway, since, until));
    }

    function starts() external view returns (uint40[] memory times) {
        times = new uint40[](_list.length);
        for (uint256 i; i < times.length; ++i) {
            times[i] = _list[i].since;
        }
    }

    function gatewayAt(uint40 time) external view returns (bytes32) {
        return _list.gatewayAt(time);
    }

    function recent(uint256 index, uint40 now_) external view returns (bool) {
        return _list.recent(index, now_);
    }

    function holdsFrom(uint256 index, uint40 time) external view returns (uint40) {
        return _list.holdsFrom(index, time);
    }

    function passed(uint256 gaps, uint40 claimedTo, uint40 first) external pure returns (uint256) {
        return CounterGaps.passed(gaps, claimedTo, first);
    }

    function without(uint256 gaps, uint40 first, uint40 last)
        external
        pure
        returns (bool found, uint256 left)
    {
        return CounterGaps.without(gaps, first, last);
    }

    function known(uint64 schedule) external pure returns (bool) {
        return Schedules.known(schedule);
    }
}
