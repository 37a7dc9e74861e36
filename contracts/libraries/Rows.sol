// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// All of an agreement that a settlement changes, in one word.
type Row is uint256;

using Rows for Row global;

/// @title The word of an agreement, by name: the only place that knows where its parts lie.
/// @notice From the highest bit: 2 bits status, 1 steady, 24 sequence, 37 counter, 80 note, 44 escrow,
/// 44 spent, 8 period, 16 expiry day.
/// `counter`: the stream of the device's counters (bit 39 of one, the fiscal stream), then 36 bits;
/// the bits between are zero in every counter that is taken.
/// `steady`: the registry has said nothing of the device that would end it, so nobody need ask.
/// `note`: what the product keeps here instead of in a slot of its own; zero: nothing.
/// `spent`: charges of the present period, less debts that were paid in it. `period`: its number,
/// modulo 256, so an agreement that rests for exactly 256 periods may charge less, never more.
/// `expiryDay`: the day (from 1970) of the expiry, the second of which is kept elsewhere.
/// Setters revert with a panic where a value has too many bits; callers check before.
library Rows {
    uint256 internal constant LIVE = 1;
    uint256 internal constant CLOSED = 2;
    uint256 internal constant MOST_SEQUENCE = (1 << SEQUENCE_BITS) - 1;
    uint256 internal constant MOST_MONEY = (1 << 44) - 1;

    uint256 private constant SEQUENCE_BITS = 24;
    uint256 private constant STATUS = 254;
    uint256 private constant STEADY = 253;
    uint256 private constant SEQUENCE = 229;
    uint256 private constant COUNTER = 192;
    uint256 private constant NOTE = 112;
    uint256 private constant ESCROW = 68;
    uint256 private constant SPENT = 24;
    uint256 private constant PERIOD = 16;
    uint256 private constant STREAM = 39; // of counters
    uint256 private constant NUMBER = 36; // bits of counters below their stream
    uint256 private constant MOST_NUMBER = (1 << NUMBER) - 1;
    uint256 private constant MOST_KEPT = (1 << NUMBER + 1) - 1;
    uint256 private constant CLAIMED = // what a claim replaces
        MOST_SEQUENCE << SEQUENCE | MOST_KEPT << COUNTER | uint256(type(uint80).max) << NOTE;

    /// @dev The word of a new agreement.
    function fresh(uint256 counter_, uint256 period_, uint256 expiryDay_, bool steady_, uint80 note_)
        internal
        pure
        returns (Row row)
    {
        row = Row.wrap(LIVE << STATUS).withCounter(counter_).withExpiryDay(expiryDay_);
        row = row.withNote(note_).inPeriod(period_);
        if (steady_) row = Row.wrap(Row.unwrap(row) | 1 << STEADY);
    }

    /// @dev Whether a row can hold a counter: 36 bits of either stream.
    function isCounter(uint256 value) internal pure returns (bool) {
        return value & ~(1 << STREAM | MOST_NUMBER) == 0;
    }

    function exists(Row row) internal pure returns (bool) {
        return Row.unwrap(row) != 0;
    }

    function isLive(Row row) internal pure returns (bool) {
        return Row.unwrap(row) >> STATUS == LIVE;
    }

    function status(Row row) internal pure returns (uint256) {
        return Row.unwrap(row) >> STATUS;
    }

    function steady(Row row) internal pure returns (bool) {
        return Row.unwrap(row) >> STEADY & 1 == 1;
    }

    function sequence(Row row) internal pure returns (uint256) {
        return Row.unwrap(row) >> SEQUENCE & MOST_SEQUENCE;
    }

    function counter(Row row) internal pure returns (uint256) {
        uint256 kept = Row.unwrap(row) >> COUNTER & MOST_KEPT;
        return kept >> NUMBER << STREAM | kept & MOST_NUMBER;
    }

    /// @dev Whether a claim of that number comes next, and can be kept.
    function precedes(Row row, uint256 sequence_) internal pure returns (bool) {
        unchecked { // 24 bits
            return sequence_ == row.sequence() + 1 && sequence_ <= MOST_SEQUENCE;
        }
    }

    /// @dev Whether nothing speaks against a claim with these numbers, none of which has more than 40
    /// bits: a live agreement, an expiry after that day, the next sequence, counters above the
    /// claimed one that a row can hold. Where it is not so, the rail looks closer.
    function isReady(Row row, uint256 sequence_, uint256 first, uint256 last, uint256 day)
        internal
        pure
        returns (bool)
    {
        unchecked { // a difference that should not be below zero has its highest bit where it is
            uint256 differs = row.status() ^ LIVE | sequence_ - row.sequence() - 1
                | sequence_ >> SEQUENCE_BITS | last & ~(1 << STREAM | MOST_NUMBER);
            uint256 below = row.expiryDay() - day - 1 | first - row.counter() - 1 | last - first;
            return differs | below >> 255 == 0;
        }
    }

    function note(Row row) internal pure returns (uint80) {
        return uint80(Row.unwrap(row) >> NOTE);
    }

    function escrow(Row row) internal pure returns (uint256) {
        return Row.unwrap(row) >> ESCROW & MOST_MONEY;
    }

    function spent(Row row) internal pure returns (uint256) {
        return Row.unwrap(row) >> SPENT & MOST_MONEY;
    }

    function expiryDay(Row row) internal pure returns (uint256) {
        return uint16(Row.unwrap(row));
    }

    function closed(Row row) internal pure returns (Row) {
        return _with(row, STATUS, 3, CLOSED);
    }

    /// @dev Someone has to ask the registry from now on.
    function unsteady(Row row) internal pure returns (Row) {
        return _with(row, STEADY, 1, 0);
    }

    function withSequence(Row row, uint256 value) internal pure returns (Row) {
        return _with(row, SEQUENCE, MOST_SEQUENCE, value);
    }

    function withCounter(Row row, uint256 value) internal pure returns (Row) {
        assert(isCounter(value));
        return _with(row, COUNTER, MOST_KEPT, _kept(value));
    }

    function withNote(Row row, uint80 value) internal pure returns (Row) {
        return _with(row, NOTE, type(uint80).max, value);
    }

    function withEscrow(Row row, uint256 value) internal pure returns (Row) {
        return _with(row, ESCROW, MOST_MONEY, value);
    }

    function withSpent(Row row, uint256 value) internal pure returns (Row) {
        return _with(row, SPENT, MOST_MONEY, value);
    }

    function withExpiryDay(Row row, uint256 value) internal pure returns (Row) {
        return _with(row, 0, type(uint16).max, value);
    }

    /// @dev The word in the period of that number: in a new one nothing is spent yet.
    function inPeriod(Row row, uint256 number) internal pure returns (Row) {
        if (uint8(Row.unwrap(row) >> PERIOD ^ number) == 0) return row;
        return _with(row.withSpent(0), PERIOD, type(uint8).max, uint8(number));
    }

    /// @dev The word after a claim; the counter never falls.
    function claimed(Row row, uint256 sequence_, uint256 counter_, uint80 note_)
        internal
        pure
        returns (Row)
    {
        if (counter_ < row.counter()) counter_ = row.counter();
        assert(sequence_ >> SEQUENCE_BITS | counter_ & ~(1 << STREAM | MOST_NUMBER) == 0);
        uint256 rest = Row.unwrap(row) & ~CLAIMED;
        uint256 numbers = sequence_ << SEQUENCE | _kept(counter_) << COUNTER;
        return Row.wrap(rest | numbers | uint256(note_) << NOTE);
    }

    /// @dev The word after a charge; none where the escrow does not hold it, or it goes beyond the cap
    /// with what is spent already.
    function charged(Row row, uint256 amount, uint256 cap) internal pure returns (Row) {
        unchecked { // what falls below zero has more bits than any money; neither part leaves its bits
            uint256 left = row.escrow() - amount | cap - row.spent() - amount | amount;
            if (left > MOST_MONEY) return Row.wrap(0);
            return Row.wrap(Row.unwrap(row) - (amount << ESCROW) + (amount << SPENT));
        }
    }

    function _kept(uint256 counter_) private pure returns (uint256) {
        return counter_ >> STREAM << NUMBER | counter_ & MOST_NUMBER;
    }

    function _with(Row row, uint256 shift, uint256 most, uint256 value) private pure returns (Row) {
        assert(value <= most);
        return Row.wrap(Row.unwrap(row) & ~(most << shift) | value << shift);
    }
}
