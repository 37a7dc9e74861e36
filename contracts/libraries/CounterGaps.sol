// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title The counters that an agreement's claims passed by: up to four open gaps in one word.
/// @notice A gap takes 64 bits: its first counter (40 bits) and how many counters it has (24 bits).
/// The newest gap has the lowest bits; zero is no gap. A fifth gap drops the one with the lowest
/// counters, and a gap of more than 2^24 - 1 counters keeps its highest ones.
library CounterGaps {
    uint256 private constant MOST = 4;
    uint256 private constant LONGEST = type(uint24).max;

    /// @dev The gaps after a claim from `first` on, where claims had come as far as `claimedTo`.
    function passed(uint256 gaps, uint40 claimedTo, uint40 first) internal pure returns (uint256) {
        uint256 from = uint256(claimedTo) + 1;
        if (first - from > LONGEST) from = first - LONGEST;
        return _with(gaps, from, first);
    }

    /// @dev Whether one gap holds all counters from `first` to `last`, and the gaps without them.
    function without(uint256 gaps, uint40 first, uint40 last)
        internal
        pure
        returns (bool found, uint256 left)
    {
        for (uint256 i = MOST; i > 0; --i) { // the oldest first, so that the order stays
            uint256 gap = uint64(gaps >> (64 * (i - 1)));
            (uint256 from, uint256 end) = (gap >> 24, (gap >> 24) + uint24(gap));
            if (from <= first && last < end) {
                found = true;
                left = _with(_with(left, from, first), uint256(last) + 1, end);
            } else {
                left = _with(left, from, end);
            }
        }
    }

    /// @dev One gap more, from `from` on, before `end`; an empty one is none.
    function _with(uint256 gaps, uint256 from, uint256 end) private pure returns (uint256) {
        return from == end ? gaps : gaps << 64 | from << 24 | (end - from);
    }
}
