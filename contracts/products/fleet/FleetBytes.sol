// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// What fleets may have in common, in one word.
type FleetTerms is uint256;

/// The first bytes of a claim's facts.
type FleetHead is uint256;

/// How far an agreement is charged, but for the rows: what the rail keeps for the product.
type FleetNote is uint80;

using FleetBytes for FleetTerms global;
using FleetBytes for FleetHead global;
using FleetBytes for FleetNote global;

/// @title The bytes of a metered fleet's terms, facts and notes, and how they are read.
/// @notice Big-endian numbers without padding. Registers and energy are whole Wh, times Unix seconds,
/// prices token minor units per kWh, ages minutes. A step has the fields of a row in the same places,
/// so that a row and its step can be added as one number.
///   Terms: uint8 version 1, uint8 assurance (0 device, 1 gateway, 2 file), uint32 price, uint32 fuse
///     (W), uint32 period, uint32 started, uint48 register (its OBIS code), uint16 members, then for
///     each member bytes32 device, in rising order, then for each a row.
///   Row: uint32 counter, uint40 register, uint16 age.
///   Facts: uint8 version 1, uint8 kind (0 charged, 1 read), uint32 from, uint32 to, then for each
///     member the row before, then for each a step: uint32 counters, uint40 energy, uint16 age.
///   Shared terms, from the highest bit: 32 bits price, 32 fuse, 32 period, 16 members.
///   Note, from the lowest bit: 32 bits the time of the rows, 32 the remainder (thousandths of a minor
///     unit), or the agreement's start while it is fresh; 1 fresh, 1 passed over.
library FleetBytes {
    uint256 internal constant ROW = 11; // bytes, and of a step
    uint256 internal constant FACTS_HEAD = 10;
    uint256 private constant TERMS_HEAD = 26;
    uint256 private constant ID = 32;
    uint256 private constant VERSION = 1;
    uint256 private constant LEAST_ASSURANCE = 2; // a file
    uint256 private constant MOST_MEMBERS = 2_000;
    uint256 private constant LEAST_PERIOD = 1 minutes;
    uint88 private constant FULL = 1 << 87 | 1 << 55; // of a row
    uint80 private constant FRESH = 1 << 64;
    uint80 private constant PASSED_OVER = 1 << 65;

    /// @dev The terms that are shared, and when the start registers were read. `sound` also says that
    /// the lists have their length; the order of the members is for the caller to check.
    function terms(bytes calldata raw)
        internal
        pure
        returns (bool sound, FleetTerms shared, uint32 started)
    {
        if (raw.length < TERMS_HEAD || uint8(raw[0]) != VERSION) return (false, shared, 0);
        started = uint32(bytes4(raw[14:]));
        uint96 numbers = uint96(bytes12(raw[2:])); // price, fuse and period
        shared = FleetTerms.wrap(uint256(numbers) << 16 | uint16(bytes2(raw[24:])));
        uint256 count = shared.members();
        sound = uint8(raw[1]) <= LEAST_ASSURANCE && shared.fuseWatts() != 0
            && shared.period() >= LEAST_PERIOD && started != 0 && count != 0
            && count <= MOST_MEMBERS && raw.length == TERMS_HEAD + (ID + ROW) * count;
    }

    /// @dev The device of the `index`-th member in the terms.
    function member(bytes calldata raw, uint256 index) internal pure returns (bytes32) {
        return bytes32(raw[TERMS_HEAD + ID * index:]);
    }

    /// @dev Whether the row of the `index`-th member begins with less than half of what it holds: the
    /// highest bits of its counter and register stay free (FleetRules.sol).
    function hasRoom(bytes calldata raw, uint256 count, uint256 index)
        internal
        pure
        returns (bool)
    {
        return uint88(bytes11(raw[TERMS_HEAD + ID * count + ROW * index:])) & FULL == 0;
    }

    /// @dev The rows in the terms.
    function rows(bytes calldata raw, uint256 count) internal pure returns (bytes calldata) {
        return raw[TERMS_HEAD + ID * count:];
    }

    function price(FleetTerms shared) internal pure returns (uint256) {
        return uint32(FleetTerms.unwrap(shared) >> 80);
    }

    function fuseWatts(FleetTerms shared) internal pure returns (uint256) {
        return uint32(FleetTerms.unwrap(shared) >> 48);
    }

    function period(FleetTerms shared) internal pure returns (uint256) {
        return uint32(FleetTerms.unwrap(shared) >> 16);
    }

    function members(FleetTerms shared) internal pure returns (uint256) {
        return uint16(FleetTerms.unwrap(shared));
    }

    /// @dev The head of the facts; `sound`: they have a row and a step for each member.
    function head(bytes calldata raw, uint256 count)
        internal
        pure
        returns (bool sound, FleetHead head_)
    {
        if (raw.length != FACTS_HEAD + 2 * ROW * count) return (false, head_);
        uint256 word = uint80(bytes10(raw));
        return (word >> 72 == VERSION && uint8(word >> 64) <= 1, FleetHead.wrap(word));
    }

    /// @dev Whether the claim brings the rows up to date, and charges nothing.
    function onlyReads(FleetHead head_) internal pure returns (bool) {
        return uint8(FleetHead.unwrap(head_) >> 64) == 1;
    }

    function from(FleetHead head_) internal pure returns (uint256) {
        return uint32(FleetHead.unwrap(head_) >> 32);
    }

    function to(FleetHead head_) internal pure returns (uint256) {
        return uint32(FleetHead.unwrap(head_));
    }

    /// @dev The note of a new agreement.
    function fresh(uint32 started, uint32 start) internal pure returns (FleetNote) {
        return FleetNote.wrap(FRESH | uint80(start) << 32 | started);
    }

    /// @dev The note after a claim.
    function charged(uint256 time_, uint256 remainder_) internal pure returns (FleetNote) {
        return FleetNote.wrap(uint80(remainder_ << 32 | time_));
    }

    /// @dev The note behind counters that were passed over.
    function passed(FleetNote note) internal pure returns (FleetNote) {
        return FleetNote.wrap(FleetNote.unwrap(note) | PASSED_OVER);
    }

    function wasPassedOver(FleetNote note) internal pure returns (bool) {
        return FleetNote.unwrap(note) & PASSED_OVER != 0;
    }

    /// @dev The time of the rows.
    function time(FleetNote note) internal pure returns (uint256) {
        return uint32(FleetNote.unwrap(note));
    }

    /// @dev Where the agreement begins; zero once a claim was priced.
    function start(FleetNote note) internal pure returns (uint256) {
        return FleetNote.unwrap(note) & FRESH == 0 ? 0 : uint32(FleetNote.unwrap(note) >> 32);
    }

    /// @dev Thousandths of a minor unit that are not charged yet.
    function remainder(FleetNote note) internal pure returns (uint256) {
        return FleetNote.unwrap(note) & FRESH == 0 ? uint32(FleetNote.unwrap(note) >> 32) : 0;
    }
}
