// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {OracleCommittee} from "../../contracts/OracleCommittee.sol";
import {CounterGaps} from "../../contracts/libraries/CounterGaps.sol";
import {Row, Rows} from "../../contracts/libraries/Rows.sol";

/// A committee that answers for any count of seats.
contract CountedCommittee is OracleCommittee {
    constructor(address[] memory members, uint8[] memory domains)
        OracleCommittee(address(1), members, domains, 1)
    {}

    function quorumOf(uint32 seats) external pure returns (uint256) {
        return _quorumOf(seats);
    }
}

/// @title What halmos proves for every input, not for examples: functions named check_.
contract Proofs {
    CountedCommittee private immutable committee;

    constructor() {
        address[] memory members = new address[](1);
        uint8[] memory domains = new uint8[](1);
        (members[0], domains[0]) = (address(2), 1);
        committee = new CountedCommittee(members, domains);
    }

    /// Two quorums share an honest member, and f members that sign nothing stop no quorum.
    function check_quorum_bounds(uint32 n) external view {
        if (n == 0) return;
        uint256 f = (uint256(n) - 1) / 3;
        uint256 quorum = committee.quorumOf(n);
        assert(n >= 3 * f + 1);
        assert(2 * quorum >= uint256(n) + f + 1);
        assert(quorum + f <= n);
    }

    /// A gap that was put into a word is found there as a whole, and taking it out gives the word
    /// of before.
    function check_gap_put_and_taken(uint40 first, uint40 after_) external pure {
        if (first == 0 || after_ <= first || after_ - first >= 1 << 24) return;
        uint256 word = CounterGaps.passed(0, first - 1, after_);
        (bool found, uint256 left) = CounterGaps.without(word, first, after_ - 1);
        assert(found);
        assert(left == 0);
    }

    /// A claim writes its sequence, its counter and the note into a row, and nothing else moves.
    function check_row_claimed(Row row, uint24 sequence, uint40 counter, uint80 note)
        external
        pure
    {
        if (!Rows.isCounter(counter)) return;
        Row after_ = row.claimed(sequence, counter, note);
        assert(after_.sequence() == sequence);
        assert(after_.counter() == (counter < row.counter() ? row.counter() : counter));
        assert(after_.note() == note);
        assert(after_.escrow() == row.escrow() && after_.spent() == row.spent());
        assert(_rest(after_) == _rest(row));
    }

    /// A charge moves an amount from the escrow to what the period has spent, and nothing else; no
    /// row is left of one that escrow or cap do not allow.
    function check_row_charged(Row row, uint256 amount, uint48 cap) external pure {
        if (cap > Rows.MOST_MONEY || cap < row.spent()) return;
        Row after_ = row.charged(amount, cap);
        if (amount > row.escrow() || amount > cap - row.spent()) {
            assert(!after_.exists());
            return;
        }
        assert(after_.escrow() == row.escrow() - amount);
        assert(after_.spent() == row.spent() + amount);
        assert(after_.sequence() == row.sequence() && after_.counter() == row.counter());
        assert(after_.note() == row.note() && _rest(after_) == _rest(row));
    }

    /// A claim that is ready is one that the rail takes when it looks closer.
    function check_row_ready(Row row, uint32 sequence, uint40 first, uint40 last, uint32 day)
        external
        pure
    {
        bool taken = row.isLive() && row.expiryDay() > day && row.precedes(sequence)
            && first <= last && Rows.isCounter(last) && first > row.counter();
        assert(row.isReady(sequence, first, last, day) == taken);
    }

    /// A new period has spent nothing; the same one keeps what it spent.
    function check_row_in_period(Row row, uint8 period, uint8 next) external pure {
        Row before = row.inPeriod(period);
        Row after_ = before.inPeriod(next);
        assert(after_.spent() == (next == period ? before.spent() : 0));
        assert(after_.escrow() == row.escrow() && after_.sequence() == row.sequence());
        assert(after_.counter() == row.counter() && after_.note() == row.note());
        assert(after_.status() == row.status() && after_.steady() == row.steady());
        assert(after_.expiryDay() == row.expiryDay());
    }

    /// @dev Status and steadiness, period and expiry day.
    function _rest(Row row) private pure returns (uint256) {
        return Row.unwrap(row) >> 253 << 24 | uint24(Row.unwrap(row));
    }
}
