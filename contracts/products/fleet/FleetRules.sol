// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {FleetBytes} from "./FleetBytes.sol";

/// 1 is IProduct's OVER_LIMIT; the order is what `refusalName` and the rail's 100 + n speak of. Of
/// several that apply to rows and steps the first one is answered.
enum FleetAnswer {
    Priced,
    OverLimit,
    FactsMalformed,
    KindUnexpected, // only what follows counters that were passed over charges nothing
    PeriodUnexpected, // it does not follow the claim before it, is too short, or ends too early
    TimeAhead, // after the agreement's end, or later than now
    RowsUnknown, // not those that the claim before it ended with
    CounterStands, // and the register rises
    ReadingOutside, // of the claim's period, or a silent member whose age does not say so
    FuseExceeded,
    RowOverflow,
    DeviceNotActive // the head, by the registry
}

/// What became of the rows of a claim.
struct Advanced {
    FleetAnswer answer;
    bytes32 before; // hash of the rows that the facts show
    bytes32 after_; // hash of the rows after their steps
    uint256 energy; // by which all registers rose together, mWh
}

/// @title The steps of all members of a fleet: each is checked by itself, in one pass.
/// @notice Nothing here reads or writes storage. A member that was read has a step of at least one
/// counter, and an age within the claim's minutes; its energy passes its fuse in the time between
/// the two readings, and a minute more. A silent member has no energy, and its age grows, to no more
/// than 45 days: what it may bring later is bounded by less then, never by more.
library FleetRules {
    uint256 private constant MOST_AGE = type(uint16).max;
    uint256 private constant REGISTER = type(uint48).max;

    /// @dev Reads the rows and steps of facts whose length is known to be right. One watt-minute is
    /// 50/3 of a mWh.
    /// @param facts as FleetBytes.sol describes them
    /// @param count of members
    /// @param elapsed minutes from the rows' time to the claim's end
    /// @param fuseWatts of each member
    function advance(bytes calldata facts, uint256 count, uint256 elapsed, uint256 fuseWatts)
        internal
        pure
        returns (Advanced memory advanced)
    {
        uint256 size = FleetBytes.ROW * count;
        (uint256 rowAt, uint256 place, bytes32 before) = _copied(facts, size);
        uint256 stepAt = rowAt + size;
        uint256 end = stepAt;
        uint256 energy;
        // what must not be: each is zero, or below 2^255, as long as nothing is wrong
        (uint256 stands, uint256 outside, uint256 over, uint256 wide) = (0, 0, 0, 0);
        unchecked { // no number has more than 75 bits; a difference below zero has its highest bit
            for (; rowAt != end; rowAt += FleetBytes.ROW) {
                (uint256 row, uint256 step) = _words(rowAt, stepAt);
                uint256 age = uint16(row);
                uint256 newAge = uint16(step);
                uint256 rise = uint40(step >> 16);
                uint256 counters = step >> 56;
                if (counters == 0) {
                    stands |= rise;
                    outside |= newAge ^ _least(elapsed + age, MOST_AGE);
                } else {
                    outside |= elapsed - newAge >> 255;
                    over |= fuseWatts * 50 * (elapsed + age - newAge + 1) - rise * 3;
                    wide |= (row >> 16 & REGISTER) + rise >> 48 | (row >> 64) + counters >> 32;
                }
                energy += rise;
                _put(place, row - age + (counters << 64) + (rise << 16) + newAge);
                stepAt += FleetBytes.STEP;
                place += FleetBytes.ROW;
            }
        }
        advanced.before = before;
        advanced.after_ = _hash(place - size, size);
        advanced.energy = energy;
        if (stands != 0) advanced.answer = FleetAnswer.CounterStands;
        else if (outside != 0) advanced.answer = FleetAnswer.ReadingOutside;
        else if (over >> 255 != 0) advanced.answer = FleetAnswer.FuseExceeded;
        else if (wide != 0) advanced.answer = FleetAnswer.RowOverflow;
    }

    /// @dev Where the rows begin, where they stand in memory from now on, and their hash.
    function _copied(bytes calldata facts, uint256 size)
        private
        pure
        returns (uint256 rowAt, uint256 place, bytes32 hash)
    {
        uint256 head = FleetBytes.FACTS_HEAD;
        assembly ("memory-safe") {
            rowAt := add(facts.offset, head)
            place := mload(0x40)
            mstore(0x40, and(add(add(place, size), 0x3f), not(0x1f))) // a word is written whole
            calldatacopy(place, rowAt, size)
            hash := keccak256(place, size)
        }
    }

    function _words(uint256 rowAt, uint256 stepAt)
        private
        pure
        returns (uint256 row, uint256 step)
    {
        assembly ("memory-safe") {
            row := shr(160, calldataload(rowAt))
            step := shr(176, calldataload(stepAt))
        }
    }

    /// @dev Writes a row; what it writes beyond its end, the next row replaces.
    function _put(uint256 place, uint256 row) private pure {
        assembly ("memory-safe") {
            mstore(place, shl(160, row))
        }
    }

    function _hash(uint256 place, uint256 size) private pure returns (bytes32 hash) {
        assembly ("memory-safe") {
            hash := keccak256(place, size)
        }
    }

    function _least(uint256 a, uint256 b) private pure returns (uint256) {
        return a < b ? a : b;
    }
}
