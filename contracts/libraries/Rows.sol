// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// All of an agreement that a settlement changes, in one word.
type Row is uint256;

using Rows for Row global;

/// @title The word of an agreement, by name: the only place that knows where its parts lie.
/// @notice From the highest bit: 2 bits status, 1 steady, 1 unused, 24 sequence, 36 counter, 80 note,
/// 44 escrow, 44 spent, 8 period, 16 expiry day.
/// `steady`: the registry has said nothing of the device that would end it, so nobody need ask.
/// `note`: what the product keeps here instead of in a slot of its own; zero: nothing.
/// `spent`: charges of the present period, less debts that were paid in it. `period`: its number,
/// modulo 256, so an agreement that rests for exactly 256 periods may charge less, never more.
/// `expiryDay`: the day (from 1970) of the expiry, the second of which is kept elsewhere.
/// Setters revert with a panic where a value has too many bits; callers check before.
library Rows {
    uint256 internal constant LIVE = 1;
    uint256 internal constant CLOSED = 2;
    uint256 internal constant MOST_SEQUENCE = (1 << 24) - 1;
    uint256 internal constant MOST_COUNTER = (1 << 36) - 1;
    uint256 internal constant MOST_MONEY = (1 << 44) - 1;

    uint256 private constant STATUS = 254;
    uint256 private constant STEADY = 253;
    uint256 private constant SEQUENCE = 228;
    uint256 private constant COUNTER = 192;
    uint256 private constant NOTE = 112;
    uint256 private constant ESCROW = 68;
    uint256 private constant SPENT = 24;
    uint256 private constant PERIOD = 16;
    uint256 private constant CLAIMED = // what a claim replaces
        MOST_SEQUENCE << SEQUENCE | MOST_COUNTER << COUNTER | uint256(type(uint80).max) << NOTE;

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
        return Row.unwrap(row) >> COUNTER & MOST_COUNTER;
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
        return _with(row, COUNTER, MOST_COUNTER, value);
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
        if (uint8(Row.unwrap(row) >> PERIOD) == uint8(number)) return row;
        return _with(row.withSpent(0), PERIOD, type(uint8).max, uint8(number));
    }

    /// @dev The word after a claim; the counter never falls.
    function claimed(Row row, uint256 sequence_, uint256 counter_, uint80 note_)
        internal
        pure
        returns (Row)
    {
        if (counter_ < row.counter()) counter_ = row.counter();
        assert(sequence_ <= MOST_SEQUENCE && counter_ <= MOST_COUNTER);
        uint256 rest = Row.unwrap(row) & ~CLAIMED;
        return Row.wrap(rest | sequence_ << SEQUENCE | counter_ << COUNTER | uint256(note_) << NOTE);
    }

    /// @dev The word after a charge that escrow and cap allow.
    function charged(Row row, uint256 amount) internal pure returns (Row) {
        assert(amount <= row.escrow() && amount <= MOST_MONEY - row.spent());
        unchecked { // neither part leaves its bits
            return Row.wrap(Row.unwrap(row) - (amount << ESCROW) + (amount << SPENT));
        }
    }

    function _with(Row row, uint256 shift, uint256 most, uint256 value) private pure returns (Row) {
        assert(value <= most);
        return Row.wrap(Row.unwrap(row) & ~(most << shift) | value << shift);
    }
}
