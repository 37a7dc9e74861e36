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
    uint256 energy; // by which all registers rose together, Wh
}

/// What all turns work with: in memory, else the compiler computes it in each of them.
struct FleetLimits {
    uint256 added; // to two steps, to see whether they are plain
    uint256 bits; // of two steps, their sums and what they were added to: none is set where they are
    uint256 energies; // where two steps have their energy
    uint256 end; // of the rows in memory
    uint256 elapsed; // minutes from the rows' time to the claim's end
    uint256 fuseWatts;
}

/// @title The steps of all members of a fleet, each checked by itself.
/// @notice Nothing here reads or writes storage. A member that was read has a step of at least one
/// counter, and an age within the claim's minutes; its energy passes its fuse in the time between
/// the two readings, and a minute more. A silent member has no energy, and its age grows, to no more
/// than 45 days: what it may bring later is bounded by less then, never by more.
/// Row and step have their parts in the same places, so one sum moves two members on. Most steps are
/// plain: the member was read when the head was, in this claim and the one before, and used no more
/// than any may in that time. Whether two are, one sum shows as well; any other step is judged.
library FleetRules {
    uint256 private constant BITS = 88; // of a row, and of a step
    uint256 private constant ROW = (1 << BITS) - 1;
    uint256 private constant AGE = type(uint16).max; // where its parts lie
    uint256 private constant PART = type(uint40).max; // of the energy
    uint256 private constant ENERGY = PART << 16;
    uint256 private constant COUNTERS = uint256(type(uint32).max) << 56;
    uint256 private constant COUNTER = 1 << 56; // one
    // the highest bits of parts are never set: no sum runs over into the next part
    uint256 private constant FULL = 1 << 55 | 1 << 87;
    uint256 private constant MOST_ENERGY = (1 << 39) - 1;
    uint256 private constant MOST_AGE = type(uint16).max;
    uint256 private constant BOTH = 1 << BITS | 1; // times something: for two members

    /// @dev Reads the rows and steps of facts whose length is known to be right.
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
        (uint256 rowAt, uint256 stepAt) = _copied(facts, size);
        advanced.before = _hash(rowAt, size);
        FleetLimits memory limits = _limits(elapsed, fuseWatts);
        uint256 energy;
        unchecked { // offsets, and no more than 1,001 energies of 40 bits in each part of a word
            limits.end = _ending(rowAt + size);
            for (uint256 at = _ending(rowAt); at < limits.end; at += 2 * FleetBytes.ROW) {
                uint256 steps = _load(stepAt) >> 256 - 2 * BITS;
                uint256 rows = _load(at);
                uint256 sums = rows + steps;
                if ((steps | sums | steps + limits.added) & limits.bits != 0) {
                    _judgeBoth(advanced, rows, steps, limits);
                    sums = (rows & ~(AGE * BOTH)) + steps;
                }
                energy += steps & limits.energies;
                _store(at, sums);
                stepAt += 2 * FleetBytes.ROW;
            }
            advanced.energy = (energy & ROW) + (energy >> BITS) >> 16;
        }
        advanced.after_ = _hash(rowAt, size);
    }

    /// @dev `added` lets the energy of a step set its highest bit where it is above what passes the fuse
    /// in the claim's minutes, and its counters where there are none: with one or more they run over,
    /// and leave 1 to the age above, where 1 less is added.
    function _limits(uint256 elapsed, uint256 fuseWatts)
        private
        pure
        returns (FleetLimits memory limits)
    {
        unchecked { // times of 32 bits, and a fuse of 32 bits
            uint256 most = fuseWatts * (elapsed + 1) / 60;
            if (most > MOST_ENERGY) most = MOST_ENERGY;
            limits.added = (COUNTERS | MOST_ENERGY - most << 16) * BOTH - (1 << BITS);
        }
        limits.bits = (AGE | FULL) * BOTH;
        limits.energies = ENERGY * BOTH;
        (limits.elapsed, limits.fuseWatts) = (elapsed, fuseWatts);
    }

    /// @dev Notes why one of two steps may not follow its row; of several reasons the first.
    function _judgeBoth(
        Advanced memory advanced,
        uint256 rows,
        uint256 steps,
        FleetLimits memory limits
    ) private pure {
        (uint256 row, uint256 step) = (rows >> BITS & ROW, steps >> BITS);
        if (_odd(row, step, limits) != 0) _judge(advanced, row, step, limits);
        (row, step) = (rows & ROW, steps & ROW);
        if (_odd(row, step, limits) != 0) _judge(advanced, row, step, limits);
    }

    /// @dev Zero for the step of a member that was read, where nothing is wrong.
    function _odd(uint256 row, uint256 step, FleetLimits memory limits)
        private
        pure
        returns (uint256)
    {
        unchecked { // no product has more than 72 bits: what is below zero has its highest bit
            uint256 age = step & AGE;
            uint256 most = limits.fuseWatts * (limits.elapsed + (row & AGE) - age + 1);
            uint256 below = step - COUNTER | limits.elapsed - age | most - (step >> 16 & PART) * 60;
            return below >> 255 | (step | (row & ~AGE) + step) & FULL;
        }
    }

    function _judge(
        Advanced memory advanced,
        uint256 row,
        uint256 step,
        FleetLimits memory limits
    ) private pure {
        uint256 age = step & AGE;
        uint256 energy = step >> 16 & PART;
        uint256 oldest = limits.elapsed + (row & AGE); // the age of one that was not read again
        FleetAnswer answer = FleetAnswer.RowOverflow;
        if (step < COUNTER) {
            if (oldest > MOST_AGE) oldest = MOST_AGE;
            if (energy == 0 && age == oldest) return;
            answer = energy == 0 ? FleetAnswer.ReadingOutside : FleetAnswer.CounterStands;
        } else if (age > limits.elapsed) {
            answer = FleetAnswer.ReadingOutside;
        } else if (energy * 60 > limits.fuseWatts * (oldest - age + 1)) {
            answer = FleetAnswer.FuseExceeded;
        }
        bool first = advanced.answer == FleetAnswer.Priced || answer < advanced.answer;
        if (first) advanced.answer = answer;
    }

    /// @dev Copies rows and steps into memory, and says where they begin there. A word before the rows
    /// is free, and behind each list a member more that was read, for turns of two.
    function _copied(bytes calldata facts, uint256 size)
        private
        pure
        returns (uint256 rowAt, uint256 stepAt)
    {
        uint256 head = FleetBytes.FACTS_HEAD;
        uint256 read = COUNTER << 256 - BITS;
        assembly ("memory-safe") {
            rowAt := add(mload(0x40), 32)
            stepAt := add(add(rowAt, size), 32)
            mstore(0x40, add(rowAt, and(add(shl(1, size), 127), not(31))))
            calldatacopy(rowAt, add(facts.offset, head), size)
            mstore(sub(stepAt, 32), 0)
            calldatacopy(stepAt, add(add(facts.offset, head), size), size)
            mstore(add(stepAt, size), read)
        }
    }

    /// @dev Where the word begins that ends with two rows: what is before them comes along as it is.
    function _ending(uint256 rowAt) private pure returns (uint256) {
        unchecked {
            return rowAt + 2 * FleetBytes.ROW - 32;
        }
    }

    function _load(uint256 at) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := mload(at)
        }
    }

    function _store(uint256 at, uint256 word) private pure {
        assembly ("memory-safe") {
            mstore(at, word)
        }
    }

    function _hash(uint256 at, uint256 size) private pure returns (bytes32 hash) {
        assembly ("memory-safe") {
            hash := keccak256(at, size)
        }
    }
}
