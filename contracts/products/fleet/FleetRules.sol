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

/// What the short pass works with: in memory, else the compiler computes it in each turn.
struct PlainTest {
    uint256 added; // to two steps, to see that they are plain
    uint256 energies; // where two steps have their energy
}

/// @title The steps of all members of a fleet, each checked by itself.
/// @notice Nothing here reads or writes storage. A member that was read has a step of at least one
/// counter, and an age within the claim's minutes; its energy passes its fuse in the time between
/// the two readings, and a minute more. A silent member has no energy, and its age grows, to no more
/// than 45 days: what it may bring later is bounded by less then, never by more.
/// Most claims are plain: all members were read when the head was, in this claim and the one before.
/// Those are checked in one short pass, two members in each turn; where it finds anything else, each
/// step is judged.
library FleetRules {
    uint256 private constant BITS = 88; // of a row, and of a step
    uint256 private constant ROW = (1 << BITS) - 1;
    uint256 private constant AGE = type(uint16).max; // where its parts lie
    uint256 private constant ENERGY = uint256(type(uint40).max) << 16;
    uint256 private constant COUNTER = 1 << 56; // one
    // the highest bits of parts are never set: no sum of two runs over into the next part
    uint256 private constant ENERGY_FULL = 1 << 55;
    uint256 private constant COUNTER_FULL = 1 << 87;
    uint256 private constant MOST_ENERGY = (1 << 39) - 1;
    uint256 private constant MOST_COUNTERS = (1 << 31) - 1;
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
        bool plain;
        (plain, advanced.energy) = _advancePlain(rowAt, stepAt, size, elapsed, fuseWatts);
        if (!plain) {
            (rowAt, stepAt) = _copied(facts, size);
            (advanced.answer, advanced.energy) =
                _advanceEach(rowAt, stepAt, size, elapsed, fuseWatts);
        }
        advanced.after_ = _hash(rowAt, size);
    }

    /// @dev Adds every step to its row, where they lie: as two rows follow each other, and two steps,
    /// one sum does it for two members. Whether all of them are plain; then their energy.
    function _advancePlain(
        uint256 rowAt,
        uint256 stepAt,
        uint256 size,
        uint256 elapsed,
        uint256 fuseWatts
    ) private pure returns (bool plain, uint256 energy) {
        PlainTest memory test;
        // bits of any step or sum, of any tested step, and of all tested steps
        (uint256 any, uint256 tested, uint256 all) = (0, 0, type(uint256).max);
        unchecked { // times of 32 bits, a fuse of 32 bits, and no more than 1,001 energies of 40 bits
            uint256 most = fuseWatts * (elapsed + 1) / 60;
            if (most > MOST_ENERGY) most = MOST_ENERGY;
            // with it an energy above the most sets the highest bit of its part, and one counter does
            test.added = (MOST_COUNTERS << 56 | MOST_ENERGY - most << 16) * BOTH;
            test.energies = ENERGY * BOTH;
            uint256 end = rowAt + size;
            for (; rowAt < end; rowAt += 2 * FleetBytes.ROW) {
                uint256 steps = _load(stepAt) >> 256 - 2 * BITS;
                uint256 sums = _load(_ending(rowAt)) + steps;
                any |= steps | sums;
                tested |= steps + test.added;
                all &= steps + test.added;
                energy += steps & test.energies;
                _store(_ending(rowAt), sums);
                stepAt += 2 * FleetBytes.ROW;
            }
            any &= (AGE | ENERGY_FULL | COUNTER_FULL) * BOTH;
            any |= tested & ENERGY_FULL * BOTH | ~all & COUNTER_FULL * BOTH;
            return (any == 0, (energy & ROW) + (energy >> BITS) >> 16);
        }
    }

    /// @dev The same for any steps; why one of them cannot be, of several reasons the first.
    function _advanceEach(
        uint256 rowAt,
        uint256 stepAt,
        uint256 size,
        uint256 elapsed,
        uint256 fuseWatts
    ) private pure returns (FleetAnswer answer, uint256 energy) {
        answer = FleetAnswer.DeviceNotActive; // behind all reasons of rows and steps
        unchecked { // offsets, and no more than 2,000 energies of 40 bits
            uint256 end = rowAt + size;
            for (; rowAt < end; rowAt += FleetBytes.ROW) {
                uint256 row = _load(rowAt) >> 256 - BITS;
                uint256 step = _load(stepAt) >> 256 - BITS;
                FleetAnswer flaw = _judge(row, step, elapsed, fuseWatts);
                if (flaw != FleetAnswer.Priced && flaw < answer) answer = flaw;
                energy += (step & ENERGY) >> 16;
                // both are 11 bytes: what is behind the row comes along as it is
                _store(rowAt, _load(rowAt) + ((step - (row & AGE)) << 256 - BITS));
                stepAt += FleetBytes.ROW;
            }
        }
        if (answer == FleetAnswer.DeviceNotActive) answer = FleetAnswer.Priced;
    }

    /// @dev Why a step may not follow its row.
    function _judge(uint256 row, uint256 step, uint256 elapsed, uint256 fuseWatts)
        private
        pure
        returns (FleetAnswer)
    {
        uint256 energy = (step & ENERGY) >> 16;
        uint256 age = step & AGE;
        uint256 oldest = elapsed + (row & AGE); // the age of one that was not read again
        if (step < COUNTER) {
            if (energy != 0) return FleetAnswer.CounterStands;
            if (oldest > MOST_AGE) oldest = MOST_AGE;
            return age == oldest ? FleetAnswer.Priced : FleetAnswer.ReadingOutside;
        }
        if (age > elapsed) return FleetAnswer.ReadingOutside;
        if (energy * 60 > fuseWatts * (oldest - age + 1)) return FleetAnswer.FuseExceeded;
        uint256 sum = (row & ~AGE) + (step & ~AGE);
        bool full = (step | sum) & (ENERGY_FULL | COUNTER_FULL) != 0;
        return full ? FleetAnswer.RowOverflow : FleetAnswer.Priced;
    }

    /// @dev Copies rows and steps into memory, and says where they begin there. A word before the rows
    /// is free, and behind each list a plain member, since the short pass takes two in each turn.
    function _copied(bytes calldata facts, uint256 size)
        private
        pure
        returns (uint256 rowAt, uint256 stepAt)
    {
        uint256 head = FleetBytes.FACTS_HEAD;
        uint256 plainStep = COUNTER << 256 - BITS;
        assembly ("memory-safe") {
            rowAt := add(mload(0x40), 32)
            stepAt := add(add(rowAt, size), 32)
            mstore(0x40, add(rowAt, and(add(shl(1, size), 127), not(31))))
            calldatacopy(rowAt, add(facts.offset, head), size)
            mstore(sub(stepAt, 32), 0)
            calldatacopy(stepAt, add(add(facts.offset, head), size), size)
            mstore(add(stepAt, size), plainStep)
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
