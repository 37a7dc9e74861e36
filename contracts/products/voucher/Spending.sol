// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Vouchers} from "./Vouchers.sol";

/// @title How a wearable spends over time: times that rise with the counters, and a day's limit.
/// @notice Terminals redeem in any order, days late, and one voucher can stand for many days. So a
/// limit is counted along the times of signing: a voucher with a counter above all before (newer)
/// may bring what its day and the days since the last one allow, and what it leaves of those
/// days is carried for vouchers with lower counters (older), which waited in other terminals.
/// Every tap that keeps the limit of its own day fits, in whichever order it comes. A tap with the
/// next counter gets nothing of earlier days by an earlier time, since times may not fall.
library Spending {
    /// What was paid of a wearable's vouchers, over all agreements and payees.
    struct State {
        uint48 paid;
        uint40 counter; // the highest that was paid
        uint40 signedAt; // of the voucher with that counter
        uint48 today; // spent of the limit of that day
        uint48 carried; // left of the days before, for older vouchers
        bool lost; // something was paid since the wearable was lost
        bool passedOn; // another version of the product pays from now on
    }

    uint256 internal constant CLOCK_GRACE = 10 minutes; // what two clocks may differ

    /// @dev Whether the voucher's time contradicts its counter.
    function timeFell(State memory state, Vouchers.Voucher memory voucher)
        internal
        pure
        returns (bool)
    {
        if (isNewer(state, voucher)) return voucher.signedAt + CLOCK_GRACE < state.signedAt;
        return voucher.signedAt > state.signedAt + CLOCK_GRACE;
    }

    /// @dev Whether the voucher was signed too soon after, or before, the last one. A newer one lies
    /// behind it: within the clocks' grace it could else lie on either side, again and again.
    function tooSoon(State memory state, Vouchers.Voucher memory voucher, uint24 coolOff)
        internal
        pure
        returns (bool)
    {
        if (state.counter == 0) return false; // the first of all
        (uint256 first, uint256 second) = isNewer(state, voucher)
            ? (state.signedAt, voucher.signedAt)
            : (voucher.signedAt, state.signedAt);
        return second < first + coolOff && coolOff != 0;
    }

    /// @dev What the day's limit leaves for a voucher, token minor units. One tap was made on the
    /// voucher's own day; of more, all but the last may be of the days before.
    function limitLeft(
        State memory state,
        Vouchers.Terms memory terms,
        Vouchers.Voucher memory voucher,
        uint256 taps
    ) internal pure returns (uint256 amount) {
        uint256 limit = uint256(terms.perDay);
        if (isNewer(state, voucher) && taps == 1 && _daysPassed(state, voucher) != 0) return limit;
        uint256 most = limit * _daysOf(terms.maxAge);
        amount = _less(limit, state.today);
        amount += isNewer(state, voucher) ? limit * _daysPassed(state, voucher) : state.carried;
        if (amount > most) amount = most;
    }

    /// @dev Moves the state on by a paid amount; with a limit per day not above `limitLeft`.
    function spend(
        State memory state,
        Vouchers.Terms memory terms,
        Vouchers.Voucher memory voucher,
        uint256 taps,
        uint256 amount
    ) internal pure {
        state.paid += uint48(amount);
        _useDays(state, terms, voucher, taps, amount);
        if (!isNewer(state, voucher)) return;
        state.counter = voucher.counter;
        if (voucher.signedAt > state.signedAt) state.signedAt = voucher.signedAt;
    }

    /// @dev Whether no voucher with a higher counter was paid.
    function isNewer(State memory state, Vouchers.Voucher memory voucher)
        internal
        pure
        returns (bool)
    {
        return voucher.counter >= state.counter;
    }

    function _useDays(
        State memory state,
        Vouchers.Terms memory terms,
        Vouchers.Voucher memory voucher,
        uint256 taps,
        uint256 amount
    ) private pure {
        bool newDay = isNewer(state, voucher) && _daysPassed(state, voucher) != 0;
        if (terms.perDay == 0) {
            if (newDay) state.today = 0;
        } else if (newDay) {
            _beginDay(state, terms, voucher, taps, amount);
        } else {
            uint256 ofEarlierDays = isNewer(state, voucher) ? 0 : state.carried;
            if (ofEarlierDays > amount) ofEarlierDays = amount;
            state.carried -= uint48(ofEarlierDays);
            state.today += uint48(amount - ofEarlierDays);
        }
    }

    /// @dev Several taps use the days before first, so that what the day still allows is never less
    /// than what an honest wearable may still spend on it.
    function _beginDay(
        State memory state,
        Vouchers.Terms memory terms,
        Vouchers.Voucher memory voucher,
        uint256 taps,
        uint256 amount
    ) private pure {
        uint256 limit = uint256(terms.perDay);
        uint256 most = limit * (_daysOf(terms.maxAge) - 1);
        uint256 before = limitLeft(state, terms, voucher, 0) - limit; // of earlier days
        uint256 ofEarlierDays = taps == 1 ? 0 : amount;
        if (ofEarlierDays > before) ofEarlierDays = before;
        before = before + state.carried - ofEarlierDays;
        if (before > most) before = most;
        if (before > type(uint48).max) before = type(uint48).max;
        state.carried = uint48(before);
        state.today = uint48(amount - ofEarlierDays);
    }

    /// @dev Days of signing between the last paid voucher and a newer one.
    function _daysPassed(State memory state, Vouchers.Voucher memory voucher)
        private
        pure
        returns (uint256)
    {
        return _less(uint256(voucher.signedAt) / 1 days, uint256(state.signedAt) / 1 days);
    }

    /// @dev How many days (UTC) the vouchers that are not too old can lie on.
    function _daysOf(uint24 maxAge) private pure returns (uint256) {
        return uint256(maxAge) / 1 days + 2;
    }

    function _less(uint256 a, uint256 b) private pure returns (uint256) {
        return a > b ? a - b : 0;
    }
}
